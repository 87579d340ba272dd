"""Which roots get a unit that makes host keys, and which have something that does."""

import pytest
from vmimage.image.host_keys import PATH, add_maker, lacks_maker

SSHD = {"usr/sbin/sshd": "program"}
WANTED = "etc/systemd/system/multi-user.target.wants"
UNIT = {"lib/systemd/system/keys.service": "[Service]\nExecStart=/usr/bin/ssh-keygen -A\n"}
CLOUD_INIT = {
    "usr/bin/cloud-init": "program",
    "etc/systemd/system/cloud-init.target.wants/cloud-init.service": "-> /lib/c.service",
}

ROOTS = {
    "an sshd alone": (SSHD, True),
    "no sshd": ({"usr/bin/ssh": "program"}, False),
    "host keys": ({**SSHD, "etc/ssh/ssh_host_rsa_key": "key"}, False),
    "cloud-init": ({**SSHD, **CLOUD_INIT}, False),
    "cloud-init that is switched off": ({**SSHD, **CLOUD_INIT, "etc/cloud/cloud-init.disabled": ""}, True),
    "cloud-init that is not enabled": ({**SSHD, "usr/bin/cloud-init": "program"}, True),
    "a unit": ({**SSHD, **UNIT, f"{WANTED}/keys.service": "-> /lib/systemd/system/keys.service"}, False),
    "a unit that is not enabled": ({**SSHD, **UNIT}, True),
    "a drop-in": ({**SSHD, "etc/systemd/system/ssh.service.d/keys.conf": "[Service]\nExecStartPre=ssh-keygen -A\n"}, False),
    "a comment": ({**SSHD, f"{WANTED}/other.service": "# ssh-keygen\n[Service]\nExecStart=/bin/true\n"}, True),
}


@pytest.mark.parametrize(("files", "lacks"), ROOTS.values(), ids=ROOTS)
def test_who_makes_the_host_keys(root, tree, files, lacks):
    tree(root, files)
    assert lacks_maker(root) is lacks


def test_the_unit_is_enabled_and_enough(root, tree):
    tree(root, SSHD)
    assert add_maker(root) == [PATH, f"/{WANTED}/ssh-host-keys.service"]
    assert (root / f"{WANTED}/ssh-host-keys.service").readlink().as_posix() == PATH
    assert "ssh-keygen -A" in (root / PATH[1:]).read_text()
    assert not lacks_maker(root)
    assert add_maker(root)  # a second time does no harm

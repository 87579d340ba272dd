import os

import pytest
from vmimage.inhabit import forbidden_daemons, lent_name_servers, take_back

RESOLV, POLICY = "etc/resolv.conf", "usr/sbin/policy-rc.d"


def state(path):
    return os.readlink(path) if path.is_symlink() else path.read_text() if path.exists() else None


@pytest.mark.parametrize(
    "before",
    ["nameserver 192.0.2.1\n", "-> /etc/resolvconf/run/resolv.conf", "-> ../somewhere/file", None],
    ids=["a file", "a dangling link", "a relative link", "none"],
)
def test_the_name_servers_are_lent_and_taken_back(root, tree, before):
    tree(root, {RESOLV: before} if before else {})
    then = state(root / RESOLV)
    with lent_name_servers(root):
        assert "lent by vm_create" in (root / RESOLV).read_text()
    assert state(root / RESOLV) == then


@pytest.mark.parametrize("link", ["../run/systemd/resolve/stub-resolv.conf", "/run/resolvconf/resolv.conf"])
def test_a_link_into_run_stays_and_its_target_is_lent(root, tree, link):
    tree(root, {RESOLV: f"-> {link}"})
    with lent_name_servers(root):
        assert os.readlink(root / RESOLV) == link
        assert "lent by vm_create" in (root / link.replace("../", "").lstrip("/")).read_text()


def test_a_resolv_conf_that_the_work_wrote_is_kept(root):
    with lent_name_servers(root):
        (root / RESOLV).write_text("nameserver 192.0.2.9\n")
    assert state(root / RESOLV) == "nameserver 192.0.2.9\n"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("nameserver 192.0.2.9\n", "nameserver 192.0.2.9\n"),
        ("{lent}domain example.com\n", "../run/resolv.conf"),
        ("# This is a file managed by man:systemd-resolved(8).\nnameserver 127.0.0.53\n", "../run/resolv.conf"),
    ],
    ids=["a state", "an addition to what was lent", "systemd-resolved"],
)
def test_of_what_is_written_through_a_link_into_run_only_what_a_state_wrote_is_kept(root, tree, written, kept):
    tree(root, {RESOLV: "-> ../run/resolv.conf"})
    with lent_name_servers(root):
        path = root / "run/resolv.conf"
        path.write_text(written.format(lent=path.read_text()))
    assert state(root / RESOLV) == kept


def test_what_was_lent_is_taken_back_when_the_work_fails(root, tree):
    tree(root, {RESOLV: "nameserver 192.0.2.1\n"})
    with pytest.raises(RuntimeError), lent_name_servers(root), forbidden_daemons(root):
        raise RuntimeError
    assert state(root / RESOLV) == "nameserver 192.0.2.1\n" and not (root / POLICY).exists()


def test_daemons_are_forbidden_for_the_time_of_the_block(root):
    with forbidden_daemons(root):
        assert os.access(root / POLICY, os.X_OK) and "exit 101" in (root / POLICY).read_text()
    assert not (root / POLICY).exists()


def test_a_policy_of_the_roots_own_is_kept(root, tree):
    tree(root, {POLICY: "#!/bin/sh\nexit 0\n"})
    with forbidden_daemons(root):
        assert (root / POLICY).read_text() == "#!/bin/sh\nexit 0\n"
    assert (root / POLICY).read_text() == "#!/bin/sh\nexit 0\n"


def test_nothing_is_taken_back_that_was_not_lent(root, tree):
    tree(root, {RESOLV: "nameserver 192.0.2.1\n", POLICY: "#!/bin/sh\nexit 0\n"})
    assert take_back(root) == []
    assert (root / RESOLV).exists() and (root / POLICY).exists()

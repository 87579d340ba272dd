"""The first build from a base, with nothing in the cache: it gives what later builds give, and nothing of it that was killed is used."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from building import LEFT_BEHIND_SECONDS, Salt, processes_inside
from looking import looked_into, tree_of
from vmimage.base import prepare
from vmimage.base.locate import locate_base
from vmimage.settings.schema import Settings
from vmimage.system.progress import Progress
from waiting import HANG_SECONDS

WRITTEN = """
a file is written:
  file.managed:
    - name: /srv/written
    - contents: by the variation
"""
VARIATION = f"""{WRITTEN}
a package is installed:
  pkg.installed:
    - name: tree
"""


def tar_of(image, path):
    with looked_into(image) as root:
        subprocess.run(["tar", "-C", root, "--xattrs", "--xattrs-include=*", "--acls", "-cf", path, "."], check=True)
    return {"ami.base": str(path), "ami.base_unverified": True}


@pytest.fixture(scope="module")
def small(light, tmp_path_factory):
    """Settings of a small base that is a tar."""
    return tar_of(light["ami.base"], tmp_path_factory.mktemp("tar") / "base.tar")


def trees(*images):
    found = []
    for image in images:
        with looked_into(image) as root:
            found.append(tree_of(root))
    return found


def differing(one, other):
    return [path for path in sorted(one.keys() | other.keys()) if one.get(path) != other.get(path)]


def test_a_base_is_the_same_whether_it_is_unpacked_in_memory_or_on_the_disk_or_the_memory_is_too_small(small, light, tmp_path):
    images = [light["ami.base"]]
    for memory in (True, False, 20):
        settings = Settings(
            base=small["ami.base"], base_unverified=True, cache=str(tmp_path / f"{memory}"), memory=memory, room_mib=300
        )
        images.append(prepare.prepare_base(settings, locate_base(settings, Progress()), Progress()).image)
    first, *others = trees(*images)
    assert "/etc/os-release" in first
    assert [differing(first, other) for other in others] == [[], [], []]


def test_the_first_build_gives_the_image_that_the_next_gives(bootstrapped, tmp_path):
    salt = Salt(tmp_path / "salt", **tar_of(bootstrapped.image, tmp_path / "base.tar"))
    salt.configure(**{"ami.cache": str(tmp_path / "cache")})
    variation = salt.variation("job", variation=VARIATION)
    for name in ("first", "second"):
        salt.good("vm_create.create_variation", name=name, variation=variation, publish=False)
    first, second = trees(salt.output / "first.img", salt.output / "second.img")
    assert differing(first, second) == [] and "/usr/bin/tree" in first
    assert list(tmp_path.glob("cache/apt/unpacked/*/tree_*.deb.tar")), "it is decompressed for the next"
    # the update of the very first build found lists that were fetched while its base was packed, and what apt had computed from them
    logs = [(salt.output / f"{name}.build.json").read_text(encoding="utf-8") for name in ("first", "second")]
    assert [log.count("Fetched ") for log in logs] == [1, 0] and "were not fetched" not in logs[0]
    assert ["the archives offer nothing that is newer" in log for log in logs] == [True, True]
    assert not [path for path in tmp_path.glob("salt/workspace/first/*") if path.name != "lock"]


OLD = """
/etc/apt/own.asc:
  file.managed:
    - source: salt://own.asc
a package of ours is installed:
  cmd.run:
    - name: |
        set -e; echo 'deb [signed-by=/etc/apt/own.asc] {address} stable main' > /etc/apt/sources.list.d/own.list
        apt-get update; apt-get install -y own; {more}
"""
# the update looks at the root as it is then, not as its base was when the lists were fetched
RELEASED = """
include: [ami_creator_pre]
the package is no longer held:
  cmd.run:
    - name: chroot {{ salt['vm_create.setting']('root') }} apt-mark unhold own
    - require: [{sls: ami_creator_pre}]
"""
OFFER = r"""
set -e; cd "$1"; mkdir -p pool tree/DEBIAN dists/stable/main/binary-amd64; export GNUPGHOME="$2"
[ -e own.asc ] || { gpg -q --batch --passphrase '' --quick-generate-key own rsa2048 sign never; gpg -q --armor --export > own.asc; }
printf 'Package: own\nVersion: %s\nArchitecture: all\nMaintainer: us <us@example.org>\nDescription: ours\n' $3 > tree/DEBIAN/control
dpkg-deb --root-owner-group --build tree pool/own_$3.deb
{ cat tree/DEBIAN/control; printf 'Filename: pool/own_%s.deb\nSize: %s\nSHA256: %s\n' $3 $(stat -c %s pool/own_$3.deb) \
    $(sha256sum pool/own_$3.deb | cut -d ' ' -f 1); } > dists/stable/main/binary-amd64/Packages
cd dists/stable
{ printf 'Suite: stable\nComponents: main\nArchitectures: amd64\nDate: %s\nSHA256:\n' "$(LC_ALL=C date -Ru)"
    sha256sum main/*/Packages | while read sum name; do echo " $sum $(stat -c %s $name) $name"; done; } > Release
gpg -q --batch --yes --clearsign -o InRelease Release; gpgconf --kill gpg-agent
"""


@pytest.fixture
def archive(tmp_path):
    """An archive on the loopback: its address, the paths that were asked for, and a function that offers a version of a package."""
    top, home = tmp_path / "archive", tempfile.mkdtemp(prefix="g-", dir="/tmp")  # 108 bytes are the longest path of a socket
    top.mkdir()
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=top)

        def log_message(self, *arguments):
            asked.append(self.path)

    def offer(version):
        subprocess.run(["sh", "-c", OFFER, "sh", top, home, str(version)], check=True, capture_output=True)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield SimpleNamespace(address=f"http://127.0.0.1:{server.server_port}", asked=asked, offer=offer, key=top / "own.asc")
        server.shutdown()
    shutil.rmtree(home)


@pytest.mark.needs("gpg")
def test_the_first_build_from_an_old_base_has_what_is_the_newest_for_its_root(bootstrapped, archive, tmp_path):
    salt = Salt(tmp_path / "salt", **{"ami.base_unverified": True, "ami.network": "host"})
    salt.configure(**{"ami.base": str(bootstrapped.image)})
    (salt.states / "released.sls").write_text(RELEASED, encoding="utf-8")
    archive.offer(1)
    key = archive.key.read_text(encoding="utf-8")

    def build(name, text, **more):
        more["variation"] = salt.variation(name, variation=text, **{"own.asc": key})
        salt.good("vm_create.create_variation", name=name, publish=False, **more)
        log = (salt.output / f"{name}.build.json").read_text(encoding="utf-8")
        assert "were not fetched" not in log
        return salt.manifest(name)["packages"]["own"], "nothing that is newer" in log

    build("plain", OLD.format(address=archive.address, more=""))
    build("held", OLD.format(address=archive.address, more="apt-mark hold own"))
    archive.offer(2)

    def first(base, name, pre="ami_creator_pre"):
        salt.configure(**{"ami.base": str(salt.output / f"{base}.img"), "ami.cache": str(tmp_path / name), "ami.pre": pre})
        archive.asked.clear()
        found = build(name, WRITTEN)
        return *found, archive.asked.count("/dists/stable/InRelease")

    assert first("plain", "newest") == ("2", False, 1)
    assert build("newest", WRITTEN)[0] == "2"
    assert first("held", "old") == ("1", True, 1)
    assert first("held", "no-longer-held", "released") == ("2", False, 1)


@pytest.mark.parametrize("after", [0, 0.1, 0.3])
def test_a_first_build_that_is_killed_while_its_base_is_kept_leaves_nothing_that_the_next_takes(small, tmp_path, after):
    salt = Salt(tmp_path / "salt", **small)
    salt.configure(**{"ami.cache": str(tmp_path / "cache")})
    settings = {"name": "killed", "variation": salt.variation("killed", variation=WRITTEN)}
    process = salt.start("vm_create.create_variation", **settings, update=False)
    deadline = time.monotonic() + HANG_SECONDS
    while not list(tmp_path.glob("cache/bases/*.img")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS
    while processes_inside() and time.monotonic() < deadline:
        time.sleep(0.05)
    salt.good("vm_create.create_variation", **settings, update=False)
    (image,) = tmp_path.glob("cache/bases/*.img")
    assert image.with_suffix(".json").exists() and prepare.is_as_it_was(image, prepare.begin_reading(image))
    assert not list(tmp_path.glob("cache/bases/*.partial")) and not list(tmp_path.glob("cache/bases/*.preparing"))

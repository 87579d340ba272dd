"""Whole builds by a variation that is hostile: a variation with dozens of tricks goes through, others are refused by name."""

import json
import os
import re
import stat
import time

import pytest
from building import Salt
from looking import looked_into
from root_fixtures import leaving_nothing

ESCAPE = "\x1b]52;c;eA==\x07"
SECRET_OF_PILLAR = "s3cr3t-of-the-pillar"
SHELL = r"""
set -e
out=$(printf '@secret@')
mkdir -p /srv/names /srv/kinds /var/log/deep
cd /srv/names
printf x > "$(printf '\377\376')"
printf x > "$(printf '\033]52;c;eA==\007')"
printf x > "$(printf 'two\nlines')"
printf x > '<script>alert(1)<'
printf x > '$(touch planted)'
printf x > '--checkpoint-action=exec=sh'
printf x > "$(printf 'right\342\200\256to-left')"
cd /srv/kinds
mkfifo fifo
perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "socket", Listen => 1) or die'
ln -s "$out" out
ln -s "${out%/*}" directory
ln -s loop loop
ln -s "$(printf '../%.0s' $(seq 40))etc/shadow" climb
ln /etc/passwd hard
truncate -s 40G hole
truncate -s 10T larger
cp /bin/true setuid; chmod 4755 setuid
cp /bin/true capable; setcap cap_sys_admin+ep capable 2>/dev/null || true
touch immutable; chattr +i immutable 2>/dev/null || true
mkdir -m 000 shut
# what the builder reads, empties, removes or writes
ln -sf "$out" /etc/ssh/ssh_host_vile_key
ln -sf "$out" /var/log/out.log
ln -sf "${out%/*}" /var/log/outdir
mkfifo /var/log/fifo.log /root/.bash_history /var/log/deep/fifo.gz
ln -s "${out%/*}" /var/lib/dhcp/out 2>/dev/null || true
mkdir -p /var/lib/cloud /etc/salt /var/spool/cron/atjobs /etc/initramfs-tools/conf.d /etc/.git
ln -sfn "${out%/*}" /var/lib/cloud/instance
ln -sf "$out" /etc/salt/grains
ln -sf "$out" /etc/popularity-contest.conf
mkfifo /var/spool/cron/atjobs/a1
ln -s "$out" /etc/.git/config
mkfifo /etc/initramfs-tools/conf.d/fifo
printf '\377\033]52;c;eA==\007' > /etc/hostname
rm -f /etc/resolv.conf; ln -s "${out%/*}/planted" /etc/resolv.conf
rm -f /etc/machine-id; ln -s "$out" /etc/machine-id
ln -sf "$out" /boot/vmlinuz-9999.old
printf x > "/boot/vmlinuz-$(printf '9999\033]52;c;eA==\007')"
printf x > "/boot/vmlinuz-$(printf '9999\377')"
printf '%s\n' '<img src=x onerror=alert(1)>' > /var/lib/dpkg/info/vile.list
mkfifo /var/lib/dpkg/info/fifo.list
printf '\nPackage: <script>alert(2)\nStatus: install ok installed\nVersion: \033]52;c;eA==\007\nArchitecture: all\n' >> /var/lib/dpkg/status
"""
VARIATION = {
    "tricks": {"cmd.run": [{"name": "bash /run/vm_create/states/0/tricks.sh"}]},
    f"an id {ESCAPE} <script>alert(3)</script>": {"test.configurable_test_state": [
        {"changes": False}, {"result": True}, {"comment": f"a comment {ESCAPE} <script>alert(4)</script>"}]},
    "what it prints": {"cmd.run": [{"name": "printf '\\033]52;c;eA==\\007\\033[2J\\033[1;31mred\\n\\377\\376\\n' >&2; echo '<script>alert(5)'"}]},
    "a file named after a secret": {"file.managed": [{"name": "/etc/mark"}, {"contents_pillar": "mark"}]},
    "a line without an end": {"cmd.run": [{"name": "head -c 150000000 /dev/zero | tr '\\0' x"}, {"output_loglevel": "debug"}]},
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left(own_directories):
    """Looked at once for all that look at one build."""
    with leaving_nothing():
        yield


@pytest.fixture(scope="module")
def built(nothing_is_left, bootstrapped, host, tmp_path_factory):
    """What the build said and left, and a look into its image: a dict."""
    salt = Salt(tmp_path_factory.mktemp("hostile"))
    salt.pillar(json.dumps({"mark": "here", "keystone.password": SECRET_OF_PILLAR, "glance.password": SECRET_OF_PILLAR}))
    text = SHELL.replace("@secret@", str(host.secret))
    variation = salt.variation("vile", **{"variation": json.dumps(VARIATION), "tricks.sh": text})
    begun = time.monotonic()
    code, data, said = salt.call("vm_create.create_variation", name="vile", variation=variation, update=False, publish=False)
    assert code == 0, f"{data}\n{said}"
    page = salt.good("vm_create.report", "vile")
    found = {"seconds": time.monotonic() - begun, "said": said, "salt": salt, "report": json.dumps(page)}
    found["files"] = {path.name: path.read_bytes() for path in salt.output.iterdir() if path.suffix in (".json", ".html", ".log")}
    with looked_into(salt.output / "vile.img") as root:
        found["image"] = {name: os.lstat(f"{root}{name}") for name in NAMES if os.path.lexists(f"{root}{name}")}
        found["names"] = sorted(path.name for path in (root / "srv/names").iterdir())
        found["boot"] = sorted(path.name for path in (root / "boot").iterdir())
        found["kernel"] = salt.manifest("vile")["files"]["kernel"]["version"]
    return found


#: what is in the image afterwards, and of which kind; None: it is sealed
NAMES = {
    "/srv/kinds/fifo": stat.S_ISFIFO,
    "/srv/kinds/socket": stat.S_ISSOCK,
    "/srv/kinds/out": stat.S_ISLNK,
    "/srv/kinds/directory": stat.S_ISLNK,
    "/srv/kinds/loop": stat.S_ISLNK,
    "/srv/kinds/climb": stat.S_ISLNK,
    "/srv/kinds/hard": stat.S_ISREG,
    "/srv/kinds/hole": lambda mode: stat.S_ISREG(mode),
    "/srv/kinds/larger": stat.S_ISREG,
    "/srv/kinds/setuid": lambda mode: mode & stat.S_ISUID,
    "/srv/kinds/shut": stat.S_ISDIR,
    "/srv/kinds/immutable": stat.S_ISREG,
    "/var/log/out.log": stat.S_ISLNK,
    "/var/log/outdir": stat.S_ISLNK,
    "/var/log/fifo.log": stat.S_ISFIFO,
    "/etc/salt/grains": stat.S_ISLNK,
    "/etc/popularity-contest.conf": stat.S_ISLNK,
    "/var/spool/cron/atjobs/a1": stat.S_ISFIFO,
    "/etc/initramfs-tools/conf.d/fifo": stat.S_ISFIFO,
    "/etc/machine-id": stat.S_ISLNK,
    "/etc/ssh/ssh_host_vile_key": None,
    "/root/.bash_history": None,
    "/var/log/deep/fifo.gz": None,
    "/var/lib/cloud/instance": None,
    "/etc/.git": None,
    "/usr/sbin/policy-rc.d": None,
}


@pytest.mark.hostile("traps in a root")
@pytest.mark.parametrize("path", NAMES)
def test_what_a_variation_made_is_in_the_image_or_sealed(built, path):
    found = built["image"].get(path)
    assert found is None if NAMES[path] is None else found and NAMES[path](found.st_mode)


@pytest.mark.hostile("giants")
def test_a_line_of_150_mb_keeps_nobody_waiting(built):
    assert built["seconds"] < 300 and len(built["said"]) < 10 << 20


@pytest.mark.hostile("giants")
def test_holes_stay_holes(built):
    assert built["image"]["/srv/kinds/hole"].st_size == 40 << 30 and built["image"]["/srv/kinds/hole"].st_blocks == 0
    assert (built["salt"].output / "vile.img").stat().st_size < 2 << 30


@pytest.mark.hostile("names and output")
def test_names_of_any_bytes_are_in_the_image(built):
    names = {"\udcff\udcfe", ESCAPE, "two\nlines", "<script>alert(1)<", "$(touch planted)", "--checkpoint-action=exec=sh"}
    assert set(built["names"]) == names | {"right\u202eto-left"}


@pytest.mark.hostile("names and output")
def test_a_kernel_of_a_strange_name_is_not_taken(built):
    assert not built["kernel"].startswith("9999") and sum(name.startswith("vmlinuz-9999") for name in built["boot"]) == 3


CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]|\x1b[^\[]|\x1b\[[0-9;]*[^0-9;m]")


@pytest.mark.hostile("names and output")
@pytest.mark.parametrize("where", ["said", "vile.manifest.json", "vile.build.json", "vile.report.html", "report"])
def test_no_escape_sequence_is_raw_anywhere(built, where):
    text = built[where].encode() if where in built else built["files"][where]
    assert not CONTROLS.search(text), CONTROLS.search(text)


@pytest.mark.hostile("names and output")
def test_no_markup_comes_through_into_the_page(built):
    (page,) = (text.decode() for name, text in built["files"].items() if name.endswith(".html"))
    assert "<script" not in page and "<img" not in page and "alert(4)" in page


@pytest.mark.hostile("names and output")
def test_a_secret_of_the_pillar_is_in_no_file(built):
    assert SECRET_OF_PILLAR not in built["said"] + built["report"]
    for name, text in built["files"].items():
        assert SECRET_OF_PILLAR.encode() not in text, name
    with open(built["salt"].output / "vile.img", "rb") as image:
        rest = b""
        while piece := image.read(16 << 20):
            assert SECRET_OF_PILLAR.encode() not in rest + piece
            rest = piece[-64:]


def command(text):
    return json.dumps({"a": {"cmd.run": [{"name": text}]}})


LONG = "for n in $(seq 15); do p=$p/{}; done; mkdir -p /srv/a$p /srv/b$p; mv /srv/a /srv/b$p/".format("d" * 200)
#: kind: (what the variation does, words of the error)
BAD = {
    "no shell is left": ("what does not boot", "rm /bin/sh", ["the root has no shell: /bin/sh"]),
    "no kernel is left": ("what does not boot", "rm -r /boot; mkdir /boot", ["the root has no /boot/vmlinuz-*"]),
    "a fifo where a file belongs": (
        "traps in a root", "rm -f /etc/hostname; mkfifo /etc/hostname", ["/etc/hostname of the image is a fifo"]),
    "a terminal that is written to": (
        "names and output", "printf '\\033]52;c;eA==\\007'; exit 1", ["\\x1b]52;c;eA==\\x07"]),
}  # fmt: skip


def refused(salt, variation):
    """What a build says that is refused; nothing of it is left but what a report is made of."""
    said = salt.bad("vm_create.create_variation", name="bad", variation=salt.variation("bad", variation=variation), update=False)
    assert not list(salt.output.glob("*"))
    assert {path.name for path in salt.workspace.glob("bad/*")} <= {"lock", "build.log", "failed.json"}
    assert not CONTROLS.search(said.encode()) and not CONTROLS.search((salt.workspace / "bad/build.log").read_bytes())
    return said


@pytest.mark.light
@pytest.mark.parametrize(
    ("text", "words"),
    [pytest.param(*rest, id=name, marks=pytest.mark.hostile(kind, refused=True)) for name, (kind, *rest) in BAD.items()],
)
def test_a_hostile_build_is_refused_by_name(salt, bootstrapped, text, words):
    said = refused(salt, command(text))
    for word in words:
        assert word in said, said


@pytest.mark.light
@pytest.mark.hostile("deep trees", refused=True)
def test_paths_that_are_too_long_are_refused_and_the_next_build_of_that_name_works(salt, bootstrapped):
    said = refused(salt, command(LONG))
    assert "too deep to be packed" in said and "/srv/b/dddd" in said
    deep = command("cd /srv; for n in $(seq 1500); do mkdir d; cd d; done")
    salt.good("vm_create.create_variation", name="bad", variation=salt.variation("deep", variation=deep), update=False)
    assert {path.name for path in salt.workspace.glob("bad/*")} == {"lock"}
    assert (salt.output / "bad.img").stat().st_mode & 0o777 == 0o600

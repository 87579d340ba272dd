"""What programs of a root find in resolv.conf, and what of it gets into the image: nothing."""

import os

import pytest
from vmimage.root.name_servers import build_name_servers, remove_copies, remove_temporary_file
from vmimage.system.network import HOST, NAME_SERVER, PRIVATE

RESOLV = "etc/resolv.conf"
OURS = f"nameserver {NAME_SERVER}\n"


def state(path):
    return os.readlink(path) if path.is_symlink() else path.read_text() if path.exists() else None


@pytest.mark.parametrize(
    "before",
    ["nameserver 192.0.2.1\n", "-> /etc/resolvconf/run/resolv.conf", "-> ../somewhere/file", None],
    ids=["a file", "a dangling link", "a relative link", "none"],
)
@pytest.mark.parametrize("kind", [HOST, PRIVATE])
def test_the_file_of_the_root_is_there_again_after_the_work(root, tree, before, kind):
    tree(root, {RESOLV: before} if before else {})
    then = state(root / RESOLV)
    with build_name_servers(root, kind):
        assert kind == HOST or (root / RESOLV).read_text() == OURS
    assert state(root / RESOLV) == then


@pytest.mark.parametrize("link", ["../run/systemd/resolve/stub-resolv.conf", "/run/resolvconf/resolv.conf"])
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (None, None),
        (f"# rewritten\n\n  {OURS}", None),
        ("nameserver 192.0.2.9\n", "nameserver 192.0.2.9\n"),
        (f"search example.org\n{OURS}", "search example.org\n"),
        ("# This is a file managed by man:systemd-resolved(8).\nnameserver 127.0.0.53\n", None),
    ],
    ids=["untouched", "rewritten", "a state's", "a line more", "systemd-resolved"],
)
def test_a_link_into_run_stays_unless_something_else_is_written_through_it(root, tree, link, text, kept):
    tree(root, {RESOLV: f"-> {link}"})
    with build_name_servers(root, PRIVATE):
        target = root / link.replace("../", "").lstrip("/")
        assert os.readlink(root / RESOLV) == link and target.read_text() == OURS
        if text:
            target.write_text(text)
    assert state(root / RESOLV) == (kept or link)


@pytest.mark.parametrize("kind", [HOST, PRIVATE])
def test_what_the_work_makes_of_it_is_kept_without_the_name_server_of_the_build(root, kind):
    with build_name_servers(root, kind):
        (root / RESOLV).write_text(f"nameserver 192.0.2.9\n{OURS}")
    assert state(root / RESOLV) == "nameserver 192.0.2.9\n" and not os.listxattr(root / RESOLV)
    with build_name_servers(root, kind):
        (root / RESOLV).unlink()
    assert state(root / RESOLV) is None
    with build_name_servers(root, kind):
        (root / RESOLV).unlink()
        (root / RESOLV).symlink_to("elsewhere")
    assert state(root / RESOLV) == "elsewhere"


def test_what_a_killed_run_left_is_taken_back_and_no_copy_of_it(root, tree):
    tree(root, {"etc/": None})
    block = build_name_servers(root, PRIVATE)
    block.__enter__()  # and never left
    assert remove_temporary_file(root) == ["/etc/resolv.conf"] and state(root / RESOLV) is None
    tree(root, {RESOLV: OURS})
    assert remove_temporary_file(root) == [] and state(root / RESOLV) == OURS


def test_copies_lose_the_name_server_of_the_build_and_nothing_else(root, tree, tmp_path):
    files = {
        "var/spool/postfix/etc/resolv.conf": OURS,
        "etc/resolvconf/resolv.conf.d/original": f"search example.org\n{OURS}",
        "etc/other": f"nameserver {NAME_SERVER}0\n",
        "etc/resolv.conf": OURS,
        "usr/share/doc/example": OURS,
        "var/lib/dpkg/info/x": OURS,
    }
    tree(root, files)
    (root / "etc/other").chmod(0o640)
    changes = tree(tmp_path / "changes", {**files, "etc/of the base": OURS, "etc/directory/": None})
    assert sorted(remove_copies(root, changes, PRIVATE)) == [
        "/etc/resolvconf/resolv.conf.d/original",
        "/var/spool/postfix/etc/resolv.conf",
    ]
    assert state(root / "etc/resolvconf/resolv.conf.d/original") == "search example.org\n"
    assert state(root / "var/spool/postfix/etc/resolv.conf") == ""
    assert all(state(root / name) == text for name, text in list(files.items())[2:])

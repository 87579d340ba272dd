import pytest
from vmimage.image.seal import find_build_addresses, seal_root, written_by
from vmimage.root.enter import forbidden_daemons

FILES = {
    "etc/machine-id": "0123456789abcdef",
    "etc/ssh/ssh_host_rsa_key": "private",
    "etc/ssh/ssh_host_rsa_key.pub": "public",
    "etc/ssh/sshd_config": "Port 22",
    "var/log/installer/status": "log",
    "var/log/apt/term.log": "log",
    "var/log/dpkg.log": "log",
    "var/log/dpkg.log.1.gz": "log",
    "var/log/link": "-> /etc/ssh/sshd_config",
    "var/lib/dbus/machine-id": "-> /etc/machine-id",
    "var/cache/apt/archives/a.deb": "package",
}


@pytest.fixture
def used(root, tree):
    return tree(root, FILES)


def left(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_what_the_patterns_name_is_removed_or_emptied_and_the_rest_stays(used):
    sealed = seal_root(
        used, ["/etc/ssh/ssh_host_*", "/var/lib/dbus/machine-id", "/var/cache/apt/archives/*.deb"], ["/etc/machine-id"]
    )
    gone = {"etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub", "var/lib/dbus/machine-id", "var/cache/apt/archives/a.deb"}
    assert left(used) == set(FILES) - gone
    assert (used / "etc/machine-id").read_text() == ""
    assert sealed == {"removed": sorted(f"/{path}" for path in gone), "truncated": ["/etc/machine-id"], "kept": []}


def test_logs_below_a_directory_that_goes_are_not_asked_to_be_emptied(used):
    sealed = seal_root(used, ["/var/log/installer", "/var/log/**/*.gz"], ["/var/log/*", "/var/log/**/*"])
    assert sealed["removed"] == ["/var/log/dpkg.log.1.gz", "/var/log/installer"]
    assert sealed["truncated"] == ["/var/log/apt/term.log", "/var/log/dpkg.log"]
    assert (used / "var/log/apt/term.log").stat().st_size == 0
    assert (used / "etc/ssh/sshd_config").read_text() == "Port 22"


@pytest.mark.parametrize("remove", [["/var/log", "/var/log/*"], ["/var/log/*", "/var/log"]], ids=["top first", "content first"])
def test_patterns_may_overlap(used, remove):
    seal_root(used, remove)
    assert not (used / "var/log").exists()


def test_a_slash_at_the_end_of_a_pattern_changes_nothing(used):
    assert seal_root(used, ["/var/log/installer/"])["removed"] == ["/var/log/installer"]
    assert not (used / "var/log/installer").exists()


def test_sealing_twice_finds_nothing_more(used):
    patterns = ["/etc/ssh/ssh_host_*", "/var/log/installer"], ["/etc/machine-id", "/var/log/*"]
    seal_root(used, *patterns)
    assert seal_root(used, *patterns) == {"removed": [], "truncated": [], "kept": []}


def test_a_dry_run_tells_the_same_and_changes_nothing(used):
    patterns = ["/etc/ssh/ssh_host_*", "/var/log/installer"], ["/etc/machine-id"]
    dry = seal_root(used, *patterns, dry=True)
    assert left(used) == set(FILES) and (used / "etc/machine-id").read_text()
    assert seal_root(used, *patterns) == dry


def test_temporary_files_of_a_killed_step_go_too(used):
    with forbidden_daemons(used):
        policy = (used / "usr/sbin/policy-rc.d").read_text()
    (used / "usr/sbin/policy-rc.d").write_text(policy)
    assert seal_root(used)["removed"] == ["/usr/sbin/policy-rc.d"]
    assert not (used / "usr/sbin/policy-rc.d").exists()


def test_what_the_variation_has_written_stays_where_that_is_asked(used):
    sealed = seal_root(used, ["/etc/ssh/ssh_host_*"], own={"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/sshd_config"})
    assert sealed["kept"] == ["/etc/ssh/ssh_host_rsa_key"] and sealed["removed"] == ["/etc/ssh/ssh_host_rsa_key.pub"]
    assert (used / "etc/ssh/ssh_host_rsa_key").read_text() == "private"


def test_what_states_write_is_read_from_their_names():
    states = [
        {"state": "file.managed", "name": "/etc/one", "writes": ["/etc/one"]},
        {"state": "file.recurse", "name": "/etc/two/", "writes": ["/etc/two/a"]},
        {"state": "file.absent", "name": "/etc/three"},
        {"state": "x509.private_key_managed", "name": "/etc/four"},
        {"state": "cmd.run", "name": "touch /etc/five"},
        {"state": "file.append", "name": "no path"},
    ]
    assert written_by(states) == {"/etc/one", "/etc/two", "/etc/two/a", "/etc/four"}


def test_an_address_of_the_build_is_found_in_what_states_have_written(root, tree):
    tree(
        root,
        {
            "etc/app": "bind 198.18.255.100:80\n",
            "etc/hosts": "127.0.0.1 localhost\n198.18.255.100\tweb\n",
            "etc/other": "198.18.255.100",
        },
    )
    tree(root, {"etc/near": "1198.18.255.1 198.18.255.1.2", "etc/link": "-> /nowhere", "srv/tree/file": "x"})
    written = ["/etc/app", "/etc/near", "/etc/link", "/srv/tree", "/etc/missing"]
    assert find_build_addresses(root, written) == {"/etc/app": "198.18.255.100", "/etc/hosts": "198.18.255.100"}

import os
import shutil

import pytest
from vmimage.root.enter import forbidden_daemons, host_name, remove_temporary_files, show_systemd, temporary_programs
from vmimage.root.name_servers import build_name_servers

RESOLV, POLICY = "etc/resolv.conf", "usr/sbin/policy-rc.d"


def test_a_temporary_file_is_removed_when_the_work_fails(root, tree):
    tree(root, {RESOLV: "nameserver 192.0.2.1\n"})
    with pytest.raises(RuntimeError), build_name_servers(root), forbidden_daemons(root):
        raise RuntimeError
    assert (root / RESOLV).read_text() == "nameserver 192.0.2.1\n" and not (root / POLICY).exists()


def test_daemons_are_forbidden_for_the_time_of_the_block(root):
    with forbidden_daemons(root):
        assert os.access(root / POLICY, os.X_OK) and "exit 101" in (root / POLICY).read_text()
    assert not (root / POLICY).exists()


def test_a_policy_of_the_roots_own_is_kept(root, tree):
    tree(root, {POLICY: "#!/bin/sh\nexit 0\n"})
    with forbidden_daemons(root):
        assert (root / POLICY).read_text() == "#!/bin/sh\nexit 0\n"
    assert (root / POLICY).read_text() == "#!/bin/sh\nexit 0\n"


def test_what_is_not_temporary_stays(root, tree):
    tree(root, {RESOLV: "nameserver 192.0.2.1\n", POLICY: "#!/bin/sh\nexit 0\n"})
    assert remove_temporary_files(root) == []
    assert (root / RESOLV).exists() and (root / POLICY).exists()


def test_a_root_looks_as_if_systemd_runs(root):
    show_systemd(root)
    assert (root / "run/systemd/system").is_dir()


@pytest.mark.parametrize("removed", ["local/bin", "local"])
def test_a_variation_may_remove_the_directory_of_the_temporary_programs(root, tree, removed):
    tree(root, {"usr/local/bin/": None})
    with temporary_programs(root, {"systemctl": "#!/bin/sh\n"}):
        assert (root / "usr/local/bin/systemctl").exists()
        shutil.rmtree(root / "usr" / removed)
    assert not (root / "usr" / removed).exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("shop.example.org\n", "shop.example.org"),
        ("# of us\nshop\n", "shop"),
        ("", "localhost"),
        ("-e x\n", "localhost"),
        (None, "localhost"),
    ],
)
def test_a_root_is_called_as_a_boot_would_call_it(text, name, root, tree):
    tree(root, {} if text is None else {"etc/hostname": text})
    assert host_name(root) == name

"""Which states can be applied again on what they made, and which need a clean build: the reason names the state."""

import tempfile

import pytest
from vmimage.variation.in_root.state_diff import find_unsafe, note_states

FILES = {
    "index.html": "hello",
    "site/a": "a",
    "site/sub/b": "b",
    "install.sh": "echo 1",
    "own.list": "deb http://archive.example.org own main",
    "keys": "ssh-ed25519 AAAA one",
    "etc/apt/preferences.d/pin": "Package: *",
    "tree/sub/a": "a",
    "tree/empty/": None,
    "tree/link": "-> sub",
    "tree/outside": "-> ../site",
}


def chunk(function, identity, name=None, **arguments):
    state, _, fun = function.partition(".")
    own = {"state": state, "fun": fun, "__id__": identity, "name": name or identity, "order": 10000}
    return {**own, "__sls__": "variation", "__env__": "base", **arguments}


@pytest.fixture
def unsafe(tmp_path, tree):
    """``unsafe(before, now)`` of low chunks; ``vanished``, ``edited`` and ``pillar`` are what else changed between them."""

    def compare(before, now, *, edited=(), vanished=(), pillar=None, installed=None):
        top = tree(tempfile.mkdtemp(dir=tmp_path), FILES)
        known = note_states(before, [str(top)], {"a": 1, "ami": {"incremental": False}})
        for name in edited:
            (top / name).write_text("edited", encoding="utf-8")
        for name in vanished:
            (top / name).rmdir() if name.endswith("/") else (top / name).unlink()
        noted = note_states(now, [str(top)], {**(pillar or {"a": 1}), "ami": {"incremental": True}})
        return find_unsafe(
            known, noted, lambda paths: {path: unchanged for path, unchanged in (installed or {}).items() if path in paths}
        )

    return compare


MOTD = chunk("file.managed", "motd is there", "/etc/motd", contents="hello", mode="0644")
SITE = chunk("file.recurse", "the site is there", "/srv/site", source="salt://site")
NGINX = chunk("pkg.installed", "nginx is installed", pkgs=["nginx", {"curl": "7.88"}])
SCRIPT = chunk("cmd.script", "it is installed", source="salt://install.sh", creates="/opt/it")
REBUILT = chunk("cmd.run", "the index is built", "mkindex", onchanges=[{"file": "motd is there"}])
SOURCE = chunk("file.managed", "our archive is known", "/etc/apt/sources.list.d/own.list", source="salt://own.list")
ETC = chunk("file.recurse", "etc is there", "/etc", source="salt://etc")
ALICE = chunk("user.present", "alice", shell="/bin/sh", groups=["adm"])


TREE = chunk("file.recurse", "a tree is there", "/srv/tree", source="salt://tree")
GONE = chunk("file.absent", "no motd", "/etc/motd")
MODE = chunk("file.managed", "motd is ours alone", "/etc/motd", mode="0600")


def but(state, **changed):
    return {key: value for key, value in {**state, **changed}.items() if value is not None}


SAFE = {
    "nothing": ([MOTD, SITE, NGINX, SCRIPT, REBUILT, SOURCE, ALICE], [MOTD, SITE, NGINX, SCRIPT, REBUILT, SOURCE, ALICE]),
    "a new state": ([MOTD], [MOTD, NGINX]),
    "a new state between": ([MOTD, NGINX], [MOTD, SITE, NGINX]),
    "a command at the end": ([MOTD, NGINX], [MOTD, NGINX, SCRIPT]),
    "contents": ([MOTD], [but(MOTD, contents="good day")]),
    "the mode of a file": ([MOTD], [but(MOTD, mode="0600")]),
    "one more package": ([NGINX], [but(NGINX, pkgs=[{"curl": "7.88"}, "less", "nginx"])]),
    "a shell": ([ALICE], [but(ALICE, shell="/bin/bash")]),
    "where a link leads": (
        [chunk("file.symlink", "the link", "/srv/now", target="/srv/1")],
        [chunk("file.symlink", "the link", "/srv/now", target="/srv/2")],
    ),
    "a service that a file restarts": (
        [chunk("service.running", "nginx", enable=True)],
        [chunk("service.running", "nginx", enable=True, watch=[{"file": "motd is there"}])],
    ),
    "what is required": ([MOTD, SITE], [MOTD, but(SITE, require=[{"file": "motd is there"}])]),
    "a file and what it triggers": ([SITE], [SITE, MOTD, REBUILT]),
    "the number of a state in the order": ([MOTD], [but(MOTD, order=10001, __sls__="init")]),
}


@pytest.mark.parametrize("what", SAFE)
def test_these_can_be_applied_again(unsafe, what):
    assert unsafe(*SAFE[what]) == ""


UNSAFE = {
    "a state is gone": ([MOTD, SITE], [SITE], "the state 'motd is there' (file.managed) is removed, and what it did may stay"),
    "another name": ([MOTD], [but(MOTD, name="/etc/issue")], "'motd is there' (file.managed) has another name, and what"),
    "another id": ([MOTD], [but(MOTD, __id__="a motd")], "'motd is there' (file.managed) is removed or edited, and what"),
    "another function": ([MOTD], [but(MOTD, fun="absent", contents=None, mode=None)], "(file.managed) is removed, and what"),
    "the order": ([MOTD, SITE], [SITE, MOTD], "the order of the states has changed"),
    "an argument less": ([MOTD], [but(MOTD, mode=None)], "has changed (mode), and what it did may stay"),
    "an argument more": ([MOTD], [but(MOTD, attrs="i")], "has changed (attrs), and what it did may stay"),
    "a package less": ([NGINX], [but(NGINX, pkgs=["nginx"])], "packages that it no longer names would stay"),
    "another version": ([NGINX], [but(NGINX, pkgs=["nginx", {"curl": "7.99"}])], "packages that it no longer names would stay"),
    "groups of a user": ([ALICE], [but(ALICE, groups=["sudo"])], "has changed (groups), and what it did may stay"),
    "the mode of a file whose directories are made with it": (
        [but(MOTD, makedirs=True)],
        [but(MOTD, makedirs=True, mode="0600")],
        "has changed (mode), and directories that it made would keep theirs",
    ),
    "appended lines": (
        [chunk("file.append", "lines", "/etc/hosts", text="1")],
        [chunk("file.append", "lines", "/etc/hosts", text="2")],
        "the state 'lines' (file.append) has changed (text)",
    ),
    "a file that is only made once": (
        [but(MOTD, replace=False)],
        [but(MOTD, replace=False, contents="good day")],
        "does not always do its work",
    ),
    "a file under a condition": (
        [but(MOTD, unless="test -e /etc/motd")],
        [but(MOTD, unless="test -e /etc/motd", contents="good day")],
        "does not always do its work",
    ),
    "another condition": ([but(MOTD, unless="false")], [but(MOTD, unless="true")], "has changed (unless)"),
    "a new trigger of what was there": ([MOTD], [MOTD, REBUILT], "is new, and runs only when a state that was there changes"),
    "another trigger": (
        [MOTD, SITE, REBUILT],
        [MOTD, SITE, but(REBUILT, onchanges=[{"file": "the site is there"}])],
        "(onchanges)",
    ),
    "a new archive": ([NGINX], [SOURCE, NGINX], "'our archive is known' (file.managed) is new, and tells apt"),
    "new pins in a tree": ([NGINX], [NGINX, ETC], "'etc is there' (file.recurse) is new, and tells apt"),
    "a new removal before what it removes": (
        [NGINX],
        [chunk("file.absent", "no default site", "/etc/nginx/sites-enabled/default"), NGINX],
        "'no default site' (file.absent) is new, and precedes states whose work is there already",
    ),
    "a new file before a package, only if it is not there": (
        [NGINX],
        [but(MOTD, replace=False), NGINX],
        "is new, and precedes",
    ),
    "a new user before another": (
        [ALICE],
        [chunk("user.present", "bob"), ALICE],
        "'bob' (user.present) is new, and precedes states whose work is there already",
    ),
    "a new answer to debconf": ([], [chunk("debconf.set", "postfix", data={})], "(debconf.set) is new, and tells apt"),
    "contents for apt": (
        [but(SOURCE, contents="a")],
        [but(SOURCE, contents="b")],
        "has changed (contents), and what it did may stay",
    ),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_these_need_a_clean_build(unsafe, what):
    before, now, reason = UNSAFE[what]
    assert reason in unsafe(before, now)


@pytest.mark.parametrize(
    ("before", "now", "installed", "reason"),
    [
        ([NGINX], [MOTD, NGINX], {"/etc/motd": False}, "is new, and writes /etc/motd, which a package brings that may be"),
        ([NGINX], [SITE, NGINX], {"/srv/site/sub/b": True}, "is new, and writes /srv/site/sub/b, which a package brings"),
        ([MOTD, NGINX], [but(MOTD, contents="b"), NGINX], {"/etc/motd": True}, "writes /etc/motd, which a package replaces"),
        ([MOTD, NGINX], [MOTD, NGINX], {"/etc/motd": True}, "'motd is there' (file.managed) writes /etc/motd, which a package"),
        ([MOTD, NGINX], [but(MOTD, contents="b"), NGINX], {"/etc/motd": False}, ""),  # the file came after its package
        ([NGINX], [MOTD, NGINX], {"/etc/issue": True}, ""),
        ([TREE, NGINX], [TREE, NGINX], {"/srv/tree/link": True}, "writes /srv/tree/link, which a package replaces"),
        ([MOTD, NGINX], [but(MOTD, contents="b"), NGINX], {"/etc/motd": None}, ""),  # dpkg leaves the setting alone
        ([GONE, NGINX], [GONE, NGINX], {"/etc/motd": None}, "'no motd' (file.absent) writes /etc/motd, which a package"),
        ([GONE, NGINX], [GONE, NGINX], {}, ""),
        ([MODE, NGINX], [MODE, NGINX], {"/etc/motd": True}, ""),  # what is in it is not the state's
        ([NGINX], [NGINX, MOTD], {"/etc/motd": True}, ""),
        ([SITE], [MOTD, SITE, NGINX], {"/etc/motd": True}, ""),  # the package is installed now, after the file
    ],
)
def test_a_file_that_a_later_package_replaces_is_not_written_again(unsafe, before, now, installed, reason):
    found = unsafe(before, now, installed=installed)
    assert reason in found and bool(reason) == bool(found)


def test_edited_files_of_states_that_write_them_whole_can_be_applied_again(unsafe):
    page = chunk("file.managed", "the page", "/srv/index.html", source="salt://index.html")
    assert unsafe([page, SITE], [page, SITE], edited=["index.html", "site/a"]) == ""


def test_a_new_file_of_a_directory_is_written_and_a_vanished_file_would_stay(unsafe):
    assert unsafe([SITE], [SITE], edited=["site/new"]) == ""
    assert "leaves a file behind that has vanished: /site/sub/b" in unsafe([SITE], [SITE], vanished=["site/sub/b"])


def test_a_directory_that_is_cleaned_loses_what_vanished(unsafe):
    cleaned = but(SITE, clean=True)
    assert unsafe([cleaned], [cleaned], vanished=["site/a"]) == ""


@pytest.mark.parametrize(
    ("state", "edited"),
    [
        (SCRIPT, "install.sh"),
        (chunk("cmd.script", "salt://install.sh", creates="/opt/it"), "install.sh"),
        (chunk("cmd.script", "it is installed", "salt://install.sh", unless="test -e /opt/it"), "install.sh"),
        (chunk("file.recurse", "etc is there", "/etc", source="salt://etc"), "etc/apt/preferences.d/pin"),
        (chunk("file.recurse", "all is there", "/", source="salt://", clean=True), "etc/apt/preferences.d/pin"),
        (SOURCE, "own.list"),
        (chunk("ssh_auth.present", "alice's keys", source="salt://keys"), "keys"),
        (
            chunk("archive.extracted", "it is there", "/opt", source=["http://a.example.org/x", "salt://keys?saltenv=base"]),
            "keys",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value["state"],
)
def test_an_edited_file_counts_where_its_state_may_not_do_its_work_again(unsafe, state, edited):
    assert "(its files), and what it did may stay" in unsafe([state], [state], edited=[edited])


def test_the_pillar_counts_where_a_script_is_a_template(unsafe):
    script = but(SCRIPT, template="jinja")
    assert "(the pillar)" in unsafe([script], [script], pillar={"a": 2})
    assert unsafe([SCRIPT], [SCRIPT], pillar={"a": 2}) == ""


@pytest.mark.parametrize(
    "state",
    [
        chunk("file.append", "lines", "/srv/lines", text="{{ opts.a }}", template="jinja"),
        chunk("file.serialize", "data", "/srv/data", dataset_pillar="a", merge_if_exists=True),
        chunk("file.managed", "our archive", "/etc/apt/sources.list.d/own.list", contents_pillar="a"),
        chunk("file.managed", "first", "/srv/first", contents_pillar="a", unless="test -e /srv/first"),
        chunk("cmd.run", "it is said", "say", env="__slot__:salt:pillar.get(a)", creates="/srv/said"),
    ],
    ids=lambda state: state["__id__"],
)
def test_the_pillar_counts_where_a_state_asks_it_and_may_not_take_back_what_it_did(unsafe, state):
    assert "(the pillar)" in unsafe([state], [state], pillar={"a": 2})


def test_the_pillar_does_not_count_where_a_file_is_written_whole(unsafe):
    state = but(MOTD, contents=None, contents_pillar="a")
    assert unsafe([state], [state], pillar={"a": 2}) == ""


TREE = chunk("file.recurse", "the tree is there", "/srv/tree", source="salt://tree")


@pytest.mark.parametrize(
    ("arguments", "vanished", "left"),
    [
        ({"include_empty": True}, "tree/empty/", "/tree/empty/"),
        ({"keep_symlinks": True}, "tree/link", "/tree/link (a link)"),
        ({}, "site/a", "/tree/outside/a"),
    ],
)
def test_directories_and_links_that_vanished_would_stay(unsafe, arguments, vanished, left):
    state = but(TREE, **arguments)
    assert unsafe([state], [state], vanished=[vanished]).endswith(f"leaves a file behind that has vanished: {left}")
    guarded = but(state, unless="test -e /srv/tree")
    assert "(its files)" in unsafe([guarded], [guarded], vanished=[vanished])


@pytest.mark.parametrize("command", ["salt-call --local state.apply more", "salt-call state.sls more"])
def test_all_files_count_where_a_state_applies_states(unsafe, command):
    state = chunk("cmd.run", "more is applied", command)
    assert "the states that it applies" in unsafe([state], [state], edited=["index.html"])
    assert unsafe([state], [state]) == ""


def test_a_module_that_applies_states_is_seen(unsafe):
    state = chunk("module.run", "more is applied", **{"state.sls": [{"mods": "more"}]})
    assert "the states that it applies" in unsafe([state], [state], edited=["index.html"])


def test_no_value_is_noted(tmp_path):
    noted = note_states([but(MOTD, contents="hunter2", context={"a": "hunter2", 1: 2})], [str(tmp_path)], {"p": "hunter2"})
    assert "hunter2" not in str(noted) and noted[0]["arguments"].keys() == {"contents", "context", "mode"}

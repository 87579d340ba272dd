"""vmimage.repository.checkout and those who mean harm: passwords stay secret, nobody's configuration or hook runs, no file leaves its tree."""

import os
import stat
import subprocess
import textwrap

import pytest
from repository_server import SOURCES, Git, Server, call
from vmimage.errors import RepositoryWrong
from vmimage.repository import programs

pytest_plugins = ["repository_fixtures"]
pytestmark = pytest.mark.needs("hg", "git")

PASSWORD = "hunter2%20$HOME#;x"


def content(checkout):
    return (checkout.path / "variation.sls").read_text()


# credentials


@pytest.fixture
def argvs(monkeypatch):
    """The words of all programs that are run, and what they print."""
    seen, run = [], programs.run

    def note(argv, **options):
        seen.extend(map(str, argv))
        finished = run(argv, **options)
        seen.append(finished.output)
        return finished

    monkeypatch.setattr(programs, "run", note)
    return seen


@pytest.fixture
def guarded(history, server):
    server.login = f"alice:{PASSWORD}"
    history.url = server.address(history)
    return history


def test_a_server_that_asks_who_we_are_gets_it_from_netrc_and_nobody_else_sees_it(guarded, fetch, credentials, argvs, server):
    directory = credentials(netrc=f"machine 127.0.0.1 login alice password {PASSWORD}\n")
    checkout = fetch(guarded.url, "v1", guarded.kind, credentials=str(directory))
    assert content(checkout) == "second"
    assert any(authorization for _, authorization in server.asked)
    seen = [*argvs, *fetch.said, str(checkout)]
    assert not [text for text in seen if PASSWORD in text]
    assert subprocess.run(["grep", "-rlF", PASSWORD, fetch.cache], stdout=subprocess.PIPE, check=False).stdout == b""


def test_the_password_is_in_no_place_that_others_can_read_while_the_programs_run(guarded, fetch, credentials, monkeypatch):
    directory = credentials(netrc=f"machine 127.0.0.1 login alice password {PASSWORD}\n")
    run, looked = programs.run, []

    def look(argv, **options):
        assert PASSWORD not in "\0".join([*map(str, argv), *options["env"].values()])
        found = call("find", fetch.place, "-perm", "/077", "-newer", directory, "-printf", "%P ", "-prune")
        looked.append(found.split())
        assert stat.S_IMODE(fetch.place.stat().st_mode) == stat.S_IMODE((fetch.place / "home").stat().st_mode) == 0o700
        assert stat.S_IMODE((fetch.place / "home/hgrc").stat().st_mode) == 0o600
        return run(argv, **options)

    monkeypatch.setattr(programs, "run", look)
    fetch(guarded.url, "v1", guarded.kind, credentials=str(directory))
    assert looked


@pytest.mark.parametrize("netrc", [None, "machine 127.0.0.1 login alice password wrong1\n", "machine other login a password b\n"])
def test_without_the_right_password_the_remedy_is_shown_and_no_password(guarded, fetch, credentials, netrc):
    directory = str(credentials(netrc=netrc)) if netrc else ""
    with pytest.raises(RepositoryWrong, match="cannot be fetched") as refused:
        fetch(guarded.url, "v1", guarded.kind, credentials=directory, tries=1)
    assert "give credentials: a directory with netrc" in refused.value.hint
    assert "wrong1" not in f"{refused.value} {fetch.said}"


@pytest.mark.parametrize(
    "netrc", ["default login alice password {}\n", "machine example.org login a password b\ndefault login alice password {}"]
)
def test_netrc_may_have_a_default(guarded, fetch, credentials, netrc):
    directory = credentials(netrc=netrc.format(PASSWORD))
    assert content(fetch(guarded.url, "v1", guarded.kind, credentials=str(directory))) == "second"


def test_a_server_that_sends_us_elsewhere_does_not_get_our_password_sent_there(guarded, fetch, credentials, server, served):
    directory = credentials(netrc=f"machine 127.0.0.1 login alice password {PASSWORD}\n")
    with Server(*served).running() as other:
        other.login = "bob:other"
        server.elsewhere, server.login = f"http://localhost:{other.server_address[1]}", None
        with pytest.raises(RepositoryWrong):
            fetch(guarded.url, "v1", guarded.kind, credentials=str(directory), tries=1)
        assert other.asked and not any(authorization for _, authorization in other.asked)


@pytest.mark.parametrize(
    "name, mode, remedy", [("", 0o755, "chmod 700"), ("netrc", 0o644, "chmod 600"), ("netrc", 0o640, "chmod 600")]
)
def test_credentials_that_others_could_read_are_refused_before_anything_is_asked(
    guarded, fetch, credentials, server, name, mode, remedy
):
    directory = credentials(netrc=f"machine 127.0.0.1 login alice password {PASSWORD}\n")
    (directory / name).chmod(mode)
    with pytest.raises(RepositoryWrong, match=f"is open to others\n  -> {remedy} {directory}"):
        fetch(guarded.url, "v1", guarded.kind, credentials=str(directory))
    assert not server.asked


# configuration and hooks of others


def test_the_configuration_of_the_user_the_caller_and_the_directory_is_left_alone(history, fetch, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    home = tmp_path / "home"
    home.mkdir()
    bad = f"touch {ran}"
    (home / ".hgrc").write_text(
        f"[hooks]\npre-pull = {bad}\npre-identify = {bad}\n[alias]\npull = !{bad}\n[extensions]\nno_such =\n"
    )
    (home / ".gitconfig").write_text(f'[url "{tmp_path}/nothing"]\ninsteadOf = {history.address}\n[core]\nfsmonitor = "{bad}"\n')
    monkeypatch.setenv("HOME", str(home))
    for name, value in {
        "HGRCPATH": str(home / ".hgrc"),
        "HGPLAIN": "",
        "GIT_DIR": str(tmp_path),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "remote.x.url",
        "GIT_CONFIG_VALUE_0": "y",
        "GIT_CONFIG_PARAMETERS": "'broken",
        "GIT_SSH": bad,
        "GIT_INDEX_FILE": "/nonexistent/index",
        "GIT_WORK_TREE": "/nonexistent",
        "GIT_TEMPLATE_DIR": "/nonexistent",
        "PYTHONHOME": "/nonexistent",
    }.items():
        monkeypatch.setenv(name, value)
    here = SOURCES[history.kind](tmp_path / "here", {"a": "a"})
    configuration = here.path / (".hg/hgrc" if history.kind == "hg" else ".git/config")
    with open(configuration, "a", encoding="utf-8") as file:
        file.write((home / (".hgrc" if history.kind == "hg" else ".gitconfig")).read_text())
    monkeypatch.chdir(here.path)
    assert content(fetch(history, "v1")) == "second"
    assert not ran.exists()


def test_no_hook_of_the_clone_or_of_the_repository_is_run(history, fetch, tmp_path):
    fetch(history, "v1")
    ran = tmp_path / "ran"
    for top in (fetch.place / "clone", history.path):
        if history.kind == "hg":
            events = (
                "changegroup",
                "incoming",
                "pre-pull",
                "outgoing",
                "preoutgoing",
                "pre-archive",
                "pre-log",
                "pretxnopen",
                "update",
            )
            with open(top / ".hg/hgrc", "a", encoding="utf-8") as file:
                file.write("[hooks]\n" + "".join(f"{event} = touch {ran}\n" for event in events))
            continue
        git = top / ".git" if (top / ".git").exists() else top
        for directory in (git / "hooks", tmp_path / "hooks"):
            directory.mkdir(exist_ok=True)
            for event in ("reference-transaction", "post-checkout", "post-update", "pre-auto-gc", "fsmonitor-watchman"):
                (directory / event).write_text(f"#!/bin/sh\ntouch {ran}\n")
                (directory / event).chmod(0o755)
        call("git", "config", "--file", git / "config", "core.hooksPath", tmp_path / "hooks")
    if history.kind == "git":
        history.git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--allow-empty", "--message", "newer")
    else:
        history.hg("commit", "--message", "newer", "--config", "ui.allowemptycommit=true", HGRCSKIPREPO="1")
    fetch(history)
    fetch(history, history.nodes["stable"])
    assert not ran.exists()


@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_attributes_of_the_files_neither_run_filters_nor_leave_files_out(history, fetch, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[filter "lfs"]\nsmudge = touch {ran}\nprocess = touch {ran}\nrequired = true\n')
    monkeypatch.setenv("HOME", str(home))
    history.write({".gitattributes": "* filter=lfs\nvariation.sls export-ignore\n*.id export-subst\n", "a.id": "$Format:%H$"})
    history.commit_all("attributes")
    checkout = fetch(history)
    assert content(checkout) == "last" and (checkout.path / "a.id").read_text() == "$Format:%H$"
    assert not ran.exists()


# what a repository may hold


def test_links_stay_links_and_nothing_follows_them(history, fetch, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (history.path / "out").symlink_to(outside)
    (history.path / "passwd").symlink_to("/etc/passwd")
    (history.path / "loop").symlink_to("loop")
    history.commit_all("links")
    checkout = fetch(history)
    assert {name: os.readlink(checkout.path / name) for name in ("out", "passwd", "loop")} == {
        "out": str(outside),
        "passwd": "/etc/passwd",
        "loop": "loop",
    }
    assert fetch(history) == checkout and not list(outside.iterdir())


def test_execute_bits_and_odd_names_come_as_they_are(history, fetch):
    names = ["a b", "ä", "'q'", '"d"', "-rf", "x;y", "$HOME", ".hidden", "dir/-x"]
    history.write(dict.fromkeys(names, "x"))
    (history.path / "a b").chmod(0o755)
    history.commit_all("odd")
    path = fetch(history).path
    assert {str(entry.relative_to(path)) for entry in path.rglob("*") if entry.is_file()} >= set(names)
    assert os.access(path / "a b", os.X_OK) and not (path / "ä").stat().st_mode & 0o111


def test_what_looks_like_a_repository_among_the_files_is_left_out(history, fetch):
    other = {"hg": ".git", "git": ".hg"}[history.kind]
    history.write({f"{other}/config": "[core]\nfsmonitor = touch /tmp/x\n", f"deep/{other}/hgrc": "x", "deep/file": "x"})
    (history.path / "deeper").mkdir()
    (history.path / "deeper" / other).symlink_to("/etc")
    if history.kind == "hg":
        plant_in_hg(history, {f"{other}/config": "x", f"deep/{other}/hgrc": "x", "deep/file": "x"})
    else:
        history.commit_all("planted")
    path = fetch(history).path
    assert (path / "deep/file").read_text() == "x"
    assert not [entry for entry in path.rglob("*") if entry.name in (".hg", ".git")]


def plant_in_hg(source, files, links=None):
    """A commit as no hg command would make it: whatever names."""
    script = f"""
    import sys
    from mercurial import context, hg, ui
    repo = hg.repository(ui.ui.load(), b".")
    files, links = {files!r}, {links or {}!r}
    def content(repo, memctx, path):
        name = path.decode()
        if name in links:
            return context.memfilectx(repo, memctx, path, links[name].encode(), islink=True)
        return context.memfilectx(repo, memctx, path, files[name].encode())
    names = [name.encode() for name in [*links, *files]]
    parent = repo.branchtip(b"default")
    new = context.memctx(repo, (parent, repo.nullid), b"planted", names, content, user=b"u", date=b"0 0")
    repo.commitctx(new)
    """
    subprocess.run(
        ["/usr/bin/python3", "-c", textwrap.dedent(script)],
        cwd=source.path,
        env={"HGRCPATH": "/dev/null", "PATH": os.environ["PATH"]},
        check=True,
    )


def plant_in_git(source, entries):
    """A commit whose tree git itself would not write.  ``entries``: (mode, name, content or entries)."""
    history_tree = _tree(source, [(b"100644", b"variation.sls", b"planted"), *entries])
    node = source.git("commit-tree", "-m", "planted", history_tree)
    source.git("update-ref", "refs/heads/master", node)
    return node


def _tree(source, entries):
    data = b""
    for mode, name, inner in entries:
        if isinstance(inner, list):
            node = _tree(source, inner)
        else:
            node = source.git("hash-object", "-w", "--stdin", stdin=inner)
        data += mode + b" " + name + b"\0" + bytes.fromhex(node)
    return source.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=data)


def hostile(outside):
    up = b"../" * 12 + str(outside)[1:].encode() + b"/evil"
    link, directory = (b"120000", b"x", str(outside).encode()), (b"40000", b"x", [(b"100644", b"evil", b"evil")])
    return {
        "a name upwards": [(b"100644", up, b"evil")],
        "a directory upwards": [(b"40000", b"..", [(b"40000", b"..", [(b"100644", b"evil", b"evil")])])],
        "an absolute name": [(b"100644", str(outside).encode() + b"/evil", b"evil")],
        "below a link": [link, directory],
        "below a link, later": [directory, link],
        "in .git": [(b"40000", b".git", [(b"40000", b"hooks", [(b"100755", b"post-checkout", b"#!/bin/sh\ntouch evil")])])],
        "in .GIT": [(b"40000", b".GIT", [(b"100644", b"config", b"[core]\nfsmonitor = touch evil")])],
    }


@pytest.mark.parametrize("case", hostile("/"))
@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_no_file_of_a_hostile_git_repository_leaves_its_tree(history, fetch, tmp_path, case):
    outside = tmp_path / "outside"
    outside.mkdir()
    plant_in_git(history, hostile(outside)[case])
    nothing_leaves(history, fetch, tmp_path, outside)


@pytest.mark.parametrize("case", ["upwards", "absolute", "below a link", ".hg", "a link named .hg"])
@pytest.mark.parametrize("history", ["hg"], indirect=True)
def test_no_file_of_a_hostile_hg_repository_leaves_its_tree(history, fetch, tmp_path, case):
    outside = tmp_path / "outside"
    outside.mkdir()
    files, links = {
        "upwards": ({"../" * 12 + str(outside)[1:] + "/evil": "x"}, {}),
        "absolute": ({f"{outside}/evil": "x"}, {}),
        "below a link": ({"x/evil": "x"}, {"x": str(outside)}),
        ".hg": ({".hg/hgrc": f"[hooks]\npre-log = touch {outside}/evil"}, {}),
        "a link named .hg": ({".hg/evil": "x"}, {".hg": str(outside)}),
    }[case]
    plant_in_hg(history, files, links)
    nothing_leaves(history, fetch, tmp_path, outside)


def nothing_leaves(history, fetch, tmp_path, outside):
    """Either the commit is refused, or its tree holds nothing that another program would follow."""
    try:
        path = fetch(history).path
    except RepositoryWrong as refused:
        assert "cannot be exported" in refused.message
        assert not (fetch.place / "trees").exists() or not [
            p for p in (fetch.place / "trees").iterdir() if "partial" not in p.name
        ]
    else:
        assert not [entry for entry in path.rglob("*") if entry.name in (".hg", ".git")]
    assert not list(outside.iterdir())
    assert all("/trees/" in str(entry) for entry in tmp_path.glob("**/evil"))


@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_a_repository_of_another_user_is_read_where_it_was_named(history, fetch, lacking):
    if os.geteuid() != 0:
        lacking("only root can give a repository to somebody else; run the tests as root")
    call("chown", "-R", "65534:65534", history.path)
    assert content(fetch(history, "v1")) == "second"
    assert content(fetch(f"file://{history.path}/.git", "v1", "git")) == "second"


# what a repository refers to


@pytest.fixture
def nested(history, served, server):
    """The repository, with another of its kind in ``inner``, both served; ``address`` is a path."""
    inner = SOURCES[history.kind](history.path.with_name(f"{history.path.name}-inner"), {"inner__sls": "inner"})
    history.url = server.address(history)
    if history.kind == "hg":
        history.write({".hgsub": f"inner = {server.address(inner)}\n"})
        call("hg", "clone", "-q", server.address(inner), history.path / "inner")
    else:
        history.git("submodule", "--quiet", "add", server.address(inner), "inner", GIT_ALLOW_PROTOCOL="http")
    history.commit_all("nested")
    inner.commit(inner__sls="newer")
    server.asked.clear()
    return history


def test_what_a_repository_refers_to_is_left_out_and_that_is_reported(nested, fetch, server):
    checkout = fetch(nested.url, "", nested.kind)
    assert content(checkout) == "last" and not list(checkout.path.glob("inner/*"))
    assert not [path for path, _ in server.asked if "-inner" in path]
    assert fetch.said[-1].endswith("; they are left out")


def test_what_a_repository_refers_to_is_fetched_where_that_is_asked(nested, fetch):
    checkout = fetch(nested.url, "", nested.kind, subrepositories=True)
    assert (checkout.path / "inner/inner.sls").read_text() == "inner"  # as it was referred to, not the newest
    assert not [entry for entry in checkout.path.rglob("*") if entry.name in (".hg", ".git")]
    assert not fetch.said
    assert fetch(nested.url, "", nested.kind, subrepositories=True) == checkout
    plain = fetch(nested.url, "", nested.kind)
    assert plain.node == checkout.node and not (plain.path / "inner/inner.sls").exists()


def test_a_repository_that_refers_to_what_is_gone_is_an_error_only_if_it_is_asked(nested, fetch):
    inner = nested.path.with_name(f"{nested.path.name}-inner")
    inner.rename(inner.with_name(f"{inner.name}-away"))
    with pytest.raises(RepositoryWrong, match="cannot be exported"):
        fetch(nested.url, "", nested.kind, subrepositories=True)
    assert content(fetch(nested.url, "", nested.kind)) == "last"


@pytest.mark.parametrize("address", ["{}", "file://{}", "ext::sh -c touch% {}/evil", "ssh://-oProxyCommand=touch%20{}/evil/x"])
@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_a_submodule_leads_neither_to_files_of_this_machine_nor_to_commands(history, fetch, served, server, tmp_path, address):
    secret = Git(tmp_path / "secret", {"secret": "of the host"})
    history.write({".gitmodules": f'[submodule "inner"]\npath = inner\nurl = {address.format(secret.path)}\n'})
    history.git("update-index", "--add", "--cacheinfo", f"160000,{secret.first},inner")
    history.git("add", ".gitmodules")
    history.git("commit", "--quiet", "--message", "x")
    with pytest.raises(RepositoryWrong, match="cannot be exported"):
        fetch(server.address(history), "", "git", subrepositories=True)
    assert not list(tmp_path.glob("**/evil")) and not list(fetch.cache.glob("**/secret"))


@pytest.mark.parametrize("kind", ["[git]", "[svn]"])
@pytest.mark.parametrize("history", ["hg"], indirect=True)
def test_hg_fetches_no_subrepository_of_git_or_subversion(history, fetch, tmp_path, kind):
    other = Git(tmp_path / "other", {"a": "a"})
    history.write({".hgsub": f"inner = {kind}{other.path}\n", ".hgsubstate": f"{other.first} inner\n"})
    plant_in_hg(history, {".hgsub": f"inner = {kind}{other.path}\n", ".hgsubstate": f"{other.first} inner\n"})
    with pytest.raises(RepositoryWrong, match="cannot be exported"):
        fetch(history, subrepositories=True)
    checkout = fetch(history)
    assert not (checkout.path / "inner").exists() and (checkout.path / ".hgsub").exists()


@pytest.mark.parametrize("kind", ["hg", "git"])
def test_what_is_no_repository_is_refused(kind, tmp_path, fetch):
    (tmp_path / "file").write_text("x")
    for address in (tmp_path / "file", tmp_path, tmp_path / "none"):
        with pytest.raises(RepositoryWrong, match="cannot be fetched"):
            fetch(str(address), "", kind)

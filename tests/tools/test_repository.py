"""vmimage.repository.checkout with the real hg and git: each kind of revision, and what the server does between two runs."""

import re
from hashlib import sha1
from pathlib import Path

import pytest
from repository_server import SOURCES, Hg
from vmimage.errors import RepositoryWrong

pytest_plugins = ["repository_fixtures"]
pytestmark = pytest.mark.needs("hg", "git")


def content(checkout):
    return (checkout.path / "variation.sls").read_text()


@pytest.mark.parametrize(
    "line, asked, wanted",
    [
        ("path", "", "tip"),
        ("path", "{first}", "first"),
        ("path", "{second:.12}", "second"),
        ("path", "{second:.7}", "second"),
        ("path", "stable", "stable"),
        ("path", "v1", "second"),
        ("file", "", "tip"),
        ("http", "", "tip"),
        ("http", "{stable}", "stable"),
        ("http", "v1", "second"),
    ],
)
def test_each_kind_of_revision_gives_its_commit(history, server, fetch, line, asked, wanted):
    address = {"path": history.address, "file": f"file://{history.address}", "http": server.address(history)}[line]
    asked = asked.format(**history.nodes)
    checkout = fetch(address, asked, history.kind)
    assert checkout.node == history.nodes[wanted]
    assert content(checkout) == {"tip": "last"}.get(wanted, wanted)
    assert (checkout.kind, checkout.address, checkout.asked, checkout.is_stale) == (history.kind, address, asked, False)
    assert checkout.revision == history.shown(checkout.node)


def test_the_files_are_those_of_the_commit_and_neither_hg_nor_git_is_among_them(history, fetch):
    checkout = fetch(history, history.nodes["first"])
    assert [path.name for path in checkout.path.rglob("*")] == ["variation.sls"]


@pytest.mark.parametrize("history", ["hg"], indirect=True)
@pytest.mark.parametrize("number", ["1", "0", "99999"])
def test_of_number_and_hash_the_hash_counts(history, fetch, number):
    checkout = fetch(history, f"{number}:{history.nodes['second'][:12]}")
    assert (checkout.node, checkout.revision) == (history.nodes["second"], f"1:{history.nodes['second'][:12]}")


@pytest.mark.parametrize("history", ["hg"], indirect=True)
def test_a_bookmark_is_a_revision_that_moves_and_goes(history, fetch):
    history.hg("bookmark", "--rev", history.nodes["first"], "here")
    assert content(fetch(history, "here")) == "first"
    history.hg("bookmark", "--force", "--rev", history.nodes["last"], "here")
    assert content(fetch(history, "here")) == "last"
    history.hg("bookmark", "--force", "--rev", history.nodes["first"], "here")  # not only forward
    assert content(fetch(history, "here")) == "first"
    history.hg("bookmark", "--delete", "here")
    with pytest.raises(RepositoryWrong, match="has no revision here"):
        fetch(history, "here")


@pytest.mark.parametrize("history", ["hg"], indirect=True)
def test_a_closed_branch_is_still_a_branch(history, fetch):
    history.switch("stable")
    history.hg("commit", "--close-branch", "--message", "closed")
    assert content(fetch(history, "stable")) == "stable"


@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_of_a_branch_and_a_tag_of_one_name_the_branch_is_taken(history, fetch):
    history.tag("stable", history.nodes["second"])
    assert content(fetch(history, "stable")) == "stable"


@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_an_annotated_tag_gives_its_commit(history, fetch):
    history.git("tag", "--annotate", "--message", "x", "v2", history.nodes["second"])
    history.git("tag", "--annotate", "--message", "x", "v3", "v2")
    assert fetch(history, "v3").node == history.nodes["second"]
    with pytest.raises(RepositoryWrong, match="has no revision"):
        fetch(history, history.node("v2"))  # the tag's own hash is no commit's


def test_a_name_may_hold_slashes_and_letters_of_any_alphabet(history, fetch):
    history.branch("größe/ä-1.0+x")
    node = history.commit(variation__sls="named")
    assert fetch(history, "größe/ä-1.0+x").node == node


@pytest.mark.parametrize("asked", ["none", "f" * 40, "0" * 12, "null"])
def test_what_is_not_there_is_refused_by_name_and_without_trying_again(history, fetch, asked):
    with pytest.raises(RepositoryWrong, match="has no revision") as refused:
        fetch(history, asked)
    assert asked in str(refused.value) and not fetch.slept


def test_a_name_that_looks_like_a_whole_hash_is_not_taken_for_it(history, fetch):
    wrong = history.nodes["first"][:39] + ("0" if history.nodes["first"][39] != "0" else "1")
    history.branch(wrong)
    history.commit(variation__sls="bad")
    with pytest.raises(RepositoryWrong, match=f"has no revision {wrong}"):
        fetch(history, wrong)


def test_a_name_that_looks_like_the_beginning_of_a_hash_gives_way_to_the_commit(history, fetch):
    history.branch(history.nodes["first"][:12])
    history.commit(variation__sls="bad")
    assert content(fetch(history, history.nodes["first"][:12])) == "first"
    history.switch(history.latest)
    history.branch("20260131f")
    node = history.commit(variation__sls="dated")
    assert fetch(history, "20260131f").node == node  # no commit begins so


def alike(history):
    """Two commits whose hashes begin with the same seven digits: found by trying their messages."""
    history.switch(history.nodes["first"])
    environment = {"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"}
    if history.kind == "hg":
        history.write({"variation.sls": "alike"})
        history.hg("commit", "--date", "0 0", "--message", "MESSAGE")
        raw = history.hg("debugdata", "--changelog", history.node()).encode()
        head = b"\0" * 20 + bytes.fromhex(history.nodes["first"])
    else:
        tree = history.node("HEAD^{tree}")
        history.git("commit-tree", "-p", history.nodes["first"], "-m", "MESSAGE", tree, **environment)
        node = history.git("commit-tree", "-p", history.nodes["first"], "-m", "MESSAGE", tree, **environment)
        raw, head = history.git("cat-file", "commit", node).encode() + b"\n", b""
    seen = {}
    for number in range(10**6, 10**6 + 200_000):
        text = raw.replace(b"MESSAGE", b"%d" % number)
        whole = (head or b"commit %d\0" % len(text)) + text
        digits = sha1(whole).hexdigest()[:7]
        if digits in seen:
            break
        seen[digits] = number
    made = []
    for message in (seen[digits], number):
        if history.kind == "hg":
            history.switch(history.nodes["first"])
            history.write({"variation.sls": "alike"})
            history.hg("commit", "--date", "0 0", "--message", message)
            made.append(history.node())
        else:
            made.append(history.git("commit-tree", "-p", history.nodes["first"], "-m", message, tree, **environment))
            history.git("branch", f"alike{message}", made[-1])
    assert made[0] != made[1] and made[0][:7] == made[1][:7] == digits, made
    return made


def test_a_beginning_that_two_commits_share_is_refused_and_both_are_named(history, fetch):
    first, second = alike(history)
    with pytest.raises(RepositoryWrong, match=f"2 commits of .* begin with {first[:7]}") as refused:
        fetch(history, first[:7])
    assert first in refused.value.hint and second in refused.value.hint
    assert fetch(history, first[:12]).node == first


def test_a_commit_after_the_first_run_is_fetched_and_the_earlier_files_stay(history, fetch):
    before = fetch(history)
    node = history.commit(variation__sls="newer")
    after = fetch(history)
    assert (after.node, content(after)) == (node, "newer")
    assert after.path != before.path and content(before) == "last"


def test_an_unchanged_repository_gives_the_same_files_untouched(history, fetch):
    before = fetch(history)
    inode = before.path.stat().st_ino
    assert fetch(history) == before and before.path.stat().st_ino == inode


def test_a_tag_that_moved_is_followed(history, fetch):
    assert content(fetch(history, "v1")) == "second"
    history.tag("v1", history.nodes["first"])
    assert content(fetch(history, "v1")) == "first"


def test_a_branch_that_went_is_gone(history, fetch):
    fetch(history, "stable")
    if history.kind == "git":
        history.git("branch", "--delete", "--force", "stable")
    else:
        history.take_back(history.nodes["stable"])
    with pytest.raises(RepositoryWrong, match="has no revision stable"):
        fetch(history, "stable")
    with pytest.raises(RepositoryWrong, match="has no revision"):
        fetch(history, history.nodes["stable"][:12])


def test_a_branch_may_become_a_directory_of_branches(history, fetch):
    fetch(history, "stable")
    if history.kind == "git":
        history.git("branch", "--move", "stable", "stable/1")
    else:
        history.switch("stable")
        history.branch("stable/1")
        history.commit(variation__sls="stable")
    assert content(fetch(history, "stable/1")) == "stable"


def test_a_commit_that_was_taken_back_is_not_the_latest(history, fetch):
    bad = history.commit(variation__sls="bad")
    assert content(fetch(history)) == "bad"
    history.take_back(bad)
    assert content(fetch(history)) == "last"


def test_another_repository_at_the_same_address_is_fetched(history, fetch):
    fetch(history)
    history.path.rename(history.path.with_name(f"{history.path.name}-old"))
    other = type(history)(history.path, {"variation__sls": "other", "more": "x"})
    assert (content(fetch(other)), fetch(other).node) == ("other", other.first)
    with pytest.raises(RepositoryWrong):
        fetch(other, history.nodes["first"][:12])


@pytest.mark.parametrize("kind", ["hg", "git"])
def test_an_empty_repository_says_so(kind, tmp_path, fetch):
    empty = SOURCES[kind](tmp_path / "empty")
    with pytest.raises(RepositoryWrong, match="is empty"):
        fetch(empty)


@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_where_git_has_no_latest_a_branch_can_be_named(history, fetch):
    fetch(history)
    history.git("symbolic-ref", "HEAD", "refs/heads/nowhere")
    with pytest.raises(RepositoryWrong, match="does not say what is its latest\n  -> name a branch"):
        fetch(history)
    assert content(fetch(history, "master")) == "last"
    history.git("checkout", "--quiet", "--force", "--detach", history.nodes["second"])
    history.commit(variation__sls="on no branch")
    assert content(fetch(history)) == content(fetch(history, "HEAD")) == "on no branch"


@pytest.mark.parametrize("history", ["hg"], indirect=True)
def test_the_newest_of_another_branch_is_not_the_latest_but_the_tip(history, fetch):
    history.switch("stable")
    node = history.commit(variation__sls="newest")
    assert content(fetch(history)) == "last"
    assert fetch(history, "tip").node == node


def test_a_real_hg_serve_is_fetched_from_directly(served, fetch):
    top, port = served
    source = Hg(top / "direct", {"variation__sls": "first"})
    second = source.commit(variation__sls="second")
    source.commit(variation__sls="third")
    checkout = fetch(f"http://127.0.0.1:{port}/direct", f"1:{second[:12]}", "hg")
    assert (content(checkout), checkout.revision) == ("second", f"1:{second[:12]}")


@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_git_is_fetched_from_plain_files_on_a_web_server(history, fetch, server, monkeypatch):
    history.git("update-server-info")
    monkeypatch.setattr("repository_server.Answer.of_git", plain_file)
    assert content(fetch(server.address(history), "v1", "git")) == "second"
    assert not any("service=git-upload-pack" in path and method == "POST" for path, method in server.asked)


def plain_file(answer):
    path = answer.server.top / re.sub(r"^/git/|\?.*", "", answer.path)
    return (200, [("Content-Type", "text/plain")], Path(path).read_bytes()) if path.is_file() else (404, [], b"")

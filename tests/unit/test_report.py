"""The page of a build, read as a browser would read it: what is shown, what is markup, what it would load."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as some
from records import base, begun, packed, varied
from vmimage.build import kept as report_data
from vmimage.build.record import BuildRecord, RecordFile, Timing
from vmimage.errors import NotReady, VariationFailed
from vmimage.image.triplet import Triplet
from vmimage.report.log import mark_lines
from vmimage.report.page import make_page, write_report
from vmimage.root.workspace import Workspace

HOSTILE = "</pre></title></style><script>alert(1)</script><img src=//evil onerror=alert(2)>\" style=x ' onclick=y &amp;\x1b[31mred\x1b[0m\u202e"
TAGS = set(
    "html head meta title style body main header nav section article h1 h2 h3 p ul ol li dl dt dd a b i small span code pre".split()
)
TAGS |= set("time mark br div table thead tbody tr th td details summary svg rect line text tspan title".split())
ATTRIBUTES = set("lang charset http-equiv content name id class href title role aria-label aria-hidden tabindex open".split())
ATTRIBUTES |= set("x y x1 x2 y1 y2 dx rx width height".split())


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and its text by section."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.section, self.style = [], {}, "top", ""
        self._within = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self._within.append(tag)
        if tag == "section":
            self.section = dict(attributes)["id"]

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._within.pop() == tag

    def handle_data(self, data):
        if self._within and self._within[-1] == "style":
            self.style += data
        else:
            self.texts[self.section] = self.texts.get(self.section, "") + data

    def text(self, section):
        return " ".join(self.texts.get(section, "").split())

    def sections(self):
        return [attributes["id"] for tag, attributes in self.elements if tag == "section"]


def state(name, result=True, milliseconds=10, comment="", **more):
    facts = {"id": name, "state": "file.managed", "name": f"/etc/{name}", "sls": "web", "result": result, "changed": bool(result)}
    return {**facts, "comment": comment, "duration_ms": milliseconds, **more}


def manifest(**more):
    files = {role: {"path": f"{role}.img", "bytes": 3 << 20, "sha256": "5" * 64} for role in ("root_image", "kernel", "ramdisk")}
    files["kernel"]["version"] = "6.1.0-9-cloud-amd64"
    return {
        "name": "web",
        "build": "b" * 32,
        "created": "2024-05-01T10:20:30Z",
        "files": files,
        "file_system": {"label": "root", "uuid": "u", "content_bytes": 90 << 20, "inodes": 4321},
        "base": {"reference": "debian bookworm amd64", "format": "bootstrap", "digest": "sha256:1", "verified": "not verified"},
        "variation": {"reference": "/srv/web", "digest": "sha256:2", "id": "web", "revision": "r42"},
        "packages": {"nginx": "1.22", "bash": "5.2"},
        "changes": {"added": {"nginx": "1.22"}, "removed": {"vim": "9"}, "changed": {"bash": ["5.1", "5.2"]}},
        "states": [state("motd", milliseconds=1500), state("users", milliseconds=500)],
        "sealed": {"removed": ["/etc/machine-id"], "truncated": []},
        "steps": [{"step": "base", "seconds": 1.0}, {"step": "variation", "seconds": 3.0}, {"step": "seal", "seconds": 0.5}],
        "settings": {"name": "web", "keep": 3},
        "versions": {"salt": "3008"},
        **more,
    }


MEASURED = {
    "blocks": 23040,
    "inodes": 4321,
    "directories": ["/", 90 << 20, [["usr", 80 << 20, [["bin", 60 << 20, []], ["", 20 << 20, []]]], ["", 10 << 20, []]]],
    "packages": {"nginx": 50 << 20, "bash": 30 << 20},
    "unowned": {"/var/lib/db": 10 << 20},
}


def page(outcome="done", kept=None, **more):
    return Page(make_page({"outcome": outcome, "manifest": manifest(**more), "kept": kept or {}}))


def everywhere(data, text):
    """The same data with a text put into each of its texts, keys too."""
    if isinstance(data, dict):
        keys = {"nginx", "bash", "salt", "/var/lib/db", "vim", "keep"}
        return {(f"{key}{text}" if key in keys else key): everywhere(value, text) for key, value in data.items()}
    if isinstance(data, list):
        return [everywhere(value, text) for value in data]
    return f"{data}{text}" if isinstance(data, str) else data


def hostile_page(text):
    """A page of a failed build in which nothing is what it should be."""
    data = everywhere(manifest(failures=[state("motd", False, stderr="x")], failed="broken"), text)
    data["steps"] = [{"step": f"variation{text}", "seconds": 1.0}]
    kept = everywhere(
        {"contents": MEASURED, "previous": manifest(build="a" * 32, packages={"nginx": "1"}), "log": "error: x"}, text
    )
    return make_page({"outcome": "failed", "manifest": data, "kept": kept})


def check_harmless(text):
    seen = Page(text)
    assert {tag for tag, _ in seen.elements} <= TAGS
    assert {name for _, attributes in seen.elements for name in attributes} <= ATTRIBUTES
    assert all(attributes["href"].startswith("#") for _, attributes in seen.elements if "href" in attributes)
    assert not re.search(r"url\(|@import", seen.style)
    return seen


@pytest.mark.hostile("names and output")
def test_hostile_names_comments_and_log_lines_stay_text():
    seen = check_harmless(hostile_page(HOSTILE))
    assert "<script>alert(1)</script>" in seen.text("failures")
    assert "\x1b" not in "".join(seen.texts.values()) and "\u202e" not in "".join(seen.texts.values())


@given(some.text(alphabet=some.characters(codec=None), max_size=30))
def test_no_text_whatever_becomes_markup(text):
    check_harmless(hostile_page(text)), hostile_page(text).encode()


def test_the_page_allows_itself_nothing_but_its_own_style():
    seen = page(kept={"contents": MEASURED, "log": "x"})
    (policy,) = (
        attributes["content"] for tag, attributes in seen.elements if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    digest = base64.b64encode(hashlib.sha256(seen.style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';") and "unsafe" not in policy


def test_the_headline_tells_what_it_is_and_where_it_came_from():
    seen = page(kept={"contents": MEASURED}).text("top")
    for fact in (
        "web built",
        "2024-05-01 10:20:30 UTC",
        "b" * 32,
        "debian bookworm amd64",
        "/srv/web",
        "r42",
        "3.0 MiB root image",
    ):
        assert fact in seen
    assert "4.5 s in all" in seen and "2 packages, 1 added" in seen and "2 states, 2 changed" in seen


def test_outputs_stand_among_the_figures_and_the_files():
    seen = page(outputs={"disk": {"path": "web.disk.qcow2", "bytes": 5 << 20, "sha256": "7" * 64}})
    assert "5.0 MiB disk" in seen.text("top")
    assert "web.disk.qcow2" in seen.text("settings") and "7" * 64 in seen.text("settings")


def test_of_a_manifest_of_an_earlier_version_it_shows_what_there_is():
    seen = page(kept={})
    assert seen.sections() == ["time", "changes", "settings"]
    assert "No earlier build of this name is known" in seen.text("changes")


def test_the_pillar_is_never_shown():
    assert "hunter2" not in make_page(
        {"outcome": "done", "manifest": manifest(settings={"pillar": {"p": "hunter2"}}), "kept": {}}
    )


def test_of_a_failed_build_the_failed_state_stands_on_top_and_those_that_required_it_are_named():
    states = [
        state("one"),
        state("db", False, comment="psql: no server", stderr="refused"),
        state("site", False, comment="One or more requisite failed: db"),
    ]
    error = VariationFailed("the variation web failed: 2 of 3 states")
    error.states = states
    record = BuildRecord(begun=begun(settings={"pillar": {"a": "hunter2"}}), timings=(Timing("base", 1.0, 0.0),))
    data = json.loads(json.dumps(report_data.failed_data(record, error)))
    text = make_page({"outcome": "failed", "manifest": data, "kept": {"log": "fine\nE: all is lost\n"}})
    seen = Page(text)
    assert seen.sections()[0] == "failures" and "hunter2" not in text
    top = seen.text("failures")
    assert top.index("This build failed") < top.index("psql: no server") < top.index("refused") < top.index("required them: site")
    assert top.endswith("fine E: all is lost")
    assert "3 states, 2 failed" in seen.text("top")


def test_states_of_pre_and_post_are_no_states_of_the_variation():
    error = VariationFailed("the SLS ami_creator_post failed")
    error.states = [state("the image is packed"), state("the image is shrunk", False)]
    done = Timing("variation", 1.0, 0.0), Timing("shrink", 1.0, 1.0, failed=True)
    data = report_data.failed_data(BuildRecord(varied=varied(results=[state("motd")]), timings=done), error)
    assert [entry["id"] for entry in data["states"]] == ["motd"]
    assert [entry["id"] for entry in data["failures"]] == ["the image is shrunk"]


def test_a_build_of_nothing_is_a_page_too():
    assert Page(make_page({"outcome": "unfinished", "manifest": {}, "kept": {}})).sections() == [
        "failures",
        "changes",
        "settings",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "E: Unable to locate package x",
        "psql: error: no",
        "Job FAILED",
        "bash: x: command not found",
        "[ERROR   ] no",
        "Err:3 http://x",
    ],
)
def test_a_line_that_tells_of_a_failure_is_marked(line):
    assert mark_lines(line) == [(line, True)]


@pytest.mark.parametrize(
    "line", ["Setting up libgpg-error0 (1.46-1) ...", "0 failed, 3 passed", "Get:1 /pool/failed/x.deb", "no errors"]
)
def test_a_line_that_only_sounds_like_a_failure_is_not_marked(line):
    assert mark_lines(line) == [(line, False)]


def test_a_log_line_that_was_overwritten_shows_its_last_state():
    assert mark_lines("10%\r50%\rdone\n\x1b[1mbold\x1b[0m\n") == [("done", False), ("bold", False)]


@pytest.fixture
def places(tmp_path):
    return SimpleNamespace(triplet=Triplet(tmp_path / "out", "web"), workspace=Workspace(tmp_path / "ws", "web"))


def keep_done(places, data):
    places.triplet.directory.mkdir(exist_ok=True)
    places.triplet.manifest_path.write_text(json.dumps(data), encoding="utf-8")


def test_without_any_build_it_says_so(places):
    with pytest.raises(NotReady, match="no build web"):
        write_report(places.triplet, places.workspace)


def test_the_page_lies_beside_the_manifest_for_its_owner_alone(places):
    keep_done(places, manifest())
    path = write_report(places.triplet, places.workspace)
    assert path == places.triplet.directory / "web.report.html" and path.stat().st_mode & 0o777 == 0o600
    assert "built" in Page(path.read_text(encoding="utf-8")).text("top")


@pytest.mark.parametrize(("path", "why"), [("nowhere/web.html", "No such file or directory"), ("out", "it is a directory")])
def test_a_path_that_cannot_be_written_is_named_and_nothing_is_left(places, tmp_path, path, why):
    keep_done(places, manifest())
    with pytest.raises(NotReady, match=f"{tmp_path / path} cannot be written: {why}"):
        write_report(places.triplet, places.workspace, tmp_path / path)
    assert {found.name for found in tmp_path.iterdir()} == {"out"}


def test_what_was_kept_of_another_build_is_not_shown(places):
    keep_done(places, manifest())
    record = BuildRecord(begun=begun(build="another"), packed=packed())
    report_data.keep(report_data.kept_path(places.triplet), report_data.report_data(record, MEASURED, "its log", None))
    assert report_data.read_build(places.triplet, places.workspace)["kept"] == {}
    record = BuildRecord(begun=begun(build="b" * 32), base=base(content_bytes=40 << 20), packed=packed())
    report_data.keep(report_data.kept_path(places.triplet), report_data.report_data(record, MEASURED, "its log", None))
    seen = Page(write_report(places.triplet, places.workspace).read_text(encoding="utf-8"))
    assert "its log" in seen.text("log") and "+50.0 MiB: the base holds 40.0 MiB" in seen.text("changes")
    assert report_data.kept_path(places.triplet).stat().st_mode & 0o777 == 0o600


def test_a_build_that_failed_after_it_is_newer_than_a_triplet(places):
    keep_done(places, manifest())
    record = BuildRecord(begun=begun(build="c" * 32))
    RecordFile(places.workspace).write(record)
    assert report_data.read_build(places.triplet, places.workspace)["outcome"] == "unfinished"
    data = report_data.failed_data(record, VariationFailed("it broke"))
    report_data.keep(report_data.failed_path(places.workspace), data)
    places.workspace.log.write_text("the log\n")
    found = report_data.read_build(places.triplet, places.workspace)
    assert found["outcome"] == "failed" and found["kept"]["previous"]["build"] == "b" * 32 and found["kept"]["log"] == "the log\n"
    assert "it broke" in Page(make_page(found)).text("failures")


def test_of_a_long_log_the_end_is_kept_from_a_whole_line_on(tmp_path):
    (tmp_path / "log").write_text("".join(f"line {place}\n" for place in range(1000)))
    text = report_data.read_log(tmp_path / "log", 100)
    assert re.match(r"\.\.\. \d+ bytes before this are left out\nline 9\d\d\n", text) and text.endswith("line 999\n")
    assert len(text) < 150 and report_data.read_log(tmp_path / "none") == ""

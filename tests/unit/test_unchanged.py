"""When a triplet need not be built again: every input counts, and who cannot be asked counts as changed."""

import hashlib
import http.server
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from vmimage.base.locate import Located
from vmimage.build.unchanged import digest_inputs, find_unchanged
from vmimage.errors import ImageUnsound
from vmimage.settings.schema import Settings
from vmimage.system.progress import Progress
from vmimage.variation.apply import find_variation

VARIATION = {"digest": "sha256:1", "id": "web"}
BOOKWORM = {"os": "Debian", "oscodename": "bookworm"}


class Host:
    """What a build asks of its builder's Salt: a stand-in, for no Salt runs here."""

    def __init__(self, top):
        self.roots, self.pillar, self.salt, self.options = [top], {"a": 1}, "3008.3", {"renderer": "jinja|yaml"}

    def file_roots(self):
        return self.roots

    def compile_pillar(self, minion_id, grains):
        return {**self.pillar, "of": [minion_id, grains]}

    def state_options(self):
        return self.options

    @property
    def versions(self):
        return {"salt": self.salt}


@pytest.fixture
def build(tmp_path, tree):
    top = tree(tmp_path / "states", {"pre.sls": "first", "variation.sls": "x: {test.nop: []}"})
    settings = Settings(name="web", variation=str(top), cache=str(tmp_path / "cache"), mirror="http://mirror.example.org/debian")
    return SimpleNamespace(settings=settings, host=Host(top), top=top)


def digest(build, base="sha256:b", variation=VARIATION, distribution=BOOKWORM):
    return noted(build, base, variation, distribution)["digest"]


def noted(build, base="sha256:b", variation=VARIATION, distribution=BOOKWORM):
    return digest_inputs(build, base, variation["digest"], variation["id"], distribution)


def test_the_same_has_the_same_digest(build):
    assert digest(build) == digest(build)


CHANGES = {
    "a setting": lambda build: {"build": with_settings(build, headroom_mib=9)},
    "a machine that runs": lambda build: {"build": with_settings(build, live=True)},
    "a state of pre": lambda build: (build.top / "pre.sls").write_text("second"),
    "the pillar": lambda build: build.host.pillar.update(a=2),
    "the minion config's options for states": lambda build: build.host.options.update(renderer="py"),
    "Salt": lambda build: setattr(build.host, "salt", "3008.4"),
    "the base": lambda build: {"base": "sha256:c"},
    "the variation": lambda build: {"variation": {**VARIATION, "digest": "sha256:2"}},
    "the id": lambda build: {"variation": {**VARIATION, "id": "db"}},
    "the distribution": lambda build: {"distribution": {**BOOKWORM, "oscodename": "trixie"}},
}


def with_settings(build, **changed):
    return SimpleNamespace(settings=replace(build.settings, **changed), host=build.host)


@pytest.mark.parametrize("what", CHANGES)
def test_every_input_counts(build, what):
    before = digest(build)
    more = CHANGES[what](build)
    more = more if isinstance(more, dict) else {}
    assert digest(more.pop("build", build), **more) != before


@pytest.mark.parametrize(
    "beside", [{"output": "/elsewhere"}, {"keep": 9}, {"tries": 1}, {"force": True}, {"memory": False}], ids=str
)
def test_what_does_not_shape_the_image_does_not_count(build, beside):
    assert digest(with_settings(build, **beside)) == digest(build)


@pytest.fixture
def archive():
    """An archive on the loopback; ``release`` is its InRelease, None for none."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404 if self.server.release is None else 200)
            self.end_headers()
            self.wfile.write(self.server.release or b"")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.release = b"as it was"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        server.uri = f"http://127.0.0.1:{server.server_port}/debian/dists/bookworm/InRelease"
        yield server
        server.shutdown()


def noted_now(build):
    found = find_variation(build.settings, build.host)
    return noted(build, variation={"digest": found.digest, "id": found.id})


@pytest.fixture
def built(build, archive, monkeypatch):
    """A build whose triplet is there."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    build.settings = replace(build.settings, skip_unchanged=True)
    build.locate_base = lambda: Located("", "raw", "sha256:b", "")
    offered = {archive.uri: hashlib.sha256(archive.release).hexdigest()}
    inputs = {**noted_now(build), "offered": offered}
    build.made = {"inputs": inputs, "distribution": BOOKWORM, "updated": True}
    path = build.top.with_name("manifest.json")
    path.touch()
    build.triplet = SimpleNamespace(manifest=lambda: build.made, check=lambda quickly: build.made, manifest_path=path)
    build.progress = Progress(lambda moment: build.notes.append(moment.text))
    build.notes = []
    return build


def test_nothing_has_changed(built):
    assert find_unchanged(built) == (built.made, "")


def test_a_triplet_that_is_damaged_is_named_and_built_again(built):
    def check(quickly):
        raise ImageUnsound("web.img is not the file that its manifest describes", hint="make it again")

    built.triplet.check = check
    assert find_unchanged(built) == (None, "web.img is not the file that its manifest describes")


def test_without_the_setting_it_is_built(built):
    built.settings = replace(built.settings, skip_unchanged=False)
    assert find_unchanged(built) == (None, "")


def test_an_incremental_triplet_is_none_for_who_asks_for_a_clean_build(built):
    built.made["incremental"] = {"of": "b1", "generation": 1}
    assert find_unchanged(built) == (None, "the last build was incremental, and may hold what a clean build would not")
    built.settings = replace(built.settings, incremental=True)
    assert find_unchanged(built) == (built.made, "")


def test_without_a_triplet_it_is_built(built):
    built.triplet.manifest_path.unlink()
    assert find_unchanged(built) == (None, "")


def test_a_manifest_that_describes_no_triplet_is_named(built):
    built.made = None
    reason = f"{built.triplet.manifest_path} is not as it was written, or a file of the triplet is missing"
    assert find_unchanged(built) == (None, reason)


def test_a_triplet_that_does_not_tell_its_inputs_is_built_again(built):
    built.made = {**built.made, "inputs": None}
    assert find_unchanged(built) == (None, "the last build did not note what it was made of, for it had no ami.skip_unchanged")


def test_a_setting_that_has_changed_is_named(built):
    built.settings = replace(built.settings, headroom_mib=9)
    assert find_unchanged(built) == (None, "changed since then: the setting ami.headroom_mib")


def test_an_edited_state_is_noticed(built):
    (built.top / "variation.sls").write_text("y: {test.nop: []}")
    assert find_unchanged(built) == (None, "changed since then: the SLS of pre and post, the variation")


def test_a_new_release_of_the_archive_is_noticed(built, archive):
    archive.release = b"a security update"
    assert find_unchanged(built) == (None, f"{archive.uri} is another")


def test_an_archive_that_does_not_answer_counts_as_changed(built, archive):
    archive.release = None
    assert find_unchanged(built) == (None, f"{archive.uri} could not be asked (404 Not Found)")


def test_offers_that_are_not_known_count_as_changed(built):
    built.made["inputs"]["offered"] = None
    assert find_unchanged(built) == (None, "what the archives offered is not known")


def test_without_update_the_archive_is_not_asked(built, archive):
    built.settings, built.made["updated"] = replace(built.settings, update=False), False
    built.made["inputs"] |= noted_now(built)
    archive.release = None
    assert find_unchanged(built) == (built.made, "")

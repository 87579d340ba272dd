"""What a build can start from: the last root image, where all that shaped it is as it was; else the reason why not."""

import json
import os
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from records import updated, varied
from vmimage.build.incremental import find_basis, note_shaping, remember
from vmimage.build.kept import keep, kept_path
from vmimage.build.record import BuildRecord
from vmimage.errors import SettingsWrong
from vmimage.glance.description import main_image
from vmimage.glance.outputs import outputs_of
from vmimage.glance.publish import check_publishing
from vmimage.image.triplet import Triplet
from vmimage.root.workspace import Workspace
from vmimage.settings.gather import gather_settings
from vmimage.settings.schema import Settings
from vmimage.system.whole_files import write_json
from vmimage.variation.in_root.state_diff import NeedsCleanBuild

MANIFEST = {
    "files": {"root_image": {"sha256": "1"}},
    "build": "b1",
    "base": {"digest": "sha256:b"},
    "file_system": {"label": "root", "uuid": "u"},
    "incremental": None,
}
STATES = [{"state": "test.nop", "id": "x", "name": "x", "arguments": {}, "triggers": [], "is_guarded": False}]


class Host:
    """What a build asks of its builder's Salt: a stand-in, for no Salt runs here."""

    def __init__(self, top):
        self.top, self.salt, self.provider, self.pillar, self.known = top, "3008.3", "text", {"a": 1}, None

    def file_roots(self):
        return [self.top]

    def state_options(self):
        return {}

    def providers(self):
        return {"service": self.provider}

    @property
    def versions(self):
        return {"salt": self.salt}

    def compile_pillar(self, minion_id, grains):
        return self.pillar

    def credentials(self, settings, *, wanted):
        return self.known if wanted else None


@pytest.fixture
def build(tmp_path, tree):
    """A build whose triplet is there, with what its making noted."""
    tree(tmp_path / "roots", {"my_pre.sls": "first", "my_post.sls": "second", "seal.sls": "third"})
    tree(tmp_path / "web", {"variation.sls": "x: {test.nop: []}", "_modules/ours.py": "one", "page": "a page"})
    settings = Settings(name="web", variation=str(tmp_path / "web"), pre="my_pre", post="my_post", incremental=True)
    notes = []

    def note(**facts):
        build.record = replace(build.record, **facts)

    build = SimpleNamespace(note=note, settings=settings, host=Host(tmp_path / "roots"), top=tmp_path, notes=notes)
    build.triplet, build.workspace = Triplet(tmp_path / "output", "web"), Workspace(tmp_path / "builds", "web")
    build.progress = SimpleNamespace(note=notes.append)
    tree(tmp_path / "output", {"web.img": "an image", "kernel_web": "", "ramdisk_web": ""})
    write_json(build.triplet.manifest_path, MANIFEST)
    keep(kept_path(build.triplet), {"build": "b1", "log": "kept"})
    build.record = BuildRecord(varied=varied(states=STATES), updated=updated({"http://a": "1"}))
    remember(build, {"my_pre", "my_post", "seal"})
    return build


def test_what_is_as_it_was_can_be_started_from(build):
    basis = find_basis(build, "sha256:b")
    assert basis.image == os.fspath(build.triplet.root_image)
    assert (basis.label, basis.uuid) == ("root", "u")
    assert basis.states == STATES and basis.offered == {"http://a": "1"}


def generation(basis):
    return basis.of, basis.generation


def test_generations_are_counted_from_the_clean_build(build):
    assert generation(find_basis(build, "sha256:b")) == ("b1", 1)
    write_json(build.triplet.manifest_path, {**MANIFEST, "incremental": {"of": "b0", "generation": 4}})
    assert generation(find_basis(build, "sha256:b")) == ("b0", 5)


def test_what_a_report_needs_is_kept_beside_it_and_for_its_owner_alone(build):
    path = kept_path(build.triplet)
    assert json.loads(path.read_text())["log"] == "kept"
    assert path.stat().st_mode & 0o777 == 0o600


def with_settings(build, **changed):
    build.settings = replace(build.settings, **changed)


def written(path):
    facts = path.stat()
    path.write_text("AN IMAGE", encoding="utf-8")  # as long as before
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))


def flip(path, after):
    data = bytearray(path.read_bytes())
    data[data.index(after)] ^= 1
    path.write_bytes(data)


def replaced(path):
    facts = path.stat()
    path.rename(path.with_name("kept"))
    path.write_text("AN IMAGE", encoding="utf-8")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


CHANGES = {
    "no triplet": (lambda build: build.triplet.kernel.unlink(), "there is no triplet web"),
    "no notes": (lambda build: kept_path(build.triplet).unlink(), "did not note what it was made of"),
    "notes of another build": (
        lambda build: keep(kept_path(build.triplet), {"build": "b0"}),
        "did not note what it was made of",
    ),
    "the image is written into": (lambda build: written(build.triplet.root_image), "is not the file that the last build made"),
    "another image": (lambda build: replaced(build.triplet.root_image), "is not the file that the last build made"),
    "a setting": (lambda build: with_settings(build, headroom_mib=9), "the setting headroom_mib has changed"),
    "no update": (lambda build: with_settings(build, update=False), "the setting update has changed"),
    "a byte of the notes": (lambda build: flip(kept_path(build.triplet), b"test.nop"), "web.build.json is damaged"),
    "a byte that lets nobody read the notes": (
        lambda build: flip(kept_path(build.triplet), b"{"),
        "did not note what it was made of",
    ),
    "pre": (lambda build: (build.host.top / "my_pre.sls").write_text("edited"), "the SLS my_pre has changed"),
    "what post includes": (lambda build: (build.host.top / "seal.sls").write_text("edited"), "the SLS seal has changed"),
    "a module of the variation": (
        lambda build: (build.top / "web/_modules/ours.py").write_text("two"),
        "the variation's own code (_modules, _states, ...) has changed",
    ),
    "Salt": (lambda build: setattr(build.host, "salt", "3008.4"), "the version of salt has changed"),
    "a provider": (lambda build: setattr(build.host, "provider", "other"), "the code of this project has changed"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_reason_for_a_clean_build_names_what_has_changed(build, what):
    change, reason = CHANGES[what]
    change(build)
    with pytest.raises(NeedsCleanBuild, match=re.escape(reason)):
        find_basis(build, "sha256:b")


@pytest.mark.parametrize("what", ["pre", "what post includes", "a module of the variation", "a provider"])
def test_what_is_edited_while_a_build_runs_counts_as_changed_after_it(build, what):
    change, reason = CHANGES[what]
    (build.host.top / "my_post.sls").write_text("include:\n  - seal\n")
    kept_path(build.triplet).unlink()  # it is the first build
    note_shaping(build)
    change(build)
    keep(kept_path(build.triplet), {"build": "b1"})
    remember(build, {"my_pre", "my_post", "seal"})
    with pytest.raises(NeedsCleanBuild, match=re.escape(reason)):
        find_basis(build, "sha256:b")


def test_an_sls_that_was_no_part_of_the_build_does_not_count(build):
    note_shaping(build)
    remember(build, {"my_pre", "my_post"})
    (build.host.top / "seal.sls").write_text("edited", encoding="utf-8")
    assert find_basis(build, "sha256:b")


def test_another_base_is_a_reason(build):
    with pytest.raises(NeedsCleanBuild, match="the base has changed"):
        find_basis(build, "sha256:c")


@pytest.mark.parametrize(
    "beside", [{"keep": 9}, {"memory": False}, {"publish": False}, {"incremental": False}, {"pillar": {"a": 2}}], ids=str
)
def test_settings_beside_the_image_and_those_of_states_are_none(build, beside):
    with_settings(build, **beside)
    assert find_basis(build, "sha256:b")


@pytest.mark.parametrize("name", ["variation.sls", "page"])
def test_the_variation_itself_may_be_edited(build, name):
    (build.top / "web" / name).write_text("edited", encoding="utf-8")
    assert find_basis(build, "sha256:b")


def test_the_pillar_counts_where_an_sls_of_pre_or_post_may_ask_it(build):
    build.host.pillar = {"a": 2}
    assert find_basis(build, "sha256:b")
    (build.host.top / "seal.sls").write_text("{{ pillar.a }}", encoding="utf-8")
    remember(build, {"my_pre", "my_post", "seal"})
    assert find_basis(build, "sha256:b")
    build.host.pillar = {"a": 3}
    with pytest.raises(NeedsCleanBuild, match="the SLS seal has changed"):
        find_basis(build, "sha256:b")


def test_who_lets_publishing_be_decided_publishes_no_incremental_build_and_reads_why(build):
    build.host.known = object()
    assert check_publishing(build) is None
    assert build.notes == ["an incremental build is not published, unless ami.publish is true"]


def test_who_has_no_cloud_reads_nothing(build):
    assert check_publishing(build) is None and build.notes == []


def test_an_image_in_the_store_tells_that_it_was_made_incrementally():
    files = {role: {"bytes": 1, "sha256": "0", "version": "6.1"} for role in ("root_image", "kernel", "ramdisk")}
    clean = {**MANIFEST, "files": files, "distribution": {"os": "Debian", "osrelease": "12"}, "created": "now"}
    clean |= {"base": {"reference": "b", "digest": "d"}, "variation": {"reference": "v", "digest": "d"}, "versions": {}}
    clean |= {"architecture": "x86_64"}

    def properties(manifest):
        settings = Settings(name="web")
        (output,) = outputs_of(settings, Triplet("/srv/images", "web"), manifest)
        return main_image(settings, manifest, output, "builder", serial=1, ids={"kernel_id": "k", "ramdisk_id": "r"})

    assert "vm_create_incremental" not in properties(clean)
    made = properties({**clean, "incremental": {"of": "b0", "generation": 4}})
    assert made["vm_create_incremental"] == "generation 4 of b0"


def test_a_wrong_value_is_refused_by_name():
    with pytest.raises(SettingsWrong, match="ami.incremental"):
        gather_settings(
            [("the pillar", {"ami": {"incremental": "yes"}}, lambda key: "yes" if key == "ami:incremental" else None)]
        )

"""A byte of what an earlier build kept is flipped, and neither size nor time of the file tell of it."""

import json
import os
import shutil
import subprocess

import pytest
from flipping import CACHES, flip
from vmimage.system.digest import identity_of, read_record, write_record

OWN = {
    "the last manifest": "job.manifest.json",
    "what is kept of the last build": "job.build.json",
    "the last root image": "job.img",
}


@pytest.mark.parametrize("part", [2, 0], ids=["in its middle", "its first"])
@pytest.mark.parametrize("what", CACHES)
def test_a_flipped_byte_of_the_cache(fault, what, part):
    fault.begin_warm()
    pattern, is_named = CACHES[what]
    (path,) = fault.job.directory.glob(pattern)
    before = path.read_bytes()
    flip(path, part)
    flipped = path.read_bytes()
    assert flipped != before and len(flipped) == len(before)
    code, said = fault.job.build()
    fault.judge("a flipped byte in a cache", code, said)
    assert code == 0, said
    if is_named:
        name = path.with_suffix(".img") if path.parent.name == "bases" else path
        assert any(str(name) in line and ("damaged" in line or "prepared again" in line) for line in said.splitlines()), said
    assert not path.exists() or path.read_bytes() != flipped, "it is still there"


def test_a_flipped_byte_of_a_download_of_which_a_base_is_made(fault):
    fault.begin_warm()
    shutil.rmtree(fault.job.cache / "bases")
    (path,) = fault.job.cache.glob("downloads/*base.img")
    flip(path)
    table = fault.job.cache / "digests.json"  # a disk that loses a byte leaves even the time of the last change
    key = f"sha256 {os.path.realpath(path)}"
    write_record(table, {**read_record(table), key: [identity_of(path), read_record(table)[key][1]]})
    code, said = fault.job.build()
    fault.judge("a flipped byte in a cache", code, said)
    assert code == 0 and f"{path} was damaged since it was downloaded: it is removed" in said, said


@pytest.fixture
def repository(fault, tmp_path):
    """The variation of the job, in a repository."""
    (source,) = fault.job.directory.glob("variations/job")
    top = shutil.copytree(source, tmp_path / "variation")
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org", "-C", top]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    return top


def test_a_flipped_byte_of_a_variation_that_was_fetched(fault, repository):
    settings = {"git_address_variation": str(repository), "variation": ""}
    fault.begin_warm()
    assert fault.job.build(**settings)[0] == 0
    (path,) = fault.job.cache.glob("repositories/*/trees/*/variation.sls")
    flip(path)
    flipped = path.read_bytes()
    code, said = fault.job.build(**settings)
    fault.judge("a flipped byte in a cache", code, said)
    assert code == 0 and f"{path.parent} is no longer what was fetched: it is made again" in said, said
    assert path.read_bytes() != flipped
    shutil.rmtree(fault.job.cache / "repositories")


@pytest.mark.parametrize("what", OWN)
@pytest.mark.parametrize("setting", ["incremental", "skip_unchanged"])
def test_a_flipped_byte_of_the_last_build(fault, what, setting):
    how = {setting: True, "update": False}
    if setting == "incremental":
        how["by_salt"] = True  # what a state did is what is compared
    fault.begin_warm()
    assert fault.job.build(**how)[0] == 0
    path = fault.job.output / OWN[what]
    flip(path)
    if what == "what is kept of the last build":  # of all that it holds, that is what is trusted
        text = path.read_text(encoding="utf-8")
        at = text.index('"again"')
        facts = path.stat()
        path.write_text(text[:at] + text[at:].replace("own", "owm", 1), encoding="utf-8")
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    code, said = fault.job.build(**how)
    is_clean = json.loads((fault.job.output / "job.manifest.json").read_text(encoding="utf-8"))["incremental"] is None
    fault.judge("a flipped byte of the last build", code, said)
    assert code == 0, said
    if what == "the last root image":
        again = f"building again (ami.skip_unchanged): {path} is not the file that its manifest describes"
        assert f"{path} is damaged" in said or again in said, said
    if setting == "incremental":
        assert is_clean

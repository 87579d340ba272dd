"""A triplet boots as in a cloud, with its own identity, on a disk larger than it was."""

import urllib.request
from pathlib import Path

import pytest
from booting import HANGS_SECONDS, WHO, asked, asked_by_key, facts_of
from vmimage.image.triplet import Triplet


@pytest.fixture(scope="module")
def by_key(sample):
    """An instance that ``vm_create.boot`` has started: what it says of itself, what the boot returned, and the path of the key."""
    answer, seen, key = asked_by_key(sample, f"{WHO}\necho user=$(id -un)", forward="80")
    return facts_of(answer), seen, key


@pytest.fixture(scope="module")
def two_instances(sample, by_key, tmp_path_factory):
    """What two instances of the sample say of themselves, the second only who it is; and the page that the first serves."""
    with asked(Triplet(sample.output, "variation"), tmp_path_factory.mktemp("instance")) as (facts, ports):
        with urllib.request.urlopen(f"http://127.0.0.1:{ports[80]}/", timeout=HANGS_SECONDS) as answer:
            page = answer.read().decode()
    return (facts, by_key[0]), page


def test_it_comes_up_with_no_failed_unit(two_instances):
    facts = two_instances[0][0]
    assert (facts["state"], facts["failed"]) == ("running", "")
    assert facts["cloud_init"].startswith("status: done")


def test_it_has_an_address_by_dhcp_and_serves_the_page(two_instances):
    (facts, _), page = two_instances
    assert facts["address"].startswith("10.0.2.15/")
    assert "<h1>Seen in a test</h1>" in page


def test_it_has_grown_to_its_disk(two_instances):
    facts = two_instances[0][0]
    assert int(facts["root_mib"]) > 18000
    assert facts["root_options"].startswith("rw")


def test_each_instance_has_an_identity_of_its_own(two_instances):
    (first, second), _ = two_instances
    for facts in (first, second):
        assert len(facts["machine_id"]) == 32
        assert int(facts["host_key_count"]) >= 3
    assert first["machine_id"] != second["machine_id"]
    assert first["host_keys"] != second["host_keys"]


def test_it_runs_the_kernel_of_the_triplet(two_instances, sample):
    assert two_instances[0][0]["kernel"] == sample.manifest()["files"]["kernel"]["version"]


def test_vm_create_boot_shows_the_login_prompt_and_who_answers_and_lets_root_log_in_by_a_key(sample, by_key):
    facts, seen, key = by_key
    assert facts["user"] == "root" and not Path(key).exists()
    assert seen["answers"]["80"].startswith("HTTP/1.1 200") and seen["answers"]["22"].startswith("SSH-2.0")
    assert "login:" in seen["console"][-1]
    assert sample.manifest()["files"]["root_image"]["bytes"] == (sample.output / "variation.img").stat().st_size


def test_vm_create_boot_shows_the_console_when_it_does_not_come_up(sample):
    said = sample.bad("vm_create.boot", "variation", seconds=1)
    assert "did not come up in 1 s" in said

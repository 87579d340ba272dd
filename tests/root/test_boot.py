"""A triplet boots as in a cloud, with its own identity, on a disk larger than it was."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from booting import FACTS, HANGS_SECONDS, asked_by_key
from contained import METADATA, Contained
from looking import looked_into
from vmimage.image.triplet import Triplet

pytestmark = pytest.mark.boot


#: the page that it serves
PAGE = r"""
exec 3<>/dev/tcp/127.0.0.1/80
printf 'GET / HTTP/1.0\r\n\r\n' >&3
echo "page=$(tr -d '\n' <&3)"
"""


@dataclass(frozen=True)
class Instance:
    """An instance of the sample that vm_create.boot has booted.

    :ivar facts: what it says of itself to who logs in by the key
    :ivar seen: what vm_create.boot has returned
    :ivar key: where the key was
    """

    facts: dict
    seen: dict
    key: Path


@pytest.fixture(scope="module")
def first(sample):
    answer, seen, key = asked_by_key(sample, f"{FACTS}{PAGE}".strip(), forward="80")
    return Instance(dict(line.split("=", 1) for line in answer.splitlines() if "=" in line), seen, Path(key))


@pytest.fixture(scope="module")
def second(sample, tmp_path_factory):
    """What another instance, in a container, is: only who it is, and how its cloud-init ended."""
    return identity_in_a_container(Triplet(sample.output, "variation"), tmp_path_factory.mktemp("another"))


def identity_in_a_container(triplet, directory):
    """Its machine id, the keys of its sshd and how its cloud-init ended, as they are on its disk after its first boot."""
    files = {"meta-data": '{"instance-id": "another"}', "user-data": "#cloud-config\n{}", "vendor-data": ""}
    instance = Contained(triplet, directory, files, words=f"ds=nocloud;s=http://{METADATA}/")
    with instance.running():
        instance.wait_for(r"Started ssh\.service", HANGS_SECONDS)
        instance.wait_for(r"Finished cloud-final\.service", HANGS_SECONDS)
    with looked_into(instance.disk) as root:
        keys = [path.read_text().split()[1] for path in sorted((root / "etc/ssh").glob("ssh_host_*_key.pub"))]
        return {
            "machine_id": (root / "etc/machine-id").read_text().strip(),
            "host_keys": hashlib.sha256("".join(f"{key}\n" for key in keys).encode()).hexdigest(),
            "host_key_count": len(keys),
            "cloud_init": json.loads((root / "var/lib/cloud/data/result.json").read_text(encoding="utf-8"))["v1"],
        }


def test_it_comes_up_with_no_failed_unit(first):
    assert (first.facts["state"], first.facts["failed"]) == ("running", "")


def test_its_cloud_init_finds_its_cloud_and_ends_well(second):
    assert "DataSourceNoCloud" in second["cloud_init"]["datasource"] and second["cloud_init"]["errors"] == []


def test_it_has_an_address_by_dhcp_and_serves_the_page(first):
    assert first.facts["address"].startswith("10.0.2.15/")
    assert "<h1>Seen in a test</h1>" in first.facts["page"]


def test_it_has_grown_to_its_disk(first):
    assert int(first.facts["root_mib"]) > 18000
    assert first.facts["root_options"].startswith("rw")


def test_each_instance_has_an_identity_of_its_own(first, second):
    for facts in (first.facts, second):
        assert len(facts["machine_id"]) == 32
        assert int(facts["host_key_count"]) >= 3
    assert first.facts["machine_id"] != second["machine_id"]
    assert first.facts["host_keys"] != second["host_keys"]


def test_it_runs_the_kernel_of_the_triplet(first, sample):
    assert first.facts["kernel"] == sample.manifest()["files"]["kernel"]["version"]


def test_vm_create_boot_shows_the_login_prompt_and_who_answers_and_lets_root_log_in_by_a_key(first, sample):
    assert first.facts["user"] == "root" and not first.key.exists()
    assert first.seen["answers"]["80"].startswith("HTTP/1.1 200") and first.seen["answers"]["22"].startswith("SSH-2.0")
    assert "login:" in first.seen["console"][-1]
    assert sample.manifest()["files"]["root_image"]["bytes"] == (sample.output / "variation.img").stat().st_size


def test_vm_create_boot_shows_the_console_when_it_does_not_come_up(sample):
    said = sample.bad("vm_create.boot", "variation", seconds=3)
    assert "did not come up in 3 s" in said

"""Nothing lost, nothing false: a fault at every place of a build, and what comes of it."""

import os
import signal
import time
from contextlib import suppress

import pytest
from vmimage.system.digest import read_record, write_record

#: what a build that has nothing in its cache does, in its own order; without what a variation and its package do in the root
STEPS = ("base", "root", "update", "variation", "seal", "kernel", "pack", "close", "shrink", "triplet")
KEPT = (
    "rename cache/downloads/*-base.img.partial.etag",
    "rename cache/downloads/*-base.img",
    "rename cache/downloads/*-base.img.etag",
    "rename cache/downloads/*-SHA256SUMS.partial.etag",
    "rename cache/downloads/*-SHA256SUMS",
    "rename cache/downloads/*-SHA256SUMS.etag",
    "rename cache/digests.json",
    "rename cache/bases/raw-*-5-xxh3_128.img",
    "rename cache/bases/raw-*-5-xxh3_128.digest",
    "rename cache/bases/raw-*-5-xxh3_128.json",
    "rename cache/apt/partial-*/record.json",
    "rename cache/apt/*",
    "rename cache/apt/archives/*/own_1_all.deb",
    "rename cache/apt/unpacked/*/own_1_all.deb.tar",
    "rename cache/apt/digests/*.json",
)
SYNCED = (
    "fsync cache/downloads/*-base.img.partial.etag.*.partial",
    "fsync cache/downloads/*-base.img.partial",
    "fsync cache/downloads/*-SHA256SUMS.partial.etag.*.partial",
    "fsync cache/downloads/*-SHA256SUMS.partial",
    "fsync cache/digests.json.*.partial",
    "fsync cache/bases/raw-*-5-xxh3_128.img",
    "fsync cache/bases/raw-*-5-xxh3_128.digest.*.partial",
    "fsync cache/bases/raw-*-5-xxh3_128.json.*.partial",
    "fsync cache/apt/partial-*/lists/*Release",
    "fsync cache/apt/partial-*/lists/*Packages",
    "fsync cache/apt/partial-*/record.json.*.partial",
    "fsync output/job.img.partial",
    "fsync output/kernel_job.partial",
    "fsync output/ramdisk_job.partial",
    "fsync output/job.manifest.json.*.partial",
    "fsync output",
)
DELIVERED = (
    "rename output/job.img",
    "rename output/kernel_job",
    "rename output/ramdisk_job",
    "rename output/job.manifest.json",
    "rename output/job.build.json",
)
NOTED = (
    *(f"rename workspace/job/record.json #{number}" for number in range(1, 28, 2)),
    "rename workspace/job/fetching/apt.partial/known.json",
    "rename workspace/job/fetching/apt",
    "rename workspace/job/changes/apt.partial/known.json",
    "rename workspace/job/changes/apt",
    "rename workspace/job/changes/apt/known.json",
    "rename stub-resolv.conf",
    "rename said",
    "rename policy-rc.d",
)
COLD = ("cache/", "fetching/", "before base")


def places_of_faults():
    for step in STEPS:
        yield "a kill before a step", f"before {step}", "kill"
        yield "a step that dies at its end", f"end of {step}", "die"
    for place in (*KEPT, *DELIVERED):
        yield "a rename without room", place, "ENOSPC"
        yield "a kill before a rename", place, "kill"
    for number, place in enumerate(NOTED):
        yield ("a rename without room", place, "ENOSPC") if number % 2 else ("a kill before a rename", place, "kill")
    for place in SYNCED:
        yield "an fsync that fails", place, "EIO"
    yield "an fsync that fails", "fsync output/job.img.partial #2", "EIO"
    yield "a rename without room", "rename output/job.build.json #2", "ENOSPC"
    yield "a kill before a rename", "rename output/job.build.json #2", "kill"


def numbered(place):
    return place if " #" in place else f"{place} #1"


@pytest.mark.parametrize(
    ("kind", "place", "what"), [pytest.param(*place, id=f"{place[2]} {place[1]}") for place in places_of_faults()]
)
def test_a_place(fault, kind, place, what):
    if any(word in place for word in COLD):
        fault.begin_cold()
    else:
        fault.begin_warm()
    code, said = fault.job.build({"place": numbered(place), "what": what})
    assert numbered(place) in fault.job.places(), "the build never came there"
    fault.judge(kind, code, said)


@pytest.mark.parametrize(
    ("kind", "place", "what"),
    [
        ("a rename without room", "rename cache/apt/*/record.json", "ENOSPC"),
        ("a kill before a rename", "rename cache/apt/*/record.json", "kill"),
        ("an fsync that fails", "fsync cache/apt/*/record.json.*.partial", "EIO"),
    ],
    ids=["ENOSPC rename", "kill rename", "EIO fsync"],
)
def test_a_place_where_a_build_finds_out_more_of_the_lists_that_builds_share(fault, kind, place, what):
    """As where the build that fetched them brought newer packages: a build that has nothing in its cache knows all at once."""
    fault.begin_warm()
    (path,) = fault.job.cache.glob("apt/*/record.json")
    write_record(path, {**read_record(path), "newest": None})
    code, said = fault.job.build({"place": numbered(place), "what": what})
    assert numbered(place) in fault.job.places(), "the build never came there"
    fault.judge(kind, code, said)
    assert read_record(path)["newest"], "the build without a fault knows it"


def test_every_rename_and_every_fsync_of_a_build_is_among_the_places(fault):
    fault.begin_cold()
    assert fault.job.build()[0] == 0
    places = {place.rpartition(" #")[0] for place in fault.job.places()}
    assert fault.job.build()[0] == 0
    places |= {place.rpartition(" #")[0] for place in fault.job.places()}
    assert places == {place.partition(" #")[0] for place in (*KEPT, *SYNCED, *DELIVERED, *NOTED)} | {
        f"{when} {step}" for when in ("before", "end of") for step in STEPS
    }


DISKS = [
    *[("cache", place) for place in ("before base", "before update", "before variation")],
    *[("output", place) for place in ("before base", "before update", "before pack", "before shrink", "before triplet")],
    *[("workspace", place) for place in ("before root", "before update", "before variation", "before pack", "before triplet")],
]


@pytest.mark.parametrize("seconds", [None, 0.1], ids=["for good", "for an instant"])
@pytest.mark.parametrize(("disk", "place"), [pytest.param(*disk, id=" ".join(disk)) for disk in DISKS])
def test_a_full_disk(fault, disk, place, seconds):
    if disk == "cache":
        fault.begin_cold()
    else:
        fault.begin_warm()
    where = {"place": numbered(place), "what": f"fill {getattr(fault.job, disk)}", "seconds": seconds}
    code, said = fault.job.build(where, memory=False)
    assert numbered(place) in fault.job.places()
    fault.judge("a full disk" if seconds is None else "a disk full for an instant", code, said)


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("ms", [1, 5, 20, 50, 100, 300, 1000, 2000, 3000])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal(fault, number, ms):
    fault.begin_warm()
    build = os.pidfd_open(fault.job.begin())  # its number may be another's once it has ended
    time.sleep(ms / 1000)
    with suppress(ProcessLookupError):  # it has ended: the signal comes too late
        signal.pidfd_send_signal(build, number)
    os.close(build)
    code, said = fault.job.finish()
    fault.judge(f"{number.name} after some ms", code, said)


@pytest.mark.parametrize("ms", [1, 50, 300, 1000])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_to_a_salt_call_that_just_begins(fault, number, ms):
    fault.begin_warm()
    process = fault.job.start("vm_create.create_variation")
    time.sleep(ms / 1000)
    os.kill(process.pid, number)
    out, said = process.communicate(timeout=300)
    fault.judge(f"{number.name} to salt-call", process.returncode, f"{said}{out}")

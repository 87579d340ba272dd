"""How long an image takes from the root image to its name in the store over a slow line, raw and as a compressed qcow2, alternated in one run."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "_utils"), str(TOP / "tests/support")]

from cloud import Cloud  # noqa: E402
from triplets import Publisher, manifest_of, sha256  # noqa: E402
from vmimage.image.triplet import Triplet  # noqa: E402
from vmimage.system.whole_files import write_json  # noqa: E402


def shape(mbit):
    """Make the loopback of this network namespace a line of that rate, in each direction."""
    subprocess.run(["ip", "link", "set", "lo", "up", "mtu", "1500"], check=True)
    line = ["rate", f"{mbit}mbit", "burst", "128kb", "latency", "100ms"]
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", "tbf", *line], check=True)


def triplet_of(root_image, directory, number):
    """A triplet of that root image, whose kernel and ramdisk are of no matter."""
    triplet = Triplet(directory, "line")
    triplet.root_image.symlink_to(root_image)
    triplet.kernel.write_bytes(b"a kernel")
    triplet.ramdisk.write_bytes(b"a ramdisk")
    write_json(triplet.manifest_path, manifest_of(triplet, f"{number:032x}"))
    return triplet


def add_bare(triplet):
    """The root image as a qcow2, made as a build makes it."""
    path = triplet.directory / "line.bare.qcow2"
    options = ["-c", "-W", "-m", "4", "-o", "compression_type=zstd"]
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, triplet.root_image, path], check=True)
    sizes = {"bytes": path.stat().st_size, "virtual_bytes": triplet.root_image.stat().st_size}
    formats = {"disk_format": "qcow2", "container_format": "bare"}
    bare = {"path": path.name, "sha256": sha256(path), **sizes, **formats}
    write_json(triplet.manifest_path, {**triplet.manifest(), "outputs": {"bare": bare}})
    return path.stat().st_size


def run_rounds(root_image, rounds):
    """``[{kind: {make_seconds, publish_seconds, bytes}}]``"""
    found = []
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir="/var/tmp") as directory:
        with Cloud(Path(directory) / "cloud", TOP / ".venv-openstack") as cloud:
            cloud.glance("RegionOne")
            for number in range(rounds):
                lap = {}
                for kind in ("triplet", "bare") if number % 2 else ("bare", "triplet"):
                    place = Path(directory) / kind
                    place.mkdir()
                    triplet = triplet_of(root_image, place, number)
                    begun = time.monotonic()
                    size = add_bare(triplet) if kind == "bare" else root_image.stat().st_size
                    made = time.monotonic()
                    Publisher(cloud, place).publish(name="line", outputs=[kind], keep=0)
                    ended = time.monotonic()
                    lap[kind] = {
                        "make_seconds": round(made - begun, 1),
                        "publish_seconds": round(ended - made, 1),
                        "bytes": size,
                    }
                    cloud.remove_images()
                    shutil.rmtree(place)
                found.append(lap)
                print(f"round {number + 1}: {lap}", file=sys.stderr)
    return found


def seconds(lap, kind):
    return lap[kind]["make_seconds"] + lap[kind]["publish_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root_image", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mbit", type=int, default=100, help="rate of the line")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    shape(options.mbit)
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = "127.0.0.1,localhost"
    found = run_rounds(options.root_image.resolve(), options.rounds)
    figures = {
        "mbit_per_second": options.mbit,
        "machine": f"{os.cpu_count()} cores, {platform.freedesktop_os_release()['PRETTY_NAME']}",
        "date": time.strftime("%Y-%m-%d"),
        "rounds": found,
        "bytes_bare_by_raw": round(found[0]["bare"]["bytes"] / found[0]["triplet"]["bytes"], 3),
        "seconds_bare_by_raw": round(statistics.median(seconds(lap, "bare") / seconds(lap, "triplet") for lap in found), 2),
    }
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""How fast a root image goes up, and how much memory that takes: ours against curl, alternated in one run."""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "_utils"), str(TOP / "tests/support")]

from cloud import Cloud  # noqa: E402
from triplets import environment_of, publishing_build  # noqa: E402
from vmimage.glance.generations import MARK  # noqa: E402
from vmimage.glance.publish import check_publishing  # noqa: E402
from vmimage.glance.upload import place_file  # noqa: E402
from vmimage.system.digest import digest_of_file  # noqa: E402

IMAGE = {"name": "benchmark", "disk_format": "ami", "container_format": "ami", "visibility": "private"}


def measure_ours(file, environment):
    """Seconds of one verified upload, and the peak memory of the process that did it, in MiB."""
    argv = [sys.executable, __file__, "--upload", file]
    done = subprocess.run(argv, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def upload_ours(file):
    """In a process of its own: what a user's salt-call does with the root image."""
    with tempfile.TemporaryDirectory() as directory:
        build = publishing_build(Path(directory), dict(os.environ))
        store = check_publishing(build, wanted=True)
        marks = {f"{MARK}role": "root_image", f"{MARK}sha256": digest_of_file(file).split(":")[1]}
        begun = time.monotonic()
        image = place_file(store, {**IMAGE, **marks}, file, build.progress)
        seconds = time.monotonic() - begun
        store.delete_image(image["id"])
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measure_curl(file, session, client):
    """Seconds that curl takes for the same file to the same Glance."""
    image_id = str(uuid.uuid4())
    client.images.create(id=image_id, **IMAGE)
    address = f"{client.http_client.get_endpoint()}/v2/images/{image_id}/file"
    with tempfile.NamedTemporaryFile("w") as headers:
        headers.write(f"X-Auth-Token: {session.get_token()}\nContent-Type: application/octet-stream\n")
        headers.flush()
        begun = time.monotonic()
        subprocess.run(["curl", "-sf", "-X", "PUT", "-T", file, "-H", f"@{headers.name}", address], check=True)
        seconds = time.monotonic() - begun
    assert client.images.get(image_id).size == file.stat().st_size
    client.images.delete(image_id)
    return seconds


def run_rounds(rounds, gib):
    """``[{ours_seconds, curl_seconds, ours_peak_mib}]``"""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir="/var/tmp") as directory:
        file = Path(directory) / "root.img"
        with open(file, "wb") as image:
            image.truncate(gib << 30)
        with Cloud(Path(directory) / "cloud", TOP / ".venv-openstack") as cloud:
            cloud.glance("RegionOne")
            environment = environment_of(cloud.users["alice"], cloud.auth_url)
            found = []
            for number in range(rounds):
                ours, peak = measure_ours(file, environment)
                curl = measure_curl(file, cloud.session("alice"), cloud.client("alice", "RegionOne"))
                found.append({"ours_seconds": round(ours, 2), "curl_seconds": round(curl, 2), "ours_peak_mib": round(peak)})
                print(f"round {number + 1}: {found[-1]}", file=sys.stderr)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gib", type=int, default=5, help="size of the sparse file")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--upload", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upload:
        return upload_ours(options.upload)
    found = run_rounds(options.rounds, options.gib)
    ours, curl = (statistics.median(lap[f"{who}_seconds"] for lap in found) for who in ("ours", "curl"))
    figures = {
        "gib": options.gib,
        "machine": f"{os.cpu_count()} cores, {platform.freedesktop_os_release()['PRETTY_NAME']}",
        "date": time.strftime("%Y-%m-%d"),
        "rounds": found,
        "ours_mib_per_second": round(options.gib * 1024 / ours),
        "curl_mib_per_second": round(options.gib * 1024 / curl),
        "rate_ours_by_curl": round(statistics.median(lap["curl_seconds"] / lap["ours_seconds"] for lap in found), 2),
        "ours_peak_mib": max(lap["ours_peak_mib"] for lap in found),
    }
    text = json.dumps(figures, indent=1)
    print(text)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(f"{text}\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()

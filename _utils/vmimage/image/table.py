"""A manifest as a table for people; as a program, of what a build returned: its standard input."""

import json
import sys
from pathlib import Path

from vmimage.image.triplet import ROLES, Manifest
from vmimage.system.progress import format_bytes


def table_of(manifest: Manifest, directory: Path) -> str:
    """The steps with their seconds, the files with size and digest, and how to boot them.

    :param manifest: of a triplet
    :param directory: where its files are
    """
    steps: dict[str, float] = {}
    made = manifest.get("incremental")
    for timing in manifest["steps"]:
        steps[timing["step"]] = steps.get(timing["step"], 0) + timing["seconds"]
    lines = [
        f"{manifest['name']}: {manifest['base']['reference']}, {len(manifest['states'])} states, {len(manifest['packages'])} packages",
        *(["  incremental: generation {generation} of the clean build {of}".format_map(made)] if made else []),
        "",
    ]
    lines += [f"  {step:<12} {seconds:7.1f} s" for step, seconds in steps.items()]
    lines += [f"  {'':<12} {sum(steps.values()):7.1f} s", ""]
    for facts in (manifest["files"][role] for role in ROLES):
        lines.append(f"  {directory / facts['path']}  {format_bytes(facts['bytes'])}\n    sha256 {facts['sha256']}")
    for facts in (manifest.get("outputs") or {}).values():
        lines.append(f"  {directory / facts['path']}  {format_bytes(facts['bytes'])}\n    sha256 {facts['sha256']}")
    lines += [
        "",
        f"boot it:  salt-call vm_create.boot {manifest['name']}   (here: sudo ./quickstart vm_create.boot {manifest['name']})",
    ]
    return "\n".join(lines)


def shown(text: str) -> str:
    """What ``salt-call --out json vm_create.create_variation`` returned, for people: the table of its manifest, or JSON where nothing was built."""
    returned = json.loads(text)["local"]
    if "manifest" not in returned:
        return json.dumps(returned, indent=2)
    path = Path(returned["manifest"])
    text = table_of(json.loads(path.read_text(encoding="utf-8")), path.parent)
    unchanged = "nothing has changed: this is the triplet that was there\n\n" if returned["unchanged"] else ""
    published = returned["published"]
    return f"{unchanged}{text}" + (f"\npublished as {published['name']}: {published['image']}" if published else "")


if __name__ == "__main__":
    print(shown(sys.stdin.read()))

"""A manifest or a plan as a table for people; as a program, of what a build or a plan returned: its standard input."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmimage.errors import printable
from vmimage.image.triplet import ROLES, Manifest
from vmimage.system.progress import format_bytes


def table_of(manifest: Manifest, directory: Path) -> str:
    """The steps with their seconds, the files with size and digest, and how to boot them.

    :param manifest: of a triplet
    :param directory: where its files are
    """
    made, steps = manifest.get("incremental"), manifest["steps"]
    source = manifest["variation"]["reference"]
    origin = source if "/" in source else f"the file_roots ({source})"  # states have no path
    lines = [
        f"{manifest['name']}: {manifest['base']['reference']}, {len(manifest['states'])} states of {origin}, {len(manifest['packages'])} packages",
        *(["  incremental: generation {generation} of the clean build {of}".format_map(made)] if made else []),
        "",
    ]
    lines += [f"  {timing['step']:<12} {timing['seconds']:7.1f} s" for timing in steps]
    lines += [f"  {'':<12} {sum(timing['seconds'] for timing in steps):7.1f} s", ""]
    for facts in (manifest["files"][role] for role in ROLES):
        lines.append(f"  {directory / facts['path']}  {format_bytes(facts['bytes'])}\n    sha256 {facts['sha256']}")
    for facts in (manifest.get("outputs") or {}).values():
        lines.append(f"  {directory / facts['path']}  {format_bytes(facts['bytes'])}\n    sha256 {facts['sha256']}")
    lines += [
        "",
        f"boot it:  salt-call vm_create.boot {manifest['name']}   (here: sudo ./quickstart vm_create.boot {manifest['name']})",
    ]
    return "\n".join(lines)


def table_of_plan(plan: dict[str, Any]) -> str:
    """What would be done, then the settings that are not the default.

    :param plan: of :func:`vmimage.build.pipeline.plan_variation`
    """
    base, variation, replaces = plan["base"], plan["variation"], " (replaces what is there)" if plan["replaces"] else ""
    digest = "it is on this machine" if base["prepared"] else "it is to be fetched and prepared"
    publish, basis = plan["publish"]["name"] if plan["publish"] else "no", plan["incremental"] or "no"
    rows = {
        "base": f"{base['reference']}: {digest}",
        "variation": _variation_of(variation),
        "steps": ", ".join(plan["steps"]),
        "root": plan["root"],
        "files": f"{', '.join(plan['files'][role] for role in ROLES)}{replaces}",
        "incremental": basis if isinstance(basis, str) else "generation {generation} of the clean build {of}".format_map(basis),
        "publish": publish,
    }
    lines = [f"{plan['name']}: nothing is done; this would be:", ""]
    lines += [f"  {name:<12} {text}" for name, text in rows.items()]
    lines += ["", "settings that are not the default:"]
    lines += [f"  {key:<12} {_as_text(value)}" for key, value in plan["settings"].items()]
    return printable("\n".join(lines))


def _variation_of(variation: Mapping[str, Any]) -> str:
    """Which states of what are applied; those of the file_roots have no other name than their own."""
    listed = variation["states"] if isinstance(variation["states"], str) else ", ".join(variation["states"])
    where = "the file_roots" if variation["reference"] == listed.replace(", ", ",") else variation["reference"]
    return f"{listed} of {where}, as the minion {variation['id']}"


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def shown(text: str) -> str:
    """What ``salt-call --out json vm_create.create_variation`` or ``vm_create.plan`` returned, for people."""
    returned = json.loads(text)["local"]
    if "manifest" not in returned:
        return table_of_plan(returned)
    path = Path(returned["manifest"])
    text = table_of(json.loads(path.read_text(encoding="utf-8")), path.parent)
    unchanged = "nothing has changed: this is the triplet that was there\n\n" if returned["unchanged"] else ""
    published = returned["published"]
    shown_published = f"\npublished as {published['name']}: {published['image']}" if published else ""
    return f"{unchanged}{text}{shown_published}{line_of_ec2((published or {}).get('ec2'))}"


def line_of_ec2(done: Mapping[str, Any] | None) -> str:
    """A line for what publishing to EC2 did."""
    if not done:
        return ""
    sent = f"{format_bytes(done['bytes_sent'])} sent" if done["changed"] else "it was there already"
    return f"\nin EC2, {done['region']}: {done['image']} of {done['snapshot']}, {sent}"


if __name__ == "__main__":
    print(shown(sys.stdin.read()))

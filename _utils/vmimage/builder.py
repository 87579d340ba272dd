"""The run of a builder, from its userdata to the published image: python -m vmimage.builder

userdata -> code -> sync -> highstate -> variation -> last line

Every line goes to stdout, which the unit vm_create.service connects to the journal and the console.  The exit code is 0 if the
image is there, else 1: then the unit has failed, and the last line says at which step and why.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from vmimage.errors import BuildStopped, CredentialsWrong, UserdataWrong, VmImageError
from vmimage.glance.credentials import gather_credentials
from vmimage.instance.code import reset_code, switch_code
from vmimage.instance.metadata import METADATA_URL, read_userdata
from vmimage.instance.minion import Minion
from vmimage.instance.salt_files import write_sorted
from vmimage.instance.userdata import Sorted, sort_userdata
from vmimage.system.lock import locked
from vmimage.system.namespace import stoppable
from vmimage.system.shell import run
from vmimage.variation.outcome import check_results

LOCK = Path("/run/vm_create/builder")
#: settings that name what this builder is to build, whatever its userdata is
_NAMING = ("variation", "hg_address_variation", "git_address_variation")


def say(line: str) -> None:
    """A line for the journal and the console."""
    print(line, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and return the exit code."""
    options = _parser().parse_args(arguments)
    minion = Minion(Path(options.config_dir), say)
    step = _Steps()
    try:
        with stoppable():
            line, failed = _run(options, minion, step), False
    except Exception as error:  # of any kind: the unit fails with a last line, and a machine is switched off where that is set
        text = str(error) if isinstance(error, VmImageError) else f"{type(error).__name__}: {error}"
        say(f"vm_create: {step.name}: {text}")
        line, failed = f"FAILED at {step.name}: {text.splitlines()[0]}", True
        if isinstance(error, BuildStopped):
            step.settings = {}  # a user stops the unit, or reboots: then the machine must not be switched off
    step.end(line, failed)
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vmimage.builder", description="Build what the userdata of this instance asks for."
    )
    parser.add_argument("--config-dir", default="/etc/salt", help="of Salt; grains and minion.d in it are written (%(default)s)")
    parser.add_argument("--userdata", metavar="FILE", help="read it from a file, not from where the cloud keeps it")
    parser.add_argument("--metadata", metavar="URL", default=METADATA_URL, help="of the metadata server (%(default)s)")
    parser.add_argument("--deadline", metavar="SECONDS", type=float, default=300, help="to wait for userdata (%(default)s)")
    parser.add_argument("--home", default="/opt/vm_create", help="of the project's code on this builder (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="read and check the userdata, say what it sets, change nothing")
    return parser


class _Steps:
    """The step that the run is at, and the settings of its end."""

    def __init__(self) -> None:
        self.name = "start"
        self.settings: Mapping[str, Any] = {}

    def begin(self, name: str) -> None:
        self.name = name
        say(f"vm_create: {name}")

    def end(self, line: str, failed: bool) -> None:
        """Say the last line.  Switch the machine off where that is set; after a failure it may be kept for inspection."""
        is_left_on = self.settings.get("when_done") != "poweroff" or failed and self.settings.get("keep_on_failure")
        if not is_left_on:
            say("vm_create: this machine is switched off after the next line (ami.when_done)")
        say(f"vm_create: {line}")
        if is_left_on:
            return
        try:
            run(["systemctl", "poweroff", "--no-block"])
        except VmImageError as error:
            say(f"vm_create: this machine stays on: {error}")


def _run(options: argparse.Namespace, minion: Minion, step: _Steps) -> str:
    """Returns the last line."""
    step.begin("userdata")
    found = _sorted_userdata(options)
    if options.dry_run:
        _say_what_is_missing(found)
        return "nothing was changed"
    with locked(LOCK, "the image of this builder"):
        return _build(options, minion, step, found)


def _build(options: argparse.Namespace, minion: Minion, step: _Steps, found: Sorted) -> str:
    step.settings = found.grains.get("ami", {})  # until Salt can give all of them
    changed = write_sorted(found, minion.directory / "grains", minion.directory / "minion.d/vm_create-userdata.conf")
    say(f"userdata: {'written' if changed else 'unchanged'}")
    reset_code(Path(options.home), say)
    step.begin("sync")
    minion.call("saltutil.sync_all")
    step.settings = _settings(minion)
    step.begin("code")
    if switch_code(step.settings, Path(options.home), say):
        _restart(options.home)
    if found.kind not in ("settings", "empty") and not any(step.settings[key] for key in _NAMING):
        return f"nothing to build: the userdata is {found.kind}, and ami.variation is not set"
    step.begin("highstate")
    check_results(minion.call("state.highstate", "test=False"), "the highstate of this builder", live=True)
    step.begin("variation")
    return _summed_up(minion.call("vm_create.create_variation", "test=False"))


def _sorted_userdata(options: argparse.Namespace) -> Sorted:
    """Read the userdata, sort it, and say which keys it sets; values are not shown."""
    data, where = _read(options)
    found = sort_userdata(data)
    if found.kind == "empty":
        say(f"userdata: nothing is set in {where}")
    elif found.kind != "settings":
        say(f"userdata: {where} contains no settings ({found.kind}), and is ignored")
    for prefix, keys in (("grain", found.grains), ("secret", found.secrets)):
        for key in sorted(f"{top}.{key}" for top, below in keys.items() for key in below):
            say(f"userdata: {prefix} {key}")
    return found


def _say_what_is_missing(found: Sorted) -> None:
    """Credentials that are not complete by themselves are no error: the builder may have the rest."""
    keystone, cloud = found.secrets.get("keystone", {}), found.grains.get("ami", {}).get("cloud")
    if not keystone or cloud:
        return
    try:
        source = ("userdata", {"keystone": keystone}, lambda key: keystone.get(key.removeprefix("keystone")[1:]))
        gather_credentials([source], environment={}, ambient=False)
    except CredentialsWrong as error:
        say(f"userdata: {error.message}: unless the builder's own configuration has better, it cannot publish")


def _read(options: argparse.Namespace) -> tuple[bytes, str]:
    if not options.userdata:
        return read_userdata(deadline_seconds=options.deadline, base_url=options.metadata, say=say)
    try:
        return Path(options.userdata).read_bytes(), options.userdata
    except OSError as error:
        raise UserdataWrong(f"the userdata {options.userdata} cannot be read: {error.strerror}") from None


def _settings(minion: Minion) -> dict[str, Any]:
    """The values in force, of the types of their settings, without those that the variation's repository sets."""
    return {key: setting["value"] for key, setting in minion.call("vm_create.settings").items()}


def _restart(home: str) -> NoReturn:
    """Go on as the code that was switched to."""
    environment = {**os.environ, "PYTHONPATH": f"{home}/current/_utils"}
    os.execve(sys.executable, [sys.executable, "-m", "vmimage.builder", *sys.argv[1:]], environment)


def _summed_up(data: Mapping[str, Any]) -> str:
    """The last line: what was built, and where it is.

    :param data: of create_variation
    """
    published, revision = data["published"], data["variation"].get("revision")
    origin = f", from {revision}" if revision else ""
    if not published:
        return f"{data['name']} is built: {data['manifest']}{origin}; ami.publish and the keystone settings did not ask to publish it"
    ids = ", ".join(f"{role} {published[role]}" for role in ("image", "kernel", "ramdisk", "snapshot") if published.get(role))
    others = [output for output in published.get("outputs", {}).values() if output["image"] != published["image"]]
    ids += "".join(f"; {output['name']}: image {output['image']}" for output in others)
    return f"{published['name']} {'is' if published['changed'] else 'was already'} published: {ids}{origin}"


if __name__ == "__main__":
    sys.exit(main())

"""The run of a builder, from its userdata to the published image: python -m vmimage.builder

userdata -> code -> sync -> highstate -> variation -> last line

Every line goes to stdout, which the unit vm_create.service leads to the journal and the console.  The exit code is 0 if the
image is there, else 1: then the unit has failed, and the last line says at which step and why.
"""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from vmimage.builder_code import switch_code
from vmimage.errors import UserdataWrong, VmImageError
from vmimage.first_boot import write_sorted
from vmimage.metadata import METADATA_URL, read_userdata
from vmimage.minion import Minion
from vmimage.namespace import stoppable
from vmimage.outcome import judge
from vmimage.shell import run
from vmimage.userdata import sort_userdata
from vmimage.workspace import locked

LOCK = Path("/run/vm_create/builder")
#: what says that this builder shall build something, whatever its userdata is
_TOLD = ("variation", "hg_address_variation", "git_address_variation")


def say(line):
    """A line for the journal and the console."""
    print(line, flush=True)


def main(arguments=None):
    """Run, and return the exit code."""
    options = _parser().parse_args(arguments)
    minion = Minion(Path(options.config_dir), say)
    step = _Steps()
    try:
        with stoppable(), locked(LOCK, "the image of this builder"):
            last = _run(options, minion, step)
    except (VmImageError, OSError) as error:
        text = str(error) if isinstance(error, VmImageError) else f"{type(error).__name__}: {error}"
        say(f"vm_create: FAILED at {step.name}: {text}")
        step.end(minion, failed=True)
        return 1
    say(f"vm_create: {last}")
    step.end(minion, failed=False)
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m vmimage.builder", description="Build what the userdata of this instance asks for."
    )
    parser.add_argument("--config-dir", default="/etc/salt", help="of Salt; grains and minion.d in it are written (%(default)s)")
    parser.add_argument("--userdata", metavar="FILE", help="read it from a file, not from where the cloud keeps it")
    parser.add_argument("--metadata", metavar="URL", default=METADATA_URL, help="of the metadata server (%(default)s)")
    parser.add_argument("--deadline", metavar="SECONDS", type=float, default=300, help="to wait for userdata (%(default)s)")
    parser.add_argument("--home", default="/opt/vm_create", help="of the project's code on this builder (%(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="read and check the userdata, tell what it sets, change nothing")
    return parser


class _Steps:
    """Where the run is, and what the settings say of its end."""

    def __init__(self):
        self.name, self.settings = "start", {}

    def begin(self, name):
        self.name = name
        say(f"vm_create: {name}")

    def end(self, minion, failed):
        """Switch the machine off where that is asked; a failed one that is kept for a look stays."""
        if self.settings.get("when_done") != "poweroff" or failed and self.settings.get("keep_on_failure"):
            return
        say("vm_create: switching this machine off (ami.when_done)")
        with suppress(VmImageError):
            run(["systemctl", "poweroff", "--no-block"])


def _run(options, minion, step):
    step.begin("userdata")
    found = _sorted_userdata(options)
    if options.dry_run:
        return "nothing was changed"
    changed = write_sorted(found, minion.directory / "grains", minion.directory / "minion.d/vm_create-userdata.conf")
    say(f"userdata: {'written' if changed else 'unchanged'}")
    step.begin("sync")
    minion.call("saltutil.sync_all")
    step.settings = _settings(minion)
    step.begin("code")
    if switch_code(step.settings, Path(options.home), say):
        _start_anew(options.home)
    if found.kind not in ("settings", "empty") and not any(step.settings[key] for key in _TOLD):
        return f"nothing to build: the userdata is {found.kind}, and ami.variation is not set"
    step.begin("highstate")
    judge(minion.call("state.highstate"), "the highstate of this builder")
    step.begin("variation")
    return _told(minion.call("vm_create.create_variation"))


def _sorted_userdata(options):
    """Read the userdata, sort it, and tell what it sets; of values not one is told."""
    data, where = _read(options)
    found = sort_userdata(data)
    if found.kind not in ("settings", "empty"):
        say(f"userdata: {where} holds {found.kind}, which is left alone")
    for prefix, keys in (("grain", found.grains), ("secret", found.secrets)):
        for key in sorted(f"{top}.{key}" for top, below in keys.items() for key in below):
            say(f"userdata: {prefix} {key}")
    return found


def _read(options):
    if not options.userdata:
        return read_userdata(deadline_seconds=options.deadline, base_url=options.metadata, say=say)
    try:
        return Path(options.userdata).read_bytes(), options.userdata
    except OSError as error:
        raise UserdataWrong(f"the userdata {options.userdata} cannot be read: {error.strerror}") from None


def _settings(minion):
    """``{key: value}`` in force, without what the variation's repository tells."""
    return {key: one["value"] for key, one in minion.call("vm_create.settings").items()}


def _start_anew(home):
    """Go on as the code that was switched to."""
    environment = {**os.environ, "PYTHONPATH": f"{home}/current/_utils"}
    os.execve(sys.executable, [sys.executable, "-m", "vmimage.builder", *sys.argv[1:]], environment)


def _told(data):
    """The last line: what was built, and where it is."""
    published, revision = data["published"], data["variation"].get("revision")
    origin = f", from {revision}" if revision else ""
    if not published:
        return f"{data['name']} is built: {data['manifest']}{origin}; ami.publish and the keystone settings did not ask to publish it"
    ids = ", ".join(f"{role} {published[role]}" for role in ("image", "kernel", "ramdisk"))
    return f"{published['name']} {'is' if published['changed'] else 'was already'} published: {ids}{origin}"


if __name__ == "__main__":
    sys.exit(main())

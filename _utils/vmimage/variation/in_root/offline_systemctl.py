"""``systemctl`` in a root in which no systemd runs: what changes files is done, what starts and stops is remembered.

This file is copied into the root's ``/run`` and run there as the program ``systemctl``; of this project it imports what is copied beside
it.  Enabling, masking and the like are left to the root's own systemctl, which does them in files where it finds no systemd.  A service
that a package enables counts as running, as on a machine, until something stops it; any other after it was started.
"""

import os
import sys

sys.path.append(os.path.dirname(os.path.abspath(__file__)))
from offline_units import (  # type: ignore[import-not-found]  # the copy beside this file
    KINDS,
    PLACES,
    SYSTEMCTL,
    TARGETS,
    description,
    file_state,
    is_linked,
    is_masked,
    is_plainly_enabled,
    is_pulled_in,
    offline_environment,
    own_name,
    unit_file,
    unit_name,
)

_REMEMBERED = "/run/vm_create/services.json"
_UNSTARTED = "A service that only an instance can start, as with files of its first boot, is for service.enabled."
_OF_PACKAGES = ("/lib/systemd/system/", "/usr/lib/systemd/system/")
#: reached by each boot, though nothing in files says so
_PASSIVE = "network nss-user-lookup getty getty-pre local-fs-pre remote-fs slices swap time-set cryptsetup".split()
#: options whose value is the next word
_VALUED = (
    "-p -P -t -n -o -H -M -s --property --type --state --lines --output --signal --root --preset-mode --kill-whom "
    "--kill-who --what --job-mode --message --check-inhibitors --timestamp"
).split()
_IN_FILES = (
    "enable disable reenable preset mask unmask link revert add-wants add-requires preset-all set-default "
    "get-default is-enabled list-unit-files cat edit help"
).split()
_STARTING = ("start", "restart", "reload-or-restart", "force-restart")
_IF_ACTIVE = ("try-restart", "condrestart", "try-reload-or-restart", "reload", "force-reload")
#: of a manager or a unit that does not run, and nothing of it is in the image
_IDLE = (
    "daemon-reload daemon-reexec reset-failed kill clean freeze thaw set-environment log-level unset-environment "
    "import-environment isolate set-property log-target service-watchdogs cancel"
).split()
_POWER = "poweroff reboot halt kexec soft-reboot suspend hibernate exit switch-root rescue emergency".split()
#: without a verb systemctl lists, too
_LISTING = ("", "list-units", "list-sockets", "list-timers", "list-jobs", "list-machines", "list-automounts", "list-paths")


class Refused(Exception):
    """What systemctl says and the exit code that it ends with."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


def remembered() -> dict[str, bool]:
    """``{unit: whether it runs}`` of what was started and stopped."""
    if not os.path.exists(_REMEMBERED):
        return {}
    import json

    with open(_REMEMBERED, encoding="utf-8") as file:
        return json.load(file)


def remember(name: str, runs: bool) -> None:
    """Note that a unit was started or stopped; an alias is the unit that it leads to."""
    import json

    partial = f"{_REMEMBERED}.{os.getpid()}"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump({**remembered(), own_name(name): runs}, file)
    os.replace(partial, _REMEMBERED)


def is_active(name: str) -> bool:
    """Whether the unit would be running on a machine that got the same commands."""
    noted = remembered().get(own_name(name))
    if noted is not None:
        return noted
    path = unit_file(name)
    if path is None or is_masked(name):
        return False
    if own_name(name) in {f"{target}.target" for target in (*TARGETS, *_PASSIVE)}:
        return True
    brought = os.path.realpath(path).startswith(_OF_PACKAGES) or path.startswith("/etc/init.d/")
    return brought and (
        is_pulled_in(name) or is_linked(name) or file_state(name) in ("enabled", "alias", "generated")
    )  # in the order of what they cost


def run_real(words: list[str]) -> int:
    """The root's own systemctl, which works on files; returns its exit code."""
    _, status = os.waitpid(
        os.posix_spawn(SYSTEMCTL, [SYSTEMCTL, *words], offline_environment()), 0
    )  # subprocess would take longer to load
    return os.waitstatus_to_exitcode(status)


def matching(word: str) -> list[str]:
    """The units that a word of a start or stop means: of a pattern those that run."""
    if any(letter in word for letter in "*?["):
        import fnmatch

        return [name for name, runs in remembered().items() if runs and fnmatch.fnmatch(name, word)]
    return [unit_name(word)]


def parse(words: list[str]) -> tuple[list[tuple[str, str]], str, list[str]]:
    """``(options, verb, units)``; ``options`` are those before and behind the verb, each with its value if it has any."""
    options: list[tuple[str, str]] = []
    plain: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            plain.extend(rest)
        elif word.startswith("-") and len(word) > 1:
            options.append((word, next(rest, "")) if word in _VALUED else (word.partition("=")[0], word.partition("=")[2]))
        else:
            plain.append(word)
    return options, (plain[0] if plain else ""), plain[1:]


def main(words: list[str]) -> int:
    """Do what systemctl would; returns its exit code."""
    options, verb, units = parse(words)
    names = {name for name, _ in options}
    if names & {"--version", "--help", "-h", "--user", "--global", "--root", "-H", "-M", "--host", "--machine"} and verb not in (
        *_STARTING,
        *_IF_ACTIVE,
        *_IDLE,
        "stop",
    ):
        return run_real([word for word in words if word != "--now"])
    quiet = bool(names & {"-q", "--quiet"})
    try:
        if "--user" in names:
            return 0  # no user's manager runs; what it starts at login is in files
        if verb == "is-enabled" and names <= {"-q", "--quiet"} and units and all(map(is_plainly_enabled, map(unit_name, units))):
            print("".join("enabled\n" for _ in units if not quiet), end="")
            return 0  # what systemctl would say, without its start
        if verb in _IN_FILES:
            plain = [
                unit_name(word) if word in units and word.endswith(".service") else word for word in words if word != "--now"
            ]
            return change_files(plain, verb, units, "--now" in names)
        if verb in _STARTING:
            return start(units, verb)
        if verb in ("stop", *_IF_ACTIVE):
            return act_on_active(verb, units)
        if verb in ("is-active", "is-failed"):
            return say_state(verb, units, quiet)
        if verb == "status":
            return say_status(units)
        if verb == "show":
            return show(units, options)
        if verb == "is-system-running":
            print("running")
            return 0
        if verb in _IDLE:
            return 0
        if verb in _POWER:
            raise Refused(
                f"{verb}: no machine runs here, an image is being made; let it be done at the first boot, or leave it out of the variation"
            )
        if verb in _LISTING:
            return list_running(verb, units, options)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return refused.code
    return run_real(words)


def change_files(words: list[str], verb: str, units: list[str], now: bool) -> int:
    code = run_real(words)
    if now and code == 0:
        for word in units:
            if verb in ("enable", "reenable"):
                start([word])
            elif verb in ("disable", "mask"):
                remember(unit_name(word), False)
    return code


def start(units: list[str], verb: str = "start") -> int:
    for word in units:
        for name in matching(os.path.basename(word) if word.startswith("/") and word.rpartition(".")[2] in KINDS else word):
            needs_unit(name, "start")
            if verb != "start" or not is_active(name):
                needs_configuration(name, verb)
            make_mount_point(name)
            remember(name, True)
    return 0


def make_mount_point(name: str) -> None:
    """systemd makes the directory that it mounts on."""
    path = unit_file(name)
    if path and name.endswith((".mount", ".automount")):
        import re

        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(r"^Where=(/.*)$", file.read(), re.MULTILINE)
        if found:
            os.makedirs(found[1].strip(), mode=0o755, exist_ok=True)


def needs_unit(name: str, verb: str) -> None:
    if unit_file(name) is None:
        raise Refused(f"Failed to {verb} {name}: Unit {name} not found.", 5)
    if is_masked(name):
        raise Refused(f"Failed to {verb} {name}: Unit {name} is masked.")


def needs_configuration(name: str, verb: str) -> None:
    """Fail as on a machine where the unit's own test of its configuration does."""
    path = unit_file(name)
    if path is None or not name.endswith(".service") or path.startswith("/etc/init.d/"):
        return
    import offline_configuration  # type: ignore[import-not-found]  # the copy beside this file

    if wrong := offline_configuration.find_wrong(path, name, PLACES):
        raise Refused(f"Failed to {verb} {name}: it tries its configuration first: {wrong}\n{_UNSTARTED}")


def act_on_active(verb: str, units: list[str]) -> int:
    for word in units:
        for name in matching(word):
            if unit_file(name) is None:
                raise Refused(f"Failed to {verb} {name}: Unit {name} not {'loaded' if verb == 'stop' else 'found'}.", 5)
            if verb == "stop":
                remember(name, False)
            elif is_active(name):
                needs_configuration(name, verb)
            elif verb in ("reload", "force-reload"):
                raise Refused(f"{name} is not active, cannot reload.")
    return 0


def say_state(verb: str, units: list[str], quiet: bool) -> int:
    states = [("active" if is_active(unit_name(word)) else "inactive") for word in units]
    if not quiet:
        print(*states, sep="\n")
    if verb == "is-failed":
        return 1
    return 0 if "active" in states else 3 if any(unit_file(unit_name(word)) for word in units) else 4


def say_status(units: list[str]) -> int:
    code = 0
    for word in units:
        name = unit_name(word)
        path = unit_file(name)
        if path is None:
            print(f"Unit {name} could not be found.", file=sys.stderr)
            code = 4
            continue
        active = is_active(name)
        loaded = "masked (Reason: Unit is masked.)" if is_masked(name) else f"loaded ({path}; {file_state(name)})"
        print(f"{'●' if active else '○'} {name} - {description(path) or name}")
        print(f"     Loaded: {loaded}\n     Active: {'active (running)' if active else 'inactive (dead)'}")
        code = max(code, 0 if active else 3)
    return code


def properties(word: str) -> dict[str, str]:
    name = unit_name(word)
    path, active = unit_file(name), is_active(name)
    loaded = "not-found" if path is None else "masked" if is_masked(name) else "loaded"
    return {
        "Id": own_name(name),
        "Names": own_name(name),
        "Description": description(path) if path else name,
        "LoadState": loaded,
        "ActiveState": "active" if active else "inactive",
        "SubState": "running" if active else "dead",
        "FragmentPath": path or "",
        "UnitFileState": file_state(name) if path else "",
        "MainPID": "0",
        "ExecMainPID": "0",
        "Result": "success",
        "NeedDaemonReload": "no",
    }


def show(units: list[str], options: list[tuple[str, str]]) -> int:
    wanted = [key for name, value in options if name in ("-p", "-P", "--property") for key in value.split(",")]
    value_only = any(name in ("--value", "-P") for name, _ in options)
    for number, word in enumerate(units):
        if number:
            print()
        found = properties(word)
        for key in wanted or found:
            print(found.get(key, "") if value_only else f"{key}={found.get(key, '')}")
    return 0


def running() -> list[str]:
    """The units that would be running, as far as files and commands tell, sorted."""
    places = (f"{place}/{target}.target.wants" for place in PLACES for target in TARGETS)
    wanted = {name for place in places if os.path.isdir(place) for name in os.listdir(place)}
    targets = {f"{target}.target" for target in (*TARGETS, *_PASSIVE)}
    found = {own_name(name) for name in wanted | targets | set(remembered())}
    return sorted(name for name in found if is_active(name))


#: the only kind that a verb lists
_LISTED = {"list-sockets": "socket", "list-timers": "timer", "list-automounts": "automount", "list-paths": "path"}


def list_running(verb: str, units: list[str], options: list[tuple[str, str]]) -> int:
    import fnmatch

    kinds = {kind for name, value in options if name in ("-t", "--type") for kind in value.split(",")}
    kinds = {_LISTED[verb]} if verb in _LISTED else kinds
    patterns = [
        unit_name(word) if word.rpartition(".")[2] not in KINDS and not set(word) & set("*?[") else word for word in units
    ]
    for name in [] if verb in ("list-jobs", "list-machines") else running():
        kind = name.rpartition(".")[2]
        if kinds and kind not in kinds or patterns and not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            continue
        if verb == "list-timers":
            print(f"- - - - {name} {name.removesuffix('timer')}service")
        else:
            state = {"service": "running", "timer": "waiting", "path": "waiting", "socket": "listening", "mount": "mounted"}
            print(f"{name} loaded active {state.get(kind, 'active')} {description(unit_file(name) or '') or name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

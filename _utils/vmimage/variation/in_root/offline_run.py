"""``systemd-run`` in a root in which no systemd runs: the program itself is run, at once and until it ends.

This file is copied into the root's ``/run`` and run there; it imports nothing of this project.  What would wait for a time, a path or a
user's login is refused by name: the image would not have what it makes.
"""

import os
import subprocess
import sys
from typing import Any

#: name and value
Option = tuple[str, str]

_HINT = "no machine runs here, an image is being made; let a unit of the image do it, or leave it out of the variation"
#: options whose value is the next word
_VALUED = {"-H", "-M", "-p", "-u", "-E", "--host", "--machine", "--property", "--unit", "--setenv", "--description", "--slice"}
_VALUED |= {"--service-type", "--uid", "--gid", "--nice", "--working-directory"}
#: beginnings of options that start something later or elsewhere
_LATER = ("--on-", "--timer-property", "--path-property", "--socket-property", "--user", "--host", "--machine", "-H", "-M")


def parse(words: list[str]) -> tuple[list[Option], list[str]]:
    """``(options, command)``: options as ``[(name, value)]`` up to the first word of the command."""
    options: list[Option] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        name, _, value = word.partition("=")
        if word in _VALUED:
            value = rest.pop(0) if rest else ""
        elif not word.startswith("--") and word[:2] in _VALUED:
            name, value = word[:2], word[2:]
        options.append((name, value))
    return options, rest


def main(words: list[str]) -> int:
    """Run the command as a service of its own would run it; returns the exit code that systemd-run ends with."""
    options, command = parse(words)
    names = {name for name, _ in options}
    if names & {"--version", "--help", "-h"}:
        return subprocess.run(["/usr/bin/systemd-run", *words], check=False).returncode
    later = next((name for name in sorted(names) if name.startswith(_LATER)), None)
    if later or not command:
        print(f"systemd-run {later or ''}: {_HINT if later else 'Command line to execute required.'}", file=sys.stderr)
        return 1
    values = dict(options)
    is_shown = bool(names & {"--scope", "--pipe", "-P", "--pty", "-t", "--shell", "-S"})
    is_waited_for = is_shown or "--wait" in names
    code = run(command, options, values, is_shown, "--scope" in names)
    return code if is_waited_for else 0


def run(command: list[str], options: list[Option], values: dict[str, str], is_shown: bool, is_scope: bool) -> int:
    """Start the command with what its options say of it, and wait for it."""
    own = {"PATH": os.environ.get("PATH", os.defpath), "LANG": os.environ.get("LANG", "C.UTF-8")}
    environment = dict(os.environ) if is_scope else own
    directory = os.getcwd() if is_scope else "/"
    for name, value in options:
        key, _, rest = value.partition("=")
        if name in ("-E", "--setenv"):
            environment[key] = rest if "=" in value else os.environ.get(key, "")
        elif name in ("-p", "--property") and key == "WorkingDirectory":
            directory = rest
        elif name in ("-d", "--same-dir"):
            directory = os.getcwd()
    directory = values.get("--working-directory", directory)
    properties = dict(value.partition("=")[::2] for name, value in options if name in ("-p", "--property"))
    said = {"user": values.get("--uid", properties.get("User")), "group": values.get("--gid", properties.get("Group"))}
    account: dict[str, Any] = {key: int(value) if value.isdigit() else value for key, value in said.items() if value}
    if "user" in account:
        import pwd

        entry = pwd.getpwnam(account["user"]) if isinstance(account["user"], str) else pwd.getpwuid(account["user"])
        account = {"group": entry.pw_gid, "extra_groups": os.getgrouplist(entry.pw_name, entry.pw_gid), **account}
        environment |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name, "SHELL": entry.pw_shell}
    streams: dict[str, Any] = {} if is_shown else dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    try:
        done = subprocess.run(command, check=False, env=environment, cwd=directory, **streams, **account)
    except (OSError, KeyError) as error:
        print(f"Failed to start {command[0]}: {error}", file=sys.stderr)
        return 1
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

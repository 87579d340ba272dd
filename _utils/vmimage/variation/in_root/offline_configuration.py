"""What a unit tries of its own configuration before it starts or reloads: those programs only read files, so a root can run them, too.

This file is copied into the root's ``/run``, and the program ``systemctl`` there imports it; it imports nothing of this project.  A
machine's ``systemctl restart`` fails where such a test does.
"""

import glob
import os
import re
import shlex
import subprocess
from typing import Any

#: programs of Debian's units that, with such a word, read a configuration, say what is wrong in it, and end
_TESTS = {
    "nginx": r"-t",
    "haproxy": r"-c",
    "sshd": r"-t",
    "knotc": r"conf-check",
    "bird": r"-p",
    "collectd": r"-t",
    "lighttpd": r"-tt?",
    "systemd-helper": r"checkconfig",  # of dnsmasq
}
#: what an instance may have otherwise than a root: names, addresses, keys that its first boot makes
_OF_A_MACHINE = re.compile(
    r"host not found|[Nn]ame or service not known|[Nn]ame resolution|could not resolve|bind\(\)|[Cc]annot assign requested address"
    r"|no hostkeys available|[Mm]issing privilege separation directory|[Pp]ermission denied|[Oo]peration not permitted|[Rr]ead-only file system"
)
#: of nft, which goes on to ask the kernel, and is refused there
_IN_ANY_CASE = "Error: syntax error"
_SECONDS = 60


def find_wrong(path: str, name: str, places: tuple[str, ...]) -> str:
    """What a test of a unit says is wrong in its configuration, or an empty str.

    :param path: of the unit
    :param name: of the unit, in full
    :param places: directories of units, in which it may have drop-ins
    """
    lines = read_unit(
        path, [found for place in places for found in sorted(glob.glob(f"{glob.escape(f'{place}/{name}.d')}/*.conf"))]
    )
    environment = environment_of(lines)
    for command in dict.fromkeys(found for key in ("ExecStartPre", "ExecReload", "ExecStart") for found in lines.get(key, [])):
        words = as_test(words_of(command, environment, name))
        if not words:
            continue
        user = (lines.get("User") or [""])[-1]
        account: dict[str, Any] = {"user": user, "group": (lines.get("Group") or [""])[-1] or None} if user else {}
        try:
            done = subprocess.run(words, env=environment, capture_output=True, check=False, timeout=_SECONDS, cwd="/", **account)
        except (OSError, LookupError, subprocess.TimeoutExpired):  # the program is not there, or the user
            continue
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        if done.returncode and is_of_the_files(said):
            return f"{shlex.join(words)} ended with {done.returncode}:\n{said}"
    return ""


def is_of_the_files(said: str) -> bool:
    """Whether an instance, too, would say what a test that failed has said."""
    return _IN_ANY_CASE in said or not _OF_A_MACHINE.search(said)


def as_test(words: list[str]) -> list[str]:
    """The command, or what of it reads its configuration and does nothing else, where it is known; none else."""
    program = os.path.basename(words[0]) if words else ""
    if program == "nft" and "-f" in words:
        return [words[0], "-c", *words[1:]]
    wanted = _TESTS.get(program)
    return words if wanted and any(re.fullmatch(wanted, word) for word in words[1:]) else []


def words_of(command: str, environment: dict[str, str], name: str) -> list[str]:
    """The words of a command in a unit, with its variables and specifiers; none where its failure does not count."""
    prefix = re.match(r"[-@:+!|]*", command)
    marks = prefix[0] if prefix else ""
    if "-" in marks or "@" in marks:
        return []
    instance = name.partition("@")[2].rpartition(".")[0]
    words: list[str] = []
    for word in split(command[len(marks) :]):
        if re.fullmatch(r"\$\w+", word):  # alone, it may be several words, or none
            words += environment.get(word[1:], "").split()
            continue
        word = re.sub(r"\$\{(\w+)\}", lambda found: environment.get(found[1], ""), word)
        words.append(word.replace("%i", instance).replace("%I", instance).replace("%%", "%"))
    return words


def split(line: str) -> list[str]:
    """The words of a line; none where its quotes are not those of a shell, as systemd may take them: it is no test that is known."""
    try:
        return shlex.split(line)
    except ValueError:
        return []


def read_unit(path: str, drop_ins: list[str]) -> dict[str, list[str]]:
    """``{key: values}`` of a unit and its drop-ins; an empty value takes back those before it."""
    values: dict[str, list[str]] = {}
    for file_name in [path, *drop_ins]:
        try:
            with open(file_name, encoding="utf-8", errors="replace") as file:
                text = file.read().replace("\\\n", " ")
        except OSError:
            continue
        for line in text.splitlines():
            key, equals, value = (part.strip() for part in line.partition("="))
            if equals and not key.startswith(("#", ";")):
                values[key] = [*values.get(key, []), value] if value else []
    return values


def environment_of(values: dict[str, list[str]]) -> dict[str, str]:
    """The variables that a unit's programs get."""
    found = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    for line in values.get("Environment", []):
        found |= dict(word.partition("=")[::2] for word in split(line))
    for path in values.get("EnvironmentFile", []):
        for name in filter(os.path.isfile, sorted(glob.glob(path.lstrip("-")))):
            with open(name, encoding="utf-8", errors="replace") as file:
                pairs = (line.strip().partition("=") for line in file if "=" in line and line.lstrip()[0] not in "#;")
                found |= {key: value.strip("\"'") for key, _, value in pairs}
    return found

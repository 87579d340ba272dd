"""``timedatectl``, ``hostnamectl``, ``localectl``, ``loginctl`` and others in a root in which no systemd runs: what they set is in files.

This file is copied into the root's ``/run`` and run there under each of these names; it imports nothing of this project.  It writes what
the daemons behind these programs write on Debian and Ubuntu.  What only a running machine has is refused by name.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

_HINT = "no machine runs here, an image is being made; let it be done at the first boot, or leave it out of the variation"


class Refused(Exception):
    """What the program says before it ends with exit code 1."""


def read_pairs(path: str) -> dict[str, str]:
    """``{name: value}`` of a file of shell assignments."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def write_whole(path: str, text: str) -> None:
    """Replace a file, behind a link too, whole or not at all."""
    path = os.path.realpath(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.partial", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(f"{path}.partial", 0o644)
    os.replace(f"{path}.partial", path)


def write_pairs(path: str, pairs: dict[str, str]) -> None:
    """Replace the assignments of a file; other lines stay."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    left, kept = dict(pairs), []
    for line in lines:
        name = line.partition("=")[0].strip()
        if name in pairs and "=" in line:
            if left.get(name):
                kept.append(f"{name}={quoted(left[name])}")
            left.pop(name, None)
        else:
            kept.append(line)
    kept += [f"{name}={quoted(value)}" for name, value in left.items() if value]
    write_whole(path, "".join(f"{line}\n" for line in kept))


def quoted(value: str) -> str:
    """The value as a shell reads it, in quotes where it needs them."""
    if re.search(r"[^A-Za-z0-9_.,:/@%+-]", value):
        return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'
    return value


def timedatectl(verb: str, words: list[str], options: Sequence[str] = ()) -> None:
    if verb in ("", "status"):
        local = "LOCAL" in open_or_empty("/etc/adjtime").split()
        print(
            f"               Time zone: {zone()} (UTC, +0000)\nSystem clock synchronized: no\n              NTP service: {ntp()}"
        )
        print(f"          RTC in local TZ: {'yes' if local else 'no'}")
    elif verb == "show":
        clock = "yes" if "LOCAL" in open_or_empty("/etc/adjtime").split() else "no"
        found = {"Timezone": zone(), "LocalRTC": clock, "CanNTP": "yes", "NTP": "yes" if ntp() == "active" else "no"}
        wanted = [word.rpartition("=")[2] for word in options if word.startswith("--property=")] + words
        for key in wanted or found:
            print(found.get(key, "") if "--value" in options else f"{key}={found.get(key, '')}")
    elif verb == "list-timezones":
        print(*sorted(zones()), sep="\n")
    elif verb == "set-timezone":
        set_zone(words[0] if words else "")
    elif verb == "set-ntp":
        on = (words or [""])[0].lower() in ("1", "yes", "y", "true", "t", "on")
        subprocess.run(["systemctl", "enable" if on else "disable", "--now", "systemd-timesyncd.service"], check=True)
    elif verb == "set-local-rtc":
        local = (words or [""])[0].lower() in ("1", "yes", "y", "true", "t", "on")
        if local or os.path.exists("/etc/adjtime"):
            write_whole("/etc/adjtime", f"0.0 0 0\n0\n{'LOCAL' if local else 'UTC'}\n")
    else:
        raise Refused(f"timedatectl {verb}: {_HINT}")


def open_or_empty(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def ntp() -> str:
    done = subprocess.run(["systemctl", "is-enabled", "systemd-timesyncd"], check=False, capture_output=True)
    return "active" if done.returncode == 0 else "inactive"


def zone() -> str:
    target = os.readlink("/etc/localtime") if os.path.islink("/etc/localtime") else ""
    return target.partition("zoneinfo/")[2] or "Etc/UTC"


def zones() -> set[str]:
    text = open_or_empty("/usr/share/zoneinfo/tzdata.zi") or open_or_empty("/usr/share/zoneinfo/tzdata.zi")
    return {line.split()[1 if line.startswith("Z") else 2] for line in text.splitlines() if line[:2] in ("Z ", "L ")}


def set_zone(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_+/-]+", name) or not os.path.isfile(f"/usr/share/zoneinfo/{name}"):
        raise Refused(f"Failed to set time zone: Invalid or not installed time zone '{name}'")
    partial = f"/etc/localtime.{os.getpid()}"
    os.symlink(f"../usr/share/zoneinfo/{name}", partial)
    os.replace(partial, "/etc/localtime")


_INFO = {"chassis": "CHASSIS", "deployment": "DEPLOYMENT", "location": "LOCATION", "icon-name": "ICON_NAME"}


def hostnamectl(verb: str, words: list[str], options: Sequence[str] = ()) -> None:
    name = open_or_empty("/etc/hostname").strip()
    kind = verb.removeprefix("set-")
    if verb in ("", "status") or verb == "hostname" and not words:
        info = read_pairs("/etc/machine-info")
        if verb == "hostname" or set(options) & {"--static", "--transient", "--pretty"}:
            print(info.get("PRETTY_HOSTNAME", "") if "--pretty" in options else name or "localhost")
            return
        print(f"   Static hostname: {name or 'n/a'}")
        if info.get("PRETTY_HOSTNAME"):
            print(f"   Pretty hostname: {info['PRETTY_HOSTNAME']}")
        print(f"  Operating System: {read_pairs('/etc/os-release').get('PRETTY_NAME', 'Linux')}")
    elif kind == "hostname":
        set_hostname(" ".join(words), options)
    elif kind in _INFO:
        write_pairs("/etc/machine-info", {_INFO[kind]: " ".join(words)})
    else:
        raise Refused(f"hostnamectl {verb}: {_HINT}")


def set_hostname(wanted: str, options: Sequence[str]) -> None:
    plain = not set(options) & {"--static", "--pretty", "--transient"}
    static = re.sub(r"[^A-Za-z0-9._-]", "", wanted.replace(" ", "-")).strip("-.")
    if "--pretty" in options or plain and (static != wanted or "PRETTY_HOSTNAME" in read_pairs("/etc/machine-info")):
        write_pairs("/etc/machine-info", {"PRETTY_HOSTNAME": wanted if static != wanted or "--pretty" in options else ""})
    if "--pretty" in options and "--static" not in options or "--transient" in options and "--static" not in options:
        return
    if not plain and static != wanted or len(static) > 64:
        raise Refused(f"Could not set static hostname: Invalid hostname '{wanted}'")
    if not static:
        if os.path.exists("/etc/hostname"):
            os.unlink("/etc/hostname")
        return
    write_whole("/etc/hostname", f"{static}\n")
    name_kernel(static)


def name_kernel(name: str) -> None:
    """Let the first process give the root's kernel the name (:mod:`vmimage.root.apart`): no other process may."""
    if os.uname().nodename == name:
        return
    try:
        os.kill(1, signal.SIGUSR2)
    except PermissionError:
        return
    until = time.monotonic() + 5
    while os.uname().nodename != name and time.monotonic() < until:
        time.sleep(0.01)


def locale_file() -> str:
    """Where this release keeps the locale: a link leads from the old place to the new in newer releases."""
    if os.path.islink("/etc/default/locale") or os.path.exists("/etc/locale.conf"):
        return "/etc/locale.conf"
    version = read_pairs("/etc/os-release").get("VERSION_ID", "")
    return (
        "/etc/locale.conf"
        if re.fullmatch(r"1[3-9]|[2-9]\d", version) and not os.path.exists("/etc/default/locale")
        else "/etc/default/locale"
    )


_KEYBOARD = {"X11 Layout": "XKBLAYOUT", "X11 Model": "XKBMODEL", "X11 Variant": "XKBVARIANT", "X11 Options": "XKBOPTIONS"}


def localectl(verb: str, words: list[str]) -> None:
    keyboard, console = read_pairs("/etc/default/keyboard"), read_pairs("/etc/vconsole.conf")
    if verb in ("", "status"):
        shown = [f"{name}={value}" for name, value in read_pairs(locale_file()).items()] or ["n/a"]
        print(f"System Locale: {shown[0]}", *(f"               {pair}" for pair in shown[1:]), sep="\n")
        print(f"    VC Keymap: {console.get('KEYMAP') or '(unset)'}")
        for title, key in _KEYBOARD.items():
            if keyboard.get(key) or title == "X11 Layout":
                print(f"{title:>13}: {keyboard.get(key) or '(unset)'}")
    elif verb == "list-locales":
        print(*installed_locales(), sep="\n")
    elif verb == "set-locale":
        pairs = dict(word.partition("=")[::2] if "=" in word else ("LANG", word) for word in words)
        for value in pairs.values():
            if value and plain_locale(value) not in {plain_locale(known) for known in installed_locales()}:
                make_locale(value)
        write_pairs(locale_file(), pairs)
    elif verb == "set-x11-keymap":
        values = (words + [""] * 4)[:4]
        write_keyboard(dict(zip(_KEYBOARD.values(), values, strict=True)))
    elif verb == "set-keymap":
        keymap = (words or [""])[0]
        if keymap and not has_keymap(keymap):
            raise Refused(f"Failed to set keymap: Keymap {keymap} is not installed.")
        write_keyboard(x11_of(keymap))
        if os.path.exists("/etc/vconsole.conf"):
            write_pairs("/etc/vconsole.conf", {"KEYMAP": keymap})
    else:
        raise Refused(f"localectl {verb}: {_HINT}")


def write_keyboard(values: dict[str, str], path: str = "/etc/default/keyboard") -> None:
    """Write the file whole, as systemd does: other assignments stay, comments do not, nor what is empty."""
    pairs = {**read_pairs(path), **values}
    write_whole(path, "".join(f"{key}={quoted(value)}\n" for key, value in pairs.items() if value or key not in values))


_KEYMAPS = ("/usr/share/keymaps", "/usr/share/kbd/keymaps", "/usr/lib/kbd/keymaps")


def has_keymap(name: str) -> bool:
    """Whether a keymap of this name is installed: Debian has none without console-data."""
    wanted = {f"{name}.map", f"{name}.map.gz"}
    return any(wanted & set(files) for top in _KEYMAPS for _, _, files in os.walk(top))


def make_locale(name: str) -> None:
    """Let the package locales make a locale that it knows."""
    if not os.path.exists("/usr/sbin/locale-gen"):
        raise Refused(f"Failed to issue method call: Locale {name} not installed, refusing.")
    known = [line for line in open_or_empty("/usr/share/i18n/SUPPORTED").splitlines() if line.split()[:1] == [name]]
    if not known:
        raise Refused(f"Failed to issue method call: Can not enable locale generation for invalid locale: {name}")
    text = open_or_empty("/etc/locale.gen")
    enabled, count = re.subn(rf"^#?[ \t]*{re.escape(known[0])}[ \t]*$", known[0], text, count=1, flags=re.MULTILINE)
    write_whole("/etc/locale.gen", enabled if count else f"{text}{known[0]}\n")
    subprocess.run(["/usr/sbin/locale-gen"], check=False, stdout=subprocess.DEVNULL)


def x11_of(keymap: str) -> dict[str, str]:
    """The X11 settings of a console keymap, by systemd's own table."""
    for line in open_or_empty("/usr/share/systemd/kbd-model-map").splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[0] == keymap:
            return dict(
                zip(
                    ("XKBLAYOUT", "XKBMODEL", "XKBVARIANT", "XKBOPTIONS"),
                    ("" if field == "-" else field for field in fields[1:5]),
                    strict=True,
                )
            )
    return {"XKBLAYOUT": keymap}


def find_real(program: str) -> str:
    """The root's own program of this name."""
    return next(
        path
        for path in (f"/usr/bin/{program}", f"/bin/{program}", f"/usr/sbin/{program}", f"/sbin/{program}")
        if os.path.exists(path)
    )


def installed_locales() -> list[str]:
    return subprocess.run(["locale", "-a"], check=False, capture_output=True, text=True).stdout.split()


def plain_locale(name: str) -> str:
    return name.lower().replace("utf-8", "utf8")


def loginctl(verb: str, words: list[str]) -> None:
    if verb not in ("enable-linger", "disable-linger"):
        raise Refused(f"loginctl {verb}: {_HINT}")
    for name in words or ["root"]:
        path = f"/var/lib/systemd/linger/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if verb == "enable-linger":
            with open(path, "a", encoding="ascii"):
                pass
        elif os.path.exists(path):
            os.unlink(path)


#: what only lets a daemon that runs look again: an image has none, and there is nothing to do
_NOTHING_TO_DO = {
    "udevadm": ("control", "trigger", "settle"),
    "journalctl": ("--flush", "--rotate", "--sync", "--relinquish-var"),
    "resolvectl": ("flush-caches", "reset-statistics", "reset-server-features"),
    "networkctl": ("reload", "reconfigure"),
}


def forget_output(words: list[str]) -> int:
    """Run systemd-cat's command, or read what is written to it: no journal keeps it, as none of /dev/log is kept."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        if word in ("-t", "--identifier", "-p", "--priority", "--stderr-priority", "--level-prefix"):
            rest[:1] = []
    if rest:
        return subprocess.run(rest, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    while os.read(0, 1 << 16):
        pass
    return 0


_POWER = ("reboot", "poweroff", "halt", "shutdown", "telinit")


def main(program: str, words: list[str]) -> int:
    """Do what the program would; returns its exit code."""
    if program == "systemd-cat":
        return forget_output(words)
    if program in _POWER:
        if program == "telinit" and words[:1] in (["q"], ["Q"], ["u"], ["U"]) or program == "shutdown" and "-c" in words:
            return 0  # init looks at its files again, or nothing is called off
        print(f"{program}: {_HINT}", file=sys.stderr)
        return 1
    words = [*words]
    for short in ("-p", "--property"):  # with the value as a word of its own
        while short in words[:-1]:
            at = words.index(short)
            words[at : at + 2] = [f"--property={words[at + 1]}"]
    options = [word for word in words if word.startswith("-")]
    plain = [word for word in words if not word.startswith("-")]
    if set(options) & {"--version", "--help", "-h"}:
        return subprocess.run([f"/usr/bin/{program}", *words], check=False).returncode
    if program in _NOTHING_TO_DO:
        known = set(words) & set(_NOTHING_TO_DO[program])
        return 0 if known else subprocess.run([find_real(program), *words], check=False).returncode
    verb, words = (plain[0], plain[1:]) if plain else ("", [])
    try:
        if program in ("hostnamectl", "timedatectl"):
            {"hostnamectl": hostnamectl, "timedatectl": timedatectl}[program](verb, words, options)
        else:
            {"localectl": localectl, "loginctl": loginctl}[program](verb, words)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.path.basename(sys.argv[1]), sys.argv[2:]))

"""The builder's own Salt inside a root: bound read-only, run by its own loader and libraries, gone with the namespace.

The root needs no Python and its glibc may be older or newer than ours.  Nothing is copied: the interpreter, its standard
library, its packages and the directories of our shared libraries are shown below the root's ``/run``, which is a tmpfs.
The layout is that of a virtual environment, so that ``sys.executable`` runs by itself (Salt's ``runas`` needs that) and no
variable (PYTHONHOME, LD_LIBRARY_PATH) leaks into the programs that a state runs.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vmimage import delivery
from vmimage.root.mounts import bind_read_only
from vmimage.system.aliases import StrPath
from vmimage.system.shell import run

#: where everything of ours is, as seen in the root
HOME = "/run/vm_create"
PYTHON = f"{HOME}/python/bin/python3"

# pip.installed without bin_env means the image's Python: what is installed into this Python is gone when the build ends
_WRAPPER = """#!/bin/sh
[ "$1 $2" != "-m pip" ] || {{ shift 2; exec {home}/bin/pip-of-the-root "$@"; }}
exec {home}/python/loader --inhibit-cache --library-path {libraries} \\
    --argv0 {python} {python}.real "$@"
"""
_PIP = """#!/bin/sh
for name in pip3 pip; do
    path=$(command -v $name) && exec "$path" "$@"
done
echo "the image has no pip: install python3-pip in it before, or name a virtual environment by bin_env" >&2
exit 127
"""
_SALT_CALL = """#!/bin/sh
exec {python} -c 'import sys; sys.path.insert(0, "{home}"); import offline_salt; offline_salt.prepare()
from salt.scripts import salt_call; sys.argv[0] = "salt-call"; sys.exit(salt_call())' --config-dir={home}/etc "$@"
"""
#: programs that ask systemd, and the file of ours that answers for it; none where a shell will do
_STAND_IN = """#!/bin/sh
# of vm_create, for the time of the build
{answered}exec {python} -I -S {home}/{module}.py {words}"$@"
"""
#: the kernel that runs is the builder's: what asks for its release means the image's own
_UNAME = """#!/bin/sh
# of vm_create, for the time of the build
said=$(/bin/uname "$@") || exit
running=$(/bin/uname -r)
case $said in
    *"$running"*) printf '%s\\n' "${{said%%"$running"*}}{release}${{said#*"$running"}}" ;;
    *) printf '%s\\n' "$said" ;;
esac
"""
#: what each package with a unit asks for, and an image has nothing of: answered without the start of a Python
_ANSWERED = {"systemctl": 'case "$*" in daemon-reload | "--system daemon-reload") exit 0 ;; esac\n'}
#: of these the first word says under which name they are called
_OF_SEVERAL = ("offline_settings", "offline_swap")
STAND_INS = {
    "systemctl": "offline_systemctl",
    **dict.fromkeys(("timedatectl", "hostnamectl", "localectl", "loginctl"), "offline_settings"),
    **dict.fromkeys(("udevadm", "journalctl", "resolvectl", "networkctl"), "offline_settings"),
    "systemd-run": "offline_run",
    "sysctl": "offline_sysctl",
    "hostname": "offline_hostname",
    "chattr": "offline_chattr",
    **dict.fromkeys(("swapon", "swapoff"), "offline_swap"),
    "systemd-cat": "offline_settings",
    **dict.fromkeys(("reboot", "poweroff", "halt", "shutdown", "telinit"), "offline_settings"),
    "uname": "",
}


@dataclass(frozen=True)
class Runtime:
    """What there is to bind.

    :ivar interpreter: the Python binary itself
    :ivar loader: its ELF loader (ld.so)
    :ivar libraries: directories of shared libraries
    :ivar stdlib: the standard library
    :ivar sites: directories of packages
    :ivar version: such as 3.11
    """

    interpreter: str
    loader: str
    libraries: tuple[str, ...]
    stdlib: str
    sites: tuple[str, ...]
    version: str


def own_runtime() -> Runtime:
    """The :class:`Runtime` of the Python that runs this."""
    interpreter = os.path.realpath(sys.executable)
    stdlib = os.path.realpath(sysconfig.get_paths()["stdlib"])
    loader, libraries = _libraries_of(interpreter)
    sites = [os.path.realpath(entry) for entry in sys.path if entry and os.path.isdir(entry)]
    sites = [site for site in dict.fromkeys(sites) if site.endswith("-packages")]
    own = os.fspath(delivery.IMPORTED_FROM)  # of an editable install or a sync: Salt looks for it by its entry point
    sites += [] if own in sites else [own]
    return Runtime(interpreter, loader, tuple(libraries), stdlib, tuple(sites), f"{sys.version_info[0]}.{sys.version_info[1]}")


def _libraries_of(interpreter: str) -> tuple[str, list[str]]:
    """The loader of a binary and the directories that this machine's libraries are in."""
    loader, directories = "", []
    for line in run(["ldd", interpreter]).output.splitlines():
        words = line.split()
        if "=>" in words and len(words) > 2 and words[2].startswith("/"):
            directories.append(os.path.dirname(os.path.realpath(words[2])))
        elif words and words[0].startswith("/"):
            loader = words[0]
    for line in run(["ldconfig", "-p"]).output.splitlines():
        if "=>" in line and "glibc-hwcaps" not in line:
            directories.append(os.path.dirname(os.path.realpath(line.rsplit(" ", 1)[1])))
    return os.path.realpath(loader), [path for path in dict.fromkeys(directories) if os.path.isdir(path)]


def bind_runtime(runtime: Runtime, root: StrPath) -> None:
    """Show the runtime in a root with its API file systems.  For a private namespace only: nothing is unmounted.

    Makes ``/run/vm_create/python/bin/python3`` and ``/run/vm_create/bin/salt-call``, which reads its configuration from
    ``/run/vm_create/etc``.
    """
    home = Path(root) / HOME.lstrip("/")
    python = home / "python"
    base_library = python / "base/lib" / f"python{runtime.version}"
    own_site = python / "lib" / f"python{runtime.version}" / "site-packages"
    for directory in (python / "bin", python / "base/bin", base_library, own_site, home / "bin", home / "etc"):
        directory.mkdir(parents=True)
    _bind_file(runtime.loader, python / "loader")
    _bind_file(runtime.interpreter, python / "bin/python3.real")
    bind_read_only(runtime.stdlib, base_library)
    libraries = show(runtime.libraries, home, "python/libraries")
    sites = show(runtime.sites, home, "python/sites")
    (own_site / "runtime.pth").write_text(
        "".join(f"import site; site.addsitedir({site!r})\n" for site in sites), encoding="utf-8"
    )
    (python / "pyvenv.cfg").write_text(f"home = {HOME}/python/base/bin\ninclude-system-site-packages = false\n", encoding="utf-8")
    write_program(python / "bin/python3", _WRAPPER.format(home=HOME, python=PYTHON, libraries=":".join(libraries)))
    write_program(home / "bin/pip-of-the-root", _PIP)
    write_program(home / "bin/salt-call", _SALT_CALL.format(home=HOME, python=PYTHON))


def stand_in(program: str, kernel: str) -> str:
    """The text of a program that does in a root what a program of systemd does on a machine.

    :param kernel: the release of the image's own, or empty
    """
    module = STAND_INS[program]
    if not module:
        return _UNAME.format(release=kernel) if kernel else ""
    words, answered = f"{program} " if module in _OF_SEVERAL else "", _ANSWERED.get(program, "")
    return _STAND_IN.format(home=HOME, python=PYTHON, module=module, words=words, answered=answered)


def _bind_file(source: str, target: Path) -> None:
    target.touch()
    bind_read_only(source, target)


def show(sources: Iterable[StrPath], home: Path, below: str) -> list[str]:
    """Bind directories read-only below our home in a root, side by side; returns their paths as the root sees them."""
    shown = []
    for number, source in enumerate(sources):
        (home / below / str(number)).mkdir(parents=True)
        bind_read_only(source, home / below / str(number))
        shown.append(f"{HOME}/{below}/{number}")
    return shown


def write_program(path: Path, text: str) -> None:
    """A new file that everybody may run, and at once.

    A program is busy (ETXTBSY) for as long as any process has it open for writing, were it one that another thread has forked meanwhile.
    Who works in a root is a single thread, in a process of its own (:mod:`vmimage.system.namespace`): it forks when this is closed.
    """
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)

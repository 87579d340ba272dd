"""An ``apt-get`` for the root that need not fetch lists again which this build has fetched a minute ago.

Salt fetches apt's lists before the first package of every run.  In a root whose update has just done so that is worth nothing,
unless the variation has changed a source or a key since: then they are fetched as ever.
"""

from pathlib import Path

from vmimage.root.mounts import run_in_root
from vmimage.root.runtime import write_program
from vmimage.system.aliases import StrPath

# what an update depends on: sources, keys and options (behind links, too), architectures, and whether the lists are still there
_STATE = """
    find -L /etc/apt /usr/share/keyrings -type f -exec sha256sum {} + 2>/dev/null | LC_ALL=C sort
    LC_ALL=C ls -d /var/lib/apt/lists/*_* 2>/dev/null
    cat /var/lib/dpkg/arch 2>/dev/null
    true
"""
_PROGRAM = """#!/bin/sh
# Of vm_create, for the time of the build: skips an update of apt's lists where nothing has changed since the last.
state() {{
{state}}}
is_plain_update() {{
    for word; do
        case "$word" in
            update | -q | -qq | -y | --quiet | --yes | --assume-yes) ;;
            *) return 1 ;;
        esac
    done
    case " $* " in *" update "*) ;; *) return 1 ;; esac
}}
# nothing says when a source that is a directory here has changed
has_local_sources() {{
    grep -rqsE '^[^#]*(file|copy|cdrom|mirror\\+file):' /etc/apt/sources.list /etc/apt/sources.list.d
}}
is_plain_update "$@" && ! has_local_sources && state | cmp -s - {home}/apt-updated && exit 0
exec /usr/bin/apt-get "$@"
"""


def state_of_update(root: StrPath) -> str:
    """What a root with its API file systems is like that has just been updated, for :func:`recall_update`."""
    return run_in_root(root, ["sh", "-c", _STATE]).output


def recall_update(root: StrPath, home: str, state: str) -> None:
    """Let the wrapper know what the root was like when its lists were fresh.

    :param root: with its API file systems
    :param home: the directory of ours in the root
    """
    path = Path(f"{root}{home}/apt-updated")
    path.parent.mkdir(exist_ok=True)
    path.write_text(state, encoding="utf-8")


def install_wrapper(root: StrPath, home: str) -> None:
    """Put the wrapper where programs of the variation look first.

    :param root: with its API file systems
    :param home: the directory of ours in the root; its ``bin`` is on their PATH
    """
    write_program(Path(f"{root}{home}/bin/apt-get"), _PROGRAM.format(home=home, state=_STATE.lstrip("\n")))

"""An ``apt-get`` for the root that need not fetch lists again which this build has fetched a minute ago.

Salt fetches apt's lists before the first package of every run.  In a root whose update has just done so that is worth nothing,
unless the variation has changed a source or a key since: then they are fetched as ever.
"""

from pathlib import Path

from vmimage.mounts import run_inside

_PROGRAM = """#!/bin/sh
# Of vm_create, for the time of the build: skips an update of apt's lists where nothing in /etc/apt has changed since the last.
state() {{ find /etc/apt /usr/share/keyrings -type f -exec sha256sum {{}} + 2>/dev/null | sort; }}
if [ "$1" = --remember-update ]; then
    state > {home}/apt-updated
    exit
fi
case " $* " in
    *" update "*)
        state | cmp -s - {home}/apt-updated && exit 0
        ;;
esac
exec /usr/bin/apt-get "$@"
"""


def install_wrapper(root, home):
    """Put the wrapper where programs of the variation look first, and tell it that the lists are fresh.

    :param root: furnished, and just updated
    :param str home: the directory of ours in the root; its ``bin`` is on their PATH
    """
    program = Path(f"{root}{home}/bin/apt-get")
    program.write_text(_PROGRAM.format(home=home), encoding="utf-8")
    program.chmod(0o755)
    run_inside(root, [f"{home}/bin/apt-get", "--remember-update"])

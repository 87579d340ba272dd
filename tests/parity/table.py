"""Judge variations and print what came out: python tests/parity/table.py [--live] [--markdown] [VARIATION...]; none: all."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [os.fspath(HERE), os.fspath(HERE.parent / "support"), os.fspath(HERE.parents[1] / "_utils")]

import judge  # noqa: E402
from building import RELEASE  # noqa: E402
from vmimage.base import prepare  # noqa: E402
from vmimage.base.locate import locate_base  # noqa: E402
from vmimage.settings.schema import Settings  # noqa: E402
from vmimage.system.progress import Progress  # noqa: E402


def rows(verdicts, *, live=False):
    """``(state, outcome, reason)``: a row for each state function, and for each variation that is refused."""
    found = {}
    for verdict in verdicts:
        for function in verdict.functions:
            found.setdefault(function, []).append(verdict)
    for function, seen in sorted(found.items()):
        outcome = "equal" if all(verdict.outcome == "equal" for verdict in seen) else "different"
        yield function, outcome, f"as in {', '.join(verdict.name for verdict in seen)}"
    for verdict in verdicts:
        if verdict.outcome == "refused":
            yield f"(variation {verdict.name})", "refused", judge.reason(verdict.name, live=live)


def main(words):
    settings, progress = Settings(release=RELEASE), Progress()
    prepared = prepare.prepare_base(settings, locate_base(settings, progress), progress)
    verdicts = []
    for name in [word for word in words if not word.startswith("-")] or judge.names():
        directory = Path(tempfile.mkdtemp(prefix="parity-"))
        try:
            verdicts.append(judge.judge_variation(name, prepared, directory, live="--live" in words))
        finally:
            shutil.rmtree(directory)
        print(verdicts[-1], file=sys.stderr, flush=True)
    if "--markdown" in words:
        print("| state | outcome | reason |\n|-|-|-|")
        for row in rows(verdicts, live="--live" in words):
            print(f"| {' | '.join(row)} |")
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

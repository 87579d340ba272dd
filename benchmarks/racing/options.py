"""What the command lines of the benchmarks have in common."""

import argparse
import json
from pathlib import Path


def parse(description, names, *, what, rounds, directory, more=()):
    """Read the command line.

    :param list names: of all that ``--only`` can choose from
    :param str what: what a single name stands for
    :param int rounds: how many by default
    :param Path directory: where to work by default
    :param more: further options, as ``(flag, keywords of add_argument)``
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"warm runs of each ({rounds}); the median counts")
    parser.add_argument("--json", type=Path, help=f"file to write all figures to (build/{directory.name}/figures.json)")
    parser.add_argument("--svg", type=Path, help=f"file to draw the plot into (build/{directory.name}/figures.svg)")
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"of {', '.join(names)}")
    parser.add_argument("--directory", type=Path, default=directory, help=f"where to work, on a disk (build/{directory.name})")
    for flag, keywords in more:
        parser.add_argument(flag, **keywords)
    options = parser.parse_args()
    unknown = sorted(set(options.only or ()) - set(names))
    if unknown or options.rounds < 1:
        parser.error(f"there is no {what} {', '.join(unknown)}" if unknown else "there is at least one round")
    options.directory = options.directory.resolve()
    options.directory.mkdir(parents=True, exist_ok=True)
    options.json = options.json or options.directory / "figures.json"  # of a run of half an hour nothing is to be lost
    options.svg = options.svg or options.directory / "figures.svg"
    return options


def write(options, found, draw):
    """Write the files.

    :param dict found: all figures, plain data
    :param draw: makes the text of an SVG of them
    """
    for path, make in ((options.json, lambda data: json.dumps(data, indent=1) + "\n"), (options.svg, draw)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(found), encoding="utf-8")

"""Ours, with a variation of a certain size: bytes in one state, or files with a state each.

The bytes are random, so nothing can compress them.  Of each 10 MB, 8 are one file, 1.5 are two and 0.5 are eight, in a directory
of their own; one file.recurse lays them all.  A file with a state of its own is 4 kB, by file.managed.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from racing.check import ResultWrong, shown

from peers.ours import CleanBuild

MB = 1_000_000
_MIX = [8 * MB, *2 * [750_000], *8 * [62_500]]
_STATE_BYTES = 4_000
_PLACE = "srv/grown"
_RECURSE = f"""
the files are there:
  file.recurse:
    - name: /{_PLACE}
    - source: salt://files
"""
_MANAGED = """
the file {number} is there:
  file.managed:
    - name: /{place}/{number}
    - source: salt://files/{number}
    - makedirs: True
"""


@dataclass(frozen=True)
class Size:
    """One point of the curve.

    :ivar str panel: files, counted in MB, or states, counted one by one
    :ivar int amount: how many
    """

    panel: str
    amount: int

    @property
    def name(self):
        return f"{self.panel}-{self.amount}"

    def files(self):
        """``(path, bytes)`` of each file."""
        if self.panel == "states":
            return [(f"{number}", _STATE_BYTES) for number in range(self.amount)]
        return [(f"{part}/{number}", size) for part in range(self.amount // 10) for number, size in enumerate(_MIX)]

    def states(self):
        if self.panel == "files":
            return _RECURSE
        return "".join(_MANAGED.format(number=number, place=_PLACE) for number in range(self.amount))

    def bytes(self):
        return sum(size for _, size in self.files())


SIZES = [*(Size("files", mb) for mb in (10, 100, 1000, 2500, 5000)), *(Size("states", count) for count in (10, 100, 500, 2000))]


class Grown(CleanBuild):
    """A clean build without update, so that the network has no part in it."""

    name = "growth"

    def __init__(self, track, size):
        super().__init__(track)
        self.size = size
        self.settings = ("update=False", f"room_mib={(size.bytes() >> 20) * 5 // 4 + 512}")

    def variation_settings(self, lap):
        return {"variation": str(self.write_files(lap.cache)), "root": str(lap.directory / "root")}

    def reads(self, lap):
        return [self.write_files(lap.cache), lap.cache / "cache", self.track.tools, sys.prefix]

    def write_files(self, cache):
        """The variation, once; returns where it lies."""
        top = cache / "variations" / self.size.name
        if not top.exists():
            partial = top.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            for path, size in self.size.files():
                file = partial / "files" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(os.urandom(size))
            (partial / "variation.sls").write_text(self.size.states())
            partial.rename(top)
        return top

    def look_at(self, lap):
        """Refuse an image that does not hold all files, whole."""
        image = self.triplet(lap, "race", "").root_image
        clean = subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, text=True)
        with shown(image, lap) as root:
            found = [path.stat().st_size for path in (root / _PLACE).rglob("*") if path.is_file()]
        if clean.returncode or sorted(found) != sorted(size for _, size in self.size.files()):
            raise ResultWrong(f"{self.size.name}: {len(found)} files, {sum(found)} bytes; {clean.stdout}", hint=f"see {lap.log}")

    def details(self, lap):
        """Seconds of each step, and of the states together."""
        found = super().details(lap)
        steps = {}
        for step in found["steps"]:
            steps[step["step"]] = round(steps.get(step["step"], 0) + step["seconds"], 3)
        return {"steps": steps, "states_seconds": round(sum(found["states_seconds"].values()), 3)}

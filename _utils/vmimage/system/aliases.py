"""Types that many modules share, by name."""

import os
from collections.abc import Callable, Sequence

#: a path as programs and system calls take it
StrPath = str | os.PathLike[str]
#: a program and its arguments; paths and numbers become strings
Argv = Sequence[StrPath | int]
#: takes a line for the observers of a build
Say = Callable[[str], object]
#: takes the bytes done so far, and those in all (0: unknown)
Moved = Callable[[int, int], object]
#: pauses for some seconds
Sleep = Callable[[float], object]

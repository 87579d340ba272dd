"""How long unused files in ``ami.cache`` are kept."""

import time
from pathlib import Path

_KEPT_SECONDS = 60 * 24 * 3600


def is_old(path: Path) -> bool:
    """Whether a file or directory was last used (each use sets its time) so long ago that it is to be removed."""
    return path.stat().st_mtime < time.time() - _KEPT_SECONDS

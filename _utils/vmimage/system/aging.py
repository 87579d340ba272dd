"""How long what is in ``ami.cache`` is kept that nobody uses."""

import time

_KEPT_SECONDS = 60 * 24 * 3600


def is_old(path):
    """Whether a file or directory was last used, which sets its time, so long ago that it is to be removed."""
    return path.stat().st_mtime < time.time() - _KEPT_SECONDS

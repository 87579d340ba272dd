"""Publish the triplet of a directory, as who the OS_* variables tell: a process that a test can kill.

python publishing.py DIRECTORY [SETTINGS AS JSON]
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[2] / "_utils"))

from triplets import publishing_build  # noqa: E402
from vmimage import publish  # noqa: E402

if __name__ == "__main__":
    directory, settings = Path(sys.argv[1]), json.loads((sys.argv[2:] or ["{}"])[0])
    build = publishing_build(directory, dict(os.environ), **settings)
    print(json.dumps(publish.publish(build, publish.check_publishing(build, wanted=True))))

"""What Salt leaves in a root when its process ends: nothing that was written may be lost."""

import importlib
import os
import sys
from pathlib import Path

from vmimage.variation import in_root


def test_what_a_module_has_written_to_a_file_that_it_has_not_closed_is_in_the_image(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(in_root.__file__).parent))
    driver = importlib.import_module("driver")
    if (pid := os.fork()) == 0:
        try:
            held = [open(tmp_path / "text", "w"), open(tmp_path / "bytes", "wb")]
            held[0].write("kept")
            held[1].write(b"kept")
            held += [open(tmp_path / "closed", "w"), open(tmp_path / "detached", "w")]
            held[2].close()
            held[3].detach()
            sys.stdout = open(tmp_path / "stdout", "w")
            print("said")
            driver.threading.active_count = lambda: 1  # whatever the tests have
            driver.atexit._clear()
            driver.end()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [(tmp_path / name).read_text() for name in ("text", "bytes", "stdout")] == ["kept", "kept", "said\n"]

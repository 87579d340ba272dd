"""The units that make at the first boot what an image has not, read by systemd and a shell."""

import subprocess

import pytest
from vmimage.image import drawn


@pytest.mark.parametrize("one", drawn.ALL, ids=lambda one: one.name)
def test_a_unit_that_systemd_takes_for_good(one, tmp_path):
    unit = tmp_path / f"{one.name}.service"
    unit.write_text(one.unit().replace(f"User={one.user}\n", ""))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert subprocess.run(["sh", "-n", "-c", one.command], check=False).returncode == 0

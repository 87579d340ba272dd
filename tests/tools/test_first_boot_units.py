"""The units that make at the first boot what an image has not, read by systemd and a shell."""

import subprocess

import pytest
from vmimage.image import drawn


@pytest.mark.parametrize("maker", drawn.ALL, ids=lambda maker: maker.name)
def test_a_unit_that_systemd_takes_for_good(maker, tmp_path):
    unit = tmp_path / f"{maker.name}.service"
    unit.write_text(maker.unit().replace(f"User={maker.user}\n", ""))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert subprocess.run(["sh", "-n", "-c", maker.command], check=False).returncode == 0

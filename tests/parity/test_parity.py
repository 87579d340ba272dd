"""The same states on a machine that runs and in a build: the same disk, or a build that says what it cannot do."""

import sys
from pathlib import Path

import pytest
from building import Salt

sys.path.insert(0, str(Path(__file__).parent))

import compare  # noqa: E402
import judge  # noqa: E402
import reference  # noqa: E402


@pytest.mark.needs("systemd-nspawn", "slirp4netns", "nsenter")
@pytest.mark.parametrize("name", judge.names())
def test_a_variation_does_in_a_build_what_it_does_on_a_machine(name, bootstrapped, tmp_path):
    verdict = judge.judge_variation(name, bootstrapped, tmp_path)
    assert verdict.is_good, str(verdict)


@pytest.mark.needs("systemd-nspawn", "slirp4netns", "nsenter")
def test_the_comparison_sees_what_differs(bootstrapped, tmp_path):
    text = """
{% set inside = grains.get("vm_create_inside", False) %}
/etc/of-both:
  file.managed: [{contents: the same}]
/etc/content:
  file.managed: [{contents: "{{ inside }}"}]
/etc/mode:
  file.managed: [{contents: text, mode: "{{ '0600' if inside else '0644' }}"}]
{{ "/etc/only-on-the-image" if inside else "/etc/only-on-the-machine" }}:
  file.managed: [{contents: text}]
/etc/link:
  file.symlink: [{target: "/{{ inside }}"}]
ssh:
  service.{{ "enabled" if inside else "disabled" }}: []
root:
  user.present: [{shell: "{{ '/bin/sh' if inside else '/bin/bash' }}"}]
"""
    salt = Salt(tmp_path / "minion")
    variation = salt.variation("seen", variation=text)
    salt.good("vm_create.create_variation", name="seen", variation=variation, update=False, publish=False)
    machine = reference.apply_on_machine(Path(variation), bootstrapped.image, tmp_path / "machine", "seen")
    results = compare.find_other_results(machine.states, salt.manifest("seen")["states"])
    found = compare.find_differences(bootstrapped.image, machine.upper, salt.output / "seen.img")
    heads = {line.split(":")[0] for line in found}
    assert {"/etc/content", "/etc/mode", "/etc/only-on-the-image", "/etc/only-on-the-machine", "/etc/link"} < heads
    assert "/etc/of-both" not in heads
    assert (
        "unit on the image: ssh.service enabled enabled" in found and "unit on the machine: ssh.service disabled enabled" in found
    )
    assert any(line.startswith("line of passwd on the image: root:") for line in found)
    assert "state '/etc/only-on-the-image' (file.managed): only on the image" in results

"""The same states on a machine that runs and in a build: the same disk, or a build that says what it cannot do."""

import json
import sys
from pathlib import Path

import pytest
from building import Salt

sys.path.insert(0, str(Path(__file__).parent))

import compare  # noqa: E402
import reference  # noqa: E402

VARIATIONS = Path(__file__).with_name("variations")
NAMES = sorted(path.name for path in VARIATIONS.iterdir() if path.is_dir())


@pytest.mark.needs("systemd-nspawn", "slirp4netns", "nsenter")
@pytest.mark.parametrize("name", NAMES)
def test_a_variation_does_in_a_build_what_it_does_on_a_machine(name, bootstrapped, tmp_path):
    variation = VARIATIONS / name
    salt = Salt(tmp_path / "minion")
    code, data, said = salt.call("vm_create.create_variation", name=name, variation=str(variation), update=False, publish=False)
    refused = variation / "refused"
    if refused.exists():
        assert code != 0, "the build went through"
        text = f"{json.dumps(data)}{said}"
        missing = [line for line in refused.read_text(encoding="utf-8").splitlines() if line and line not in text]
        assert not missing, f"the message lacks {missing}:\n{text}"
        return
    machine = reference.apply_on_machine(variation, bootstrapped.image, tmp_path / "machine", name)
    assert machine.states is not None, f"the states do not compile on the machine:\n{machine.said}"
    failed = [f"{one['id']}: {one['comment']}" for one in machine.states if one["result"] is False]
    assert not failed, f"the machine could not do it, so the variation shows nothing: {failed}\n{machine.said}"
    assert code == 0, f"the build failed, the machine did not:\n{json.dumps(data, indent=1)}\n{said}"
    other = compare.find_other_results(machine.states, salt.manifest(name)["states"])
    other += compare.find_differences(bootstrapped.image, machine.upper, salt.output / f"{name}.img")
    assert not other, f"{len(other)} differences\n" + "\n".join(other)


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

"""Step by step as in 2013, and test=True: the same image by another way, and no change without being asked."""

import subprocess

import pytest
from looking import looked_into, tree_of

VARIATION = {
    "variation": "a file:\n  file.managed:\n    - name: /etc/mark\n    - source: salt://mark.jinja\n    - template: jinja\n"
    "less is installed:\n  pkg.installed:\n    - name: less\n",
    "mark.jinja": "{{ grains['oscodename'] }}\n",
}
A_FILE = {"variation": "a file:\n  file.managed:\n    - name: /etc/mark\n    - contents: varied\n"}


def _differing(first, second):
    """Paths that two images do not have in common, but for what each build dates by itself."""
    dated = ("/var/lib/dpkg/", "/etc/shadow", "/boot/initrd.img", "/var/cache/ldconfig/aux-cache", "/var/lib/apt/extended_states")
    return [
        path
        for path in sorted(first.keys() | second.keys())
        if first.get(path) != second.get(path) and not path.startswith(dated)
    ]


def test_step_by_step_gives_the_same_image_as_create_variation(salt, bootstrapped):
    root = str(salt.directory / "root")
    salt.configure(**{"ami.name": "web", "ami.variation": salt.variation("web", **VARIATION)})
    salt.good("state.sls", "ami_creator_pre")
    assert salt.good("vm_create.status")["web"]["open"] is True
    changed = salt.good("vm_create.update_image", root)
    assert set(changed) == {"added", "removed", "changed"}
    states = salt.good("vm_create.variate_image", root)
    assert [state["id"] for state in states] == ["a file", "less is installed"]
    salt.good("state.sls", "ami_creator_post")
    assert salt.good("vm_create.status") == {}
    stepped = salt.manifest("web")
    with looked_into(salt.output / "web.img") as image:
        by_steps = tree_of(image)

    salt.good("vm_create.create_variation")
    whole = salt.manifest("web")
    with looked_into(salt.output / "web.img") as image:
        at_once = tree_of(image)
    assert not _differing(by_steps, at_once)
    assert stepped.keys() == whole.keys()
    assert stepped["packages"] == whole["packages"] and stepped["sealed"].keys() == whole["sealed"].keys()
    assert [step["step"] for step in stepped["steps"]] == [step["step"] for step in whole["steps"]]


@pytest.mark.light
def test_applying_pre_and_post_again_changes_nothing(salt, bootstrapped):
    salt.configure(**{"ami.variation": salt.variation("web", **A_FILE)})
    salt.good("state.sls", "ami_creator_pre")
    again = salt.good("state.sls", "ami_creator_pre")
    assert not [state for state in again.values() if state["changes"]]
    salt.good("vm_create.variate_image", str(salt.directory / "root"))
    salt.good("state.sls", "ami_creator_post")
    before = salt.manifest()
    again = salt.good("state.sls", "ami_creator_post")
    assert not [state for state in again.values() if state["changes"]] and salt.manifest() == before


@pytest.mark.light
def test_under_test_true_nothing_changes_and_what_would_is_shown(salt, bootstrapped):
    salt.configure(**{"ami.variation": salt.variation("web", **A_FILE)})
    states = salt.good("state.sls", "ami_creator_pre", test=True)
    assert {state["result"] for state in states.values()} == {None}
    assert not list(salt.workspace.glob("*/begun.json"))
    salt.good("state.sls", "ami_creator_pre")
    states = salt.good("state.sls", "ami_creator_post", test=True)
    assert {state["result"] for state in states.values()} <= {None, True}
    comments = " ".join(state["comment"] for state in states.values() if state["result"] is None)
    assert "would remove /etc/ssh/ssh_host_" in comments and "would empty /var/log/" in comments
    assert salt.good("vm_create.status")["variation"]["steps"] == ["base", "root"]
    assert not list(salt.output.glob("*"))
    salt.good("vm_create.release")


def test_post_without_an_open_root_says_what_to_do_first(salt):
    code, states, _ = salt.call("state.sls", "ami_creator_post")
    assert code == 2
    assert "salt-call state.sls ami_creator_pre" in str(
        [state["comment"] for state in states.values() if state["result"] is False]
    )


def test_plan_tells_what_would_be_done(salt, bootstrapped):
    salt.configure(**{"ami.variation": salt.variation("web", **VARIATION)})
    for plan in (salt.good("vm_create.plan"), salt.good("vm_create.create_variation", test=True)):
        assert plan["base"]["prepared"] is True and plan["base"]["digest"] == bootstrapped.digest
        assert not {"update", "keep", "type"} & plan["settings"].keys()  # they are the default
        assert plan["settings"]["release"] == "bookworm"
        assert plan["steps"] == ["state.sls ami_creator_pre", "update_image", "variate_image", "state.sls ami_creator_post"]
    assert not salt.output.exists()


@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_a_path_that_is_no_open_root_is_refused(salt, path):
    assert f"no root is open at {path}" in salt.bad("vm_create.update_image", path)


PRE = """
include: [ami_creator_pre]
a step before the update:
  cmd.run:
    - name: test ! -e {{ salt['vm_create.setting']('root') }}/srv/seen && echo before > {{ salt['vm_create.setting']('root') }}/srv/seen
    - require: [{sls: ami_creator_pre}]
"""
POST = """
include: [ami_creator_post]
a step on the open root:
  cmd.run:
    - name: cat {{ salt['vm_create.setting']('root') }}/etc/mark >> {{ salt['vm_create.setting']('root') }}/srv/seen
a step behind the triplet:
  cmd.run:
    - name: cp {{ salt['vm_create.setting']('output') }}/variation.manifest.json {{ salt['vm_create.setting']('output') }}/copied
    - order: last
    - require: [{vm_image: the triplet is complete}]
"""


@pytest.mark.light
def test_states_of_a_user_in_pre_and_post_run_at_their_place(salt, bootstrapped):
    for name, text in (("my_pre", PRE), ("my_post", POST)):
        (salt.states / f"{name}.sls").write_text(text, encoding="utf-8")
    salt.configure(**{"ami.variation": salt.variation("web", **A_FILE), "ami.pre": "my_pre", "ami.post": "my_post"})
    salt.good("vm_create.create_variation", update=False)
    with looked_into(salt.output / "variation.img") as image:
        assert (image / "srv/seen").read_text(encoding="utf-8") == "before\nvaried\n"
    assert (salt.output / "copied").read_bytes() == (salt.output / "variation.manifest.json").read_bytes()


@pytest.mark.light
def test_what_changes_the_root_after_it_was_packed_is_packed_again(salt, bootstrapped):
    text = "/etc/mark:\n  file.managed:\n    - contents: {}\n"
    root = str(salt.directory / "root")
    salt.configure(**{"ami.variation": salt.variation("web", variation=text.format("first"))})
    salt.good("state.sls", "ami_creator_pre")
    salt.good("vm_create.variate_image", root)
    with open(f"{root}/etc/fstab", encoding="utf-8"):  # somebody looks: the root cannot be closed
        code, states, _ = salt.call("state.sls", "ami_creator_post")
    assert code == 2 and "fuser -vm" in str([state["comment"] for state in states.values()])
    salt.variation("web", variation=text.format("second"))
    salt.good("vm_create.variate_image", root)
    salt.good("state.sls", "ami_creator_post")
    with looked_into(salt.output / "variation.img") as image:
        assert (image / "etc/mark").read_text(encoding="utf-8") == "second\n"


@pytest.mark.light
def test_a_name_does_not_touch_the_root_of_another_at_the_same_place(salt, bootstrapped):
    salt.configure(**{"ami.name": "one", "ami.variation": salt.variation("web", **A_FILE)})
    salt.good("state.sls", "ami_creator_pre")
    subprocess.run(["umount", salt.directory / "root"], check=True)  # by hand, behind our back
    salt.configure(**{"ami.name": "other", "ami.variation": salt.variation("web", **A_FILE)})
    salt.good("state.sls", "ami_creator_pre")
    found = salt.good("vm_create.status")
    assert (found["one"]["open"], found["other"]["open"]) == (False, True)
    salt.good("vm_create.release", "one")
    assert salt.good("vm_create.status")["other"]["open"] is True
    salt.good("vm_create.release", "other")


@pytest.mark.light
def test_a_root_unmounted_by_hand_is_no_trouble_for_the_next_build(salt, bootstrapped):
    salt.configure(**{"ami.variation": salt.variation("web", **A_FILE)})
    salt.good("state.sls", "ami_creator_pre")
    subprocess.run(["umount", salt.directory / "root"], check=True)
    salt.good("vm_create.create_variation", update=False)


@pytest.mark.light
def test_the_root_may_be_reached_by_a_link(salt, bootstrapped):
    (salt.directory / "real").mkdir()
    (salt.directory / "link").symlink_to("real")
    salt.configure(**{"ami.root": str(salt.directory / "link"), "ami.variation": salt.variation("web", **A_FILE)})
    salt.good("vm_create.create_variation", update=False)

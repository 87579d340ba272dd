"""Grains that states set are in the image, where its minion reads them."""

from vmimage.variation.own_grains import keep_grains, show_grains

HOME, KEPT = "run/vm_create/etc/grains", "etc/salt/grains"


def test_what_states_set_is_kept(root, tree):
    tree(root, {HOME: "parity: present\n"})
    keep_grains(root, "")
    assert (root / KEPT).read_text() == "parity: present\n"


def test_the_images_own_are_known(root, tree):
    tree(root, {KEPT: "role: web\n", "run/vm_create/etc/minion": "{}"})
    assert show_grains(root) == (root / HOME).read_text() == "role: web\n"


def test_a_file_that_a_state_manages_stays(root, tree):
    tree(root, {KEPT: "role: web\n", "run/vm_create/etc/minion": "{}"})
    shown = show_grains(root)
    (root / KEPT).write_text("role: managed\n")
    keep_grains(root, shown)
    assert (root / KEPT).read_text() == "role: managed\n"


def test_where_no_state_sets_any_there_is_no_directory(root, tree):
    tree(root, {"run/vm_create/etc/minion": "{}", "etc/hostname": "web\n"})
    keep_grains(root, show_grains(root))
    assert not (root / "etc/salt").exists()

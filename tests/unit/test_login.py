"""The user of the first login, as cloud-init's files in a root have it."""

import pytest
from vmimage.root.login import default_user

DEBIAN = "users:\n  - default\nsystem_info:\n  distro: debian\n  default_user:\n    name: debian\n    lock_passwd: true\n"


def in_root(top, main, **further):
    (top / "etc/cloud/cloud.cfg.d").mkdir(parents=True)
    (top / "etc/cloud/cloud.cfg").write_text(main)
    for name, text in further.items():
        (top / f"etc/cloud/cloud.cfg.d/{name}.cfg").write_text(text)
    return default_user(top)


def test_the_default_user_of_cloud_init_logs_in(tmp_path):
    assert in_root(tmp_path, DEBIAN) == "debian"


def test_a_later_file_overrides_the_earlier(tmp_path):
    first, second = ("system_info: {default_user: {name: " + name + "}}\n" for name in ("alice", "bob"))
    assert in_root(tmp_path, DEBIAN, a90=first, b10=second) == "bob"


def test_an_image_without_cloud_init_makes_no_user(tmp_path):
    assert default_user(tmp_path) == "none"


@pytest.mark.parametrize("users", ["users: []\n", "users: [{name: alice}]\n"])
def test_who_lists_other_users_makes_no_default_user(tmp_path, users):
    assert in_root(tmp_path, DEBIAN, a90=users) == "none"


@pytest.mark.hostile("traps in a root")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list\n",
        "system_info: [1]\n",
        "system_info: {default_user: {name: 7}}\n",
        "system_info: {default_user: {name: 'a\\u001bb'}}\n",
        "system_info: {default_user: {name: " + "x" * 99 + "}}\n",
        "{unclosed: [\n",
        "[" * 5000,
        "a: 2001-99-99\n",
        "x" * (2 << 20),
    ],
    ids=["nothing", "a list", "no mapping", "a number", "a control", "too long", "no YAML", "deep", "no date", "too large"],
)
def test_a_file_that_says_nothing_sensible_says_nothing(tmp_path, text):
    assert in_root(tmp_path, text) == ""

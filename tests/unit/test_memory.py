"""How much memory the changes of a build may take: what the machine and its control groups say, and what the settings want."""

import pytest
from vmimage.errors import NotReady, SettingsWrong
from vmimage.settings.gather import gather_settings
from vmimage.settings.schema import Settings
from vmimage.system.memory import free_mib, memory_for

MIB = 1 << 20
UNLIMITED = 9223372036854771712


@pytest.fixture
def machine(tmp_path, tree):
    """A maker of /proc and /sys: ``machine(available_mib, groups={"": {"max": 5 * MIB}}, group="a/b")``."""

    def make(available, groups=None, group="", lines="MemTotal: 99999999 kB\n", cgroup=""):
        files = {"proc/meminfo": f"{lines}MemAvailable: {available << 10} kB\nSwapFree: 99999999 kB\n"}
        files["proc/self/cgroup"] = cgroup or f"1:name=systemd:/elsewhere\n0::/{group}\n"
        for name, facts in (groups or {}).items():
            files |= {f"sys/fs/cgroup/{name}/memory.{what}": f"{value}\n" for what, value in facts.items()}
        return tree(tmp_path / "machine", files)

    return make


def settings(memory, room_mib=2048):
    return Settings(memory=memory, room_mib=room_mib)


def test_without_control_groups_the_machines_available_memory_counts_and_swap_does_not(machine):
    assert free_mib(machine(4000)) == 4000


def test_a_machine_that_tells_nothing_has_no_memory_to_spare(tmp_path, tree):
    assert free_mib(tree(tmp_path / "machine", {"proc/meminfo": "MemTotal: 1 kB\n"})) == 0


@pytest.mark.parametrize(
    ("groups", "free"),
    [
        ({"a/b": {"max": 900 * MIB, "current": 100 * MIB}}, 800),
        ({"a": {"max": 900 * MIB, "current": 300 * MIB}, "a/b": {"max": "max", "current": 100 * MIB}}, 600),
        ({"": {"max": 500 * MIB, "current": 0}, "a": {"max": 900 * MIB, "current": 0}}, 500),
        ({"a/b": {"max": "max", "high": 700 * MIB, "current": 100 * MIB}}, 600),
        ({"a/b": {"max": 900 * MIB, "current": 700 * MIB, "stat": f"anon 5\ninactive_file {300 * MIB}"}}, 500),
        ({"a/b": {"max": 100 * MIB, "current": 300 * MIB}}, 0),
        ({"a/b": {"max": "max", "current": 1}}, 4000),
        ({"a/b/c": {"max": 1, "current": 0}, "other": {"max": 1, "current": 0}}, 4000),
        ({"a/b": {"max": 99999 * MIB, "current": 0}}, 4000),
    ],
    ids=[
        "own",
        "parent",
        "root",
        "throttled",
        "files are given back",
        "over the limit",
        "no limit",
        "others",
        "more than there is",
    ],
)
def test_the_tightest_control_group_above_us_counts(machine, groups, free):
    assert free_mib(machine(4000, groups, "a/b")) == free


def old(limit, used=0, cached=0):
    """The files of a group of version 1."""
    stat = f"cache 5\ninactive_file 1\ntotal_inactive_file {cached}"
    return {"limit_in_bytes": limit, "usage_in_bytes": used, "stat": stat}


@pytest.mark.parametrize(
    ("groups", "free"),
    [
        ({"a/b": old(900 * MIB, 100 * MIB)}, 800),
        ({"a": old(900 * MIB, 300 * MIB), "a/b": old(UNLIMITED)}, 600),
        ({"a/b": old(900 * MIB, 700 * MIB, 300 * MIB)}, 500),
        ({"": old(UNLIMITED), "a/b": old(UNLIMITED)}, 4000),
        ({"other": old(MIB)}, 4000),
    ],
    ids=["own", "parent", "files are given back", "no limit", "others"],
)
def test_the_first_version_of_control_groups_counts_as_well(machine, groups, free):
    groups = {f"memory/{name}": facts for name, facts in groups.items()}
    assert free_mib(machine(4000, groups, cgroup="5:cpu,cpuacct:/x\n4:memory:/a/b\n0::/\n")) == free


@pytest.mark.parametrize(
    ("memory", "available", "given"),
    [
        ("auto", 10000, 6000),
        ("auto", 3414, 2048),
        ("auto", 3412, 0),
        (False, 10000, 0),
        (True, 10000, 6000),
        (40, 10000, 40),
        (3000, 5000, 3000),
        (1, 10000, 1),
    ],
)
def test_what_the_changes_may_take_is_a_part_of_what_is_free(machine, memory, available, given):
    assert memory_for(settings(memory), machine(available)) == given


@pytest.mark.parametrize(("memory", "wanted"), [(True, 2048), (3001, 3001)])
def test_memory_that_is_not_there_is_refused_with_both_figures(machine, memory, wanted):
    available = 3000 if memory is True else 5000
    with pytest.raises(NotReady, match="ami.memory") as caught:
        memory_for(settings(memory), machine(available))
    assert f"{wanted} MiB" in str(caught.value) and f"{available * 6 // 10} MiB" in str(caught.value)


def test_room_mib_decides_what_fits(machine):
    assert memory_for(settings("auto", room_mib=100), machine(200)) == 120
    assert memory_for(settings("auto", room_mib=121), machine(200)) == 0


@pytest.mark.parametrize("memory", ["yes", "40", 0, -1, 1.5, [40]])
def test_what_cannot_be_meant_is_refused_by_name(memory):
    with pytest.raises(SettingsWrong, match="memory"):
        gather_settings([], {"memory": memory})

"""benchmarks/race: what is shown of the laps."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import race  # noqa: E402
from peers.contest import Contest  # noqa: E402
from racing import check, plot, table, targets, track  # noqa: E402

MACHINE = {
    "date": "2026-11-21",
    "system": "Debian 12",
    "kernel": "6.1",
    "cpu": "EPYC",
    "cores": 2,
    "memory_gib": 8.0,
    "disk": "ext4",
}
MB = 1_000_000


def summary(title, *seconds, kind="peer", image=700 * MB, **more):
    """A contest of which each warm run took so many seconds."""
    middle = sorted(seconds)[len(seconds) // 2]
    median = {"seconds": middle, "peak_mib": 640, "downloaded_bytes": 0.2 * MB, "image_bytes": image, "content_bytes": 680 * MB}
    return {
        **{
            "title": title,
            "version": "1",
            "note": "a note",
            "kind": kind,
            "clean": True,
            "count": 1,
            "cold": None,
            "differs": {},
        },
        **{"median": {**median, "free_bytes": 8 * MB}, "warm": [{"seconds": value, "round": 1} for value in seconds]},
        **more,
    }


def contests(**more):
    return {
        "ours": summary("ours", 12.0, 10.0, 11.0, kind="ours"),
        "mkosi": summary("mkosi", 20.0, image=710 * MB),
        "diskimage-builder": summary("dib", 25.0, image=1000 * MB),
        "floor": summary("floor", 9.0, kind="floor", image=600 * MB),
        **more,
    }


def found(**more):
    all_of_them = contests(**more)
    return {
        **{"job": "A race", "machine": MACHINE, "memory_means": "anonymous memory", "downloads_counted": True, "absent": {}},
        **{"contests": all_of_them, "targets": targets.measure(all_of_them)},
    }


def target(start, **more):
    return next(entry for entry in targets.measure(contests(**more)) if entry["target"].startswith(start))


@pytest.mark.parametrize(
    ("start", "more", "figure", "met"),
    [
        ("clean warm build, by mkosi", {}, 11 / 20, True),
        ("clean warm build, by diskimage-builder", {}, 11 / 25, False),
        ("edit to image, by mkosi's clean", {"incremental": summary("edit", 7.0, kind="ours", clean=False)}, 7 / 20, True),
        ("edit to image, by mkosi's clean", {"incremental": summary("edit", 7.1, kind="ours", clean=False)}, 7.1 / 20, False),
        (
            "edit to image, by mkosi's Incremental",
            {
                "incremental": summary("edit", 9.0, kind="ours", clean=False),
                "mkosi-incremental": summary("their edit", 10.0, clean=False),
            },
            0.9,
            True,
        ),
        (
            "all outputs",
            {"outputs": summary("all", 16.0, kind="ours"), "triplet-of-disk": summary("triplet", 10.0, kind="ours")},
            1.6,
            False,
        ),
        (
            "cold build",
            {
                "ours": summary("ours", 11.0, kind="ours", cold={"seconds": 20.0}),
                "mmdebstrap": summary("mmdebstrap", 15.0, cold={"seconds": 10.0}),
            },
            2,
            False,
        ),
        (
            "nothing changed",
            {"unchanged": summary("same", 1.5, kind="ours"), "ping": summary("ping", 0.75, kind="floor")},
            2,
            True,
        ),
        ("image, by du", {}, 700 / (680 + 8.388608), True),
        ("image, by the smallest peer's (mkosi)", {}, 700 / 710, True),
        ("image, by the smallest peer's (tiny)", {"tiny": summary("tiny", 30.0, image=699 * MB)}, 700 / 699, False),
        (
            "ten by one call, by ten of the fastest peer (mkosi)",
            {"many": summary("ten", 70.0, kind="ours", count=10)},
            0.35,
            True,
        ),
        ("ten by one call", {"many": summary("ten", 121.0, kind="ours", count=10)}, 0.605, False),
        ("memory of ten", {"many": summary("ten", 121.0, kind="ours", count=10)}, 640 / 1024, True),
    ],
)
def test_a_target_is_met_up_to_its_limit(start, more, figure, met):
    found = target(start, **more)
    assert (found["figure"], found["met"]) == (pytest.approx(figure, abs=0.0006), met)


def test_a_peer_that_does_less_than_the_whole_job_is_neither_the_fastest_nor_the_smallest():
    edit = {
        "mkosi-incremental": summary("edit", 1.0, image=1 * MB, clean=False),
        "many": summary("ten", 100.0, kind="ours", count=10),
    }
    assert target("ten by one call", **edit)["figure"] == 0.5
    assert target("image, by the smallest", **edit)["met"]


def test_a_target_whose_contest_did_not_run_says_so_instead_of_a_figure():
    assert target("edit to image")["met"] is None
    line = next(line for line in targets.lines(targets.measure(contests())) if "edit to image" in line)
    assert "not measured" in line and "--all" in line


def test_without_ours_or_any_peer_no_target_has_a_figure():
    for name in "floor", "mkosi":
        assert {entry["figure"] for entry in targets.measure({name: contests()[name]})} == {None}


def test_a_missed_target_tells_how_much_too_much_it_is():
    lines = list(targets.lines(targets.measure(contests())))
    assert any("missed by 1.0 s: 11.0 s, at most 10.0" in line for line in lines)
    assert any("met by 15.9 MB: 700.0 MB, at most 715.9" in line for line in lines)


def test_the_table_has_a_row_for_each_with_median_range_and_ratio():
    rows = {line.split()[0]: line.split() for line in table.render(found()).splitlines() if line[:1].isalpha()}
    assert rows["ours"][2:7] == ["11.0", "10.0", "-", "12.0", "1.00"]
    assert rows["mkosi"][6] == "1.82"


def test_of_ten_triplets_of_one_run_each_counts():
    ten = summary("ten", 100.0, kind="ours", count=10, cold={"seconds": 200.0})
    row = next(line for line in table.render(found(many=ten)).splitlines() if line.startswith("ten ")).split()
    assert row[2] == "10.0" and row[7] == "20.0"


def test_the_notes_name_packages_and_journals_that_differ():
    other = summary("other", 30.0, differs={"has also": [f"lib{number}" for number in range(14)], "has not": []})
    other["warm"][-1]["journal"] = "64M"
    note = next(line for line in table.render(found(other=other)).splitlines() if line.startswith("other: "))
    assert "has also lib0, " in note and "lib11 and 2 more" in note and "its journal is 64M" in note and "has not" not in note


def test_packages_are_compared_with_those_of_the_first_by_name_and_version():
    laps = {"a": {"nginx": "1", "perl": "5"}, "b": {"nginx": "2", "vim": "9"}, "c": {"nginx": "1", "perl": "5"}}
    summaries = {name: {"cold": None, "warm": [{"packages": packages}]} for name, packages in laps.items()}
    assert check.compare_packages(summaries) == {"nginx": "1", "perl": "5"}
    assert summaries["b"]["differs"] == {"has also": ["vim"], "has not": ["perl"], "has other versions of": ["nginx"]}
    assert not any(summaries["c"]["differs"].values())
    assert summaries["b"]["warm"] == [{}]


def test_the_plot_has_a_bar_as_long_as_the_median_and_a_dot_for_each_run():
    drawn = plot.draw(found(many=summary("ten & more", 200.0, kind="ours", count=10)))
    assert [drawn.count(f'class="{kind}"') for kind in ("ours", "peer", "floor", "run")] == [2, 2, 1, 7]
    widths = [float(part.split('width="')[1].split('"')[0]) for part in drawn.split("<rect")[2:]]
    assert widths[1] / widths[0] == pytest.approx(20 / 11, rel=0.01) and widths[1] == widths[-1]
    assert "ten &amp; more" in drawn and "ten & more" not in drawn


def named_contests(*names):
    made = [Contest(None) for _ in names]
    for contest, name in zip(made, names, strict=True):
        contest.name = contest.title = name
    return made


def test_a_contest_that_fails_runs_no_more_and_the_others_go_on():
    contests, ran = named_contests("a", "b", "c"), []

    def run(contest, number):
        ran.append(f"{contest.name}{number}")
        if contest.name == "b" and number == 1:
            raise check.ResultWrong("there is no user")
        return {"round": number}

    laps, failed = race.run_laps(contests, contests[:2], 3, run)
    assert ran == ["a0", "b0", "a1", "b1", "c1", "c2", "a2", "c3", "a3"]
    assert failed == {"b": "failed in round 1: there is no user"}
    assert [lap["round"] for lap in laps["a"]] == [0, 1, 2, 3] and len(laps["c"]) == 3


def test_an_error_that_is_not_a_contests_ends_the_race():
    def run(contest, number):
        raise KeyError("a mistake of the race")

    with pytest.raises(KeyError):
        race.run_laps(named_contests("a"), [], 1, run)


@pytest.mark.parametrize("failed", [{}, {"mkosi": "failed in its cold run: no such package"}])
def test_a_race_of_which_a_contest_failed_names_it_and_ends_with_1(monkeypatch, capsys, tmp_path, failed):
    result = {**found(), "failed": failed}
    monkeypatch.setattr(sys, "argv", ["race", "--directory", str(tmp_path), "--json", str(tmp_path / "race.json")])
    monkeypatch.setattr(race, "run_privately", lambda work: result)
    monkeypatch.setattr(race, "clear_leftovers", lambda directory: None)
    if failed:
        with pytest.raises(SystemExit) as ended:
            race.main()
        assert ended.value.code == 1
    else:
        race.main()
    said = capsys.readouterr().out
    assert ("mkosi: failed in its cold run: no such package." in said) is bool(failed)
    assert (tmp_path / "race.json").exists()


def test_where_all_have_failed_the_table_and_the_plot_say_so():
    nothing = {**found(), "contests": {}, "failed": {"ours": "failed in round 1: no room"}}
    assert "ours: failed in round 1: no room." in table.render(nothing)
    assert plot.draw(nothing).startswith("<svg")


def test_nothing_is_removed_below_what_cannot_be_unmounted(monkeypatch, tmp_path):
    table_of_mounts = f"1 1 0:1 / {tmp_path}/lap/memory/dev rw - devtmpfs dev rw\n"
    monkeypatch.setattr(Path, "read_text", lambda path, **_: table_of_mounts)
    monkeypatch.setattr(track.subprocess, "run", lambda *_, **__: None)
    with pytest.raises(OSError, match="memory/dev cannot be unmounted"):
        track.unmount_below(tmp_path / "lap")

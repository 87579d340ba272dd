"""Standing minions by Salt's jobs, seen from the master: what is sent, and what is made of the answers."""

import pytest
from vmimage.errors import CallFailed
from vmimage.fleet.configuration import Standing
from vmimage.fleet.minions import Minions, job_id
from vmimage.fleet.records import Claim, Seen, Wanted

WANTED = Wanted("web-amd64", "web", "web", "0" * 40, {"keep": 2}, "minions", "digest")


def claim(number=7, builder="b1"):
    return Claim(number, WANTED, builder, 1000.0, 1060.0)


class Salt:
    """A master: ``running`` is what its minions say of themselves, ``returned`` the job cache."""

    def __init__(self, running, known=None):
        self.running, self.known, self.returned, self.sent = running, known or [*running], {}, []

    def run_job(self, tgt, fun, arg=(), tgt_type="glob", jid="", kwarg=None):
        jid = jid or f"jid{len(self.sent)}"
        meant = [name for name in self.known if tgt_type == "compound" or name in tgt]
        self.sent.append((fun, meant, list(arg), kwarg))
        if fun == "saltutil.running":
            self.returned[jid] = {name: {"ret": jobs} for name, jobs in self.running.items()}
        return {"jid": jid, "minions": meant} if meant else {}

    def get_cache_returns(self, jid):
        return self.returned.get(jid, {})


def minions(salt, **more):
    ticks = iter(range(1000))
    return Minions(
        salt, "main", Standing("*", **{"per_builder": 1, "lease": 60.0, **more}), sleep=lambda _: None, clock=lambda: next(ticks)
    )


def job(number, fleet="main", jid=None):
    arguments = {"__fleet": fleet, "number": number, "__kwarg__": True} if fleet else {"name": "web", "__kwarg__": True}
    return {"fun": "vm_create.create_variation", "jid": jid or job_id(claim(number)), "arg": [arguments]}


def test_the_id_of_a_job_follows_from_its_claim_and_looks_like_salts():
    assert job_id(claim(7)) == "19700101001640000007_vm_fleet"


def test_all_minions_are_asked_once_in_a_pass():
    salt = Salt({"b1": [job(7)], "b2": []})
    ours = minions(salt)
    ours.look([claim()])
    ours.free([claim()])
    ours.sweep([claim()])
    assert [sent[0] for sent in salt.sent] == ["saltutil.running"]


def test_minions_answer_while_other_things_are_looked_at():
    salt = Salt({"b1": [job(7)]})
    ours = minions(salt)
    ours.begin_look()
    assert [sent[0] for sent in salt.sent] == ["saltutil.running"]
    assert ours.look([claim()])[7].seen is Seen.RUNNING
    assert [sent[0] for sent in salt.sent] == ["saltutil.running"]


def test_a_build_that_returned_after_its_minion_was_asked_has_ended():
    salt = Salt({"b1": [job(7)]})
    ours = minions(salt)
    ours.begin_look()
    salt.returned[job_id(claim())] = {"b1": {"ret": {"published": None}}}
    assert ours.look([claim()])[7].seen is Seen.ENDED


def test_a_job_is_sent_with_what_the_fleet_says_of_it():
    salt = Salt({"b1": []})
    assert minions(salt).start(claim()) == job_id(claim())
    assert salt.sent[-1] == (
        "vm_create.create_variation",
        ["b1"],
        [],
        {
            "name": "web",
            "keep": 2,
            "publish": True,
            "promote": False,
            "number": 7,
            "order": "digest",
            "skip_unchanged": True,
            "__fleet": "main",
        },
    )


@pytest.mark.parametrize("how", ["runs", "returned"])
def test_a_second_start_starts_nothing(how):
    salt = Salt({"b1": [job(7)] if how == "runs" else []})
    if how == "returned":
        salt.returned[job_id(claim())] = {"b1": {"ret": {}}}
    minions(salt).start(claim())
    assert "vm_create.create_variation" not in [sent[0] for sent in salt.sent]


def test_a_minion_that_the_master_does_not_know_is_an_error():
    with pytest.raises(CallFailed, match="no minion b9"):
        minions(Salt({"b1": []})).start(claim(builder="b9"))


@pytest.mark.parametrize(
    ("running", "returned", "seen"),
    [
        ({"b1": [job(7)]}, None, Seen.RUNNING),
        ({"b1": [job(8)]}, None, Seen.GONE),
        ({"b1": []}, {"published": None}, Seen.ENDED),
        ({"b2": []}, None, Seen.SILENT),
        ({"b2": []}, {"published": None}, Seen.ENDED),
        ({"b1": "Minion did not return"}, None, Seen.SILENT),
    ],
)
def test_what_is_seen_of_a_build(running, returned, seen):
    salt = Salt(running, known=["b1", "b2"])
    if returned is not None:
        salt.returned[job_id(claim())] = {"b1": {"ret": returned}}
    assert minions(salt).look([claim()])[7].seen is seen


def test_what_is_no_mapping_is_why_a_build_failed():
    salt = Salt({"b1": []})
    salt.returned[job_id(claim())] = {"b1": {"ret": "ERROR: the state x failed"}}
    assert minions(salt).look([claim()])[7].error == "ERROR: the state x failed"


def test_who_works_for_somebody_else_or_is_silent_is_not_free():
    salt = Salt({"b1": [], "b2": [job(99)], "b3": [job(7)], "b4": [job(1, fleet="")]}, known=["b1", "b2", "b3", "b4", "b5"])
    assert minions(salt).free([claim(7, "b3")]) == ["b1"]
    assert minions(salt, per_builder=2).free([claim(7, "b3")]) == ["b1", "b2", "b3", "b4", "b1"]


def test_a_minion_whose_job_has_just_returned_is_free_and_nothing_is_ended():
    """The look that the return has begun finds the job's process, which is about to end."""
    salt = Salt({"b1": [job(7)]})
    salt.returned[job_id(claim(7))] = {"b1": {"ret": {"published": None}}}
    ours = minions(salt)
    assert ours.free([]) == ["b1"]
    assert ours.sweep([]) == [] and "saltutil.term_job" not in [sent[0] for sent in salt.sent]


def test_jobs_of_this_fleet_that_were_given_up_are_ended_and_no_others():
    salt = Salt({"b1": [job(7), job(8, jid="late")], "b2": [job(9, fleet="another"), job(1, fleet="")]})
    assert minions(salt).sweep([claim(7)]) == ["the job late of b1"]
    assert [sent[:3] for sent in salt.sent[1:]] == [("saltutil.term_job", ["b1"], ["late"])]


@pytest.mark.parametrize("has_returned", [True, False])
def test_a_build_that_has_ended_is_not_ended_again(has_returned):
    salt = Salt({"b1": []})
    if has_returned:
        salt.returned[job_id(claim())] = {"b1": {"ret": {}}}
    minions(salt).stop(claim())
    assert [sent[0] for sent in salt.sent] == ([] if has_returned else ["saltutil.term_job"])


def test_the_steps_that_are_done_are_asked_once_of_all_builders_and_who_is_silent_says_none():
    salt = Salt({"b1": [], "b2": []})
    said = {
        "b1": {"web": {"busy": True, "steps": ["base", "root"]}, "db": {"busy": True, "steps": []}},
        "b2": {"web": {"busy": False}},
    }

    def run_job(tgt, fun, arg=(), **more):
        salt.sent.append((fun, tgt, list(arg)))
        salt.returned["j"] = {name: {"ret": builds} for name, builds in said.items()}
        return {"jid": "j", "minions": list(tgt)}

    salt.run_job = run_job
    ours = minions(salt)
    steps = [{"step": "base", "seconds": 1}, {"step": "root", "seconds": 2}, {"step": "pack", "seconds": 3}]
    known = {claim().wanted.name: steps}
    assert ours.watch([claim(7, "b1"), claim(8, "b2"), claim(9, "b3")], known) == {7: ("pack", 50)}
    assert salt.sent == [("vm_create.status", ["b1", "b2", "b3"], [])]
    said["b1"] = "Minion did not return"
    assert ours.watch([claim(7, "b1")], known) == {}

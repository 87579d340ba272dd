"""A commit becomes a published image without a further hand, whatever dies on the way.

The master's schedule is all that calls the fleet; a test commits, kills and looks.
"""

import signal
import time

import pytest

#: keeps a build at work for as long as a test needs to find and disturb it
SLOW = "it takes its time:\n  cmd.run: [{name: sleep 20}]\n"


@pytest.fixture(autouse=True)
def all_is_well_at_the_end(fleet):
    """Each test leaves a fleet that has published what is wanted, each once, and has left nothing."""
    yield
    fleet.assert_clean()


@pytest.mark.long
def test_ten_commits_in_a_burst_lead_to_exactly_the_five_newest(fleet):
    commits = {name: fleet.commit(name, "second") for name in fleet.sources}
    fleet.wait_published(commits)
    status = fleet.wait_settled()
    assert {name: image["state"] for name, image in status["plan"].items()} == {f"{name}-amd64": "fine" for name in commits}
    assert fleet.revisions() == {f"{name}-amd64": [node[:12]] for name, node in commits.items()}
    for name, node in commits.items():
        assert [result["ending"] for result in fleet.history(name) if result["revision"] == node] == ["published"], fleet.history(
            name
        )


def test_a_commit_is_published_without_a_further_hand(fleet):
    node = fleet.commit("web", "a commit")
    fleet.wait_published({"web": node})
    fleet.wait_settled()
    last = fleet.history("web")[0]
    assert (last["ending"], last["revision"]) == ("published", node)
    assert {step["step"] for step in last["facts"]["steps"]} >= {"variation", "shrink"}
    assert "/srv/said" in fleet.log("web")
    assert fleet.cluster.run("vm_fleet.history", "web-amd64")[0]["number"] == last["number"]


@pytest.mark.long
def test_a_minion_is_killed_in_the_midst_of_a_build(fleet):
    """With all its processes, as a machine loses its power; another minion builds, and what comes of the first is never published."""
    node = fleet.commit("db", "killed", SLOW)
    claim = fleet.wait_running("db", node)
    fleet.cluster.kill(claim["builder"])
    fleet.wait_published({"db": node})
    fleet.wait_idle()
    fleet.cluster.start_minion(claim["builder"])
    endings = {
        result["number"]: (result["ending"], result["builder"]) for result in fleet.history("db") if result["revision"] == node
    }
    assert endings[claim["number"]] == ("lost", claim["builder"]), endings
    assert [builder != claim["builder"] for ending, builder in endings.values() if ending == "published"] == [True]


@pytest.mark.long
def test_a_minion_is_stopped_for_longer_than_its_lease(fleet):
    """Its build is given to another; when it goes on, it publishes nothing."""
    node = fleet.commit("mail", "stopped", SLOW)
    claim = fleet.wait_running("mail", node)
    fleet.cluster.signal(claim["builder"], signal.SIGSTOP)
    try:
        fleet.wait_published({"mail": node})
        fleet.wait_idle()
    finally:
        fleet.cluster.signal(claim["builder"], signal.SIGCONT)
    image = fleet.history("mail")[0]
    fleet.cluster.wait_for([claim["builder"]])
    time.sleep(30)  # what it was at comes to its end, or is ended
    endings = {result["number"]: result["ending"] for result in fleet.history("mail") if result["revision"] == node}
    assert endings[claim["number"]] == "lost" and [*endings.values()].count("published") == 1, endings
    assert fleet.history("mail")[0] == image


@pytest.mark.long
def test_the_master_is_killed_in_the_midst_of_a_build(fleet):
    node = fleet.commit("proxy", "master", SLOW)
    claim = fleet.wait_running("proxy", node)
    fleet.cluster.kill("master")
    time.sleep(5)
    fleet.cluster.start_master()
    fleet.wait_published({"proxy": node})
    fleet.wait_idle()
    assert claim["number"] in {result["number"] for result in fleet.history("proxy") if result["revision"] == node}


@pytest.mark.long
def test_the_store_is_away_for_a_while(fleet):
    node = fleet.commit("cache", "away", SLOW)
    fleet.wait_running("cache", node)
    glance = fleet.cloud.glances["RegionOne"]
    glance.kill()
    time.sleep(45)
    glance.start()
    fleet.wait_published({"cache": node})


@pytest.mark.long
def test_a_failing_variation_is_tried_and_parked_and_blocks_no_other(fleet):
    fleet.commit("web", "bad", "this fails:\n  cmd.run: [{name: 'false'}]\n")
    node = fleet.commit("db", "good")
    fleet.wait_published({"db": node})
    status = fleet.wait_settled()
    assert status["plan"]["web-amd64"]["state"] == "parked" and "failed 2 times" in status["plan"]["web-amd64"]["reason"], status
    assert "cmd.run" in fleet.log("web")
    better = fleet.commit("web", "better")
    fleet.wait_published({"web": better})

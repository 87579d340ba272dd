"""A commit becomes a published image without a further hand, whatever dies on the way."""


def test_a_commit_is_published_without_a_further_hand(fleet):
    for name in ("web", "db"):
        node = fleet.commit(name, "a commit")
        fleet.wait_published({name: node})
    fleet.assert_clean()
    last = fleet.history("web")[0]
    assert last["ending"] == "published" and last["revision"] == fleet.sources["web"].node()
    assert {step["step"] for step in last["facts"]["steps"]} >= {"variation", "shrink"}
    assert "file.managed" in fleet.cluster.run("vm_fleet.log", last["number"]) or fleet.cluster.run(
        "vm_fleet.log", last["number"]
    )

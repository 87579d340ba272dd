"""A minion with a master, both real, on loopback: the modules come by sync, the states from the master, progress goes to its bus."""

import json

import pytest
from cluster import cluster_running
from looking import looked_into

PAGE = "/etc/mark:\n  file.managed:\n    - contents: {{ pillar['colour'] }} {{ grains['id'] }}\n"


@pytest.fixture
def cluster():
    with cluster_running() as cluster:
        yield cluster


def test_a_minion_of_a_master_builds_from_the_masters_states(cluster, bootstrapped):
    (cluster.states / "page.sls").write_text(PAGE, encoding="utf-8")
    code, synced = cluster.salt("saltutil.sync_all")
    assert code == 0 and "modules.vm_create" in synced["modules"], synced
    variation = {"states": ["page"], "id": "web1"}
    code, data = cluster.salt("vm_create.create_variation", "name=web", f"variation={json.dumps(variation)}", "update=False")
    assert code == 0, data
    with looked_into(cluster.directory / "output/web.img") as root:
        assert (root / "etc/mark").read_text(encoding="utf-8") == "green web1\n"
    steps = ("base", "root", "variation", "seal", "kernel", "pack", "close", "shrink", "triplet")
    cluster.wait_for_events(*(f"vm_create/web/{step}/done" for step in steps))

    code, said = cluster.salt("vm_create.create_variation", "name=web", "variation=salt://nowhere", "update=False")
    assert code != 0 and "there is no variation salt://nowhere" in str(said)

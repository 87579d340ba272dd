"""A minion with a master, both real, on loopback: the modules come by sync, the states from the master, progress goes to its bus."""

import json
from pathlib import Path

import pytest
from cluster import cluster_running
from looking import looked_into

#: its lines of Jinja are right by the master's options alone
PAGE = """% if true
/etc/mark:
  file.managed:
    - contents: {{ pillar['colour'] }} {{ grains['id'] }}
% endif
/srv/tree:
  file.recurse: [{source: 'salt://tree'}, {file_mode: keep}, {keep_symlinks: true}, {include_empty: true}]
"""
OPTIONS = {"jinja_sls_env": {"line_statement_prefix": "%"}}


@pytest.fixture
def cluster():
    with cluster_running(master=OPTIONS) as cluster:
        yield cluster


def test_a_minion_of_a_master_builds_from_the_masters_states(cluster, bootstrapped):
    (cluster.states / "page.sls").write_text(PAGE, encoding="utf-8")
    tree = cluster.states / "tree"
    (tree / "empty").mkdir(parents=True)
    for name in ("tool", "gone"):
        (tree / name).write_text("#!/bin/sh\n", encoding="utf-8")
    (tree / "tool").chmod(0o755)
    (tree / "link").symlink_to("tool")
    assert cluster.salt("cp.cache_file", "salt://tree/gone")[0] == 0
    (tree / "gone").unlink()
    code, synced = cluster.salt("saltutil.sync_all")
    assert code == 0 and "modules.vm_create" in synced["modules"], synced
    variation = {"states": ["page"], "id": "web1"}
    code, data = cluster.salt("vm_create.create_variation", "name=web", f"variation={json.dumps(variation)}", "update=False")
    assert code == 0, data
    with looked_into(cluster.directory / "output/web.img") as root:
        assert (root / "etc/mark").read_text(encoding="utf-8") == "green web1\n"
        assert {path.name for path in (root / "srv/tree").iterdir()} == {"empty", "link", "tool"}
        assert (root / "srv/tree/tool").stat().st_mode & 0o777 == 0o755 and (root / "srv/tree/link").readlink() == Path("tool")
    steps = ("base", "root", "variation", "seal", "kernel", "pack", "close", "shrink", "triplet")
    cluster.wait_for_events(*(f"vm_create/web/{step}/done" for step in steps))

    code, said = cluster.salt("vm_create.create_variation", "name=web", "variation=salt://nowhere", "update=False")
    assert code != 0 and "there is no variation salt://nowhere" in str(said)

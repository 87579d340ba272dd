"""A builder that is a minion of a master: the master tells what to build, and sees it being built and published."""

import subprocess

import pytest
from builder_machine import keystone_of, make_cache
from cluster import cluster_running
from looking import looked_into
from store_watch import look_at
from variations import make_history

pytestmark = pytest.mark.needs("hg")


def test_a_master_has_a_repository_built_and_published_by_its_minion(emptied, light, repositories, tmp_path):
    """Who it is to the cloud stands in the minion's own configuration, and in no cache, log or event of either."""
    source = make_history("hg", repositories.top / tmp_path.name)
    asked, client = source.shown(source.nodes["second"]), emptied.client("alice", "RegionOne")
    pillar = {"name": "web", "update": False, "cache": make_cache(tmp_path / "cache", light)}
    pillar |= {"base": light["ami.base"], "base_unverified": True}
    pillar |= {"hg_address_variation": repositories.address(source), "hg_rev_variation": asked}
    with cluster_running(pillar=pillar, minion=keystone_of(emptied)) as cluster:
        code, synced = cluster.salt("saltutil.sync_all")
        assert code == 0, synced
        code, data = cluster.salt("vm_create.create_variation")
        assert code == 0, data
        image = look_at(client).named("web-amd64")
        assert data["published"]["image"] == image["id"] and image["vm_create_revision"] == asked
        with looked_into(cluster.directory / "output/web.img") as root:
            assert (root / "srv/page").read_text(encoding="utf-8").strip() == "second green"
        steps = ("repository", "base", "variation", "triplet", "upload_root", "promote")
        cluster.wait_for_events(*(f"vm_create/web/{step}/done" for step in steps))
        password = emptied.users["alice"].password
        grep = ["grep", "--recursive", "--files-with-matches", "--text", "--fixed-strings", password, cluster.directory]
        found = subprocess.run(grep, capture_output=True, text=True, check=False).stdout.splitlines()
        assert found == [str(cluster.directory / "minion.d/minion")]

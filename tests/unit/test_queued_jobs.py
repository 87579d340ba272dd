"""Jobs of at in an image know nothing of the build."""

import pytest
from vmimage.variation.queued_jobs import free_jobs

JOB = "var/spool/cron/atjobs/a00001"
OURS = """#!/bin/sh
# atrun uid=0 gid=0
umask 22
HOME=/root; export HOME
APT_CONFIG=/run/vm_create/apt.conf; export APT_CONFIG
PATH=/run/vm_create/bin:/usr/sbin:/usr/bin; export PATH
SYSTEMD_OFFLINE=1; export SYSTEMD_OFFLINE
cd / || {
}
PATH=/run/vm_create/bin:/bin; export PATH
SYSTEMD_OFFLINE=1; export SYSTEMD_OFFLINE
"""
FREED = """#!/bin/sh
# atrun uid=0 gid=0
umask 22
HOME=/root; export HOME
PATH=/usr/sbin:/usr/bin; export PATH
cd / || {
}
PATH=/run/vm_create/bin:/bin; export PATH
SYSTEMD_OFFLINE=1; export SYSTEMD_OFFLINE
"""


def test_a_job_loses_the_environment_of_the_build_and_keeps_its_own_words(root, tree, tmp_path):
    tree(root, {JOB: OURS})
    (root / JOB).chmod(0o700)
    changes = tree(tmp_path / "changes", {JOB: OURS})
    assert free_jobs(root, changes) == [f"/{JOB}"]
    assert (root / JOB).read_text() == FREED and (root / JOB).stat().st_mode & 0o777 == 0o700
    assert free_jobs(root, changes) == []


@pytest.mark.parametrize("text", ["SYSTEMD_OFFLINE=1; export SYSTEMD_OFFLINE\n", "", "\0\xff"])
def test_what_is_no_job_of_at_stays(root, tree, tmp_path, text):
    tree(root, {JOB: text, "var/spool/cron/atjobs/of the base": OURS})
    assert free_jobs(root, tree(tmp_path / "changes", {JOB: text})) == []
    assert (root / JOB).read_text() == text and (root / "var/spool/cron/atjobs/of the base").read_text() == OURS

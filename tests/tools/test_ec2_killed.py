"""A run that publishes to EC2 is killed at each request that changes something: one more run ends in the right state."""

import pytest
from ec2_account import ENVIRONMENT, Account, killed_at
from ec2_server import Ec2Server


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """An account in which each run is like the run before: it has an image to archive, and an image to prune."""
    with pytest.MonkeyPatch.context() as patch, Ec2Server() as server:
        for key, value in ENVIRONMENT.items():
            patch.setenv(key, value)
        account = Account(server, tmp_path_factory.mktemp("account"))
        for _ in range(2):
            account.publish_new(keep=1, ec2={"accounts": ["012345678901"]})
        yield account


@pytest.mark.parametrize("event", ["before-send", "response-received"])
def test_killed_at_each_request(account, event):
    """Just before it is sent; and when it is answered, of which the killed run then knows nothing."""
    number, struck = 0, []
    while True:
        number += 1
        disk = account.make_disk()
        operation = killed_at(account, event, number)
        if operation:
            struck.append(operation)
            assert len([image for image in account.images() if image["tags"]["vm_create_state"] == "published"]) in (1, 2)
            account.publish(keep=1)
        account.assert_right(disk, archived=1)
        if not operation:
            break
    assert set(struck) == {
        "StartSnapshot",
        "PutSnapshotBlock",
        "CompleteSnapshot",
        "RegisterImage",
        "ModifyImageAttribute",
        "CreateTags",
        "DeregisterImage",
        "DeleteSnapshot",
    }
    assert len(struck) >= 10

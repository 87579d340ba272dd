"""Images that a builder leaves to a fleet, in a real Glance."""

import pytest
from looking_at import assert_nothing_unfinished, assert_published, images_of, named
from triplets import Publisher, make_triplet
from vmimage.errors import NotPublished
from vmimage.glance.promote import OlderNumber
from vmimage.glance.waiting import numbers_waiting, promote_uploaded, remove_waiting


@pytest.fixture
def alice(cloud, tmp_path):
    return Publisher(cloud, tmp_path)


def uploaded(alice, number, **contents):
    """A new triplet in the store, under a name of its own."""
    triplet = make_triplet(alice.directory, **contents)
    build, store = alice.build(promote=False, number=number, order=f"order {number}".replace(" ", "-"), keep=1)
    return triplet, build, store, alice.publish(promote=False, number=number, order=f"order-{number}", keep=1)


def test_what_is_left_to_a_fleet_takes_no_name_until_the_fleet_gives_it(alice):
    first, published = alice.publish_new()
    triplet, build, store, left = uploaded(alice, 2, kernel=b"another kernel")
    assert left["changed"] and left["image"] != published["image"]
    assert named(alice.client, "web-amd64")[0]["id"] == published["image"]
    own = [image for image in images_of(alice.client) if image.get("vm_create_number") == "2"]
    assert {image["vm_create_role"] for image in own} == {"root_image", "kernel"}  # the ramdisk is that of the first
    assert {image["vm_create_order"] for image in own} == {"order-2"}
    done = promote_uploaded(store, build.settings, "web-amd64", 2, "order-2")
    assert done["changed"] and done["outputs"]["triplet"]["image"] == left["image"]
    assert_published(alice.client, triplet, archived=1)
    assert promote_uploaded(store, build.settings, "web-amd64", 2)["changed"] is False


def test_an_older_number_takes_no_name_in_any_way(alice):
    triplet, build, store, _ = uploaded(alice, 7)
    promote_uploaded(store, build.settings, "web-amd64", 7)
    old, _, _, _ = uploaded(alice, 6, ramdisk=b"another ramdisk")
    with pytest.raises(OlderNumber, match="of build 6, and web-amd64 has had an image of build 7"):
        promote_uploaded(store, build.settings, "web-amd64", 6)
    with pytest.raises(NotPublished, match="of build 6"):
        alice.publish(number=6)
    store.look_again()
    assert remove_waiting(store, "web-amd64", {6}) == []  # what publishing refused, it has taken back
    assert_nothing_unfinished(alice.client)
    assert len(named(alice.client, "web-amd64")) == 1


def test_a_build_that_is_given_up_is_removed(alice):
    _, _, store, _ = uploaded(alice, 3)
    store.look_again()
    assert numbers_waiting(store.list_images()) == {"web-amd64": {3}}
    assert len(remove_waiting(store, "web-amd64", {3})) == 3
    assert images_of(alice.client) == []

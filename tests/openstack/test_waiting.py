"""Images that a builder leaves to a fleet, in a real Glance."""

import json

import glanceclient
import pytest
from fleet_world import MemoryCache
from looking_at import assert_nothing_unfinished, assert_published, images_of, named
from repository_server import SOURCES
from triplets import Publisher, make_triplet
from vmimage.errors import NotPublished
from vmimage.fleet.claims import Claims
from vmimage.fleet.configuration import read_configuration
from vmimage.fleet.order import arguments_of
from vmimage.fleet.records import Claim
from vmimage.fleet.wanted import Repositories
from vmimage.glance.client import Store
from vmimage.glance.promote import OlderNumber
from vmimage.glance.waiting import numbers_waiting, promote_uploaded, remove_waiting
from vmimage.settings.gather import gather_settings


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


def test_the_fence_sees_a_newer_image_that_is_archived_and_hidden(alice):
    """It is found by its properties: its name, and the listings that users see, lead to it no more."""
    uploaded(alice, 7)
    _, build, store, _ = uploaded(alice, 8)
    promote_uploaded(store, build.settings, "web-amd64", 8)
    (newer,) = named(alice.client, "web-amd64")
    alice.publish_new()  # by hand: without a number
    assert named(alice.client, "web-amd64")[0]["id"] != newer["id"]
    alice.client.images.update(newer["id"], os_hidden=True)
    store.look_again()
    with pytest.raises(NotPublished, match="of build 7"):
        promote_uploaded(store, build.settings, "web-amd64", 7)


def test_a_promotion_asks_for_the_images_of_its_variation_alone(alice, monkeypatch):
    asked, listed = [], Store._list
    for number in (1, 2, 3):
        triplet, build, store, _ = uploaded(alice, number, kernel=f"kernel {number}".encode())
        asked.clear()
        monkeypatch.setattr(Store, "_list", lambda own, filters, owned=True: asked.append(filters) or listed(own, filters, owned))
        promote_uploaded(store, build.settings, "web-amd64", number, kinds=["triplet"])
        monkeypatch.undo()
        assert_published(alice.client, triplet, archived=min(number - 1, 1))
    parts = [filters for filters in asked if {*filters} & {"kernel_id", "ramdisk_id"}]
    others = [filters for filters in asked if filters not in parts]
    assert len(others) == 8 and len(parts) == 4, asked  # two looks, visible and hidden; a kernel of build 1 that nobody needs
    assert all(filters.get("name") or filters.get("vm_create_name") == "web-amd64" for filters in others)


def test_members_of_a_variation_in_a_fleet_see_its_image_and_those_of_another_do_not(alice, cloud, tmp_path):
    his = cloud.users["bob"].project_id
    source = SOURCES["git"](tmp_path / "both", {"variation__sls": "{}\n"})
    own = {"git": source.address, "variations": {"web": {"members": [his], "keep": 1}, "db": {}}}
    configuration = read_configuration({"ami_fleet": {"repositories": {"both": own}, "builders": {"target": "*"}}})
    claims = Claims(MemoryCache(), "main")
    asked = Repositories(configuration, claims, tmp_path / "cache").ask()
    assert asked.problems == {}
    bob = cloud.client("bob", "RegionOne")
    for number, name in enumerate(("web", "db"), 1):
        wanted = asked.wanted[f"{name}-amd64"]
        make_triplet(alice.directory, name)
        order = json.loads(json.dumps(arguments_of(Claim(number, wanted, "b1", 0, 0))))  # as it comes to a minion
        del order["git_address_variation"], order["git_rev_variation"], order["skip_unchanged"]
        left = alice.publish(**order)
        assert alice.client.images.get(left["image"])["visibility"] == "private", "until it has its name nobody sees it"
        _, store = alice.build(name=name)
        done = promote_uploaded(store, gather_settings([], wanted.settings), wanted.name, number, wanted.digest)
        assert done["pending"] == ([his] if name == "web" else [])
    web, db = named(alice.client, "web-amd64")[0], named(alice.client, "db-amd64")[0]
    assert bob.images.get(web["id"])["visibility"] == bob.images.get(web["kernel_id"])["visibility"] == "shared"
    with pytest.raises(glanceclient.exc.HTTPNotFound):
        bob.images.get(db["id"])


def test_a_repository_names_members_and_may_not_say_how_visible_its_images_are(tmp_path):
    own = {"web": "members: ['%s']" % ("a" * 32), "db": "visibility: public"}
    sources = {
        name: SOURCES["git"](
            tmp_path / name, {"variation__sls": "{}\n", "ami__yaml": f"ami.variations: {{{name}: {{{text}}}}}\n"}
        )
        for name, text in own.items()
    }
    repositories = {name: {"git": source.address} for name, source in sources.items()}
    configuration = read_configuration({"ami_fleet": {"repositories": repositories, "builders": {"target": "*"}}})
    asked = Repositories(configuration, Claims(MemoryCache(), "main"), tmp_path / "cache").ask()
    assert [wanted.settings["members"] for wanted in asked.wanted.values()] == [["a" * 32]]
    assert "visibility: this cannot be set here" in asked.problems["db"]


def test_an_image_that_another_request_deletes_at_the_same_moment_is_gone(alice, monkeypatch):
    make_triplet(alice.directory, "web")
    image = alice.publish(name="web")["image"]
    _, store = alice.build(name="web")
    delete = store._client.images.delete

    def deleted_by_another(image_id):  # what Glance answers then, which no test can time
        delete(image_id)
        raise glanceclient.exc.HTTPBadRequest("Image status transition from deleted to deleted is not allowed")

    monkeypatch.setattr(store._client.images, "delete", deleted_by_another)
    store.delete_image(image)
    assert store.find_image(image) is None

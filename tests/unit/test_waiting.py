"""Images that a builder has uploaded take their names by the fleet: all of a build or none, each once, nothing older over newer."""

import pytest
from memory_store import MemoryStore
from vmimage.errors import NotPublished
from vmimage.glance import waiting
from vmimage.glance.generations import leftovers, number, published_of
from vmimage.glance.promote import OlderNumber
from vmimage.glance.waiting import find_waiting, numbers_waiting, promote_uploaded, remove_waiting
from vmimage.settings.schema import Settings

NAME, SETTINGS = "web-amd64", Settings(name="web", keep=1)
ALL = ("triplet", "bare", "disk")


class Killed(BaseException):
    """As a signal ends a process: nothing is done after it."""


def promote(store, wanted):
    return promote_uploaded(store, SETTINGS, NAME, wanted)


def published(store):
    """``{name: number of the build that has it}``"""
    names = (NAME, f"{NAME}-bare", f"{NAME}-disk")
    return {name: number(image) for name in names if (image := published_of(store.list_images(), name))}


def test_the_outputs_of_a_build_take_their_names_and_the_old_are_archived():
    store = MemoryStore()
    for wanted in (1, 2):
        store.add_build(NAME, wanted, ALL)
        done = promote(store, wanted)
    assert published(store) == {NAME: 2, f"{NAME}-bare": 2, f"{NAME}-disk": 2}
    assert done["changed"] and len(done["archived"]) == 3 and {*done["outputs"]} == {*ALL}
    assert all(len(store.named(name)) == 1 for name in published(store))


def test_a_second_call_says_that_it_is_done():
    store = MemoryStore()
    store.add_build(NAME, 1, ALL)
    first, images = promote(store, 1), None
    images = store.list_images()
    again = promote(store, 1)
    assert (first["changed"], again["changed"]) == (True, False)
    assert again["outputs"] == first["outputs"] and store.list_images() == images


def test_killed_at_each_request_the_next_call_completes_it():
    """No request is left out: the first call that is not killed ends the test."""
    for last in range(1, 100):
        store, requests = MemoryStore(), []
        for wanted in (1, 2):
            store.add_build(NAME, wanted, ALL)
            promote(store, wanted)
        store.add_build(NAME, 3, ALL)

        def die(request, requests=requests, last=last):
            requests.append(request)
            if len(requests) == last:
                raise Killed(request)

        store.before = die
        try:
            promote(store, 3)
            break
        except Killed:
            store.before = lambda request: None
            promote(store, 3)
        assert published(store) == {NAME: 3, f"{NAME}-bare": 3, f"{NAME}-disk": 3}, requests
        archived = sorted(number(image) for image in store.list_images() if image["name"].startswith("archive "))
        assert archived == [2, 2, 2], requests  # keep=1
        parts = sorted(number(image) for image in store.list_images() if image["container_format"] in ("aki", "ari"))
        assert parts == [2, 2, 3, 3], requests
    assert last > 15


def test_an_older_number_gets_no_name_that_a_newer_has_had():
    store = MemoryStore()
    store.add_build(NAME, 7, ALL)
    promote(store, 7)
    store.add_build(NAME, 6, ALL)
    before = store.list_images()
    with pytest.raises(OlderNumber, match="of build 6, and web-amd64 has had an image of build 7"):
        promote(store, 6)
    assert store.list_images() == before


def test_nor_where_the_newer_is_archived_by_now():
    store = MemoryStore()
    store.add_build(NAME, 7)
    promote(store, 7)
    by_hand = store.add_build(NAME, 0)["triplet"]
    store.change_image(store.named(NAME)[0]["id"], name=f"archive {NAME} 2026", vm_create_state="archived")
    store.change_image(by_hand, name=NAME, vm_create_state="published", vm_create_generation="2")
    store.add_build(NAME, 6)
    with pytest.raises(OlderNumber):
        promote(store, 6)


def test_what_is_not_whole_gets_no_name():
    store = MemoryStore()
    store.add_build(NAME, 1, ALL, complete=False)
    with pytest.raises(NotPublished, match="are not all in the store"):
        promote(store, 1)
    mains = store.add_build(NAME, 2, ALL)
    store.delete_image(mains["disk"])
    with pytest.raises(NotPublished, match="are not all in the store"):
        promote(store, 2)
    assert published(store) == {}


def test_an_output_of_the_same_bytes_keeps_its_image_which_says_what_was_ordered_last():
    store = MemoryStore()
    store.add_build(NAME, 1, ALL, order="first")
    promote(store, 1)
    triplet = store.named(NAME)[0]["id"]
    mains = store.add_build(NAME, 2, ("disk",), order="second")
    store.change_image(mains["disk"], vm_create_complete=f"disk triplet={triplet}")
    promote(store, 2)
    assert store.named(NAME)[0]["id"] == triplet
    assert (store.images[triplet]["vm_create_order"], store.images[triplet]["vm_create_number"]) == ("second", "2")


def test_a_build_that_is_given_up_goes_with_its_parts_and_no_other():
    store = MemoryStore()
    for wanted in (1, 2, 3):
        store.add_build(NAME, wanted, ALL)
    promote(store, 1)
    assert numbers_waiting(store.list_images()) == {NAME: {2, 3}}
    removed = remove_waiting(store, NAME, {1, 2})
    assert len(removed) == 5
    assert numbers_waiting(store.list_images()) == {NAME: {3}} and published(store)[NAME] == 1
    assert find_waiting(store.list_images(), NAME, 3)


@pytest.mark.parametrize("builder", ["them", "another"])
def test_no_builder_cleans_away_what_waits_for_its_name(builder):
    store = MemoryStore()
    store.add_build(NAME, 1, ALL, builder="them")
    images = [{**image, "created_at": "2020-01-01T00:00:00Z"} for image in store.list_images()]
    assert leftovers(images, NAME, build="next", builder=builder) == []


@pytest.mark.parametrize(("builder", "left"), [("them", 3), ("another", 0)])
def test_what_is_not_whole_is_its_own_builders_leftover(builder, left):
    store = MemoryStore()
    store.add_build(NAME, 1, ALL, builder="them", complete=False)
    young = [{**image, "created_at": "2999-01-01T00:00:00Z"} for image in store.list_images()]
    found = leftovers(young, NAME, build="next", builder=builder)
    assert len([image for image in found if image["container_format"] not in ("aki", "ari")]) == left


def test_a_kernel_that_an_image_of_another_name_needs_stays_when_its_own_image_goes():
    """A promotion sees the images of its variation alone, and asks for those that need a part before it is deleted."""
    store = MemoryStore()
    store.add_build(NAME, 1)
    kernel = next(image["id"] for image in store.images.values() if image["container_format"] == "aki")
    store.add(name="somebody's own", container_format="ami", kernel_id=kernel)
    for wanted in (2, 3):
        promote(store, wanted - 1)
        store.add_build(NAME, wanted)
    promote(store, 3)
    left = {number(image) for image in store.images.values() if image["container_format"] == "aki"}
    assert left == {1, 2, 3} and kernel in store.images
    assert {number(image) for image in store.images.values() if image["container_format"] == "ari"} == {2, 3}


def test_what_a_promotion_has_changed_the_next_listing_of_the_store_has():
    store = MemoryStore()
    store.add_build(NAME, 1)
    assert numbers_waiting(store.list_images()) == {NAME: {1}}
    promote(store, 1)
    assert numbers_waiting(store.list_images()) == {} and remove_waiting(store, NAME, {1}) == []


def test_of_two_fleets_that_promote_at_once_the_newer_build_has_the_name_and_the_older_says_so(monkeypatch):
    store, take_name = MemoryStore(), waiting.take_name
    for wanted in (1, 2):
        store.add_build(NAME, wanted)

    def take_and_be_overtaken(own, image, name):
        take_name(own, image, name)
        monkeypatch.setattr(waiting, "take_name", take_name)
        promote(store, 2)

    monkeypatch.setattr(waiting, "take_name", take_and_be_overtaken)
    with pytest.raises(NotPublished, match="points to another image than that of build 1"):
        promote(store, 1)
    assert published(store) == {NAME: 2} and len(store.named(NAME)) == 1

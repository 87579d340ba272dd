"""Which image has the name, which had it before, and which are too many."""

import pytest
from vmimage.glance.generations import (
    describe,
    is_ours,
    previous_of,
    published_of,
    replaced_by,
    roots_of,
    surplus,
    under_name,
    was_rolled_back,
)

NAME = "web-amd64"
WORDS = {"new": "new", "archived": "archive", "broken": "broken", "published": ""}


def image(number, state="archived", **facts):
    """A root image of ours, as the store lists it; ``facts`` are its properties, or with a trailing _ fields of Glance's own."""
    marks = {"self": f"id{number}", "role": "root_image", "name": NAME, "state": state, "serial": str(number)}
    marks |= {key: str(value) for key, value in facts.items() if not key.endswith("_")}
    fields = {
        "id": f"id{number}",
        "name": NAME if state == "published" else f"{WORDS[state]} {NAME} {number}",
        "status": "active",
        "visibility": "private",
        "size": 5,
        "created_at": f"2024-01-{number:02}T00:00:00Z",
        "kernel_id": f"kernel{number}",
        "ramdisk_id": f"ramdisk{number}",
    }
    fields |= {key[:-1]: value for key, value in facts.items() if key.endswith("_")}
    return {**fields, **{f"vm_create_{key}": value for key, value in marks.items()}}


def snapshot(original, **fields):
    """What Nova makes of an instance: an image of the user's own that inherited all properties of the instance's image."""
    return {**original, "id": f"snapshot-{original['id']}", **fields}


def own(number, **fields):
    """An image that the user uploaded without us."""
    plain = {key: value for key, value in image(number).items() if not key.startswith("vm_create_")}
    return {**plain, "id": f"own{number}", "name": NAME, **fields}


def ids(images):
    return [entry["id"] for entry in images]


def test_an_image_with_its_own_id_among_its_properties_is_ours():
    assert is_ours(image(1))


@pytest.mark.parametrize("other", [snapshot(image(1)), own(1), image(1, self="")], ids=["a snapshot", "without any", "empty"])
def test_an_image_without_its_own_id_among_its_properties_is_the_users(other):
    assert not is_ours(other)


@pytest.mark.parametrize(
    "other",
    [image(1, name="db-amd64"), image(1, role="kernel"), image(1, role="ramdisk"), snapshot(image(1))],
    ids=["of another name", "a kernel", "a ramdisk", "a snapshot"],
)
def test_what_is_no_root_image_of_ours_and_of_that_name_is_none_of_its_roots(other):
    assert ids(roots_of([other, image(2)], NAME)) == ["id2"]


@pytest.mark.parametrize("state", ["new", "published", "archived", "broken"])
def test_a_root_image_is_found_by_its_name_in_every_state(state):
    assert ids(roots_of([image(1, state)], NAME)) == ["id1"]


# who has the name


def test_of_two_published_images_that_of_the_higher_generation_has_the_name():
    nine, ten = image(1, "published", generation=9), image(2, "published", generation=10)
    assert published_of([nine, ten], NAME) == published_of([ten, nine], NAME) == ten


@pytest.mark.parametrize(
    "other",
    [
        image(2, "published", generation=2, name_="renamed by hand"),
        image(2, "archived", generation=2, name_=NAME),
        image(2, "new", generation=2, name_=NAME),
        image(2, "broken", generation=2, name_=NAME),
        snapshot(image(2, "published", generation=2)),
        own(2),
        image(2, "published", generation=2, name="db-amd64", name_="db-amd64"),
    ],
    ids=["lost its name", "archived", "new", "broken", "a snapshot", "the user's own", "another name"],
)
def test_an_image_that_did_not_take_the_name_or_lost_it_is_not_the_published_image(other):
    first = image(1, "published", generation=1)
    assert published_of([other, first], NAME) == first
    assert published_of([other], NAME) is None


def test_who_is_found_by_the_name_is_listed_the_newest_first_and_of_one_second_the_latest_generation():
    second = "2024-02-01T00:00:00Z"
    older, first = own(1, created_at="2024-01-31T23:59:59Z"), image(2, generation=9, name_=NAME, created_at_=second)
    latest = image(3, "published", generation=10, created_at_=second)
    assert under_name([older, image(4), first, latest], NAME) == [latest, first, older]


# from whom it took the name


@pytest.mark.parametrize(
    "other",
    [
        image(1, "published", generation=1),
        image(1, "archived", generation=1, name_=NAME),
        own(1),
        snapshot(image(1), name=NAME),
    ],
    ids=["published before", "archived but for its name", "the user's own", "a snapshot"],
)
def test_who_is_named_as_replaced_and_still_has_the_name_is_replaced(other):
    published = image(5, "published", generation=5, replaces=f"id0 {other['id']} id7")
    assert replaced_by(published, [published, other]) == [other]


def test_an_older_generation_that_still_has_the_name_is_replaced_though_nobody_noted_it():
    published, older = image(5, "published", generation=10), image(4, "published", generation=9)
    assert replaced_by(published, [published, older]) == [older]


@pytest.mark.parametrize(
    "other",
    [image(1, "published", generation=1, name_="renamed by hand"), image(1, generation=1)],
    ids=["renamed by hand", "archived"],
)
def test_who_no_longer_has_the_name_is_not_replaced_again(other):
    published = image(5, "published", generation=5, replaces=other["id"])
    assert replaced_by(published, [published, other]) == []


@pytest.mark.parametrize(
    "other",
    [own(1), snapshot(image(1, "published", generation=1)), image(6, "published", generation=6)],
    ids=["the user's own", "a snapshot", "a later generation"],
)
def test_who_has_the_name_too_and_was_not_noted_is_left_alone(other):
    published = image(5, "published", generation=5, replaces="id0")
    assert replaced_by(published, [published, other]) == []


# which a rollback puts back

NOW = image(10, "published", generation=10)


@pytest.mark.parametrize(
    ("before", "chosen"),
    [
        ([image(8), image(9)], "id9"),
        ([image(9), image(8)], "id9"),
        ([image(8), image(9, rolled_back="2024-01-09T00:00:00Z")], "id8"),
        ([image(7), image(8, rolled_back="x"), image(9, rolled_back="x")], "id7"),
        ([image(8, generation=11), image(9, generation=2)], "id9"),
        ([image(8, created_at_="2024-01-31T00:00:00Z"), image(9)], "id9"),
        ([image(8), image(11)], "id8"),
    ],
    ids=[
        "the newest",
        "in any order",
        "not who was rolled back",
        "nor several of them",
        "the last upload, not who had the name last",
        "nor who is called the youngest",
        "no later upload",
    ],
)
def test_a_rollback_puts_back_the_upload_before(before, chosen):
    assert previous_of(NOW, [NOW, *before], NAME)["id"] == chosen


@pytest.mark.parametrize(
    "other",
    [
        image(9, "new"),
        image(9, "broken"),
        image(9, "published"),
        image(9, name="db-amd64"),
        image(9, rolled_back="2024-01-09T00:00:00Z"),
        snapshot(image(9)),
        own(9),
    ],
    ids=["new", "broken", "published", "of another name", "rolled back", "a snapshot", "the user's own"],
)
def test_what_is_no_archived_generation_from_before_is_never_put_back(other):
    assert previous_of(NOW, [NOW, other], NAME) is None


# which are too many


@pytest.mark.parametrize(
    ("state", "keep", "gone"),
    [
        ("archived", 0, [4, 3, 2, 1]),
        ("broken", 0, [3, 2, 1]),  # the last image stays to be looked at
        *[(state, *rest) for state in ("archived", "broken") for rest in ((1, [3, 2, 1]), (3, [1]), (4, []), (9, []))],
    ],
    ids=str,
)
def test_the_newest_of_a_state_are_kept(state, keep, gone):
    images = [image(number, state, generation=number) for number in (3, 1, 4, 2)]
    assert ids(surplus(images, NAME, keep)) == [f"id{number}" for number in gone]


def test_archived_and_broken_images_are_counted_each_for_themselves():
    images = [image(1, generation=1), image(2, generation=2), image(3, "broken"), image(4, "broken")]
    assert ids(surplus(images, NAME, 1)) == ["id1", "id3"]


def test_the_newest_is_who_had_the_name_last_not_who_was_uploaded_last():
    images = [image(1, generation=10), image(2, generation=9)]
    assert ids(surplus(images, NAME, 1)) == ["id2"]


def test_the_newest_of_those_that_never_had_the_name_is_the_last_upload():
    images = [image(9, "broken"), image(10, "broken")]
    assert ids(surplus(images, NAME, 1)) == ["id9"]


@pytest.mark.parametrize(
    "other",
    [
        image(1, "new"),
        image(1, "published", generation=1),
        image(1, name="db-amd64"),
        image(1, role="kernel"),
        snapshot(image(1)),
        snapshot(image(1, "broken")),
        own(1),
    ],
    ids=["new", "published", "of another name", "a kernel", "a snapshot", "a snapshot of a broken image", "the user's own"],
)
def test_what_is_no_archived_or_broken_generation_is_never_too_many(other):
    assert surplus([other], NAME, 0) == []


# what people read


def test_an_image_is_described_with_its_place_and_with_where_it_came_from():
    described = describe(
        image(7, "published", generation=3, revision="v1.2", base="debian bookworm amd64") | {"disk_format": "ami"}
    )
    assert described == {
        "id": "id7",
        "name": NAME,
        "visibility": "private",
        "kernel_id": "kernel7",
        "ramdisk_id": "ramdisk7",
        "output": "triplet",
        "format": "ami",
        "state": "published",
        "status": "active",
        "generation": 3,
        "bytes": 5,
        "uploaded": "2024-01-07T00:00:00Z",
        "revision": "v1.2",
        "base": "debian bookworm amd64",
    }


def test_an_image_that_never_had_the_name_and_holds_nothing_yet_can_be_described():
    described = describe(image(7, "new", size_=None, status_="queued"))
    assert (described["generation"], described["bytes"], described["status"]) == (0, None, "queued")


def test_without_a_published_image_the_newest_archived_image_is_put_back():
    assert previous_of(None, [image(1), image(3), image(2), image(4, rolled_back="2024")], NAME)["id"] == "id3"


def test_an_archived_image_that_cannot_be_used_is_not_put_back():
    assert previous_of(None, [image(1), image(2, status_="deactivated")], NAME)["id"] == "id1"


@pytest.mark.parametrize("state", ["archived", "broken"])
def test_an_image_that_somebody_gave_another_name_is_kept(state):
    images = [image(number, state, generation=number) for number in (1, 2, 3)]
    images[0]["name"] = "golden, do not touch"
    assert ids(surplus(images, NAME, 1)) == ["id2"]


def test_the_bytes_of_a_rolled_back_image_are_known_again():
    bad, good = image(2, rolled_back="2024", sha256="bad"), image(1, sha256="good")
    assert was_rolled_back([good, bad], NAME, "bad") == bad
    assert was_rolled_back([good, bad], NAME, "good") is None

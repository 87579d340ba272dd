"""What runs that ended too early left, and which kernels nothing needs: never what is the user's, or another builder's work."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some
from vmimage.glance.generations import is_ours, leftovers, surplus, unneeded_parts

NAME = "web-amd64"
NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
YOUNG, OLD = timedelta(hours=23, minutes=59), timedelta(hours=24, seconds=1)
MAINS, PARTS = ["root_image", "bare", "disk"], ["kernel", "ramdisk"]
ROLES = MAINS + PARTS


def image(role="root_image", *, identity=None, build="theirs", builder="them", age=YOUNG, status="active", **more):
    """An image of ours, of another builder by default, as the store lists it."""
    identity = identity or f"{role} of {build}"
    name = f"{NAME}-{role}" if role in ("bare", "disk") else NAME
    marks = {"self": identity, "role": role, "name": name, "build": build, "builder": builder}
    marks |= {"state": "new"} if role in MAINS else {}
    plain = {"id": identity, "name": f"new {name} {build}", "status": status, "visibility": "private"}
    created = {"created_at": (NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ")}
    return {**plain, **created, **{f"vm_create_{key}": value for key, value in marks.items()}, **more}


def snapshot(original, **fields):
    """What Nova makes of an instance: an image of the user's own that inherited all properties of the instance's image."""
    return {**original, "id": f"snapshot of {original['id']}", **fields}


def own(**fields):
    """An image that the user made without us."""
    plain = {"id": "own", "name": NAME, "status": "active", "visibility": "private"}
    return {**plain, "created_at": "2020-01-01T00:00:00Z", **fields}


def left(*images, now=NOW):
    return [entry["id"] for entry in leftovers(list(images), NAME, build="ours", builder="us", now=now)]


# whose image it is, and how old


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "dead",
    [
        *[{"build": "ours", "status": status} for status in ("queued", "saving", "uploading", "importing", "killed")],
        *[{"builder": "us", "status": status} for status in ("queued", "saving", "active")],
        *[{"age": OLD, "status": status} for status in ("queued", "saving", "active")],
    ],
    ids=lambda dead: " ".join(map(str, dead.values())),
)
def test_what_nobody_can_be_uploading_any_more_is_left_over(role, dead):
    assert left(image(role, **dead)) == [image(role, **dead)["id"]]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("status", ["queued", "saving", "active"])
def test_what_another_builder_may_be_uploading_now_is_not_left_over(role, status):
    assert left(image(role, status=status)) == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("whose", [{}, {"builder": "us"}, {"age": OLD}], ids=["here or elsewhere", "by us", "long ago"])
def test_what_is_whole_of_our_own_build_is_not_left_over_for_it_will_be_used(role, whose):
    assert left(image(role, build="ours", **whose)) == []


@pytest.mark.parametrize("state", ["published", "archived", "broken"])
@pytest.mark.parametrize("whose", [{"build": "ours"}, {"builder": "us"}, {"age": OLD}], ids=["our build", "ours", "old"])
def test_a_root_image_that_went_on_is_not_left_over(state, whose):
    assert left(image(**whose, vm_create_state=state)) == []


@pytest.mark.parametrize("role", ROLES)
def test_what_belongs_to_another_name_is_not_left_over_of_this_name(role):
    assert left(image(role, builder="us", age=OLD, vm_create_name="db-amd64")) == []


@pytest.mark.parametrize("status", ["queued", "saving", "active"])
@pytest.mark.parametrize("state", ["new", "published", "archived", "broken"])
def test_a_snapshot_that_inherited_all_of_our_marks_is_never_left_over(state, status):
    original = image(build="ours", builder="us", age=OLD, vm_create_state=state)
    assert left(snapshot(original, status=status)) == []


def test_the_age_of_an_image_is_counted_until_now():
    age = datetime.now(UTC) - NOW
    young, old = image(identity="young", age=YOUNG - age), image(identity="old", age=OLD - age)
    assert left(young, old, now=None) == ["old"]


# kernels and ramdisks that somebody needs


@pytest.mark.parametrize("role", PARTS)
@pytest.mark.parametrize(
    "user",
    [
        own(),
        own(status="queued"),
        snapshot(image()),
        *[image(vm_create_state=state) for state in ("published", "archived", "broken")],
        image(),
        image(vm_create_name="db-amd64"),
    ],
    ids=[
        "the user's own",
        "an image in the making",
        "a snapshot",
        "published",
        "archived",
        "broken",
        "another builder's",
        "another name's",
    ],
)
def test_a_part_that_any_image_refers_to_is_not_left_over(role, user):
    part = image(role, builder="us", age=OLD)
    assert left(part, {**user, f"{role}_id": part["id"]}) == []


@pytest.mark.parametrize("role", PARTS)
def test_a_part_goes_with_the_root_image_that_alone_refers_to_it(role):
    part, root = image(role, builder="us"), image(builder="us", **{f"{role}_id": f"{role} of theirs"})
    assert left(part, root) == [part["id"], root["id"]]


@pytest.mark.parametrize("role", PARTS)
def test_a_part_stays_with_a_snapshot_of_the_root_image_that_goes(role):
    part, root = image(role, builder="us"), image(builder="us", **{f"{role}_id": f"{role} of theirs"})
    assert left(part, root, snapshot(root)) == [root["id"]]


@pytest.mark.parametrize("role", PARTS)
@pytest.mark.parametrize("visibility", ["shared", "community", "public"])
def test_a_part_that_others_may_see_is_not_left_over(role, visibility):
    assert left(image(role, builder="us", age=OLD, visibility=visibility)) == []


@pytest.mark.parametrize("role", PARTS)
def test_a_part_that_nothing_refers_to_is_unneeded(role):
    part = image(role)
    assert unneeded_parts([part, own(kernel_id="another", ramdisk_id="one more"), image(kernel_id=None)]) == [part]


@pytest.mark.parametrize(
    "other",
    [
        snapshot(image("kernel")),
        own(container_format="aki"),
        image(),
    ],
    ids=["inherited its marks", "the user's own", "a root image"],
)
def test_what_is_no_part_of_ours_is_never_unneeded(other):
    assert unneeded_parts([other]) == []


@pytest.mark.parametrize("visibility", ["shared", "community", "public"])
def test_a_part_that_was_opened_for_a_root_image_that_never_got_the_name_goes_with_it(visibility):
    part = image("kernel", builder="us", visibility=visibility)
    root = image(builder="us", kernel_id=part["id"])
    assert left(part, root) == [part["id"], root["id"]]
    assert left(part) == [], "whether others use it cannot be seen"


@pytest.mark.parametrize("role", ROLES)
def test_what_somebody_protected_is_not_left_over(role):
    assert left(image(role, builder="us", protected=True)) == []


# whatever there is in a project

_numbers = some.integers(0, 7)
_references = some.none() | _numbers.map(lambda number: f"id{number}")


@some.composite
def projects(draw):
    """Any images, ours and others mixed, with marks and references that may be wrong, foreign, or missing."""
    names, found = some.sampled_from([NAME, f"{NAME}-disk", "db-amd64"]), []
    for number in range(draw(some.integers(0, 8))):
        whose, role = draw(some.sampled_from(["ours", "snapshot", "own"])), draw(some.sampled_from(ROLES))
        refers = whose != "ours" or role in MAINS  # our own kernels refer to nothing
        entry = image(
            role,
            identity=f"id{number}",
            build=draw(some.sampled_from(["ours", "theirs"])),
            builder=draw(some.sampled_from(["us", "them"])),
            age=draw(some.sampled_from([YOUNG, OLD])),
            status=draw(some.sampled_from(["queued", "saving", "active"])),
            visibility=draw(some.sampled_from(["private", "private", "shared", "public"])),
            kernel_id=draw(_references) if refers else None,
            ramdisk_id=draw(_references) if refers else None,
            vm_create_name=draw(names),
            vm_create_state=draw(some.sampled_from(["new", "published", "archived", "broken"])),
            vm_create_generation=draw(some.sampled_from(["", "2", "10"])),
            vm_create_serial=str(draw(_numbers)),
        )
        if whose == "snapshot":
            entry["vm_create_self"] = f"id{number + 1}"
        if whose == "own":
            entry = {key: value for key, value in entry.items() if not key.startswith("vm_create_")}
        found.append(entry)
    return found


def without(images, gone):
    ids = {entry["id"] for entry in gone}
    return [entry for entry in images if entry["id"] not in ids]


def clean(images):
    return leftovers(images, NAME, build="ours", builder="us", now=NOW)


@given(projects(), some.integers(0, 3))
def test_nothing_that_is_not_ours_ever_goes(images, keep):
    assert all(is_ours(entry) for entry in clean(images) + surplus(images, NAME, keep) + unneeded_parts(images))


@given(projects())
def test_no_image_that_stays_loses_its_kernel_or_ramdisk_to_the_cleaning(images):
    gone = clean(images)
    needed = {entry[key] for entry in without(images, gone) for key in ("kernel_id", "ramdisk_id") if entry[key]}
    # a root image that is named as a kernel is nobody's kernel
    assert not needed & {entry["id"] for entry in gone if entry["vm_create_role"] in PARTS}


@given(projects())
def test_nothing_young_of_another_builder_is_cleaned_away(images):
    theirs = [entry for entry in images if entry.get("vm_create_builder") == "them" and entry.get("vm_create_build") == "theirs"]
    young = [entry for entry in theirs if datetime.fromisoformat(entry["created_at"]) > NOW - timedelta(hours=24)]
    assert not {entry["id"] for entry in young} & {entry["id"] for entry in clean(images)}


@given(projects())
def test_nothing_is_cleaned_away_twice_and_a_second_look_finds_no_more(images):
    gone = clean(images)
    assert len({entry["id"] for entry in gone}) == len(gone)
    assert clean(without(images, gone)) == []


@given(projects(), some.integers(0, 3))
def test_who_has_or_had_the_name_goes_only_as_one_too_many(images, keep):
    states = {entry["vm_create_state"] for entry in clean(images) if entry["vm_create_role"] in MAINS}
    assert states <= {"new"}
    assert {entry["vm_create_state"] for entry in surplus(images, NAME, keep)} <= {"archived", "broken"}

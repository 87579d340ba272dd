"""A triplet on its way into a real Glance, when all goes well."""

import io
import threading
import uuid

import pytest
from looking_at import assert_published, file_sha256, images_of, named, sha256_of
from triplets import Publisher, environment_of, make_triplet
from vmimage.errors import ImageUnsound, NotPublished, SettingsWrong, StoreRefused
from vmimage.glance import promote, publish


@pytest.fixture
def alice(cloud, tmp_path):
    return Publisher(cloud, tmp_path)


def test_the_three_images_are_the_three_files_and_lead_to_each_other(alice):
    triplet, published = alice.publish_new()
    image = assert_published(alice.client, triplet)
    kernel, ramdisk = (alice.client.images.get(image[key]) for key in ("kernel_id", "ramdisk_id"))
    assert [entry["container_format"] for entry in (image, kernel, ramdisk)] == ["ami", "aki", "ari"]
    assert [entry["disk_format"] for entry in (image, kernel, ramdisk)] == ["ami", "aki", "ari"]
    assert [entry["name"] for entry in (image, kernel, ramdisk)] == ["web-amd64", "web_kernel", "web_ramdisk"]
    assert [entry["visibility"] for entry in (image, kernel, ramdisk)] == ["private"] * 3
    assert (published["image"], published["kernel"], published["ramdisk"], published["changed"]) == (
        image["id"],
        kernel["id"],
        ramdisk["id"],
        True,
    )


def test_the_image_says_what_it_is_and_where_it_came_from(alice):
    triplet, _ = alice.publish_new({"properties": {"hw_disk_bus": "virtio"}})
    image, manifest = named(alice.client, "web-amd64")[0], triplet.manifest()
    expected = {
        "min_disk": 1, "os_distro": "debian", "os_version": "12", "os_type": "linux", "architecture": "x86_64", "hw_disk_bus": "virtio",
        "vm_create_build": manifest["build"], "vm_create_sha256": manifest["files"]["root_image"]["sha256"],
        "vm_create_base_digest": manifest["base"]["digest"], "vm_create_variation_digest": manifest["variation"]["digest"],
        "vm_create_revision": "249:9ed741a55f17", "vm_create_made_with": "e2fsprogs 1.47.0, salt 3008.3",
    }  # fmt: skip
    assert {key: image[key] for key in expected} == expected


def test_a_published_triplet_is_not_published_again(alice):
    triplet, published = alice.publish_new()
    before = {entry["id"]: entry["updated_at"] for entry in images_of(alice.client)}
    again = alice.publish()
    assert again["changed"] is False and again["image"] == published["image"]
    assert {entry["id"]: entry["updated_at"] for entry in images_of(alice.client)} == before
    assert_published(alice.client, triplet)


def test_what_is_published_already_says_which_settings_it_does_not_have(alice):
    settings = {"properties": {"hw_disk_bus": "virtio"}, "visibility": "private"}
    alice.publish_new(settings)
    noted = []
    alice.observers.append(lambda moment: noted.append(moment.text) if moment.what == "noted" else None)
    assert alice.publish(**settings)["changed"] is False and noted == []
    more = {"properties": {"hw_disk_bus": "scsi", "triplet": {"hw_vif_model": "e1000"}}, "visibility": "shared"}
    assert alice.publish(**more)["changed"] is False
    (line,) = noted
    assert line.startswith("web-amd64 is published already, without hw_disk_bus scsi, hw_vif_model e1000, visibility shared: ")


def test_the_new_image_takes_the_name_and_the_old_image_is_archived(alice):
    _, first = alice.publish_new()
    triplet, second = alice.publish_new()
    image = assert_published(alice.client, triplet, archived=1)
    assert image["id"] == second["image"] != first["image"]
    assert second["archived"] == [alice.client.images.get(first["image"])["name"]]


def test_a_kernel_and_a_ramdisk_of_the_same_bytes_are_used_again(alice):
    _, first = alice.publish_new()
    triplet, second = alice.publish_new(ramdisk=b"another ramdisk")
    assert second["reused"] == ["kernel"]
    assert second["kernel"] == first["kernel"] and second["ramdisk"] != first["ramdisk"]
    assert_published(alice.client, triplet)


def test_a_kernel_can_be_named_outright(alice):
    own = alice.client.images.create(name="mine", disk_format="aki", container_format="aki")
    alice.client.images.upload(own["id"], io.BytesIO(b"my kernel"))
    make_triplet(alice.directory)
    published = alice.publish(kernel_id=own["id"], keep=0)
    assert named(alice.client, "web-amd64")[0]["kernel_id"] == published["kernel"] == own["id"]
    assert alice.publish(kernel_id=own["id"])["changed"] is False
    assert [entry["name"] for entry in images_of(alice.client) if entry["container_format"] == "aki"] == ["mine"]


@pytest.mark.parametrize("key", ["kernel_id", "ramdisk_id", "initrd_id"])
def test_a_kernel_that_is_none_is_refused_before_any_work(alice, key):
    make_triplet(alice.directory)
    wrong = alice.client.images.create(name="mine", disk_format="raw", container_format="bare")
    with pytest.raises(SettingsWrong, match=f"{wrong['id']} is queued, bare"):
        alice.publish(**{key: wrong["id"]})
    with pytest.raises(SettingsWrong, match="does not exist"):
        alice.publish(**{key: "00000000-0000-0000-0000-000000000000"})
    assert len(images_of(alice.client)) == 1


def test_archived_generations_beyond_keep_go_with_the_kernels_that_nothing_needs(alice):
    for number in range(4):
        triplet, published = alice.publish_new({"keep": 2}, kernel=f"kernel {number}".encode())
    assert_published(alice.client, triplet, archived=2)
    assert len([entry for entry in images_of(alice.client) if entry["container_format"] == "aki"]) == 3
    assert "web_kernel" in published["removed"]


def test_a_protected_archive_stays(alice):
    _, first = alice.publish_new()
    alice.publish_new()
    alice.client.images.update(first["image"], protected=True)
    alice.publish_new({"keep": 0})
    assert alice.client.images.get(first["image"])["status"] == "active"


def test_nothing_of_the_users_own_is_deleted(alice):
    """An image of the user, an image without data, and a snapshot that inherited all our properties from an instance's image."""
    _, first = alice.publish_new()
    image = dict(alice.client.images.get(first["image"]))
    inherited = {key: value for key, value in image.items() if key.startswith("vm_create_") or key in ("kernel_id", "ramdisk_id")}
    mine = [alice.client.images.create(name="mine", disk_format="raw", container_format="bare")]
    for state in ("published", "archived", "new", "broken"):
        snapshot = alice.client.images.create(
            name=f"snapshot {state}", disk_format="raw", container_format="bare", **{**inherited, "vm_create_state": state}
        )
        alice.client.images.upload(snapshot["id"], io.BytesIO(b"data of the user"))
        mine.append(snapshot)
    for number in range(3):
        alice.publish_new({"keep": 0}, kernel=f"kernel {number}".encode())
    left = {entry["id"]: entry for entry in images_of(alice.client)}
    assert {entry["id"] for entry in mine} <= set(left)
    assert left[mine[1]["id"]]["name"] == "snapshot published"
    assert first["kernel"] in left, "the kernel that the snapshots need"


def test_an_image_that_somebody_else_put_under_the_name_is_archived_and_never_deleted(alice):
    own = alice.client.images.create(name="web-amd64", disk_format="raw", container_format="bare", hw_disk_bus="scsi")
    alice.client.images.upload(own["id"], io.BytesIO(b"of 2013"))
    triplet, _ = alice.publish_new({"keep": 0})
    assert_published(alice.client, triplet)
    assert alice.client.images.get(own["id"])["name"].startswith("archive web-amd64 ")
    assert named(alice.client, "web-amd64")[0]["hw_disk_bus"] == "scsi"


def test_what_was_given_to_the_old_image_by_hand_is_carried_over(alice):
    _, first = alice.publish_new()
    alice.client.images.update(
        first["image"], protected=True, min_ram=512, hw_vif_model="virtio", owner_team="web", other="x", tags=["gold"]
    )
    alice.publish_new({"carry_over": ["owner_*"]})
    image = named(alice.client, "web-amd64")[0]
    assert (image["protected"], image["min_ram"], image["hw_vif_model"], image["owner_team"]) == (True, 512, "virtio", "web")
    assert image["tags"] == ["gold"] and "other" not in image
    assert alice.client.images.get(first["image"])["protected"] is False, "protection went over to the new image"


def test_a_member_of_another_project_sees_the_new_image_and_can_boot_it(alice, cloud):
    _, first = alice.publish_new({"visibility": "shared"})
    bob, his = cloud.client("bob", "RegionOne"), cloud.users["bob"].project_id
    alice.client.image_members.create(first["image"], his)
    bob.image_members.update(first["image"], his, "accepted")
    triplet, second = alice.publish_new(kernel=b"another kernel")
    assert second["pending"] == [his], "Glance lets only the member itself accept, and the answer says so"
    for role in ("image", "kernel", "ramdisk"):
        assert bob.images.get(second[role])["status"] == "active"
    assert sha256_of(bob, second["image"]) == file_sha256(triplet.root_image)
    bob.image_members.update(second["image"], his, "accepted")
    assert second["image"] in [entry["id"] for entry in bob.images.list()]


def test_members_of_the_settings_are_invited_beside_those_of_the_old_image(alice, cloud):
    admin, bob, his = cloud.users["admin"], cloud.client("bob", "RegionOne"), cloud.users["bob"].project_id
    others = cloud.session("admin").get_project_id()
    _, first = alice.publish_new({"members": [his]})
    assert first["pending"] == [his] and admin.name not in first["pending"]
    assert bob.images.get(first["kernel"])["visibility"] == bob.images.get(first["image"])["visibility"] == "shared"
    bob.image_members.update(first["image"], his, "accepted")
    _, second = alice.publish_new({"members": [others]})
    assert second["pending"] == sorted([his, others])
    assert {member["member_id"] for member in alice.client.image_members.list(second["image"])} == {his, others}


def test_an_administrator_accepts_for_the_members(alice, cloud):
    admin = Publisher(cloud, alice.directory)
    admin.environment, admin.client = environment_of(cloud.users["admin"], cloud.auth_url), cloud.client("admin", "RegionOne")
    bob, his = cloud.client("bob", "RegionOne"), cloud.users["bob"].project_id
    _, first = admin.publish_new({"visibility": "shared"})
    admin.client.image_members.create(first["image"], his)
    bob.image_members.update(first["image"], his, "accepted")
    _, second = admin.publish_new()
    assert second["pending"] == []
    assert second["image"] in [entry["id"] for entry in bob.images.list()]


def test_who_may_not_publish_for_all_is_refused_and_nothing_is_left(alice):
    triplet, _ = alice.publish_new()
    make_triplet(alice.directory, name="other")
    with pytest.raises(StoreRefused, match="publicize_image"):
        alice.publish(name="other", visibility="public")
    assert_published(alice.client, triplet)
    assert len(images_of(alice.client)) == 3


def test_the_name_leads_to_a_good_image_at_every_instant(alice, cloud):
    """Seen by a second client that asks without a pause while images take the name from each other."""
    seen, ended = [], threading.Event()

    def watch():
        client = cloud.client("alice", "RegionOne")
        while not ended.is_set():
            seen.append([(entry["id"], entry["status"]) for entry in client.images.list(filters={"name": "web-amd64"})])

    published = [alice.publish_new()[1]["image"]]
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        published += [alice.publish_new()[1]["image"] for _ in range(5)]
    finally:
        ended.set()
        watcher.join()
    assert len(seen) > 20 and {len(found) for found in seen} <= {1, 2}
    assert {status for found in seen for _, status in found} == {"active"}
    first = [found[0][0] for found in seen]
    assert [image_id for image_id in published if image_id in first] == sorted(set(first), key=published.index), (
        "each in its turn, none twice"
    )
    assert first == sorted(first, key=published.index), "the newest comes first, and no older image again"


def id_of_published(alice):
    (found,) = named(alice.client, "web-amd64")
    return found["id"]


def test_rollback_puts_the_generation_before_back_and_does_not_toggle(alice):
    first, second, third = (alice.publish_new() for _ in range(3))
    build = alice.build()
    back = publish.roll_back(*build)
    assert back["image"] == second[1]["image"] == id_of_published(alice)
    assert publish.roll_back(*build)["image"] == first[1]["image"] == id_of_published(alice), (
        "a generation earlier, not back and forth"
    )
    with pytest.raises(NotPublished, match="no generation before"):
        publish.roll_back(*build)
    assert publish.roll_back(*build, third[1]["image"])["image"] == third[1]["image"]
    assert_published(alice.client, third[0], archived=2)


def test_rollback_to_what_is_no_archived_generation_is_refused(alice):
    make_triplet(alice.directory)
    with pytest.raises(NotPublished, match="no generation of web-amd64 to roll back to"):
        publish.roll_back(*alice.build())
    _, published = alice.publish_new()
    with pytest.raises(NotPublished, match="no archived generation"):
        publish.roll_back(*alice.build(), published["kernel"])


def test_what_is_published_is_listed_with_its_revision(alice):
    alice.publish_new()
    _, published = alice.publish_new()
    listed = publish.list_published(alice.build()[1])
    assert [entry["state"] for entry in listed["web-amd64"]] == ["published", "archived"]
    assert listed["web-amd64"][0]["id"] == published["image"] and listed["web-amd64"][0]["revision"] == "249:9ed741a55f17"
    assert publish.list_published(alice.build()[1], "db-amd64") == {}


def test_a_plan_tells_and_changes_nothing(alice):
    make_triplet(alice.directory)
    plan = publish.plan_publication(*alice.build())
    assert plan["upload"] == ["kernel", "ramdisk", "root_image"] and plan["changed"] is True
    assert images_of(alice.client) == []
    alice.publish()
    assert publish.plan_publication(*alice.build())["changed"] is False


def test_a_triplet_that_differs_from_its_description_is_not_published(alice):
    triplet = make_triplet(alice.directory)
    triplet.kernel.write_bytes(b"something else")
    with pytest.raises(Exception, match="not the file that its manifest describes"):
        alice.publish()
    assert images_of(alice.client) == []


def test_two_variations_share_a_kernel_and_neither_takes_it_from_the_other(alice):
    alice.publish_new()
    make_triplet(alice.directory, name="db")
    assert alice.publish(name="db")["reused"] == ["kernel", "ramdisk"]
    triplet, _ = alice.publish_new({"keep": 0}, kernel=b"newer", ramdisk=b"newer too")
    assert_published(alice.client, triplet)
    db = named(alice.client, "db-amd64")[0]
    assert alice.client.images.get(db["kernel_id"])["status"] == "active"


def test_uploaded_first_and_promoted_later(alice):
    _, old = alice.publish_new()
    new = make_triplet(alice.directory, kernel=b"newer")
    uploaded = publish.upload_triplet(*alice.build())
    assert named(alice.client, "web-amd64")[0]["vm_create_build"] == old["build"]
    assert alice.client.images.get(uploaded["image"])["name"].startswith("new web-amd64 ")
    assert [image["id"] for image in publish.find_uploaded(*alice.build())] == [uploaded["image"]]
    published = alice.publish()
    assert published["image"] == uploaded["image"] and published["reused"] == ["kernel", "ramdisk", "root_image"]
    assert_published(alice.client, new, archived=1)


def test_a_protected_leftover_stops_nobody(alice):
    """Somebody protects a kernel that nothing needs: each later run would have to delete it, and may not."""
    _, first = alice.publish_new(kernel=b"protected")
    alice.client.images.update(first["kernel"], protected=True)
    for number in range(3):
        triplet, _ = alice.publish_new({"keep": 0}, kernel=f"kernel {number}".encode())
    assert named(alice.client, "web-amd64")[0]["vm_create_build"] == triplet.manifest()["build"]
    assert alice.client.images.get(first["kernel"])["status"] == "active"


def test_the_kernel_that_another_builder_has_just_uploaded_stays(alice):
    """Its root image is still on its way."""
    image_id = str(uuid.uuid4())
    marks = {"self": image_id, "role": "kernel", "name": "web-amd64", "build": "b", "builder": "another"}
    formats = {"disk_format": "aki", "container_format": "aki", "visibility": "private"}
    alice.client.images.create(
        id=image_id, name="web_kernel", **formats, **{f"vm_create_{key}": value for key, value in marks.items()}
    )
    alice.client.images.upload(image_id, io.BytesIO(b"its kernel"))
    for _ in range(2):
        alice.publish_new({"keep": 0})
    assert alice.client.images.get(image_id)["status"] == "active"


def test_signatures_of_other_bytes_are_not_carried_over(alice):
    _, first = alice.publish_new()
    alice.client.images.update(
        first["image"], img_signature="x", img_signature_hash_method="SHA-256", img_config_drive="mandatory"
    )
    alice.publish_new({"carry_over": ["img_*", "os_*"]})
    image = named(alice.client, "web-amd64")[0]
    assert "img_signature" not in image and "img_signature_hash_method" not in image
    assert image["img_config_drive"] == "mandatory"


def test_a_property_that_the_settings_no_longer_give_is_gone(alice):
    alice.publish_new({"properties": {"hw_disk_bus": "scsi", "hw_vif_model": "e1000"}})
    alice.publish_new({"properties": {"hw_vif_model": "virtio"}})
    image = named(alice.client, "web-amd64")[0]
    assert "hw_disk_bus" not in image and image["hw_vif_model"] == "virtio"


def test_the_ways_of_the_published_image_are_taken_over_not_those_of_an_image_that_came_beside_it(alice):
    alice.publish_new()
    alice.client.images.create(name="web-amd64", disk_format="raw", container_format="bare", visibility="community", hw_x="y")
    alice.publish_new()
    image = next(entry for entry in named(alice.client, "web-amd64"))
    assert image["visibility"] == "private" and "hw_x" not in image


def test_a_kernel_of_the_users_own_is_not_used_again_where_others_could_not_read_it(alice, cloud):
    own = alice.client.images.create(name="mine", disk_format="aki", container_format="aki", visibility="private")
    alice.client.images.upload(own["id"], io.BytesIO(b"a kernel"))
    _, private = alice.publish_new()
    assert private["kernel"] == own["id"]
    _, shared = alice.publish_new({"visibility": "community"})
    assert shared["kernel"] != own["id"]
    assert cloud.client("bob", "RegionOne").images.get(shared["kernel"])["status"] == "active"


def test_an_image_that_lost_its_kernel_is_published_again(alice):
    triplet, first = alice.publish_new()
    alice.client.images.update(first["image"], remove_props=["kernel_id"])
    published = alice.publish()
    assert published["changed"] is True and published["image"] != first["image"]
    assert_published(alice.client, triplet, archived=1)
    with pytest.raises(NotPublished, match="the kernel None"):
        publish.roll_back(*alice.build())


def test_rollback_keeps_a_protection_by_hand(alice):
    _, first = alice.publish_new()
    alice.publish_new()
    alice.client.images.update(first["image"], protected=True)
    assert publish.roll_back(*alice.build())["image"] == first["image"]
    assert named(alice.client, "web-amd64")[0]["protected"] is True


def test_an_upload_that_took_long_does_not_count_as_rolled_back(alice):
    """Two builders: the earlier upload takes the name after the later upload."""
    early = make_triplet(alice.directory, kernel=b"early")
    slow = publish.upload_triplet(*alice.build())
    image = dict(alice.client.images.get(slow["image"]))
    alice.client.images.update(slow["image"], vm_create_builder="another", vm_create_state="new")
    _, fast = alice.publish_new(kernel=b"late")
    store = alice.build()[1]
    promote.prepare_promotion(store, alice.build()[0].settings, image, "web-amd64")
    promote.take_name(store, image, "web-amd64")
    promote.complete_promotion(store, "web-amd64")
    assert named(alice.client, "web-amd64")[0]["id"] == slow["image"] and early
    assert "vm_create_rolled_back" not in alice.client.images.get(fast["image"])


def test_a_file_that_was_replaced_after_it_was_looked_at_is_not_published(alice, monkeypatch):
    triplet = make_triplet(alice.directory)
    check = type(triplet).check

    def check_and_replace(self):
        manifest = check(self)
        self.root_image.write_bytes(b"something else")
        return manifest

    monkeypatch.setattr(type(triplet), "check", check_and_replace)
    with pytest.raises(ImageUnsound, match="no longer the file"):
        alice.publish()
    assert images_of(alice.client) == []


def test_rollback_passes_over_an_archive_that_cannot_be_used_and_unhides_a_hidden_archive(alice):
    hidden, deactivated, _ = (alice.publish_new()[1]["image"] for _ in range(3))
    alice.client.images.deactivate(deactivated)
    alice.client.images.update(hidden, os_hidden=True)
    with pytest.raises(NotPublished, match="is deactivated"):
        publish.roll_back(*alice.build(), deactivated)
    assert publish.roll_back(*alice.build())["image"] == hidden
    assert [entry["id"] for entry in alice.client.images.list(filters={"name": "web-amd64"})] == [hidden]
    alice.client.images.reactivate(deactivated)


def test_rollback_works_when_the_bad_image_was_deleted_by_hand(alice):
    good, bad = alice.publish_new()[1]["image"], alice.publish_new()[1]["image"]
    alice.client.images.delete(bad)
    assert publish.roll_back(*alice.build())["image"] == good == id_of_published(alice)


def test_rollback_brings_an_image_back_as_it_was(alice):
    good, bad = alice.publish_new()[1]["image"], alice.publish_new()[1]["image"]
    alice.client.images.update(bad, min_ram=4096, tags=["bad"], hw_x="y", visibility="shared")
    publish.roll_back(*alice.build())
    image = alice.client.images.get(good)
    assert (image["min_ram"], image["tags"], "hw_x" in image, image["visibility"]) == (0, [], False, "shared")


def test_rollback_can_be_tried_without_doing_it(alice):
    good, bad = alice.publish_new()[1]["image"], alice.publish_new()[1]["image"]
    assert publish.roll_back(*alice.build(), test=True)["image"] == good
    assert id_of_published(alice) == bad


def test_what_was_rolled_back_is_not_published_again_by_the_next_run(alice):
    good = alice.publish_new()[1]["image"]
    _, bad = alice.publish_new()
    publish.roll_back(*alice.build())
    with pytest.raises(NotPublished, match=f"(?s)was rolled back at .* to={bad['image']}"):
        alice.publish()
    assert id_of_published(alice) == good
    assert alice.publish_new()[1]["changed"] is True


def test_parts_that_are_shared_with_nobody_go_too(alice):
    """The default visibility of Glance is shared, with no member."""
    alice.client.images.create(name="web-amd64", disk_format="raw", container_format="bare")
    for number in range(4):
        alice.publish_new({"keep": 0}, kernel=f"kernel {number}".encode())
    assert len([entry for entry in images_of(alice.client) if entry["container_format"] == "aki"]) == 1


def test_an_archive_that_the_user_renamed_is_kept(alice):
    _, first = alice.publish_new()
    alice.publish_new()
    alice.client.images.update(first["image"], name="golden, do not touch")
    alice.publish_new({"keep": 0})
    assert alice.client.images.get(first["image"])["status"] == "active"


def test_a_kernel_that_another_variation_removed_meanwhile_is_uploaded_again(alice):
    _, first = alice.publish_new(kernel=b"shared by two")
    make_triplet(alice.directory, name="db", kernel=b"shared by two")
    build, store = alice.build(name="db")

    def remove(moment):
        if moment.what == "done" and moment.step == "upload root":
            alice.client.images.delete(first["kernel"])

    build.progress.observers = (remove,)
    published = publish.publish(build, store)
    assert alice.client.images.get(published["kernel"])["status"] == "active"
    assert named(alice.client, "db-amd64")[0]["kernel_id"] == published["kernel"] != first["kernel"]


def test_another_builder_that_took_the_name_at_the_same_time_is_reported(alice, monkeypatch):
    _, other = alice.publish_new()
    triplet = make_triplet(alice.directory, kernel=b"newer")
    complete = promote.complete_promotion

    def complete_late(store, name):
        mine = [entry for entry in named(alice.client, name) if entry["vm_create_build"] == triplet.manifest()["build"]]
        if mine:
            alice.client.images.update(other["image"], vm_create_generation="99")
        return complete(store, name)

    monkeypatch.setattr(promote, "complete_promotion", complete_late)
    with pytest.raises(NotPublished, match=f"points to {other['image']}, not to"):
        alice.publish()
    assert id_of_published(alice) == other["image"]


def test_who_was_rolled_back_and_has_the_name_again_is_good_for_the_next_rollback(alice):
    """Taken back by hand: what the rollback noted about it no longer counts."""
    alice.publish_new()
    _, second = alice.publish_new()
    publish.roll_back(*alice.build())
    assert "vm_create_rolled_back" in alice.client.images.get(second["image"])
    publish.roll_back(*alice.build(), second["image"])
    assert "vm_create_rolled_back" not in alice.client.images.get(second["image"])
    alice.publish_new()
    assert publish.roll_back(*alice.build())["image"] == second["image"] == id_of_published(alice)


def test_a_kernel_that_a_member_can_use_stays_when_its_image_goes(alice, cloud):
    """The member may have an image of its own that needs it, which Alice cannot see; the ramdisk that nobody else has goes."""
    _, first = alice.publish_new({"visibility": "shared"}, kernel=b"for bob", ramdisk=b"for alice")
    alice.client.image_members.create(first["kernel"], cloud.users["bob"].project_id)
    alice.publish_new({"keep": 0}, kernel=b"newer", ramdisk=b"newer too")
    left = {entry["id"] for entry in images_of(alice.client)}
    assert first["image"] not in left and first["ramdisk"] not in left
    assert cloud.client("bob", "RegionOne").images.get(first["kernel"])["status"] == "active"


def test_a_root_image_of_this_build_with_other_bytes_is_not_used(alice):
    """As a client leaves it that sent too little and was believed."""
    triplet, image_id = make_triplet(alice.directory), str(uuid.uuid4())
    marks = {"self": image_id, "role": "root_image", "name": "web-amd64", "state": "new", "builder": "any"}
    marks |= {"build": triplet.manifest()["build"], "sha256": triplet.manifest()["files"]["root_image"]["sha256"]}
    formats = {"disk_format": "ami", "container_format": "ami", "visibility": "private"}
    alice.client.images.create(
        id=image_id, name="new web-amd64 x", **formats, **{f"vm_create_{key}": value for key, value in marks.items()}
    )
    alice.client.images.upload(image_id, io.BytesIO(triplet.root_image.read_bytes()[:-1]))
    published = alice.publish()
    assert published["image"] != image_id and assert_published(alice.client, triplet)["id"] == published["image"]


def test_a_kernel_of_ours_is_used_again_rather_than_a_kernel_of_the_user(alice):
    """The user's own may go at any time."""
    _, first = alice.publish_new()
    own = alice.client.images.create(name="mine", disk_format="aki", container_format="aki", visibility="private")
    alice.client.images.upload(own["id"], io.BytesIO(b"a kernel"))
    _, second = alice.publish_new()
    assert second["kernel"] == first["kernel"] != own["id"]


@pytest.fixture
def listings(cloud, lane, tmp_path):
    """A publisher behind a wire, and how often the images of its project were listed since this was asked last."""
    publisher = Publisher(cloud, tmp_path, lane.region)

    def count():
        paths = [path for method, path in lane.wire.requests if method == "GET"]
        lane.wire.requests.clear()
        return sum("/v2/images?" in path and "os_hidden=False" in path and "marker=" not in path for path in paths)

    return publisher, count


@pytest.mark.parametrize("before", [0, 1, 5], ids=["first", "second", "with pruning"])
def test_a_project_of_many_images_is_listed_once_a_phase(listings, before):
    publisher, count = listings
    for _ in range(before):
        publisher.publish_new()
    count()
    publisher.publish_new({"keep": 2})
    assert count() == 3


def test_that_nothing_is_to_be_published_is_seen_in_two_listings(listings):
    publisher, count = listings
    publisher.publish_new()
    count()
    assert publisher.publish()["changed"] is False
    assert count() == 2

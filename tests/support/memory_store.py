"""A store in memory, for what is done with images that are there: no client, no server, and faults at each request.

It answers as :class:`vmimage.glance.client.Store` does; that real Glance answers so, too, is shown by the tests of ``openstack``.
"""

import itertools
from copy import copy, deepcopy

from vmimage.errors import ImageGone


class MemoryStore:
    """Images by their ids.

    Its listing stays as it was until :meth:`look_again`, but for what is added or changed by this object.

    :param before: called with the name of each request before it is done; what it raises is the request's fault
    """

    def __init__(self, before=lambda request: None):
        self.images, self.members, self.before, self.said = {}, {}, before, []
        self._request = "list"
        self.tries, self.say, self.project_id = 1, self.said.append, "project"
        self._clock, self._is_seen, self._listing = itertools.count(1), lambda image: True, None

    def add(self, **fields):
        """An image that somebody has uploaded; returns its id."""
        number = next(self._clock)
        image = {
            "id": f"image-{number}",
            "status": "active",
            "visibility": "private",
            "protected": False,
            "os_hidden": False,
            "size": 5,
            "min_ram": 0,
            "tags": [],
            "created_at": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}Z",
            **fields,
        }
        self.images[image["id"]], self._listing = image, None
        return image["id"]

    def add_build(self, name, number, outputs=("triplet",), *, complete=True, builder="them", order="", build=None):
        """What a builder uploads with ami.promote false: kernel, ramdisk and a main image of each output; returns the ids of these."""
        build = build or f"build-{number}"
        marks = {"name": name, "build": build, "builder": builder, "number": str(number), "order": order, "sha256": build}
        ids = {}
        for role, kind in (("kernel", "aki"), ("ramdisk", "ari")):
            ids[f"{role}_id"] = self._own(f"{name}_{role}", kind, {**marks, "role": role})
        mains = {}
        for kind in outputs:
            own = name if kind == "triplet" else f"{name}-{kind}"
            role = "root_image" if kind == "triplet" else kind
            facts = {**marks, "name": own, "role": role, "state": "new", "serial": str(next(self._clock))}
            facts |= {"complete": " ".join(outputs)} if complete else {}
            mains[kind] = self._own(
                f"new {own} {build}", "ami" if kind == "triplet" else "bare", facts, **(ids if kind != "disk" else {})
            )
        return mains

    def _own(self, name, container, marks, **fields):
        image_id = self.add(name=name, container_format=container, **fields)
        marks = {f"vm_create_{key}": value for key, value in {**marks, "self": image_id}.items() if value}
        self.images[image_id].update(marks)
        return image_id

    def named(self, name):
        return [image for image in self.images.values() if image["name"] == name]

    # as the store

    def list_images(self):
        if self._listing is None:
            self.before(self._request)
            found = deepcopy([image for image in self.images.values() if self._is_seen(image)])
            self._listing = sorted(found, key=lambda image: image["created_at"], reverse=True)
        return [dict(image) for image in self._listing]

    def sign_in(self):
        pass

    def look_again(self):
        self._listing = None

    def narrowed(self, names, ours=()):
        narrow = copy(self)
        narrow._is_seen = lambda image: image["name"] in names or image.get("vm_create_name") in ours
        narrow._listing, narrow._request = None, "list by name"
        return narrow

    def is_used(self, part_id):
        self.before("ask for users")
        return any(part_id in (image.get("kernel_id"), image.get("ramdisk_id")) for image in self.images.values())

    def find_image(self, image_id):
        self.before("find")
        return deepcopy(self.images.get(image_id))

    def change_image(self, image_id, **properties):
        self.before("change")
        if image_id not in self.images:
            raise ImageGone(f"no image {image_id}")
        for image in [self.images[image_id], *(seen for seen in self._listing or () if seen["id"] == image_id)]:
            image.update(properties)
            for key in [key for key, value in properties.items() if value is None]:
                del image[key]

    def delete_image(self, image_id):
        self.before("delete")
        self.images.pop(image_id, None)
        self._listing = self._listing and [image for image in self._listing if image["id"] != image_id]

    def list_members(self, image_id):
        return dict(self.members.get(image_id, {}))

    def invite_member(self, image_id, project_id):
        self.before("invite")
        self.members.setdefault(image_id, {}).setdefault(project_id, "pending")

    def answer_invitation(self, image_id, project_id, status):
        self.before("answer")
        self.members[image_id][project_id] = status
        return True

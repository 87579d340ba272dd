"""The store: Glance, with Keystone for signing in.  The only file that knows python-glanceclient.

Images go in and come out as plain dicts.  Every call that can be repeated without harm is.
"""

import copy
import functools
import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import glanceclient.exc
import requests
from glanceclient import Client
from keystoneauth1.session import Session

from vmimage.errors import CredentialsWrong, ImageGone, StoreConflict, StoreRefused, StoreUnreachable, VmImageError
from vmimage.glance.credentials import Credentials
from vmimage.glance.generations import MARK, Image
from vmimage.glance.openstack import OpenStack
from vmimage.glance.reader import Reader
from vmimage.system.aliases import Moved, Say, Sleep

_PAGE = 200  # images in one answer
#: Glance's answer, of status 400, to a request for what another request is deleting at that moment
_DELETED_MEANWHILE = "transition from deleted to deleted"
_LONG_UPLOAD_SECONDS = 3600
_ACTIVE_WITHIN_SECONDS = 120
_LOST = (
    glanceclient.exc.CommunicationError,
    glanceclient.exc.InvalidEndpoint,
    requests.RequestException,  # while a body is read
)
_PASSING_STATUS = (401, 408, 425, 429, 500, 502, 503, 504)


class Store(OpenStack):
    """The images of the project that the credentials are for.

    :param tries: of each call that may be repeated
    """

    service, refused, unreachable = "image service", StoreRefused, StoreUnreachable

    def __init__(
        self, credentials: Credentials, *, tries: int = 7, say: Say = lambda text: None, sleep: Sleep = time.sleep
    ) -> None:
        super().__init__(credentials, tries=tries, say=say, sleep=sleep)
        self._listing: list[Image] | None = None
        self._filters: list[dict[str, str | bool]] = [{}]
        self._auth = self._make_auth()
        self._session = _Session(auth=self._auth, verify=self._verify, timeout=credentials.timeout)
        self._session.timeout = self._timeouts

    @functools.cached_property
    def _client(self) -> Any:  # it has no types
        """Glance's client, at the address in the catalog; the client adds the version itself."""
        where: dict[str, Any] = {"region_name": self.credentials.region_name or None, "interface": self.credentials.interface}
        find = functools.partial(self._session.get_endpoint, service_type="image", **where)
        address = self.credentials.image_endpoint or self._call("find the image service", find)
        if not address:
            raise self._no_service("find the image service", "its catalog has none")
        return Client("2", session=self._session, endpoint_override=re.sub(r"/v\d+(\.\d+)?/?$", "", address), **where)

    @functools.cached_property
    def project_id(self) -> str:
        """The project whose images these are; asking for it signs in."""
        project: str | None = self._call("sign in", self._session.get_project_id)
        if not project:
            raise CredentialsWrong(
                f"{self.credentials.origin} is not for a project",
                hint="name a project: keystone.tenant, or an application credential",
            )
        return project

    def sign_in(self) -> None:
        """Do now what the first call would do: sign in, and find the image service.

        :raises CredentialsWrong, StoreRefused, StoreUnreachable:
        """
        if self.project_id:
            self._client  # noqa: B018  a property that is kept

    def check(self) -> dict[str, str]:
        """Check that the credentials are good and that the cloud has an image service.

        :returns: ``auth_url`` and ``project``
        :raises CredentialsWrong, StoreRefused, StoreUnreachable:
        """
        project = self.project_id
        self._call("list images", lambda: list(self._client.images.list(limit=1, filters={"owner": project})))
        return {"auth_url": self._where(), "project": project}

    @functools.cached_property
    def image_schema(self) -> dict[str, Any]:
        """The JSON schema of an image: what this store takes as its fields and properties."""
        return self._call("ask for the schema of an image", lambda: dict(self._client.schemas.get("image").raw()))

    # what is there

    def list_images(self) -> list[Image]:
        """All images of the project, hidden images too, as they were when this was last asked after :meth:`look_again`.

        What this store has changed and deleted since is accounted for; what it has created since is not among them.

        :returns: the newest first; of a store that is narrowed in any order
        """
        if self._listing is None:
            found = [self._list({**own, "os_hidden": hidden}) for own in self._filters for hidden in (False, True)]
            self._listing = [*{image["id"]: image for listed in found for image in listed}.values()]
        return [dict(image) for image in self._listing]

    def narrowed(self, names: Collection[str], ours: Collection[str] = ()) -> "Store":
        """The same store, whose listing has certain images alone: a few requests, however many images a project has.

        What is changed by one of the two, the other sees after :meth:`look_again`.

        :param names: images that have one of these names
        :param ours: images of ours, in all states, that have or are to have one of these names, and parts of the variations of these names
        """
        narrow = copy.copy(self)
        narrow._filters, narrow._listing = [{"name": f"in:{','.join(names)}"}], None
        narrow._filters += [{f"{MARK}name": name} for name in ours]
        return narrow

    def is_used(self, part_id: str) -> bool:
        """Whether an image of the project refers to a kernel or ramdisk, at this moment."""
        return any(
            self._list({key: part_id, "os_hidden": hidden}) for key in ("kernel_id", "ramdisk_id") for hidden in (False, True)
        )

    def look_again(self) -> None:
        """Let the next listing be a new one: a project has thousands of images, and others change them."""
        self._listing = None

    def list_public(self) -> list[Image]:
        """Public images, of all projects."""
        return self._list({"visibility": "public"}, owned=False)

    def _list(self, filters: dict[str, str | bool], owned: bool = True) -> list[Image]:
        wanted = {**filters, "owner": self.project_id} if owned else filters

        def listed() -> list[Image]:
            return [dict(image) for image in self._client.images.list(filters=dict(wanted), page_size=_PAGE)]

        try:
            return self._call("list images", listed)
        except StoreRefused:  # the image that ended a page was deleted meanwhile
            return self._call("list images", listed)

    def find_image(self, image_id: str) -> Image | None:
        """The image of that id, or None."""
        try:
            return self._call(f"look at the image {image_id}", lambda: dict(self._client.images.get(image_id)))
        except ImageGone:
            return None

    # changing

    def create_image(self, image: Image) -> None:
        """Create an image without data; the caller chooses its ``id``, so that a lost answer does no harm."""
        try:
            self._call(f"create the image {image['name']}", lambda: self._client.images.create(**image))
        except StoreConflict:
            if (self.find_image(image["id"]) or {}).get("name") != image["name"]:
                raise

    def change_image(self, image_id: str, **properties: object) -> None:
        """Set fields and properties of an image, all in one request; those that are None are removed."""
        removed = [key for key, value in properties.items() if value is None]
        kept = {key: value for key, value in properties.items() if value is not None}

        def change() -> None:
            present = dict(self._client.images.get(image_id)) if removed else {}
            self._client.images.update(image_id, [key for key in removed if key in present], **kept)

        self._call(f"change the image {image_id}", change)
        for image in self._listing or ():
            if image["id"] == image_id:
                image.update(kept)
                for key in removed:
                    image.pop(key, None)

    def delete_image(self, image_id: str) -> None:
        """Delete an image; it may be gone already."""
        with suppress(ImageGone):
            self._call(f"delete the image {image_id}", lambda: self._client.images.delete(image_id))
        if self._listing is not None:
            self._listing = [image for image in self._listing if image["id"] != image_id]

    # members: other projects that may see an image

    def list_members(self, image_id: str) -> dict[str, str]:
        """``{project id: pending, accepted or rejected}`` of a shared image."""
        members = self._call("list members", lambda: list(self._client.image_members.list(image_id)))
        return {member["member_id"]: member["status"] for member in members}

    def invite_member(self, image_id: str, project_id: str) -> None:
        """Share an image with a project; it may be a member already."""
        try:
            self._call(f"share the image {image_id}", lambda: self._client.image_members.create(image_id, project_id))
        except StoreConflict:
            pass

    def answer_invitation(self, image_id: str, project_id: str, status: str) -> bool:
        """Accept or reject for a project: Glance allows that to the member itself and to administrators.

        :returns: whether it was done
        """
        try:
            self._call("accept", lambda: self._client.image_members.update(image_id, project_id, status))
        except (StoreRefused, ImageGone):
            return False
        return True

    # data

    def send_file(self, image_id: str, path: Path, moved: Moved) -> dict[str, str]:
        """Send a file as the data of an image, once: another try needs a new image.

        :returns: ``{algorithm: hex}``, digests of what was read
        :raises StoreUnreachable: the connection, the server or the token was lost on the way
        """
        self._sign_in_for_long()
        with open(path, "rb", buffering=0) as file:
            reader = Reader(file, moved)
            headers = {"Content-Type": "application/octet-stream", "x-openstack-image-size": str(reader.total)}
            # Not images.upload(): on a 401 it lets keystoneauth send the rest of the reader again, and the image becomes active,
            # cut short.  The body is sent once, and a redirection is not followed with an empty body.
            # While a body is sent, the time to connect is the time of silence.
            options: dict[str, Any] = {"headers": headers, "data": reader, "allow_reauth": False, "redirect": False}
            options["timeout"] = (self.credentials.timeout, self.credentials.timeout)
            address = f"/v2/images/{image_id}/file"
            try:
                self._call(f"upload {path}", lambda: self._client.http_client.put(address, **options), tries=1)
            except StoreUnreachable:
                if reader.trouble:
                    raise reader.trouble from None
                raise
            if 300 <= self._session.last_status < 400:
                raise StoreRefused(
                    f"cannot upload {path}: the image service redirects to another address (status {self._session.last_status})",
                    hint="set keystone.image_endpoint to that address",
                )
            return reader.digests()

    def wait_active(self, image_id: str) -> Image | None:
        """The image once its data is stored, or None if it is gone; Glance may need a while after the last byte."""
        deadline = time.monotonic() + _ACTIVE_WITHIN_SECONDS
        while True:
            image = self.find_image(image_id)
            if image is None or image["status"] not in ("saving", "importing", "uploading") or time.monotonic() > deadline:
                return image
            self.sleep(0.5)

    def receive_file(self, image: Image, path: Path, moved: Moved) -> None:
        """Write the data of an image to a path."""

        def receive() -> None:
            done = 0
            with open(path, "wb") as file:
                for chunk in self._client.images.data(image["id"], do_checksum=False):
                    file.write(chunk)
                    done += len(chunk)
                    moved(done, image["size"] or 0)
                file.flush()
                os.fsync(file.fileno())

        self._call(f"download the image {image['name']}", receive)

    # calling

    def _sign_in_for_long(self) -> None:
        """Get a token that outlasts the upload: some stores ask for it again at the end."""

        def sign_in() -> None:
            if self._auth.get_access(self._session).will_expire_soon(_LONG_UPLOAD_SECONDS):
                self._session.invalidate()
            self._session.get_token()

        self._call("sign in", sign_in)

    def _own_meaning(self, what: str, error: Exception) -> VmImageError | None:
        if isinstance(error, _LOST):
            return self._unreachable(what, error)
        if isinstance(error, glanceclient.exc.HTTPException):
            return self._answered(what, error.code, error)
        if isinstance(error, glanceclient.exc.ClientException):
            return self._unfit(what, error)
        return super()._own_meaning(what, error)

    def _answered(self, what: str, status: Any, error: Exception) -> VmImageError:
        """The error of an answer of the cloud.

        :param status: of HTTP; no number where glanceclient does not know it
        """
        status = status if isinstance(status, int) else self._session.last_status
        number = "" if str(status) in str(error) else f" (status {status})"
        said = f"cannot {what}: {self._described(error)}{number}"
        if status == 404 and what == "sign in":
            return CredentialsWrong(said, hint=f"is {self._where()} the address of Keystone's version 3? it ends in /v3")
        if status == 404 or _DELETED_MEANWHILE in str(error):
            return ImageGone(
                said, hint="it was deleted, or it is another project's; or keystone.image_endpoint is not the image service"
            )
        if status == 409:
            return StoreConflict(said, hint="another client changes it now: run it again")
        if status in (413, 507):
            return StoreRefused(
                said, hint="the store is full, or a quota or size limit is reached: free some room, lower ami.keep"
            )
        if status == 401:
            self._session.invalidate()
        if status in _PASSING_STATUS:
            return StoreUnreachable(said, hint=f"look into the logs of the cloud at {self._where()}")
        if status == 400:
            return StoreRefused(said, hint="the store does not take these properties: check ami.properties")
        return StoreRefused(
            said, hint=f"are {self.credentials.origin} allowed to do this? ask the operator of the cloud at {self._where()}"
        )


class _Session(Session):
    """A session that keeps the status of the last answer."""

    last_status = 0
    timeout: Any  # more than the library says: requests takes a pair of numbers, too

    def request(self, *words: Any, **options: Any) -> Any:  # those of a method without types
        response = super().request(*words, **options)
        self.last_status = response.status_code
        return response

"""The store: Glance, with Keystone for signing in.  The only file that knows python-glanceclient and keystoneauth1.

Images go in and come out as plain dicts.  There are few kinds of errors: the credentials are wrong, the store refuses
(trying again does not help), or it cannot be reached (it may).  Every call that can be repeated without harm is.
"""

import functools
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import glanceclient.exc
import keystoneauth1.exceptions as keystone_errors
import requests
from glanceclient import Client
from keystoneauth1 import loading
from keystoneauth1.session import Session

from vmimage.errors import CredentialsWrong, ImageGone, StoreConflict, StoreRefused, StoreUnreachable, VmImageError
from vmimage.glance.credentials import Credentials, secrets_of
from vmimage.glance.generations import Image
from vmimage.glance.reader import Reader
from vmimage.system.address import public_address
from vmimage.system.aliases import Moved, Say, Sleep
from vmimage.system.retry import retried

_PAGE = 200  # images in one answer
_CONNECT_SECONDS = 60
_LONG_UPLOAD_SECONDS = 3600
_ACTIVE_WITHIN_SECONDS = 120
_LOST = (
    keystone_errors.ConnectionError,
    keystone_errors.DiscoveryFailure,
    glanceclient.exc.CommunicationError,
    glanceclient.exc.InvalidEndpoint,
    requests.RequestException,  # while a body is read
)
_PASSING_STATUS = (401, 408, 425, 429, 500, 502, 503, 504)
Result = TypeVar("Result")


class Store:
    """The images of the project that the credentials are for.

    :param tries: of each call that may be repeated
    """

    def __init__(
        self, credentials: Credentials, *, tries: int = 7, say: Say = lambda text: None, sleep: Sleep = time.sleep
    ) -> None:
        self.credentials, self.tries, self.say, self.sleep = credentials, tries, say, sleep
        self._listing: list[Image] | None = None
        self._auth = self._make_auth()
        verify = False if credentials.insecure else credentials.cacert or True
        self._session = _Session(auth=self._auth, verify=verify, timeout=credentials.timeout)
        # to connect, and of silence; its own parameter takes only a single number
        self._session.timeout = (min(_CONNECT_SECONDS, credentials.timeout), credentials.timeout)

    def _make_auth(self) -> Any:  # a plugin of keystoneauth1, of the class that its loader makes
        kind = self.credentials.auth_type
        try:
            return loading.get_plugin_loader(kind).load_from_options(**self.credentials.auth)
        except (TypeError, keystone_errors.ClientException) as error:
            raise CredentialsWrong(
                f"cannot sign in: {self.credentials.origin} is not fit for {kind}: {self._described(error)}",
                hint="correct its auth_type or its options",
            ) from error

    @functools.cached_property
    def _client(self) -> Any:  # it has no types
        """Glance's client, at the address in the catalog; the client adds the version itself."""
        where: dict[str, Any] = {"region_name": self.credentials.region_name or None, "interface": self.credentials.interface}
        find = functools.partial(self._session.get_endpoint, service_type="image", **where)
        address = self.credentials.image_endpoint or self._call("find the image service", find)
        if not address:
            raise self._no_service("its catalog has none")
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

    def check(self) -> dict[str, str]:
        """Check that the credentials are good and that the cloud has an image service.

        :returns: ``auth_url`` and ``project``
        :raises CredentialsWrong, StoreRefused, StoreUnreachable:
        """
        project = self.project_id
        self._call("list images", lambda: list(self._client.images.list(limit=1, filters={"owner": project})))
        return {"auth_url": self._cloud(), "project": project}

    @functools.cached_property
    def image_schema(self) -> dict[str, Any]:
        """The JSON schema of an image: what this store takes as its fields and properties."""
        return self._call("ask for the schema of an image", lambda: dict(self._client.schemas.get("image").raw()))

    # what is there

    def list_images(self) -> list[Image]:
        """All images of the project, hidden images too, as they were when this was last asked after :meth:`look_again`.

        What this store has changed and deleted since is accounted for; what it has created since is not among them.

        :returns: the newest first
        """
        if self._listing is None:
            self._listing = [*self._list({"os_hidden": False}), *self._list({"os_hidden": True})]
        return [dict(image) for image in self._listing]

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

    def _call(self, what: str, call: Callable[[], Result], tries: int | None = None) -> Result:
        def translated() -> Result:
            with self._translated(what):
                return call()

        return retried(translated, StoreUnreachable, tries=tries or self.tries, say=self.say, sleep=self.sleep)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Raise the clients' errors as errors of this project."""
        try:
            yield
        except keystone_errors.Unauthorized as error:
            raise CredentialsWrong(
                f"cannot {what}: Keystone refuses {self.credentials.origin}",
                hint=f"check user, password and project, or whether the application credential is still valid, at {self._cloud()}",
            ) from error
        except keystone_errors.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                raise self._unreachable(what, error) from error
            raise StoreRefused(
                f"cannot {what}: the certificate of the cloud is not trusted: {self._described(error)}",
                hint="set keystone.cacert to the file of the authority that signed it, and call the host by the name in it",
            ) from error
        except keystone_errors.CatalogException as error:
            raise self._no_service(self._described(error)) from error
        except _LOST as error:
            raise self._unreachable(what, error) from error
        except keystone_errors.HttpError as error:
            raise self._answered(what, error.http_status, error) from error
        except glanceclient.exc.HTTPException as error:
            raise self._answered(what, error.code, error) from error
        except (TypeError, AttributeError, KeyError, ValueError) as error:  # what the clients make of a page of a proxy
            raise StoreUnreachable(
                f"cannot {what}: the answer is not from OpenStack ({type(error).__name__}: {self._described(error)})",
                hint="is there a proxy or a portal between this machine and the cloud?",
            ) from error
        except (keystone_errors.ClientException, glanceclient.exc.ClientException) as error:
            raise CredentialsWrong(
                f"cannot {what}: {self._described(error)}", hint=f"check {self.credentials.origin}, used at {self._cloud()}"
            ) from error

    def _no_service(self, why: str) -> StoreRefused:
        return StoreRefused(
            f"{self._cloud()} knows no such image service: {why}", hint="check keystone.region and keystone.interface"
        )

    def _cloud(self) -> str:
        return self.credentials.public().get("auth_url", "the cloud")

    def _described(self, error: Exception) -> str:
        """The message of an error, without a secret that it may repeat."""
        text = " ".join(str(error).split())
        for secret in secrets_of(self.credentials):
            if len(secret) > 3:  # a shorter secret would be given away by the holes that it leaves
                text = text.replace(secret, "***")
        return public_address(text)[:500]

    def _unreachable(self, what: str, error: Exception) -> StoreUnreachable:
        return StoreUnreachable(
            f"cannot {what}: {self._described(error)}",
            hint=f"are Keystone ({self._cloud()}) and the image service up, and the network between this machine and them?",
        )

    def _answered(self, what: str, status: object, error: Exception) -> VmImageError:
        """The error of an answer of the cloud.

        :param status: of HTTP; no number where glanceclient does not know it
        """
        status = status if isinstance(status, int) else self._session.last_status
        number = "" if str(status) in str(error) else f" (status {status})"
        said = f"cannot {what}: {self._described(error)}{number}"
        if status == 404 and what == "sign in":
            return CredentialsWrong(said, hint=f"is {self._cloud()} the address of Keystone's version 3? it ends in /v3")
        if status == 404:
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
            return StoreUnreachable(said, hint=f"look into the logs of the cloud at {self._cloud()}")
        if status == 400:
            return StoreRefused(said, hint="the store does not take these properties: check ami.properties")
        return StoreRefused(
            said, hint=f"are {self.credentials.origin} allowed to do this? ask the operator of the cloud at {self._cloud()}"
        )


class _Session(Session):
    """A session that keeps the status of the last answer."""

    last_status = 0
    timeout: Any  # more than the library says: requests takes a pair of numbers, too

    def request(self, *words: Any, **options: Any) -> Any:  # those of a method without types
        response = super().request(*words, **options)
        self.last_status = response.status_code
        return response

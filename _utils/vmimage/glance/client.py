"""The store: Glance, and Keystone who lets us in.  The only file that knows python-glanceclient and keystoneauth1.

Images go in and come out as plain dicts.  What goes wrong is one of a few errors: the credentials are wrong, the store refuses
(trying again does not help), or it cannot be reached (it may).  Every call that can be repeated without harm is.
"""

import functools
import os
import re
import time
from contextlib import contextmanager

import glanceclient.exc
import keystoneauth1.exceptions as keystone_errors
import requests
from glanceclient import Client
from keystoneauth1 import loading
from keystoneauth1.session import Session

from vmimage.errors import CredentialsWrong, ImageGone, StoreConflict, StoreRefused, StoreUnreachable
from vmimage.glance.credentials import secrets_of
from vmimage.glance.reader import Reader
from vmimage.system.address import public_address
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


class Store:
    """The images of the project that the credentials are for.

    :param Credentials credentials:
    :param int tries: of each call that may be repeated
    :param say: takes a line for who watches
    """

    def __init__(self, credentials, *, tries=7, say=lambda text: None, sleep=time.sleep):
        self.credentials, self.tries, self.say, self.sleep = credentials, tries, say, sleep
        auth = self._make_auth()
        verify = False if credentials.insecure else credentials.cacert or True
        self._session = _Session(auth=auth, verify=verify, timeout=credentials.timeout)
        self._session.timeout = (min(_CONNECT_SECONDS, credentials.timeout), credentials.timeout)  # its own takes only one

    def _make_auth(self):
        kind = self.credentials.auth_type
        try:
            return loading.get_plugin_loader(kind).load_from_options(**self.credentials.auth)
        except (TypeError, keystone_errors.ClientException) as error:
            raise CredentialsWrong(
                f"cannot sign in: {self.credentials.origin} is not fit for {kind}: {self._told(error)}",
                hint="correct its auth_type or its options",
            ) from error

    @functools.cached_property
    def _client(self):
        """Glance's client, at the address that the catalog tells; the client adds the version itself."""
        where = {"region_name": self.credentials.region_name or None, "interface": self.credentials.interface}
        find = functools.partial(self._session.get_endpoint, service_type="image", **where)
        address = self.credentials.image_endpoint or self._call("find the image service", find)
        if not address:
            raise self._no_service("its catalog has none")
        return Client("2", session=self._session, endpoint_override=re.sub(r"/v\d+(\.\d+)?/?$", "", address), **where)

    @functools.cached_property
    def project_id(self):
        """The project whose images these are; asking for it signs in."""
        project = self._call("sign in", self._session.get_project_id)
        if not project:
            raise CredentialsWrong(
                f"{self.credentials.origin} is not for a project", hint="name one: keystone.tenant, or an application credential"
            )
        return project

    def check(self):
        """See that the cloud lets us in and has an image service.

        :returns: dict of ``auth_url`` and ``project``
        :raises CredentialsWrong, StoreRefused, StoreUnreachable:
        """
        project = self.project_id
        self._call("list images", lambda: list(self._client.images.list(limit=1, filters={"owner": project})))
        return {"auth_url": self._cloud(), "project": project}

    # what is there

    def list_images(self, **filters):
        """All images of the project, hidden ones too.

        :param filters: fields and properties with the values asked for
        :returns: list of dicts, the newest first
        """
        return [*self._list(filters, os_hidden=False), *self._list(filters, os_hidden=True)]

    def list_public(self):
        """Public images, of anybody."""
        return self._list({"visibility": "public"}, owned=False)

    def _list(self, filters, owned=True, **more):
        wanted = {**filters, **more, **({"owner": self.project_id} if owned else {})}

        def listed():
            return [dict(one) for one in self._client.images.list(filters=dict(wanted), page_size=_PAGE)]

        try:
            return self._call("list images", listed)
        except StoreRefused:  # the image that ended a page was deleted meanwhile
            return self._call("list images", listed)

    def find_image(self, image_id):
        """One image, or None if there is none of that id."""
        try:
            return self._call(f"look at the image {image_id}", lambda: dict(self._client.images.get(image_id)))
        except ImageGone:
            return None

    # changing

    def create_image(self, image):
        """A new image without data; its ``id`` is ours to choose, so that a lost answer does no harm."""
        try:
            self._call(f"create the image {image['name']}", lambda: self._client.images.create(**image))
        except StoreConflict:
            if (self.find_image(image["id"]) or {}).get("name") != image["name"]:
                raise

    def change_image(self, image_id, **properties):
        """Set fields and properties of an image, all in one request; those that are None are removed."""
        gone = [key for key, value in properties.items() if value is None]
        kept = {key: value for key, value in properties.items() if value is not None}

        def change():
            there = dict(self._client.images.get(image_id)) if gone else {}
            self._client.images.update(image_id, [key for key in gone if key in there], **kept)

        self._call(f"change the image {image_id}", change)

    def delete_image(self, image_id):
        """Delete an image; it may be gone already."""
        try:
            self._call(f"delete the image {image_id}", lambda: self._client.images.delete(image_id))
        except ImageGone:
            pass

    # who else may see it

    def list_members(self, image_id):
        """``{project id: pending, accepted or rejected}`` of a shared image."""
        members = self._call("list members", lambda: list(self._client.image_members.list(image_id)))
        return {one["member_id"]: one["status"] for one in members}

    def invite_member(self, image_id, project_id):
        """Share an image with a project; it may be a member already."""
        try:
            self._call(f"share the image {image_id}", lambda: self._client.image_members.create(image_id, project_id))
        except StoreConflict:
            pass

    def answer_invitation(self, image_id, project_id, status):
        """Accept or reject for a project, if we may: Glance lets the member itself and administrators.

        :returns: whether it was done
        """
        try:
            self._call("accept", lambda: self._client.image_members.update(image_id, project_id, status))
        except (StoreRefused, ImageGone):
            return False
        return True

    # data

    def send_file(self, image_id, path, moved):
        """Send a file as the data of an image, once: who calls again begins with an image of its own.

        :param moved: called with bytes done and in all
        :returns: ``{algorithm: hex}``, digests of what was read
        :raises StoreUnreachable: the line, the server or the token was lost on the way
        """
        self._sign_in_for_long()
        with open(path, "rb", buffering=0) as file:
            reader = Reader(file, moved)
            headers = {"Content-Type": "application/octet-stream", "x-openstack-image-size": str(reader.total)}
            # Not images.upload(): on a 401 it lets keystoneauth send the rest of the reader again, and the image becomes active,
            # cut short.  The body is sent once, and a redirection is not followed with an empty one.
            # While a body is sent, the time to connect is the time of silence.
            options = {"headers": headers, "data": reader, "allow_reauth": False, "redirect": False}
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
                    f"cannot upload {path}: the image service sends us elsewhere (status {self._session.last_status})",
                    hint="set keystone.image_endpoint to the address that it means",
                )
            return reader.digests()

    def wait_active(self, image_id):
        """The image once its data is stored; Glance may need a while after the last byte."""
        deadline = time.monotonic() + _ACTIVE_WITHIN_SECONDS
        while True:
            image = self.find_image(image_id)
            if image is None or image["status"] not in ("saving", "importing", "uploading") or time.monotonic() > deadline:
                return image
            self.sleep(0.5)

    def receive_file(self, image, path, moved):
        """Write the data of an image to a path."""

        def receive():
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

    def _sign_in_for_long(self):
        """A token that outlasts the upload: some stores ask for it again at the end."""

        def sign_in():
            if self._session.auth.get_access(self._session).will_expire_soon(_LONG_UPLOAD_SECONDS):
                self._session.invalidate()
            self._session.get_token()

        self._call("sign in", sign_in)

    def _call(self, what, call, tries=None):
        def translated():
            with self._translated(what):
                return call()

        return retried(translated, StoreUnreachable, tries=tries or self.tries, say=self.say, sleep=self.sleep)

    @contextmanager
    def _translated(self, what):
        """The clients' errors as ours."""
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
                f"cannot {what}: the certificate of the cloud is not trusted: {self._told(error)}",
                hint="set keystone.cacert to the file of the authority that signed it, and call the host by the name in it",
            ) from error
        except keystone_errors.CatalogException as error:
            raise self._no_service(self._told(error)) from error
        except _LOST as error:
            raise self._unreachable(what, error) from error
        except keystone_errors.HttpError as error:
            raise self._answered(what, error.http_status, error) from error
        except glanceclient.exc.HTTPException as error:
            raise self._answered(what, error.code, error) from error
        except (TypeError, AttributeError, KeyError, ValueError) as error:  # what the clients make of a page of a proxy
            raise StoreUnreachable(
                f"cannot {what}: the answer is not one of OpenStack's ({type(error).__name__}: {self._told(error)})",
                hint="is there a proxy or a portal between this machine and the cloud?",
            ) from error
        except (keystone_errors.ClientException, glanceclient.exc.ClientException) as error:
            raise CredentialsWrong(
                f"cannot {what}: {self._told(error)}", hint=f"check {self.credentials.origin}, used at {self._cloud()}"
            ) from error

    def _no_service(self, why):
        return StoreRefused(
            f"{self._cloud()} knows no such image service: {why}", hint="check keystone.region and keystone.interface"
        )

    def _cloud(self):
        return self.credentials.public().get("auth_url", "the cloud")

    def _told(self, error):
        """The words of an error, without a secret that it may repeat."""
        text = " ".join(str(error).split())
        for secret in secrets_of(self.credentials):
            if len(secret) > 3:  # a shorter one would be told by the holes that it leaves
                text = text.replace(secret, "***")
        return public_address(text)[:500]

    def _unreachable(self, what, error):
        return StoreUnreachable(
            f"cannot {what}: {self._told(error)}",
            hint=f"are Keystone ({self._cloud()}) and the image service up, and this machine's way to them?",
        )

    def _answered(self, what, status, error):
        status = status if isinstance(status, int) else self._session.last_status  # glanceclient does not know them all
        number = "" if str(status) in str(error) else f" (status {status})"
        said = f"cannot {what}: {self._told(error)}{number}"
        if status == 404 and what == "sign in":
            return CredentialsWrong(said, hint=f"is {self._cloud()} the address of Keystone's version 3? it ends in /v3")
        if status == 404:
            return ImageGone(
                said, hint="it was deleted, or it is another project's; or keystone.image_endpoint is not the image service"
            )
        if status == 409:
            return StoreConflict(said, hint="somebody else changes it now: run it again")
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
        return StoreRefused(said, hint=f"may {self.credentials.origin} do this? ask who runs the cloud at {self._cloud()}")


class _Session(Session):
    """A session that keeps the status of the last answer."""

    last_status = 0

    def request(self, *words, **options):
        response = super().request(*words, **options)
        self.last_status = response.status_code
        return response

"""What the clients of OpenStack's services have in common: how they sign in by keystoneauth1, how a call is repeated, and what its errors mean."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import keystoneauth1.exceptions as keystone_errors
from keystoneauth1 import loading

from vmimage.errors import CredentialsWrong, VmImageError
from vmimage.glance.credentials import Credentials, secrets_of
from vmimage.system.address import public_address
from vmimage.system.aliases import Say, Sleep
from vmimage.system.retry import retried

_CONNECT_SECONDS = 60
Result = TypeVar("Result")


class OpenStack:
    """A user of services of OpenStack.  There are few kinds of errors: the credentials are wrong, a service refuses (trying again does not
    help), or it cannot be reached (it may).

    :param tries: of each call that may be repeated
    :cvar service: what is asked, for people
    :cvar refused: the error of a service that refuses
    :cvar unreachable: the error of a service that cannot be reached
    """

    service: str
    refused: type[VmImageError]
    unreachable: type[VmImageError]

    def __init__(self, credentials: Credentials, *, tries: int, say: Say, sleep: Sleep = time.sleep) -> None:
        self.credentials, self.tries, self.say, self.sleep = credentials, tries, say, sleep

    # signing in

    def _make_auth(self) -> Any:  # a plugin of keystoneauth1, of the class that its loader makes
        kind = self.credentials.auth_type
        try:
            return loading.get_plugin_loader(kind).load_from_options(**self.credentials.auth)
        except (TypeError, keystone_errors.ClientException) as error:
            raise CredentialsWrong(
                f"cannot sign in: {self.credentials.origin} is not fit for {kind}: {self._described(error)}",
                hint="correct its auth_type or its options",
            ) from error

    @property
    def _verify(self) -> bool | str:
        """What a session takes: whether, and by which authorities, certificates are checked."""
        return False if self.credentials.insecure else self.credentials.cacert or True

    @property
    def _timeouts(self) -> tuple[float, float]:
        """Seconds to connect, and of silence; a session's own parameter takes only a single number."""
        return min(_CONNECT_SECONDS, self.credentials.timeout), self.credentials.timeout

    # calling

    def _call(self, what: str, call: Callable[[], Result], tries: int | None = None) -> Result:
        """What a call returns; it is repeated while the service cannot be reached.

        :param what: is done, for people: ``list images``
        """

        def translated() -> Result:
            with self._translated(what):
                return call()

        return retried(translated, self.unreachable, tries=tries or self.tries, say=self.say, sleep=self.sleep)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Raise the errors of keystoneauth1 and of a service's own client as errors of this project."""
        try:
            yield
        except Exception as error:
            raised = self._meaning(what, error) or self._own_meaning(what, error)
            if raised is None:
                raise
            raise raised from error

    def _meaning(self, what: str, error: Exception) -> VmImageError | None:
        """The error for one that any service's client may raise."""
        if isinstance(error, keystone_errors.Unauthorized):
            return self._unauthorized(what)
        if isinstance(error, keystone_errors.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return self.refused(
                f"cannot {what}: the certificate of the cloud is not trusted: {self._described(error)}",
                hint="set keystone.cacert to the file of the authority that signed it, and call the host by the name in it",
            )
        if isinstance(error, keystone_errors.CatalogException):
            return self._no_service(what, self._described(error))
        if isinstance(error, (keystone_errors.ConnectionError, keystone_errors.DiscoveryFailure)):
            return self._unreachable(what, error)
        if isinstance(error, keystone_errors.HttpError):
            return self._answered(what, error.http_status, error)
        if isinstance(error, keystone_errors.ClientException):
            return self._unfit(what, error)
        return None

    def _own_meaning(self, what: str, error: Exception) -> VmImageError | None:
        """The error for one of the service's own client, or of Python; None: it is a mistake of ours."""
        if isinstance(error, (TypeError, AttributeError, KeyError, ValueError)):  # what clients make of a page of a proxy
            return self.unreachable(
                f"cannot {what}: the answer is not from OpenStack ({type(error).__name__}: {self._described(error)})",
                hint="is there a proxy or a portal between this machine and the cloud?",
            )
        return None

    def _answered(self, what: str, status: Any, error: Exception) -> VmImageError:
        """The error for an answer of the cloud.

        :param status: of HTTP; no number where the client does not know it
        """
        raise NotImplementedError

    def _unauthorized(self, what: str) -> VmImageError:
        return CredentialsWrong(
            f"cannot {what}: Keystone refuses {self.credentials.origin}",
            hint=f"check user, password and project, or whether the application credential is still valid, at {self._where()}",
        )

    def _unfit(self, what: str, error: Exception) -> VmImageError:
        return CredentialsWrong(
            f"cannot {what}: {self._described(error)}", hint=f"check {self.credentials.origin}, used at {self._where()}"
        )

    def _no_service(self, what: str, why: str) -> VmImageError:
        return self.refused(
            f"cannot {what}: {self._where()} knows no such {self.service}: {why}",
            hint="check keystone.region and keystone.interface",
        )

    def _unreachable(self, what: str, error: Exception) -> VmImageError:
        return self.unreachable(
            f"cannot {what}: {self._described(error)}",
            hint=f"are Keystone ({self._where()}) and the cloud's services up, and the network between this machine and them?",
        )

    def _where(self) -> str:
        return self.credentials.public().get("auth_url", "the cloud")

    def _described(self, error: Exception) -> str:
        """The message of an error, without a secret that it may repeat."""
        text = " ".join(str(error).split())
        for secret in secrets_of(self.credentials):
            if len(secret) > 3:  # a shorter secret would be given away by the holes that it leaves
                text = text.replace(secret, "***")
        return public_address(text)[:500]

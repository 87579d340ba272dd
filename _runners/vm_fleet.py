"""
A fleet of builders
===================

Compares what the repositories ask for with what the store has, and has built what is missing, by the builders that ``ami_fleet`` of the
master's configuration names. It can be called at any moment, twice at once, or after any crash: the end is the same.

:configuration: ``ami_fleet``

    .. code-block:: yaml

        ami_fleet:
          repositories:
            web: {hg: https://hg.example.org/web}
          builders: {target: "G@role:ami-builder"}
"""

import contextlib
import logging

import salt.cache
import salt.client
from salt.exceptions import CommandExecutionError, SaltException
from vmimage.errors import CallFailed, VmImageError, printable
from vmimage.fleet import fleet

log = logging.getLogger(__name__)

__virtualname__ = "vm_fleet"


def __virtual__():
    return __virtualname__


@contextlib.contextmanager
def _salt_errors():
    try:
        yield
    except VmImageError as error:
        raise CommandExecutionError(str(error)) from error
    except OSError as error:
        log.exception("a file or system call failed")
        raise CommandExecutionError(printable(f"{type(error).__name__}: {error}")) from error


class _Client:
    """Salt's jobs, whose errors are those of the machinery."""

    def __init__(self, opts):
        self._client = salt.client.get_local_client(mopts=opts)

    def run_job(self, *target, **job):
        with _called():
            return self._client.run_job(*target, **job)

    def get_cache_returns(self, jid):
        with _called():
            return self._client.get_cache_returns(jid)


@contextlib.contextmanager
def _called():
    try:
        yield
    except SaltException as error:
        raise CallFailed(f"Salt's job system fails: {error}", hint="is the master running, and is this its user?") from error


def _open():
    """The fleet of the master's configuration."""
    return fleet.Fleet(__opts__, salt.cache.factory(__opts__), _Client(__opts__))


def _judged(found):
    """A result whose problems are seen in the exit code, too."""
    return {**found, "retcode": 1 if found["problems"] else 0}


def plan():
    """
    Show of each variation whether its image is as its repository asks, and why not. Changes nothing.

    :return: dict of each image name with a dict of ``state`` (fine, missing, stale, building, waiting, parked, paused), ``reason``,
        ``revision`` and ``repository``; and below ``problems`` what is wrong with the configuration, or could not be asked;
        then the exit code is 1
    :raises CommandExecutionError: if ``ami_fleet`` is wrong

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.plan
    """
    with _salt_errors():
        return _judged(_open().plan())


def reconcile(repository=None):
    """
    Judge the builds that are under way, publish those that have ended well, and begin what is missing or stale. Does not wait for builds.
    Where another call does that already, it is left a note to look once more, and this call ends at once.

    :param str repository: of ``ami_fleet`` that has changed; default: all are asked
    :return: dict of ``began``, ``ended`` (dicts by image name), ``removed`` (names), ``passes``, ``busy`` (another call does it) and
        ``problems``, with which the exit code is 1
    :raises CommandExecutionError: if ``ami_fleet`` is wrong

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.reconcile
    """
    with _salt_errors():
        return _judged(_open().reconcile(repository))


def status():
    """
    List what is under way, what waits, and how the last build of each variation ended.

    :return: dict of ``plan`` (as of :func:`plan`), ``running`` (a list of dicts), ``last`` (the newest result of each image), ``paused``
    :raises CommandExecutionError: if ``ami_fleet`` is wrong

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.status
    """
    with _salt_errors():
        return _open().status()


def history(name=None, limit=50):
    """
    List how builds ended, the newest first.

    :param str name: of an image, such as ``web-amd64``; default: all
    :param int limit: how many
    :return: list of dicts of ``number``, ``name``, ``revision``, ``builder``, ``ending``, ``reason``, ``seconds``, ``at`` and ``facts``

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.history web-amd64
    """
    with _salt_errors():
        return _open().history(name, int(limit))


def log_(number):
    """
    What a build printed: of one that runs what its builder has of it, of one that has ended what was kept.

    :param int number: of the build
    :return: the text

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.log 17
    """
    with _salt_errors():
        return _open().log(int(number))


def cancel(number):
    """
    Stop a build. Its input is not built again until it changes, or :func:`retry` is called.

    :param int number: of the build
    :return: as of :func:`reconcile`
    :raises CommandExecutionError: if no such build is under way

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.cancel 17
    """
    with _salt_errors():
        return _judged(_open().cancel(int(number)))


def retry(name):
    """
    Forget that builds of an image failed or were cancelled, and build it.

    :param str name: of the image, such as ``web-amd64``
    :return: as of :func:`reconcile`
    :raises CommandExecutionError: if there is no such image in the fleet

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.retry web-amd64
    """
    with _salt_errors():
        return _judged(_open().retry(name))


def pause(name=None):
    """
    Begin no more builds. Those that run go on, and are published.

    :param str name: of an image; default: of the whole fleet
    :return: True

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.pause
        salt-run vm_fleet.pause web-amd64
    """
    with _salt_errors():
        return _open().pause(name)


def resume(name=None):
    """
    Take :func:`pause` back.

    :param str name: of an image; default: of the whole fleet; what was paused by its name stays paused
    :return: True if it was paused

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.resume
    """
    with _salt_errors():
        return _open().resume(name)


__func_alias__ = {"log_": "log"}

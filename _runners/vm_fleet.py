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
import time

import salt.cache
import salt.client
import salt.minion
from salt.exceptions import CommandExecutionError, NotImplemented, SaltCacheError, SaltException  # noqa: A004
from vmimage.errors import CallFailed, VmImageError, printable
from vmimage.fleet import fleet
from vmimage.fleet.metrics import make_metrics
from vmimage.fleet.page import make_page, report_links, write_shown
from vmimage.fleet.table import make_table
from vmimage.settings.arguments import read_number

log = logging.getLogger(__name__)

__virtualname__ = "vm_fleet"


def __virtual__():
    return __virtualname__


class _Refused(CommandExecutionError, NotImplemented):
    """An error that ``salt-run`` shows by its text, for a NotImplemented; of any other it shows the traceback."""


@contextlib.contextmanager
def _salt_errors():
    try:
        yield
    except VmImageError as error:
        raise _Refused(str(error)) from error
    except OSError as error:
        log.exception("a file or system call failed")
        raise _Refused(printable(f"{type(error).__name__}: {error}")) from error


class _Cache:
    """Salt's cache.  Salt sees whether an entry is there, and then reads or removes it: another process may have removed it in between."""

    def __init__(self, opts):
        self._cache = salt.cache.factory(opts)
        self.store, self.list = self._cache.store, self._cache.list

    def fetch(self, bank, key):
        return _again_if_gone(lambda: self._cache.fetch(bank, key))

    def flush(self, bank, key):
        return _again_if_gone(lambda: self._cache.flush(bank, key))


def _again_if_gone(call):
    try:
        return call()
    except SaltCacheError:  # what is gone by now is not there, and all else fails again
        return call()


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
    return fleet.Fleet(__opts__, _Cache(__opts__), _Client(__opts__))


def _notified(opened, work):
    """What some work on the fleet returns, after whoever is configured was notified of what ended in it."""
    done = work(opened)
    opened.notify(_call_returner)
    return _judged(done)


def _call_returner(name, job):
    """Hand a job's return to a returner of Salt; it is loaded as a minion's, for its options are looked up as a minion's are."""
    with salt.minion.MasterMinion(__opts__, states=False, rend=False) as minion:
        minion.returners[f"{name}.returner"](job)


def _judged(found):
    """A result whose problems are seen in the exit code, too."""
    return {**found, "retcode": 1 if found.get("problems") else 0}


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


def reconcile(repository=None, ask=True):
    """
    Judge the builds that are under way, publish those that have ended well, and begin what is missing or stale. Does not wait for builds.
    Where another call does that already, it is left a note to look once more, and this call ends at once.

    :param str repository: of ``ami_fleet`` that has changed; default: all are asked
    :param bool ask: False to ask no repository that was asked before: a build has ended, and no commit is new
    :return: dict of ``began``, ``ended`` (dicts by image name), ``removed`` (names), ``passes``, ``busy`` (another call does it) and
        ``problems``, with which the exit code is 1
    :raises CommandExecutionError: if ``ami_fleet`` is wrong

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.reconcile
    """
    with _salt_errors():
        return _notified(_open(), lambda opened: opened.reconcile(repository, ask=ask))


def hook(repositories=(), digest=""):
    """
    What the reactor calls when a repository has changed: :func:`reconcile` for these repositories. The reactor has checked who says so.

    :param list repositories: of ``ami_fleet``, by their exact names; default: all are asked
    :param str digest: sha256 of the body of a forge's call; a call that comes again changes nothing
    :return: as of :func:`reconcile`; or ``repeated``: True
    :raises CommandExecutionError: if there is no such repository, or ``ami_fleet`` is wrong

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.hook '[web]'
    """
    with _salt_errors():
        return _notified(
            _open(), lambda opened: opened.hook([repositories] if isinstance(repositories, str) else list(repositories), digest)
        )


def status(table=False):
    """
    List what is under way, what waits, and how the last build of each variation ended.

    :param bool table: as a text for people
    :return: dict of ``plan`` (as of :func:`plan`), ``running`` (a list of dicts), ``last`` (the newest result of each image), ``paused``
    :raises CommandExecutionError: if ``ami_fleet`` is wrong

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.status
        salt-run vm_fleet.status table=True
    """
    with _salt_errors():
        found = _open().status()
        return make_table(found, time.time()) if table else found


def page(path, report=""):
    """
    Write the fleet's page: images, builds under way, and how builds ended. It is a single file that loads nothing.

    :param str path: of the page
    :param str report: address of a build's report, with ``{builder}``, ``{name}``, ``{variation}`` and ``{number}`` in it; default: no links
    :return: the path
    :raises CommandExecutionError: if ``ami_fleet`` is wrong, or the page cannot be written

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.page /var/www/fleet.html
        salt-run vm_fleet.page /var/www/fleet.html report='http://{builder}/images/{variation}.report.html'
    """
    with _salt_errors():
        opened = _open()
        ended = opened.history(limit=200)
        text = make_page(opened.configuration.name, opened.status(), ended, time.time(), report_links(ended, report))
        return write_shown(path, text)


def metrics(path=None):
    """
    The fleet for Prometheus, as OpenMetrics text: builds by how they ended and their seconds, images by state, ages of those published.

    :param str path: of a file to write instead, such as of node_exporter's textfile collector, ``.prom``; it is replaced at once
    :return: the text, or the path
    :raises CommandExecutionError: if ``ami_fleet`` is wrong, or prometheus_client is not installed

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.metrics
        salt-run vm_fleet.metrics /var/lib/prometheus/node-exporter/vm_fleet.prom
    """
    with _salt_errors():
        opened = _open()
        text = make_metrics(opened.configuration.name, opened.status(), opened.claims.totals(), time.time())
        return write_shown(path, text) if path else text


def history(name=None, limit=50):
    """
    List how builds ended, the newest first.

    :param str name: of an image, such as ``web-amd64``; default: all
    :param int limit: how many
    :return: list of dicts of ``number``, ``name``, ``revision``, ``builder``, ``ending``, ``reason``, ``seconds``, ``at`` and ``facts``
    :raises CommandExecutionError: if ``ami_fleet`` or ``limit`` is wrong

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.history web-amd64
    """
    with _salt_errors():
        return _open().history(name, read_number(limit, "limit", "how many builds are listed"))


def log_(number):
    """
    What a build printed: of one that runs what its builder has of it, of one that has ended what was kept.

    :param int number: of the build
    :return: the text
    :raises CommandExecutionError: if there is no such build

    CLI Example:

    .. code-block:: bash

        salt-run vm_fleet.log 17
    """
    with _salt_errors():
        return _open().log(read_number(number, "number", "the number of a build"))


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
        wanted = read_number(number, "number", "the number of a build")
        return _notified(_open(), lambda opened: opened.cancel(wanted))


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
        return _notified(_open(), lambda opened: opened.retry(name))


def pause(name=None):
    """
    Begin no more builds. Those that run go on, and are published.

    :param str name: of an image; default: of the whole fleet
    :return: True
    :raises CommandExecutionError: if there is no such image in the fleet

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

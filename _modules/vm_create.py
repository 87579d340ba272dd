"""
Cloud images from Salt states
=============================

Turns a Debian or Ubuntu base and a variation, which is nothing but Salt states, into a kernel, a ramdisk and a small root image
that a cloud can boot, and publishes them to OpenStack Glance.

:depends: mmdebstrap (for a bootstrapped base), qemu-utils (for a qcow2 base), e2fsprogs; python-glanceclient and
    python-keystoneclient (to publish)
:platform: Linux, as root
:configuration: every setting is looked up by ``config.get`` as ``ami.<key>`` or nested below ``ami``, in the minion config, the
    grains and the pillar, in this order, and can be given to every function as a keyword argument. ``vm_create.settings`` lists
    them with their meaning.

    .. code-block:: yaml

        ami:
          name: web
          release: trixie
          variation: /srv/variations/web
"""

import contextlib
import dataclasses
import logging
import os

from salt.exceptions import CommandExecutionError
from vmimage import delivery
from vmimage.build import parallel as _many
from vmimage.build import pipeline as _build
from vmimage.build import publishing, steps
from vmimage.build.record import owner_of, read_record
from vmimage.errors import SettingsWrong, VmImageError, printable
from vmimage.glance import publish
from vmimage.host import Host
from vmimage.image import qemu
from vmimage.settings.schema import KEYS
from vmimage.system.namespace import stoppable

log = logging.getLogger("vm_create")

__virtualname__ = "vm_create"


def __virtual__():
    return __virtualname__


@contextlib.contextmanager
def _salt_errors():
    """Tell an error of the machinery in Salt's own way: its text, and an exit code that is not 0; so is being stopped, from here on."""
    try:
        with stoppable():
            yield
    except VmImageError as error:
        raise CommandExecutionError(str(error)) from error
    except (OSError, UnicodeError, RecursionError) as error:
        log.exception("a file or system call failed")
        raise CommandExecutionError(printable(f"{type(error).__name__}: {error}")) from error


def _host():
    return Host(__salt__, __opts__, __grains__, __pillar__)


def _one_of_many():
    return Host(__salt__, __opts__, __grains__, __pillar__, is_one_of_many=True)


def _new_build(name=None, **arguments):
    return _host().build({"name": name, **arguments})


def _named_build(name=None, **arguments):
    """A build for which its name is enough, so that no repository need be asked."""
    return _host().build({"name": name, **arguments}, asks=not name)


def _begun_build(name=None, **arguments):
    """A build of what is newest in the variation's repository."""
    return _host().build({"name": name, **arguments}, fetches=True)


def create_variation(name=None, test=None, **settings):
    """
    Make the triplet of a variation: fetch the base, open the root, update it, apply the variation inside, seal it, take kernel
    and ramdisk out, shrink the root image, write the manifest. Then publish it, as :func:`upload` does, where ``ami.publish`` asks
    for it: by default where ``ami.cloud`` or a key of ``keystone`` is set.

    The making runs in a private namespace that ends with the caller: a failed or killed build leaves no triplet, mount, loop
    device or process. A failed upload leaves the triplet, and nothing in the store.

    :param str name: of the variation; default ``variation``
    :param bool test: only tell what would be done, as :func:`plan` does
    :param settings: any setting, see :func:`settings`
    :return: dict of the manifest's ``name``, ``build``, ``files`` (with bytes and sha256), ``base``, ``variation``, ``steps`` (with
        seconds), ``unchanged`` (whether there was nothing to build), ``manifest``, its path, and ``published``, what :func:`upload` returns, or None
    :raises CommandExecutionError: naming what failed and the remedy; the exit code of salt-call is then not 0

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.create_variation
        salt-call vm_create.create_variation name=web variation=/srv/variations/web base=/srv/base.qcow2 force=True
    """
    with _salt_errors():
        build = _begun_build(name, **settings)
        if test or (test is None and __opts__.get("test")):
            return _build.plan_variation(build)
        return _summary(build, *_build.create_variation(build))


def create_variations(*names, **settings):
    """
    Make the triplets of several variations, as many at a time as cores and memory allow (``ami.jobs``). Base, apt's lists and packages
    are shared. One that fails does not stop the others; the exit code is then not 0.

    :param names: of some of ``ami.variations``, which holds the settings of each; default: all of them
    :param settings: any setting, for all of them; weightier than those of ``ami.variations``
    :return: dict of name: as of :func:`create_variation`, or a dict of ``failed``, the message
    :raises CommandExecutionError: if none of them can be built, naming why

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.create_variations
        salt-call vm_create.create_variations web db jobs=2
    """
    with _salt_errors():
        variations = _host().settings(**settings).variations
        unknown = [name for name in names if name not in variations]
        if unknown or not variations:
            raise SettingsWrong(
                f"ami.variations does not hold {unknown[0]}" if unknown else "ami.variations is empty",
                hint="ami.variations: {web: {variation: /srv/variations/web}, db: {variation: /srv/variations/db}}",
            )
        builds = [
            _one_of_many().build({**variations[name], **settings, "name": name}, fetches=True) for name in names or variations
        ]
        found = _many.create_variations(builds, say=log.info)
        done = {
            build.settings.name: {"failed": str(one)} if isinstance(one, Exception) else _summary(build, *one)
            for build, one in zip(builds, found.values(), strict=True)
        }
        if any("failed" in one for one in done.values()):
            __context__["retcode"] = 1
        return done


def _summary(build, manifest, published):
    summary = {key: manifest[key] for key in ("name", "build", "base", "variation", "steps")}
    files = {role: {**facts, "path": str(build.triplet.directory / facts["path"])} for role, facts in manifest["files"].items()}
    summary["unchanged"] = manifest.get("unchanged", False)
    return {**summary, "files": files, "manifest": str(build.triplet.manifest_path), "published": published}


def plan(name=None, **settings):
    """
    Tell what :func:`create_variation` would do. Fetches and verifies the base's file, and changes nothing else.

    :param str name: of the variation
    :param settings: any setting, see :func:`settings`
    :return: dict of base, variation, steps, root, files, publish and settings

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.plan name=web
    """
    with _salt_errors():
        return _build.plan_variation(_begun_build(name, **settings))


def update_image(root, **settings):
    """
    Bring the packages of an open root up to date, kernel included.

    :param str root: where it is mounted, such as ``/mnt/variation``
    :param settings: ``workspace``, if it is not the default
    :return: dict of the packages ``added``, ``removed`` and ``changed`` (old and new version)

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.update_image /mnt/variation
    """
    with _salt_errors(), _build_at(root, **settings) as build:
        return steps.update(build)


def variate_image(root, **settings):
    """
    Apply the variation inside an open root, by the builder's own Salt, with the root's grains. Services are enabled, not started.

    :param str root: where it is mounted, such as ``/mnt/variation``
    :param settings: any setting, see :func:`settings`
    :return: list of the states applied: id, state, name, sls, changed, comment, duration_ms
    :raises CommandExecutionError: naming the states that failed, with their comments

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.variate_image /mnt/variation
    """
    with _salt_errors(), _build_at(root, **settings) as build:
        return steps.variate(build)


@contextlib.contextmanager
def _build_at(root, **settings):
    """The build whose root is open there, locked."""
    owner = owner_of(root, _host().settings(**settings).workspace)
    build = _host().build({**read_record(owner).begun.settings, **settings, "name": owner.name}, asks=False)
    with build.workspace.locked():
        yield build


def upload(name=None, test=None, **settings):
    """
    Publish a triplet to OpenStack Glance: kernel (aki), ramdisk (ari) and root image (ami), each compared with its file by size and
    sha512. Then the new image takes the name ``<name>-<arch>``, with visibility, protection and members of the old one, which becomes
    ``archive <name>-<arch> <date>``. ``ami.keep`` archived generations stay.

    A triplet that is published already is not published again. What a run that was killed left is completed or removed by the next.

    :param str name: of the variation
    :param bool test: only tell what would be done
    :param settings: any setting, see :func:`settings`; credentials are no settings and come from clouds.yaml (``ami.cloud``), from
        ``keystone.*`` in minion config, grains or pillar, or from the ``OS_*`` variables
    :return: dict of ``name``, ids of ``image``, ``kernel`` and ``ramdisk``, ``build``, ``changed`` (False: it was published already),
        ``reused`` (roles that were in the store), ``archived`` and ``removed`` (names), ``pending`` (projects that must accept)
    :raises CommandExecutionError: then the name leads to what it led to before, and nothing of this triplet is in the store; where
        even that could not be done, the message says what is left

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.upload web
        salt-call vm_create.upload web cloud=mycloud keep=1 test=True

    With ``ec2`` in ``ami.outputs`` the disk becomes an image of EC2, too, and the tag ``Name`` leads to it. What was done there stands below
    ``ec2`` in the result: ``region``, ids of ``image``, ``snapshot`` and its ``parent``, ``bytes_sent``, ``changed``, ``archived``, ``removed``.
    """
    with _salt_errors():
        build = _new_build(name, **settings)
        targets = publishing.check_targets(build, wanted=True)
        if test or (test is None and __opts__.get("test")):
            return publishing.plan_for(build, targets)
        return publishing.publish_to(build, targets)


def published(name=None, **settings):
    """
    List what this project made in the store: every generation, from which base, variation and revision.

    :param str name: of one variation; default: all
    :param settings: ``cloud``, if it is not the default
    :return: dict of image name: list of generations, who has the name first, each with ``id``, ``name``, ``state`` (published, archived,
        broken, new), ``generation``, ``bytes``, ``uploaded``, ``visibility``, ``kernel_id``, ``ramdisk_id``, ``build``, ``revision``,
        ``base``, ``variation``, their digests, and what it was made with

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.published
        salt-call vm_create.published web
    """
    with _salt_errors():
        build = _new_build(name, **settings)
        return publish.list_published(publish.open_store(build), publish.image_name(build.settings) if name else None)


def rollback(name=None, to=None, test=None, **settings):
    """
    Let the name lead to an earlier generation again; the current one is archived, and no later rollback chooses it by itself.

    :param str name: of the variation
    :param str to: id of an archived generation; default: the one before the current
    :param bool test: only tell which one it would be
    :param settings: any setting, see :func:`settings`
    :return: dict as of :func:`upload`
    :raises CommandExecutionError: if there is none; the name then leads to what it led to before

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.rollback web
        salt-call vm_create.rollback web to=0c5a6b1e-7a8f-4f5e-9d59-1f6d3c4b2a10
    """
    with _salt_errors():
        build = _new_build(name, **settings)
        only_tell = test or (test is None and __opts__.get("test"))
        return publish.roll_back(build, publish.open_store(build), to, test=bool(only_tell))


def status(**settings):
    """
    Tell what is under way: builds that run, and roots that a step-by-step run or a kept failure left open.

    :param settings: ``workspace``, if it is not the default
    :return: dict of each build: ``busy``, ``open``, ``root`` and the ``steps`` done

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.status
    """
    with _salt_errors():
        return _build.list_builds(_host().settings(**settings).workspace)


def release(name=None, **settings):
    """
    Close and remove what a step-by-step run or a kept failure left open. Its triplet, if there is one, stays.

    :param str name: of the variation
    :param settings: ``workspace``, if it is not the default
    :return: whether there was anything to release

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.release web
    """
    with _salt_errors():
        return _build.release(_named_build(name, **settings))


def boot(name=None, seconds=180, forward=None, **settings):
    """
    Boot a triplet in QEMU for inspection. Its files are not changed; KVM is used where it works.

    :param str name: of the variation
    :param int seconds: how long to wait for the login prompt
    :param str forward: TCP ports of the guest to probe once it is up, such as ``80,22``, which is the default; the exit code is not 0
        if one that was named is refused until ``seconds`` have passed
    :param settings: ``output``, if it is not the default
    :return: dict of ``seconds`` to the login prompt, ``accelerator``, ``answers`` (of each port the first line, ``silent`` or ``refused``),
        ``failed`` (units that did not start) and the console's end
    :raises CommandExecutionError: with the end of the console, if it does not come up

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.boot web
        salt-call vm_create.boot web forward=443
    """
    with _salt_errors():
        triplet = _named_build(name, **settings).triplet
        triplet.check()
        ports = [int(port) for port in str("80,22" if forward is None else forward).split(",") if port]
        seen = qemu.look(triplet, seconds, ports, waits=forward is not None)
        if forward is not None and qemu.unanswered(seen):
            __context__["retcode"] = 1
        return seen


def report(name=None, path=None, **settings):
    """
    Write one HTML page about the newest build of a variation, also of one that failed: failures first, a timeline of steps and
    states, what takes the room in the image by package and by directory, what changed against the base and against the build
    before, the log, settings and versions. The page is whole in itself: it loads nothing and runs nothing.

    What programs printed is in it, so its file is for its owner alone; look at it before you pass it on.

    :param str name: of the variation
    :param str path: of the page; default ``OUTPUT/NAME.report.html``
    :param settings: ``output`` and ``workspace``, if they are not the default
    :return: the path
    :raises CommandExecutionError: if there is no build of that name

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.report web
        salt-call vm_create.report web path=/tmp/web.html
    """
    from vmimage.report.page import write_report

    with _salt_errors():
        build = _named_build(name, **settings)
        return str(write_report(build.triplet, build.workspace, os.path.abspath(path) if path else None))


def settings(name=None, **arguments):
    """
    List every setting: its value in force, its default and its meaning. What a variation's repository tells is not among them:
    :func:`plan` fetches it.

    :param str name: of the variation
    :param arguments: any setting
    :return: dict of key: ``value``, ``default``, ``doc``

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.settings
    """
    with _salt_errors():
        in_force = _host().settings(name=name, **arguments)
        default = type(in_force)()
        return {
            key: {"value": _plain(getattr(in_force, key)), "default": _plain(getattr(default, key)), "doc": one.metadata["doc"]}
            for key, one in KEYS.items()
        }


def setting(key):
    """
    The value of one setting, for use in an SLS.

    :param str key: without ``ami.``; ``root`` is where the root is mounted

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.setting root
    """
    with _salt_errors():
        in_force = _host().settings()
        return os.fspath(in_force.root_path) if key == "root" else _plain(dataclasses.asdict(in_force)[key])


def project():
    """
    Write this project's own code and states into a tar in the minion's cache: what ``ami_creator_builder`` makes a builder of.

    :return: path of the tar; its bytes change with the code only

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.project
    """
    with _salt_errors():
        path = os.path.join(__opts__["cachedir"], "vm_create_project.tar")
        delivery.write_project(path, () if delivery.states_directory().is_dir() else _host().file_roots())
        return path


def _plain(value):
    return list(value) if isinstance(value, tuple) else value

"""
Cloud images from Salt states
=============================

Turns a Debian or Ubuntu base and a variation, which is nothing but Salt states, into a kernel, a ramdisk and a small root image
that a cloud can boot, and publishes them to OpenStack Glance.

:depends: mmdebstrap (for a bootstrapped base), qemu-utils (for qcow2), fdisk, dosfstools and mtools (for a disk), e2fsprogs; python-glanceclient and
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
import sys

from salt.exceptions import CommandExecutionError
from vmimage import delivery
from vmimage.build import parallel as _many
from vmimage.build import pipeline as _build
from vmimage.build import publishing, steps, visit
from vmimage.build.kept import read_build
from vmimage.build.record import owner_of, read_record
from vmimage.errors import SettingsWrong, VmImageError, printable
from vmimage.glance.outputs import image_name
from vmimage.host import Host
from vmimage.image import qemu
from vmimage.image.login import PORT, login_key
from vmimage.settings.arguments import read_number, read_ports
from vmimage.settings.schema import KEYS
from vmimage.system.namespace import stoppable

log = logging.getLogger("vm_create")

__virtualname__ = "vm_create"
__func_alias__ = {"try_": "try"}  # a keyword of Python


def __virtual__():
    return __virtualname__


@contextlib.contextmanager
def _salt_errors():
    """Raise errors of the machinery as Salt's own: their text is shown, and the exit code is not 0. A signal that stops the call is one."""
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
    """A build that is found by its name alone: its repository is not asked."""
    return _host().build({"name": name, **arguments}, asks=not name)


def _begun_build(name=None, **arguments):
    """A build of the newest revision in the variation's repository."""
    return _host().build({"name": name, **arguments}, fetches=True)


def create_variation(name=None, test=None, **settings):
    """
    Make the triplet of a variation: fetch the base, open the root, update it, apply the variation inside, seal it, copy kernel
    and ramdisk, shrink the root image, write the manifest. Then publish it, as :func:`upload` does, where ``ami.publish`` says so:
    by default where ``ami.cloud`` or a key of ``keystone`` is set.

    A build runs in a private namespace that ends with the caller: a failed or killed build leaves no triplet, mount, loop device
    or process. A failed upload leaves the triplet, and nothing in the store.

    :param str name: of the variation; default ``variation``
    :param bool test: only show what would be done, as :func:`plan` does
    :param settings: any setting, see :func:`settings`
    :return: dict of the manifest's ``name``, ``build``, ``files`` and ``outputs`` (each with path, bytes and sha256), ``base``,
        ``variation`` and ``steps`` (each with seconds); ``unchanged``, whether there was nothing to build; ``manifest``, its path;
        and ``published``, what :func:`upload` returns, or None
    :raises CommandExecutionError: with what failed and the remedy

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
    Make the triplets of several variations, as many at a time as cores and memory allow (``ami.jobs``). They share the base, apt's
    lists and packages. A build that fails does not stop the others; the exit code is then not 0.

    :param names: variations of ``ami.variations``, which holds the settings of each; default: all of them
    :param settings: any setting, for all of them; it overrides those of ``ami.variations``
    :return: dict of each name with what :func:`create_variation` returns, or with a dict of ``failed``, the message
    :raises CommandExecutionError: if a name is not in ``ami.variations``, or a setting is wrong; then nothing is built

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
            build.settings.name: {"failed": str(result)} if isinstance(result, Exception) else _summary(build, *result)
            for build, result in zip(builds, found.values(), strict=True)
        }
        if any("failed" in result for result in done.values()):
            __context__["retcode"] = 1
        return done


def _summary(build, manifest, published):
    summary = {key: manifest[key] for key in ("name", "build", "base", "variation", "steps")}
    files = {role: {**facts, "path": str(build.triplet.directory / facts["path"])} for role, facts in manifest["files"].items()}
    summary["unchanged"] = manifest.get("unchanged", False)
    outputs = {
        kind: {**facts, "path": str(build.triplet.directory / facts["path"])}
        for kind, facts in manifest.get("outputs", {}).items()
    }
    return {**summary, "files": files, "outputs": outputs, "manifest": str(build.triplet.manifest_path), "published": published}


def plan(name=None, **settings):
    """
    Show what :func:`create_variation` would do. Fetches and verifies the base's file, and changes nothing else.

    :param str name: of the variation
    :param settings: any setting, see :func:`settings`
    :return: dict of ``name``, ``base``, ``variation``, ``steps``, ``root``, ``files``, ``outputs``, ``replaces`` (whether there is a
        triplet), ``incremental``, ``publish``, ``ec2``, and ``settings``, those that are not the default
    :raises CommandExecutionError: if a setting is wrong, base or variation are missing, or the machine cannot build

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.plan name=web
    """
    with _salt_errors():
        return _build.plan_variation(_begun_build(name, **settings))


def update_image(root, **settings):
    """
    Bring the packages of an open root up to date, its kernel among them.

    :param str root: where it is mounted, such as ``/mnt/variation``
    :param settings: ``workspace``, if it is not the default
    :return: dict of the packages ``added``, ``removed`` and ``changed`` (old and new version)
    :raises CommandExecutionError: if no root is open there, or apt fails

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
    :raises CommandExecutionError: with the states that failed and their comments, or if no root is open there

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
    Publish the outputs of a build to OpenStack Glance: the triplet as kernel (aki), ramdisk (ari) and root image (ami), a bare root image and
    a whole disk as raw or qcow2, each compared with its file by size and sha512. Then the new images take their names, ``<name>-<arch>`` for
    the triplet, ``<name>-<arch>-bare`` and ``<name>-<arch>-disk``, with visibility, protection and members of the old images, which become
    ``archive <name>-<arch> <date>`` and so on. ``ami.keep`` archived generations of each stay.

    With ``ec2`` in ``ami.outputs`` the disk becomes an image of EC2, too, and a tag ``Name`` leads to it.

    What is published already is not published again. What a killed run has left is completed or removed by the next run.

    :param str name: of the variation
    :param bool test: only show what would be done
    :param settings: any setting, see :func:`settings`; credentials are no settings and come from clouds.yaml (``ami.cloud``), from
        ``keystone.*`` in minion config, grains or pillar, or from the ``OS_*`` variables
    :return: dict of ``name``, ids of ``image``, ``kernel`` and ``ramdisk`` of the first output, ``outputs`` (each with ``name`` and ``image``),
        ``build``, ``changed`` (False: all was published already), ``reused`` (roles that were in the store), ``archived`` and ``removed``
        (names), ``pending`` (projects that must accept); and below ``ec2``: ``region``, ids of ``image``, ``snapshot`` and its
        ``parent``, ``bytes_sent``, ``changed``, ``archived``, ``removed``
    :raises CommandExecutionError: then the names point to the same images as before, and nothing of this build is in the store; where
        that could not be done, the message says what is left, or which name has moved

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.upload web
        salt-call vm_create.upload web cloud=mycloud keep=1 test=True
    """
    with _salt_errors():
        build = _new_build(name, **settings)
        targets = publishing.check_targets(build, wanted=True)
        if test or (test is None and __opts__.get("test")):
            return publishing.plan_for(build, targets)
        return publishing.publish_to(build, targets)


def published(name=None, **settings):
    """
    List the images of this project in the store: every generation, with its base, variation and revision.

    :param str name: of a variation; default: all
    :param settings: ``cloud``, if it is not the default; ``outputs`` with ``ec2`` lists EC2, too
    :return: dict of each image name with the list of its generations, first the one that has the name, each with ``id``, ``name``, ``output``,
        ``format``, ``state`` (published, archived, broken, new), ``generation``, ``bytes``, ``uploaded``, ``visibility``, ``kernel_id``,
        ``ramdisk_id``, ``build``, ``revision``, ``base``, ``variation``, their digests, and the versions of the programs that made it;
        those in EC2 below ``ec2``
    :raises CommandExecutionError: if credentials are missing or refused, or the store does not answer

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.published
        salt-call vm_create.published web
    """
    with _salt_errors():
        build = _new_build(name, **settings)
        return publishing.list_published(build, image_name(build.settings) if name else None)


def rollback(name=None, to=None, test=None, **settings):
    """
    Let the names of ``ami.outputs`` point to an earlier generation again. The current generation is archived, and no later rollback
    chooses it by itself.

    :param str name: of the variation
    :param str to: id of an archived generation, in Glance or in EC2, whose name alone moves; default: of each name the generation before the current
    :param bool test: only show which generations they would be
    :param settings: any setting, see :func:`settings`
    :return: dict as of :func:`upload`
    :raises CommandExecutionError: if there is no such generation; the names then point to the same images as before

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.rollback web
        salt-call vm_create.rollback web to=0c5a6b1e-7a8f-4f5e-9d59-1f6d3c4b2a10
    """
    with _salt_errors():
        build = _new_build(name, **settings)
        is_test = test or (test is None and __opts__.get("test"))
        return publishing.roll_back(build, to, test=bool(is_test))


def try_(name=None, test=None, **settings):
    """
    Boot the published image of a variation as a server in the user's cloud, as ``ami.trial`` says: with a key, a security group and, where it
    is asked for, a floating IP. Wait until its port answers, and print on stderr how it is reached. A second call makes nothing twice.
    Salt calls it ``vm_create.try``, without the underscore that Python needs.

    :param str name: of the variation
    :param bool test: only show what would be made
    :param settings: any setting, see :func:`settings`; credentials are found as by :func:`upload`
    :return: dict of ``name``, ids of ``server`` and ``image``, ``address``, ``port``, ``reach``, ``seconds``, and ``changed`` (False: it ran
        already); under test of ``name``, ``image`` and ``makes``
    :raises CommandExecutionError: if there is no such image, flavor, network or key, or the port does not answer in time; what was made stays
        to be looked at

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.try web
        salt-call vm_create.try web trial='{flavor: m1.small, network: private, keypair: mine, floating_ip_network: public}'
    """
    with _salt_errors():
        trial = _trial(name, settings)
        return trial.plan() if _is_test(test) else trial.start()


def untry(name=None, test=None, **settings):
    """
    Remove the server that :func:`try_` has booted, with its floating IP, security group and key. It may be gone already, or half of it.

    :param str name: of the variation
    :param bool test: only show what would be removed
    :param settings: any setting, see :func:`settings`
    :return: list of what was removed, by kind and name; empty if there was nothing
    :raises CommandExecutionError: if the cloud refuses; then another call goes on

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.untry web
    """
    with _salt_errors():
        trial = _trial(name, settings)
        return trial.described(trial.found()) if _is_test(test) else trial.remove()


def _trial(name, given):
    from vmimage.nova.client import Cloud  # with the clients of OpenStack, which take long to import
    from vmimage.nova.trial import Trial
    from vmimage.settings.trial import read_trial

    host = _host()
    settings = host.settings(name=name, **given)
    cloud = Cloud(host.credentials(settings, wanted=True), tries=settings.tries, say=log.info)
    return Trial(cloud, image_name(settings), read_trial(settings.trial), say=_print_now)


def _is_test(test):
    return bool(test or (test is None and __opts__.get("test")))


def status(**settings):
    """
    List builds that are running, and roots that a step-by-step run or a kept failure left open.

    :param settings: ``workspace``, if it is not the default
    :return: dict of each name with a dict of ``busy`` (a process works on it), ``open`` (its root is mounted), ``root`` (where) and
        ``steps``, the steps that are done; empty if there is nothing
    :raises CommandExecutionError: if a setting is wrong

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.status
    """
    with _salt_errors():
        return _build.list_builds(_host().settings(**settings).workspace)


def release(name=None, **settings):
    """
    Close the root that a step-by-step run or a kept failure left open, and remove its changes and its log. The triplet, if there is
    one, stays.

    :param str name: of the variation
    :param settings: ``workspace``, if it is not the default
    :return: True if something was removed, False if there was nothing
    :raises CommandExecutionError: if it is running now, or a process works in the root

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.release web
    """
    with _salt_errors():
        return _build.release(_named_build(name, **settings))


def shell(name=None, command=None, **settings):
    """
    Open a shell in the root that a step-by-step run or a kept failure left open; where none is open, in a copy of the finished root
    image, which is forgotten at the end. Programs in there are confined as those of a build are, and have a terminal of their own.

    :param str name: of the variation
    :param str command: a shell command to run instead; needed where there is no terminal, as in a job of a master
    :param settings: ``workspace`` and ``output``, if they are not the default
    :return: dict of ``place`` (where the root is open, or the root image), ``retcode``, which is also that of the call, and of a command
        ``output``, stdout and stderr in the order written
    :raises CommandExecutionError: if no root is open and there is no image, or there is neither a terminal nor a command

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.shell web
        salt-call vm_create.shell web command='systemctl list-unit-files --state=enabled'
    """
    with _salt_errors():
        if command is not None and not isinstance(command, str):
            raise SettingsWrong(
                f"the argument command is {command!r}, not a string", hint="put it in quotes twice: command='\"true\"'"
            )
        build = _named_build(name, **settings)
        seen = visit.open_shell(build) if command is None else visit.run_command(build, command)
        __context__["retcode"] = seen["retcode"]
        return seen


def boot(name=None, seconds=180, forward=None, ssh_key=None, stay=None, firmware=None, **settings):
    """
    Boot a triplet, or the disk of the same build, in QEMU for inspection. Its files are not changed; KVM is used where it works.

    :param str name: of the variation
    :param int seconds: how long to wait for the login prompt
    :param str forward: TCP ports of the guest to probe once it is up, such as ``80,22``, which is the default; the exit code is not 0
        if a port that was named, or 22 with ``ssh_key``, is refused until ``seconds`` have passed
    :param ssh_key: path of a public ssh key by which root can log in, or True for a key of this boot; the command is printed on stderr as
        soon as sshd answers. The image needs sshd and systemd 252 or newer
    :param int stay: how many seconds it stays up then, unless it is powered off; default: 3600 with ``ssh_key``, else 0
    :param str firmware: ``bios`` or ``uefi``: boot the disk of ``ami.outputs`` by its own loader, and not the triplet
    :param settings: ``output``, if it is not the default
    :return: dict of ``seconds`` to the login prompt, ``accelerator``, ``answers`` (of each port the first line, ``silent`` or ``refused``),
        ``failed`` (units that did not start) and the console's end
    :raises CommandExecutionError: with the end of the console, if it does not come up

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.boot web
        salt-call vm_create.boot web forward=443
        salt-call vm_create.boot web ssh_key=True
        salt-call vm_create.boot web firmware=uefi
    """
    with _salt_errors():
        ports = read_ports("80,22" if forward is None else forward, "forward")
        patience = read_number(seconds, "seconds", "how long to wait for the login prompt, in seconds", least=1)
        stays = read_number((3600 if ssh_key else 0) if stay is None else stay, "stay", "how long it stays up, in seconds")
        triplet = _named_build(name, **settings).triplet
        manifest = triplet.check()
        target = qemu.disk_of(triplet, manifest, firmware) if firmware else triplet
        with login_key(ssh_key or False) as login:
            seen = qemu.look(target, patience, ports, waits=forward is not None, login=login, stay_seconds=stays, say=_print_now)
        wanted = ports if forward is not None else []
        if {*wanted, *([PORT] if login else [])} & {*qemu.unanswered(seen)}:
            __context__["retcode"] = 1
        return seen


def _print_now(line):
    print(line, file=sys.stderr, flush=True)


def report(name=None, path=None, **settings):
    """
    Write an HTML page about the newest build of a variation, also of a build that failed: failures first, a timeline of steps and
    states, the size of packages and directories, the services and users of the image, what changed against the base and against the
    build before, the log, settings and versions. The page loads nothing from elsewhere and runs no script.

    It contains what programs printed, so only its owner can read the file; look at it before you pass it on.

    :param str name: of the variation
    :param str path: of the page; default ``OUTPUT/NAME.report.html``
    :param settings: ``output`` and ``workspace``, if they are not the default
    :return: path of the page
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


def build_log(name=None, number=None, **settings):
    """
    What the programs of the newest build of a variation have printed, also of a build that runs or has failed; the end of it, where it is
    long.

    :param str name: of the variation
    :param int number: of the build (``ami.number``): nothing is returned of another build
    :param settings: ``output`` and ``workspace``, if they are not the default
    :return: the text; empty where there is none
    :raises CommandExecutionError: if a setting is wrong

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.build_log web
    """
    with _salt_errors():
        wanted = None if number is None else read_number(number, "number", "the number of a build")
        build = _named_build(name, **settings)
        found = read_build(build.triplet, build.workspace) or {}
        if wanted is not None and (found.get("manifest") or {}).get("settings", {}).get("number") != wanted:
            return ""
        return (found.get("kept") or {}).get("log") or ""


def settings(name=None, **arguments):
    """
    List every setting: its value in force, its default and its meaning. Settings that a variation's repository sets are not among
    them: :func:`plan` fetches these.

    :param str name: of the variation
    :param arguments: any setting
    :return: dict of each key with a dict of ``value``, ``default`` and ``doc``
    :raises CommandExecutionError: if a setting is wrong

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.settings
    """
    with _salt_errors():
        in_force = _host().settings(name=name, **arguments)
        default = type(in_force)()
        return {
            key: {"value": _plain(getattr(in_force, key)), "default": _plain(getattr(default, key)), "doc": field.metadata["doc"]}
            for key, field in KEYS.items()
        }


def setting(key):
    """
    The value of a setting, for use in an SLS.

    :param str key: without ``ami.``; ``root`` is where the root is mounted
    :return: the value in force, or the default
    :raises CommandExecutionError: if there is no such setting, or any setting is wrong

    CLI Example:

    .. code-block:: bash

        salt-call vm_create.setting root
    """
    with _salt_errors():
        in_force = _host().settings()
        if key not in KEYS:
            raise SettingsWrong(f"there is no setting {key}", hint="vm_create.settings lists them")
        return os.fspath(in_force.root_path) if key == "root" else _plain(dataclasses.asdict(in_force)[key])


def project():
    """
    Write this project's own code and states into a tar in the minion's cache. The state ``ami_creator_builder`` makes a builder of it.

    :return: path of the tar; the same code gives the same bytes
    :raises CommandExecutionError: if the file cannot be written

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

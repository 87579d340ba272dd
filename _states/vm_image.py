"""
The steps of a cloud image as states
====================================

What ``ami_creator_pre.sls`` and ``ami_creator_post.sls`` are made of. Between them stand ``vm_create.update_image`` and
``vm_create.variate_image``. Every state is idempotent, and tells under ``test=True`` what it would do.

.. code-block:: sls

    the base is fetched and verified:
      vm_image.fetched: []

    the root is open:
      vm_image.opened:
        - require:
          - vm_image: the base is fetched and verified

Every state takes any setting of :py:mod:`vm_create <salt.modules.vm_create>` as an argument.
"""

import logging

from salt.state import STATE_INTERNAL_KEYWORDS, STATE_REQUISITE_KEYWORDS, STATE_RUNTIME_KEYWORDS
from vmimage.base import prepare
from vmimage.build import bake, image_steps, publishing, steps
from vmimage.build.build import Build, running_build
from vmimage.errors import VmImageError, printable
from vmimage.glance import publish
from vmimage.host import Host

log = logging.getLogger(__name__)

__virtualname__ = "vm_image"
_SALTS_OWN = {*STATE_INTERNAL_KEYWORDS, *STATE_REQUISITE_KEYWORDS, *STATE_RUNTIME_KEYWORDS, "name"}


def __virtual__():
    return __virtualname__


def _arguments(given):
    return {key: value for key, value in given.items() if key not in _SALTS_OWN and not key.startswith("__")}


def _build(arguments, fetches):
    """The build that create_variation runs, or the one that these steps are done for by themselves."""
    running = running_build()
    if running:
        return running.with_arguments(arguments)
    return Host(__salt__, __opts__, __grains__, __pillar__).build(arguments, fetches=fetches)


def _ensure(name, given, is_done, would, did, work, needs=None, fetches=False):
    """A state: done already, to be done, or done now.

    :param is_done: takes the build, returns why nothing is to be done, or a false value
    :param would: what would be done, a str or a callable that takes the build
    :param str did: what was done
    :param work: takes the build, returns the changes
    :param needs: takes the build, raises if under ``test=True`` the work could not be done
    :param bool fetches: what is new in the variation's repository: where a build begins
    """
    answer = {"name": name, "result": True, "changes": {}, "comment": ""}
    try:
        build = _build(_arguments(given), fetches)
        done = is_done(build)
        if done:
            return answer | {"comment": done}
        if __opts__["test"]:
            if needs:
                needs(build)
            return answer | {"result": None, "comment": f"would {would(build) if callable(would) else would}"}
        with build.workspace.locked():
            changes = work(build)
        return answer | {"changes": changes, "comment": did}
    except VmImageError as error:
        return answer | {"result": False, "comment": str(error)}
    except (OSError, UnicodeError, RecursionError) as error:
        log.exception("%s", name)
        return answer | {"result": False, "comment": printable(f"{type(error).__name__}: {error}")}


def _delivered(build):
    """Why a step after the root was closed has nothing to do: the triplet of this build is there."""
    begun, manifest = build.record.begun, build.triplet.manifest()
    if manifest and (not begun or manifest["build"] == begun.build) and not build.is_open():
        return f"the triplet {build.settings.name} is complete"
    return ""


def _unless(fact, words):
    """Done when the triplet is, or when the record has this fact: a later change of the root takes it back."""

    def is_done(build):
        return _delivered(build) or (words if getattr(build.record, fact) else "")

    return is_done


def fetched(name, **settings):
    """
    The base is on this machine, verified, and prepared as a root image.

    name
        A sentence; not used otherwise.
    """

    def is_done(build):
        base = build.record.base
        if base and build.is_open():
            return f"the base {base.reference} is in use"
        return ""

    def would(build):
        located = build.locate_base()
        prepared = prepare.find_prepared(build.settings, located)
        return f"use the prepared base {located.reference}" if prepared else f"prepare the base {located.reference}"

    def work(build):
        if not build.is_whole:
            steps.begin(build)
        fetched_base = steps.fetch_base(build)
        return {"base": {"reference": fetched_base.reference, "digest": fetched_base.digest, "verified": fetched_base.verified}}

    return _ensure(name, settings, is_done, would, "the base is fetched, verified and prepared", work, fetches=True)


def opened(name, **settings):
    """
    The root is mounted: the base read-only, with an overlay that takes every change.

    name
        A sentence; not used otherwise.
    """

    def is_done(build):
        return f"the root is open at {build.root}" if build.is_open() else ""

    def work(build):
        steps.open_build_root(build)
        return {"root": str(build.root)}

    return _ensure(name, settings, is_done, lambda build: f"mount the root at {build.root}", "the root is open", work)


def sealed(name, remove=(), truncate=(), keep_written=False, **settings):
    """
    Identity and residue are gone from the root.

    name
        A sentence: what is sealed.

    remove
        Shell patterns of paths in the image to remove, directories with all they hold. ``**`` stands for any depth.

    truncate
        Shell patterns of files in the image to empty; they keep mode and owner.

    keep_written : False
        Leave what a state of the variation writes (``file.managed`` and the like).
    """

    def is_done(build):
        if _delivered(build):
            return _delivered(build)
        if build.record.packed and not build.is_open():
            return "the root is packed and closed already"
        found = steps.seal(build, remove, truncate, keep_written=keep_written, dry=True)
        return "" if found["removed"] or found["truncated"] else "nothing of this is in the root"

    def work(build):
        found = steps.seal(build, remove, truncate, keep_written=keep_written)
        return {key: paths for key, paths in found.items() if paths}

    def would(build):
        found = steps.seal(build, remove, truncate, keep_written=keep_written, dry=True)
        verbs = {"remove": found["removed"], "empty": found["truncated"], "keep, for a state writes it:": found["kept"]}
        return "; ".join(f"{verb} {', '.join(paths)}" for verb, paths in verbs.items() if paths)

    return _ensure(name, settings, is_done, would, "sealed", work)


def baked(name, **settings):
    """
    The root of a builder holds the bases, and apt's lists and packages, that the pillar ``ami_creator`` names: an instance finds
    them in its cache. In any other root there is nothing to be done.

    name
        A sentence; not used otherwise.
    """

    def is_done(build):
        if _delivered(build):
            return _delivered(build)
        if not build.is_open() or not bake.wanted_bases(build)[0]:
            return "no bases are to be brought along"
        return ""

    return _ensure(name, settings, is_done, "bring bases along", "the bases are in the root", bake.bake, Build.needs_open)


def extracted(name, **settings):
    """
    Kernel and ramdisk, the newest of one version, are copied out of the root.

    name
        A sentence; not used otherwise.
    """
    is_done = _unless("kernel", "kernel and ramdisk are taken out")
    return _ensure(
        name,
        settings,
        is_done,
        "take kernel and ramdisk out",
        "kernel and ramdisk are taken out",
        lambda build: {"kernel": image_steps.extract(build)},
        Build.needs_open,
    )


def packed(name, **settings):
    """
    The root's files are written into a root image that ends at its content.

    name
        A sentence; not used otherwise.
    """

    def work(build):
        image_steps.pack(build)
        return {"root_image": str(build.triplet.partial("root_image"))}

    return _ensure(
        name,
        settings,
        _unless("packed", "the root image is packed"),
        "pack the root image",
        "the root image is packed",
        work,
        Build.needs_open,
    )


def closed(name, **settings):
    """
    The root is unmounted.

    name
        A sentence; not used otherwise.
    """

    def is_done(build):
        return "" if build.is_open() else "the root is not open"

    def work(build):
        image_steps.close(build)
        return {"root": f"{build.root} unmounted"}

    return _ensure(name, settings, is_done, lambda build: f"unmount {build.root}", "the root is unmounted", work)


def shrunk(name, **settings):
    """
    The root image is cut to its content, clean, and fit for a cloud.

    name
        A sentence; not used otherwise.
    """
    is_done = _unless("shrunk", "the root image is shrunk")
    return _ensure(
        name,
        settings,
        is_done,
        "shrink and check the root image",
        "the root image is shrunk and sound",
        lambda build: {"bytes": image_steps.shrink(build)},
        Build.needs_open,
    )


def delivered(name, **settings):
    """
    The triplet is complete: its three files and its manifest have their names.

    name
        A sentence; not used otherwise.
    """

    def work(build):
        manifest = image_steps.deliver(build)
        if not build.is_whole:
            build.workspace.forget()
        return {role: facts["sha256"] for role, facts in manifest["files"].items()}

    return _ensure(
        name,
        settings,
        _delivered,
        "write the manifest and give the files their names",
        "the triplet is complete",
        work,
        Build.needs_open,
    )


def uploaded(name, **settings):
    """
    The triplet is in the store, verified, under a name of its own; the name of the variation leads to what it led to before.

    name
        A sentence; not used otherwise.
    """

    def is_done(build):
        if _is_to_be_built(build):
            return ""
        brought = publish.find_uploaded(build, _store(build))
        return f"the triplet is in the store as {', '.join(image['name'] for image in brought)}" if brought else ""

    def work(build):
        brought = publish.upload_triplet(build, _store(build))
        return {role: brought[role] for role in ("image", "kernel", "ramdisk")}

    return _ensure(name, settings, is_done, _would_publish, "the triplet is in the store", work)


def published(name, **settings):
    """
    The triplet is in the store, and the name of the variation points to it.

    name
        A sentence; not used otherwise.
    """

    def is_done(build):
        if _is_to_be_built(build):
            return ""
        if "ec2" in build.settings.outputs:
            return _published_everywhere(build)
        plan = publish.plan_publication(build, _store(build))
        return (
            ""
            if plan["changed"] or plan["archive"] or plan["remove"]
            else f"{_names(plan)} lead{'s' if len(plan['outputs']) == 1 else ''} to this build"
        )

    def work(build):
        return publishing.publish_to(build, publishing.check_targets(build, wanted=True))

    return _ensure(name, settings, is_done, _would_publish, "the triplet is published", work)


def _published_everywhere(build):
    """Why there is nothing to publish, where a build goes to EC2, too."""
    plan = publishing.plan_for(build, publishing.check_targets(build, wanted=True))
    to_do = [place for place in (plan, plan["ec2"]) if place["changed"] or place["archive"] or place["remove"]]
    return "" if to_do else f"{plan['name']} is this build, in EC2 too"


def _store(build):
    return publish.check_publishing(build, wanted=True)


def _is_to_be_built(build):
    """Under ``test=True`` a state before this one may be what makes the triplet."""
    return __opts__["test"] and build.triplet.manifest() is None


def _would_publish(build):
    if _is_to_be_built(build):
        return f"publish the triplet {build.settings.name}, once it is built"
    if "ec2" in build.settings.outputs:
        plan = publishing.plan_for(build, publishing.check_targets(build, wanted=True))
        return f"let {plan['name']} lead to this build; to send to EC2: {plan['ec2']['bytes']} bytes"
    plan = publish.plan_publication(build, _store(build))
    return f"let {_names(plan)} lead to this build; to upload: {', '.join(plan['upload']) or 'nothing'}"


def _names(plan):
    return " and ".join(plan["outputs"].values())

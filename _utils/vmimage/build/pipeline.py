"""The order of the steps, in this place alone:

base -> root -> update -> variation -> seal -> kernel + ramdisk -> shrink -> triplet -> Glance, EC2
"""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vmimage.base import locate, prepare
from vmimage.base.locate import Located
from vmimage.build import steps
from vmimage.build.apt_of_build import finish_unpacking
from vmimage.build.build import Build
from vmimage.build.incremental import find_basis, note_shaping, remember
from vmimage.build.kept import failed_data, failed_path, keep
from vmimage.build.preflight import check_basics, check_directories, check_machine, check_root
from vmimage.build.publishing import Targets, check_targets, goes_to_glance, plan_of_ec2, publish_to
from vmimage.build.record import Attempt, BuildRecord, made, read_record
from vmimage.build.unchanged import find_unchanged
from vmimage.errors import BuildStopped, RootNotOpen, VmImageError, WorkspaceBusy
from vmimage.glance.outputs import image_names
from vmimage.glance.publish import is_publishing
from vmimage.image.outputs import output_names
from vmimage.image.triplet import Manifest
from vmimage.root.overlay import is_open, mount_root, prepare_root
from vmimage.root.workspace import all_workspaces
from vmimage.settings.schema import Settings
from vmimage.system.aliases import StrPath
from vmimage.system.groups import swept
from vmimage.system.memory import is_full, ran_full
from vmimage.system.namespace import run_privately
from vmimage.variation.apply import find_variation
from vmimage.variation.in_root.state_diff import NeedsCleanBuild
from vmimage.variation.outcome import StateResult, check_results


def create_variation(build: Build) -> tuple[Manifest, dict[str, Any] | None]:
    """Make the triplet of a variation, in a private namespace that ends with the caller, and publish it if that is asked.

    :returns: ``(manifest, what was published or None)``; the manifest has ``unchanged`` where there was nothing to build
    :raises VmImageError: whatever went wrong; then there is no new triplet, and nothing stays mounted
    """
    check_basics()
    check_directories(build.settings)
    find_variation(build.settings, build.host)  # before any work: it may be mistyped
    targets = check_targets(build)
    with build.workspace.locked(), build.running():
        known, build.changed = find_unchanged(build)
        if known:
            build.progress.note(
                f"nothing has changed since {known['created']}: {build.triplet.manifest_path} stays (ami.skip_unchanged)"
            )
            return {**known, "unchanged": True}, publish_after(build, targets) if targets else None
        if build.changed:
            build.progress.note(f"building again (ami.skip_unchanged): {build.changed}")
        steps.begin(build)
        try:
            with swept(build.settings):
                manifest = _made(build)
        except BaseException as error:
            raise _without_triplet(build, error) from error
        build.workspace.forget()
        return manifest, publish_after(build, targets) if targets else None


def _without_triplet(build: Build, error: BaseException) -> BaseException:
    """Clean up after a build that made no triplet; the error to raise."""
    build.triplet.clear_partials()
    record = build.record
    if build.settings.keep_on_failure and record.opened:
        keep(failed_path(build.workspace), failed_data(record, error))
        return _kept(build, error)
    build.workspace.forget(keep_log=True)
    build.remove_mount_point()
    keep(failed_path(build.workspace), failed_data(record, error))
    return _with_hint(error, f"the log is {build.workspace.log}") if isinstance(error, VmImageError) else error


def _made(build: Build) -> Manifest:
    """The manifest of a build that is attempted until it succeeds, or fails for a reason that no other attempt would mend."""
    while True:
        try:
            return run_privately(lambda: _all_steps(build))
        except BuildStopped:
            raise
        except Exception as error:
            attempt, why = next_attempt(build.record, error)
            if attempt is None:
                raise
        build.progress.note(why)
        steps.begin(build, attempt)


def next_attempt(record: BuildRecord, error: Exception) -> tuple[Attempt | None, str]:
    """Whether a build that failed is attempted again, and without what.

    :param record: of the attempt that failed
    :param error: why
    :returns: ``(Attempt, reason)``, or ``(None, "")`` where the error is final
    """
    attempt = record.attempt
    if record.damaged and not attempt.again:
        clean = attempt.clean or record.basis is not None
        return replace(attempt, again=True, clean=clean), f"{record.damaged}; building again without it"
    if record.memory_full and not attempt.on_disk:
        return replace(attempt, on_disk=True), "the memory for this build is full: building again on the disk (ami.memory)"
    if record.basis:
        return replace(attempt, clean=True), f"building clean: {_why_clean(error)}"
    return None, ""


def _why_clean(error: Exception) -> str:
    """Why a build that started from the last root image is made from its base, in words."""
    if isinstance(error, NeedsCleanBuild):
        return str(error)
    failed = [state["id"] for state in getattr(error, "states", ()) if state["result"] is False]
    return f"the state {failed[0]!r} failed on the last root image" if failed else f"{error}".partition("\n")[0]


def publish_after(build: Build, targets: Targets) -> dict[str, Any]:
    """Publish what was just built; should that fail, the triplet stays, and can be published later."""
    try:
        return publish_to(build, targets)
    except VmImageError as error:
        raise _with_hint(
            error, f"the triplet is whole in {build.triplet.directory}: salt-call vm_create.upload {build.settings.name}"
        ) from error


def _all_steps(build: Build) -> Manifest:
    """The steps of an attempt; if it failed, the record says what it may have failed for."""
    try:
        return _in_order(build)
    except BaseException as error:
        record = build.record
        if record.opened and record.opened.in_memory and _ran_full(build, error):
            build.note(memory_full=True)
        is_other = isinstance(error, (BuildStopped, NeedsCleanBuild, KeyboardInterrupt)) or record.damaged
        if record.origin and not is_other:
            with suppress(VmImageError, OSError):  # what the build started from may be damaged, and be why
                steps.check_origin(build)
        raise


def _ran_full(build: Build, error: BaseException) -> bool:
    """Whether the memory for the changes was too small, as it looks or as was said before the root was varied."""
    workspace = build.workspace
    if is_full(workspace.changes):
        return True
    said = f"{error}{workspace.log.read_text(encoding='utf-8', errors='replace') if workspace.log.exists() else ''}"
    return not build.record.varied and ran_full(workspace.changes, said)


def _in_order(build: Build) -> Manifest:
    settings = build.settings
    note_shaping(build)
    build.beside["file of the base"] = locate.begin_reading(settings)  # Salt reads the SLS meanwhile
    applied = _apply(build, settings.pre)
    steps.begin_reading_packages(build)
    if settings.update:
        steps.update(build)
    steps.begin_copy_of_base(build)
    steps.variate(build)
    applied += _apply(build, settings.post)
    manifest = build.triplet.manifest()
    if not manifest or manifest["build"] != made(build.record.begun).build:
        raise VmImageError(f"{settings.post} made no triplet", hint="it must end with vm_image.delivered")
    finish_unpacking(build)
    remember(build, {settings.pre, settings.post, *(state["sls"] for state in applied)})
    return manifest


def _apply(build: Build, sls: str) -> list[StateResult]:
    """Apply an SLS on the builder; its states call the steps."""
    return check_results(build.host.apply_sls(sls), f"the SLS {sls}", live=True)


def _kept(build: Build, error: BaseException) -> BaseException:
    """Open the root of a failed build again, outside of the namespace that is gone, for inspection; the error to raise."""
    before = made(build.record.opened)
    try:
        opened = replace(prepare_root(build.workspace, Path(before.base_image), build.root), identity=before.identity)
        build.note(opened=opened)
        mount_root(build.workspace, opened, kept=True)
    except (VmImageError, OSError) as trouble:
        return _with_hint(error, f"its root could not be opened again: {trouble}") if isinstance(error, VmImageError) else error
    shown = error if isinstance(error, VmImageError) else VmImageError(f"{type(error).__name__}: {error}")
    return _with_hint(
        shown,
        f"its root is open at {build.root}, its log is {build.workspace.log}; vm_create.shell {build.settings.name} opens a shell in the root,"
        f" vm_create.release {build.settings.name} removes root and log",
    )


def _with_hint(error: VmImageError, hint: str) -> VmImageError:
    between = " " if error.hint.endswith("?") else "; "
    error.hint = f"{error.hint}{between}{hint}" if error.hint else hint
    return error


def plan_variation(build: Build) -> dict[str, Any]:
    """What :func:`create_variation` would do, having changed nothing but the cache of downloads.

    :returns: plain data, what is done first: base, variation, steps, files, and at the end the settings that are not the default
    """
    check_directories(build.settings)
    located = build.locate_base()
    prepared = prepare.find_prepared(build.settings, located)
    found = find_variation(build.settings, build.host)
    check_machine(build.settings, located.format, prepared, locate.file_bytes(located))
    settings, default = build.settings, Settings()
    base = {key: getattr(located, key) for key in ("reference", "format", "digest", "verified")}
    states = list(found.states) or "highstate"
    update = ["update_image"] if settings.update else []
    return {
        "name": settings.name,
        "base": {**base, "prepared": bool(prepared)},
        "variation": {"reference": found.reference, "states": states, "id": found.id, "digest": found.digest},
        "steps": [f"state.sls {settings.pre}", *update, "variate_image", f"state.sls {settings.post}"],
        "root": os.fspath(build.root),
        "files": {role: os.fspath(path) for role, path in build.triplet.files().items()},
        "outputs": {kind: os.fspath(build.triplet.directory / name) for kind, name in output_names(settings).items()},
        "replaces": bool(build.triplet.manifest()),
        "incremental": _basis_of(build, located) if settings.incremental else None,
        "publish": goes_to_glance(settings) and _publication_of(build),
        "ec2": plan_of_ec2(settings),
        "settings": {key: value for key, value in settings.as_dict().items() if getattr(settings, key) != getattr(default, key)},
    }


def _basis_of(build: Build, located: Located) -> dict[str, Any] | str:
    """What the build would start from, or why it would be made clean."""
    try:
        basis = find_basis(build, located.digest)
        return {"of": basis.of, "generation": basis.generation}
    except NeedsCleanBuild as reason:
        return f"building clean: {reason}"


def _publication_of(build: Build) -> dict[str, Any] | bool:
    """Where the triplet will go, or False; the credentials are looked at, the cloud is not asked."""
    credentials = build.host.credentials(build.settings, wanted=is_publishing(build.settings) and build.settings.publish)
    names = image_names(build.settings)
    return credentials is not None and bool(names) and {"name": [*names.values()][0], "outputs": names, **credentials.public()}


def list_builds(directory: StrPath) -> dict[str, dict[str, Any]]:
    """What is under way in a directory of workspaces.

    :returns: ``{name: {busy, open, root, steps}}``
    """
    found = {}
    for workspace in all_workspaces(directory):
        record, busy = read_record(workspace), workspace.is_busy()
        if record.opened or busy or record.begun:
            found[workspace.name] = {
                "busy": busy,
                "open": is_open(record.opened),
                "root": record.opened.root if record.opened else None,
                "steps": [timing.step for timing in record.timings],
            }
    return found


def release(build: Build) -> bool:
    """Close what a step-by-step run or a failed build left, and forget it, its log among it.

    :returns: whether there was anything
    :raises WorkspaceBusy: if a build is under way
    """
    check_root()
    workspace = build.workspace
    if not workspace.path.exists():
        raise RootNotOpen(f"there is no build {workspace.name}", hint="vm_create.status lists them")
    if workspace.is_busy():
        raise WorkspaceBusy(f"the variation {workspace.name} is being built now", hint="wait for it, or end that process")
    with workspace.locked():
        had = any(entry.name != "lock" for entry in workspace.path.iterdir())
        build.close_root()
        workspace.forget()
        build.triplet.clear_partials()
    return had

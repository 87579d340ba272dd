"""The steps of the story, each once: what it needs, the work of a room, and what it adds to the record."""

import platform
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vmimage.apt.packages import PackageChanges, changed_packages, digest_of_packages, list_packages, update_packages
from vmimage.apt.releases import is_offered_to, note_offers
from vmimage.apt.wrapper import recall_update, state_of_update
from vmimage.base import locate, prepare
from vmimage.base.locate import Located
from vmimage.base.prepare import Base
from vmimage.build.apt_of_build import apt_cache, begin_preparing, finish_unpacking, share, sharing_packages
from vmimage.build.build import Build
from vmimage.build.incremental import find_basis
from vmimage.build.kept import keep, kept_path, previous_build, read_log, report_data
from vmimage.build.manifest import make_manifest
from vmimage.build.output_steps import make_outputs, take_loader
from vmimage.build.preflight import check_machine
from vmimage.build.record import FIRST_ATTEMPT, Attempt, Basis, Begun, Packed, Sealed, Shrunk, Updated, Varied, made
from vmimage.build.unchanged import digest_inputs
from vmimage.errors import BuildDied, KeptDamaged, NotReady, VmImageError, WorkspaceOpen
from vmimage.image import boot_files, drawn, ext4, host_keys
from vmimage.image.machine import describe_machine, users_before
from vmimage.image.patch import CannotPatch, begin_copy, pack_changes
from vmimage.image.seal import seal_root, written_by
from vmimage.image.triplet import Manifest
from vmimage.image.usage import measure_contents
from vmimage.root import files, fstab
from vmimage.root.enter import work_inside
from vmimage.root.live import check_base
from vmimage.root.login import default_user
from vmimage.root.name_servers import remove_copies
from vmimage.root.overlay import mount_root, prepare_root
from vmimage.root.runtime import HOME
from vmimage.root.soundness import check_bootable, check_files
from vmimage.system.background import BackgroundTask
from vmimage.system.groups import group_name, swept
from vmimage.system.memory import memory_for
from vmimage.system.trees import fitting_paths
from vmimage.variation.apply import apply_variation, find_variation, grains_of
from vmimage.variation.in_root.state_diff import NeedsCleanBuild
from vmimage.variation.outcome import StateResult
from vmimage.variation.queued_jobs import free_jobs

#: of the steps that a triplet needs, in words
_LACKS = {
    "begun": "it is not begun",
    "base": "its base is not fetched",
    "varied": "its variation is not applied",
    "kernel": "its kernel is not extracted",
    "packed": "its root image is not packed",
    "shrunk": "its root image is not shrunk",
}

#: for so long a variation need not fetch apt's lists again that the update has fetched; its steps may be days apart
_FRESH_SECONDS = 3600


def begin(build: Build, attempt: Attempt = FIRST_ATTEMPT) -> None:
    """A fresh workspace, if no process works in it and nothing is open.

    :param attempt: what this attempt does without
    """
    workspace = build.workspace
    if build.is_open() and not build.settings.force:
        raise WorkspaceOpen(
            f"the root of {workspace.name} is open at {made(build.record.opened).root}",
            hint=f"release it: salt-call vm_create.release {workspace.name}, or give force=True",
        )
    build.close_root()
    workspace.forget()
    build.triplet.clear_partials()
    begun = Begun(workspace.name, uuid.uuid4().hex, platform.machine(), build.settings.as_dict(), build.changed)
    build.note(begun=begun, attempt=attempt)


def fetch_base(build: Build) -> Base:
    """base: find it, verify it, prepare it once; or find what can be started from in its place."""
    with build.step("base") as say:
        located = build.locate_base()
        _check_machine(build, located)
        try:
            base, keeping = begin_preparing(build, located, say)
        except KeptDamaged as damage:
            build.progress.note(f"{damage.message}; the base is looked for again")
            base, keeping = begin_preparing(build, build.locate_base(), say)
        basis = _basis(build, base)
        if keeping and build.is_whole and not basis:
            build.beside["reading"] = keeping
        elif keeping:
            keeping.finish()
        build.note(base=base, basis=basis)
    return base


def _check_machine(build: Build, located: Located) -> None:
    """Refuse a machine that cannot build; what is no base any more gives way where its room is needed."""
    needs = build.settings, located.format, prepare.find_prepared(build.settings, located), locate.file_bytes(located)
    try:
        check_machine(*needs)
    except NotReady:
        if not prepare.make_room(build.settings, located, build.progress):
            raise
        check_machine(*needs)


def _basis(build: Build, base: Base) -> Basis | None:
    """The last root image, where an incremental build can start from it; None for a clean build."""
    # step by step a build cannot begin again by itself
    if not build.settings.incremental or build.record.attempt.clean or not build.is_whole:
        return None
    try:
        basis = find_basis(build, base.digest)
        build.progress.note(f"starting from the last root image, generation {basis.generation} of {basis.of}")
        return basis
    except NeedsCleanBuild as reason:
        build.progress.note(f"building clean: {reason}")
        return None


def open_build_root(build: Build) -> None:
    """root: mount the base with an overlay for what will change."""
    origin = build.record.origin
    if not origin:
        raise NotReady(f"the base of {build.settings.name} is not fetched", hint=f"salt-call state.sls {build.settings.pre}")
    with build.step("root"):
        # memory goes with its namespace: it is for a build that packs before it ends
        lasting = build.settings.keep_on_failure or not build.is_whole
        memory_mib = 0 if lasting or build.record.attempt.on_disk else memory_for(build.settings)
        opened = prepare_root(build.workspace, Path(origin.image), build.root, memory_mib=memory_mib)
        build.note(opened=opened)
        mount_root(build.workspace, opened)
        try:  # before anything is done in the root
            check_files(build.root)
            if build.settings.live:
                check_base(build.root)
        except VmImageError:
            build.close_root()
            raise


def begin_copy_of_base(build: Build) -> None:
    """Begin to write the root image, and to read what it starts from, beside the steps that change the root."""
    origin = build.record.origin
    if origin:  # else pre is the user's own
        build.beside["copy"] = begin_copy(Path(origin.image), build.triplet.partial("root_image"))
        if "reading" not in build.beside:
            image, shared = Path(origin.image), build.shared_readings
            build.beside["reading"] = next((one for one in shared if one.is_of(image)), None) or prepare.begin_reading(image)
        if build.is_open() and build.record.base:
            build.beside["reading packages"] = apt_cache(build).begin_reading_packages()


def check_origin(build: Build) -> None:
    """Refuse what the build began from if it is not what was made: nothing of it may become an image.

    :raises KeptDamaged: naming the file; a prepared base is set aside
    """
    origin = build.record.origin
    assert origin is not None
    basis, image = build.record.basis, Path(origin.image)
    reading, digest = build.beside.pop("reading", None) or prepare.begin_reading(image), basis.digest if basis else ""
    try:
        is_whole = prepare.is_as_it_was(image, reading, digest)
    except BuildDied as death:  # a new base is then not kept, and prepared again by the next build
        build.progress.note(f"{death.message}: it is read again")
        is_whole = prepare.is_as_it_was(image, prepare.begin_reading(image), digest)
    if is_whole:
        return
    if basis:
        what = f"the last root image {image} is damaged"
    else:
        what = f"the prepared base {image} is damaged: it is kept as {prepare.damaged_path(image).name}"
    build.note(damaged=what)
    raise KeptDamaged(what, hint=f"begin again: salt-call state.sls {build.settings.pre}")


def update(build: Build) -> PackageChanges:
    """update: bring the root's packages up to date."""
    build.needs_open()
    basis = build.record.basis
    with build.step("update") as say:
        build.note_change_of_root()
        apt = apt_cache(build)
        apt.begin(by_overlay=build.is_whole)

        def work() -> tuple[PackageChanges, dict[str, Any], str]:
            apt.show_lists()
            known = apt.known()
            is_fresh = is_offered_to(build.root, apt.own / "lists", known["offered"], build.progress.note)
            state = state_of_update(build.root)
            is_newest = known["newest"] == digest_of_packages(build.root, state)
            if is_fresh and (basis.offered == known["offered"] if basis else is_newest):
                say("the archives offer nothing that is newer")
                return changed_packages({}, {}), known, state
            if apt.drop_damaged_lists(build.progress.note):
                is_fresh = False
            apt.show_packages(build.progress.note)
            changed = update_packages(build.root, say, apt.recognize_lists, is_fresh=is_fresh)
            state = state_of_update(build.root)
            offered = known["offered"] if is_fresh else note_offers(build.root, apt.own / "lists")
            newest = None if any(changed.values()) else digest_of_packages(build.root, state)
            return changed, {"offered": offered, "newest": newest}, state

        def work_in_root() -> tuple[PackageChanges, dict[str, Any], str]:
            return work_inside(build.root, work, kind_of_network=build.network(), group=group_name(build.settings))

        with swept(build.settings), apt.begin_reading_lists() as reading:
            changes, known, state = work_in_root()
            if apt.drop_damaged_lists(build.progress.note, reading.finish):  # and no program has read them
                changes, known, state = work_in_root()
        if not basis:  # else its programs are the variation's: what they say of lists is not for other variations
            share(build, lambda: apt.keep_lists(known))
        build.note(updated=Updated(changes, known["offered"], state, time.time()))
    brought = [name for kind in changes.values() for name in kind]
    if brought and basis:  # they would come to stand beside what only their older versions needed
        raise NeedsCleanBuild(f"newer packages are on offer ({', '.join(sorted(brought)[:3])}{', ...' if brought[3:] else ''})")
    return changes


def variate(build: Build) -> list[StateResult]:
    """variation: apply the user's states inside the root."""
    build.needs_open()
    with build.step("variation") as say:
        found = find_variation(build.settings, build.host)
        build.note_change_of_root()
        apt, updated, basis = apt_cache(build), build.record.updated, build.record.basis
        apt.begin(by_overlay=build.is_whole)
        is_fresh = updated is not None and time.time() - updated.at < _FRESH_SECONDS

        def apply() -> tuple[list[StateResult], list[dict[str, Any]] | None]:
            apt.show(varies=True, say=build.progress.note)
            recall_update(build.root, HOME, updated.state if updated else "")
            return apply_variation(found, build.settings, build.root, build.host, say, updated=is_fresh, known=known)

        known = basis.states if basis else None
        if "reading packages" in build.beside:
            apt.has_read(build.beside.pop("reading packages").finish())
        with BackgroundTask(lambda: found.digest, "reading the variation") as reading:
            group = "" if build.settings.live else group_name(build.settings)  # a machine makes groups of its own there
            with sharing_packages(build, apt), swept(build.settings):
                results, states = work_inside(
                    build.root,
                    apply,
                    hostname=found.id,
                    kind_of_network=build.network(),
                    starts_daemons=build.settings.live,
                    group=group,
                )
            digest = reading.finish()
        remove_copies(build.root, build.workspace.upper, build.network())
        free_jobs(build.root, build.workspace.upper)
        apt.end()
        if not build.is_whole:
            finish_unpacking(build)
        build.note(varied=Varied(found.reference, digest, found.id, build.settings.revision, results, states))
    return results


def seal(
    build: Build, remove: Iterable[str], truncate: Iterable[str], *, keep_written: bool = False, dry: bool = False
) -> dict[str, list[str]]:
    """seal: remove identity and residue by patterns."""
    build.needs_open()
    written = written_by(build.record.written)
    own = written if keep_written else ()
    if dry:
        return seal_root(build.root, remove, truncate, own=own, dry=True)
    with build.step("seal") as say, fitting_paths(build.root):
        sealed = seal_root(build.root, remove, truncate, own=own)
        for path in sealed["kept"]:
            say(f"{path} stays: a state of the variation writes it")
        for path in sorted(written & {*sealed["removed"], *sealed["truncated"]}):
            say(f"{path} is sealed: a state of the variation writes it, and no image may have it")
        sealed["written"], made = drawn.add_makers(build.root, sealed["removed"])
        if made:
            say(f"not in the image, and made by each machine at its first boot: {', '.join(made)}")
        sealed["written"] += drawn.forget_host_id(build.root) + drawn.remove_links_to_nothing(build.root)
        if host_keys.lacks_maker(build.root):
            sealed["written"] += host_keys.add_maker(build.root)
            say(
                "nothing in the root makes host keys for its sshd: ssh-host-keys.service is added, and makes them at the first boot"
            )
        if sealed["removed"] or sealed["truncated"] or sealed["written"]:
            build.note_change_of_root()
        before = asdict(build.record.sealed) if build.record.sealed else {}
        build.note(sealed=Sealed(**{key: sorted({*before.get(key, ()), *paths}) for key, paths in sealed.items()}))
    return sealed


def extract(build: Build) -> str:
    """kernel and ramdisk: copy them out of the root; where a disk is asked for, what boots it, too."""
    build.needs_open()
    taken = take_loader(build) if build.settings.makes_disk else None
    with build.step("kernel"):
        build.triplet.directory.mkdir(parents=True, exist_ok=True)
        kernel, ramdisk = build.triplet.partial("kernel"), build.triplet.partial("ramdisk")
        kernel.unlink(missing_ok=True)
        ramdisk.unlink(missing_ok=True)
        version = boot_files.copy_boot_files(build.root, kernel, ramdisk, build.workspace.upper)
        build.note(kernel=version, loader=taken)
    return version


def pack(build: Build) -> None:
    """shrink, first half: write the root's files into an image that ends at its content."""
    build.needs_open()
    check_origin(build)
    origin = build.record.origin
    assert origin is not None
    with (
        build.step("pack") as say,
        fitting_paths(build.root, build.workspace.upper, build.workspace.lower, build.workspace.path / "image"),
    ):
        keys = sorted({*drawn.find_keys(build.root, build.workspace.upper)} - written_by(build.record.written))
        if keys:
            say(f"every instance will have the same private keys in {', '.join(keys)}: seal them, if each should have its own")
        build.triplet.directory.mkdir(parents=True, exist_ok=True)
        check_bootable(build.root)
        names = fstab.names_of_root(files.read_text(build.root, "/etc/fstab", ""))
        label = names.get("LABEL", "" if names.get("UUID", origin.uuid) != origin.uuid else origin.label)
        identity = names.get("UUID", origin.uuid if not names else "")
        packages = list_packages(build.root)
        with BackgroundTask(lambda: measure_contents(build.root, packages), "measuring what is in the root") as measuring:
            content = _packed(build, label, identity)
            contents = measuring.finish()
        size, distribution = content.blocks * ext4.BLOCK, grains_of(build.root)
        manifest = build.triplet.manifest() if build.record.basis else None
        machine, login = describe_machine(build.root, users_before(build.workspace.lower, manifest)), default_user(build.root)
        build.note(packed=Packed(label, size, content.inodes, keys, packages, distribution, contents, machine, login))


def _packed(build: Build, label: str, identity: str) -> ext4.Content:
    """Write the root image: a copy of the base with the changes in it, or where that does not do, all files."""
    workspace, target = build.workspace, build.triplet.partial("root_image")
    origin = build.record.origin
    assert origin is not None
    if identity in ("", origin.uuid):
        try:
            copy = build.beside.pop("copy", None) or begin_copy(Path(origin.image), target)
            opened, is_ours = (workspace.upper, workspace.lower, build.root), build.record.basis is not None
            return pack_changes(copy, opened, target, workspace.path / "image", label=label, keeps_journal=is_ours)
        except CannotPatch:
            build.progress.say("the changes do not go into a copy of the base; writing all files of the root")
    return ext4.pack_image(build.root, target, label=label, uuid=identity)


def close(build: Build) -> None:
    """Unmount the root."""
    with build.step("close"):
        build.close_root()


def shrink(build: Build) -> int:
    """shrink, second half: cut the image to its content and check it."""
    image = build.triplet.partial("root_image")
    if not image.exists():
        raise NotReady(
            f"the root image of {build.settings.name} is not packed", hint="vm_image.packed comes before vm_image.shrunk"
        )
    with build.step("shrink"):
        size = ext4.shrink_image(image, build.settings.headroom_mib)
        facts = ext4.superblock(image)
        build.note(shrunk=Shrunk(size, facts["Filesystem UUID"]))
    return size


def deliver(build: Build) -> Manifest:
    """triplet: digests, manifest, and the three files under their names."""
    record = build.record
    missing = [step for step in ("begun", "base", "varied", "kernel", "packed", "shrunk") if not getattr(record, step)]
    if missing:
        hint = f"the order is {build.settings.pre}, vm_create.update_image, vm_create.variate_image, {build.settings.post}"
        raise NotReady(f"the triplet of {build.settings.name} is not ready: {_LACKS[missing[0]]}", hint=hint)
    outputs = make_outputs(build)
    with build.step("triplet"):
        described = build.triplet.describe_partials(build.progress.moved)
    record, inputs = build.record, None
    if build.settings.skip_unchanged:
        base, varied, packed = made(record.base), made(record.varied), made(record.packed)
        inputs = digest_inputs(build, base.digest, varied.digest, varied.id, packed.distribution)
        inputs |= {"offered": record.updated.offered if record.updated else None, "changed": made(record.begun).changed}
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    manifest = make_manifest(record, described, inputs, outputs=outputs, versions=build.host.versions(), created=created)
    kept = report_data(record, read_log(build.workspace.log), previous_build(build.triplet))
    build.triplet.complete(manifest, build.settings.file_mode)
    keep(kept_path(build.triplet), kept)
    return manifest

"""The steps of the story up to the sealed root, each once: what it needs, the work of a room, and what it adds to the record."""

import platform
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vmimage.apt.packages import PackageChanges, changed_packages, digest_of_packages, update_packages
from vmimage.apt.releases import is_offered_to, note_offers
from vmimage.apt.wrapper import recall_update, state_of_update
from vmimage.base import locate, prepare
from vmimage.base.locate import Located
from vmimage.base.prepare import Base
from vmimage.build.apt_of_build import apt_cache, begin_lists, begin_preparing, finish_unpacking, share, sharing_packages
from vmimage.build.build import Build
from vmimage.build.incremental import find_basis
from vmimage.build.preflight import check_machine
from vmimage.build.record import FIRST_ATTEMPT, Attempt, Basis, Begun, Sealed, Updated, Varied, made
from vmimage.errors import BuildDied, KeptDamaged, NotReady, VmImageError, WorkspaceOpen
from vmimage.image import drawn, host_keys
from vmimage.image.patch import begin_copy
from vmimage.image.seal import find_build_addresses, seal_root, written_by
from vmimage.root.enter import host_name, work_inside
from vmimage.root.live import check_base
from vmimage.root.name_servers import remove_copies
from vmimage.root.overlay import mount_root, prepare_root
from vmimage.root.runtime import HOME
from vmimage.root.soundness import check_files
from vmimage.system.background import BackgroundTask
from vmimage.system.groups import group_name, swept
from vmimage.system.memory import memory_for
from vmimage.system.trees import fitting_paths
from vmimage.variation.apply import apply_variation, find_variation
from vmimage.variation.in_root.state_diff import NeedsCleanBuild
from vmimage.variation.outcome import StateResult
from vmimage.variation.queued_jobs import free_jobs

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

    def check() -> None:
        prepared = prepare.find_prepared(build.settings, located)
        check_machine(build.settings, located.format, prepared, locate.file_bytes(located))

    try:
        check()
    except NotReady:
        prepare.make_room(build.settings, located, build.progress)  # or another build has prepared it meanwhile
        check()


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
    """Begin to write the root image, and to read what it starts from, beside the variation: nothing waits for it before the image is packed."""
    origin = build.record.origin
    if origin:  # else pre is the user's own
        build.beside["copy"] = begin_copy(Path(origin.image), build.triplet.partial("root_image"))
        if "reading" not in build.beside:
            image, basis = Path(origin.image), build.record.basis
            shared = next((reading for reading in build.shared_readings if reading.is_of(image)), None)
            build.beside["reading"] = shared or prepare.begin_reading(image, basis.digest if basis else "")


def begin_reading_packages(build: Build) -> None:
    """Begin to read the packages that are shared, before the first program of apt in the variation is shown them."""
    if build.is_open() and build.record.base:  # else pre is the user's own
        build.beside["reading packages"] = apt_cache(build).begin_reading_packages()


def check_origin(build: Build) -> None:
    """Refuse what the build began from if it is not what was made: nothing of it may become an image.

    :raises KeptDamaged: naming the file; a prepared base is set aside
    """
    origin = build.record.origin
    assert origin is not None
    basis, image = build.record.basis, Path(origin.image)
    digest = basis.digest if basis else ""
    mounted = build.record.opened.identity if build.record.opened else None
    reading = build.beside.pop("reading", None) or prepare.begin_reading(image, digest)
    try:
        is_whole = prepare.is_as_it_was(image, reading, digest, mounted)
    except BuildDied as death:  # a new base is then not kept, and prepared again by the next build
        build.progress.note(f"{death.message}: it is read again")
        is_whole = prepare.is_as_it_was(image, prepare.begin_reading(image, digest), digest, mounted)
    if is_whole:
        return
    if basis:
        what = f"the last root image {image} is damaged"
    else:
        aside = prepare.damaged_path(image)  # not there in a cache that is only read
        what = f"the prepared base {image} is damaged" + (f": it is kept as {aside.name}" if aside.exists() else "")
    build.note(damaged=what)
    raise KeptDamaged(what, hint=f"begin again: salt-call state.sls {build.settings.pre}")


def update(build: Build) -> PackageChanges:
    """update: bring the root's packages up to date."""
    build.needs_open()
    basis = build.record.basis
    with build.step("update") as say:
        build.note_change_of_root()
        apt = apt_cache(build)
        fetched = begin_lists(build, apt)
        if fetched and fetched.newest and not any(build.workspace.upper.iterdir()):  # of the very files that are in the root
            say("the archives offer nothing that is newer")
            build.note(updated=Updated(changed_packages({}, {}), fetched.offered, fetched.state, fetched.at))
            return changed_packages({}, {})

        def work() -> tuple[PackageChanges, dict[str, Any], str]:
            apt.show_lists()
            known = apt.known()
            is_fresh = fetched is not None or is_offered_to(build.root, apt.own / "lists", known["offered"], build.progress.note)
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
            return apply_variation(found, build.settings, build.root, build.host, say, note, updated=is_fresh, known=known)

        def note(line: str) -> None:
            say(line)
            build.progress.note(line)

        known = basis.states if basis else None
        if "reading packages" in build.beside:
            apt.has_read(build.beside.pop("reading packages").finish())
        with BackgroundTask(lambda: found.digest, "reading the variation") as reading:
            group = "" if build.settings.live else group_name(build.settings)  # a machine makes groups of its own there
            with sharing_packages(build, apt), swept(build.settings):
                results, states = work_inside(
                    build.root,
                    apply,
                    hostname=host_name(build.root),
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
            lost = f"{path} is sealed: a state of the variation writes it, and no image may have it"
            say(lost)
            build.progress.note(lost)
        addresses = {} if build.record.sealed else find_build_addresses(build.root, written)  # once, before the first pattern
        for path, address in addresses.items():
            build.progress.note(f"{path} holds {address}, an address of the build's network: no instance has it")
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

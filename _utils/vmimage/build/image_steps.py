"""The steps from a sealed root to its files: kernel and ramdisk, root image, other outputs, triplet."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vmimage.apt.packages import list_packages
from vmimage.build.build import Build
from vmimage.build.kept import keep, kept_path, previous_build, read_log, report_data
from vmimage.build.manifest import make_manifest
from vmimage.build.record import Packed, Shrunk, made
from vmimage.build.steps import check_origin
from vmimage.build.unchanged import digest_inputs
from vmimage.errors import NotReady
from vmimage.image import boot_files, drawn, ext4, loader, outputs
from vmimage.image.machine import describe_machine, users_before
from vmimage.image.patch import CannotPatch, begin_copy, pack_changes
from vmimage.image.seal import written_by
from vmimage.image.triplet import Manifest
from vmimage.image.usage import measure_contents
from vmimage.root import files, fstab
from vmimage.root.enter import work_inside
from vmimage.root.login import default_user
from vmimage.root.mounts import mounted
from vmimage.root.name_servers import remove_copies
from vmimage.root.overlay import unmount_root
from vmimage.root.soundness import check_bootable
from vmimage.system import network
from vmimage.system.background import BackgroundTask
from vmimage.system.groups import group_name, swept
from vmimage.system.namespace import run_privately
from vmimage.system.trees import fitting_paths
from vmimage.variation.root_grains import grains_of

#: of the steps that a triplet needs, in words
_LACKS = {
    "begun": "it is not begun",
    "base": "its base is not fetched",
    "varied": "its variation is not applied",
    "kernel": "its kernel is not extracted",
    "packed": "its root image is not packed",
    "shrunk": "its root image is not shrunk",
}


def extract(build: Build) -> str:
    """kernel and ramdisk: copy them out of the root; where a disk is asked for, what boots it, too."""
    build.needs_open()
    taken = _take_loader(build) if build.settings.makes_disk else None
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
            shared = f"every instance will have the same private keys or passwords in {', '.join(keys)}: seal them, if each should have its own"
            say(shared)
            build.progress.note(shared)
        build.triplet.directory.mkdir(parents=True, exist_ok=True)
        check_bootable(build.root)
        names = fstab.names_of_root(files.read_text(build.root, "/etc/fstab", ""))
        label = names.get("LABEL", "" if names.get("UUID", origin.uuid) != origin.uuid else origin.label)
        identity = names.get("UUID", origin.uuid if not names else "")
        packages = list_packages(build.root)
        content = _packed(build, label, identity)
        size, distribution = content.blocks * ext4.BLOCK, grains_of(build.root)
        manifest = build.triplet.manifest() if build.record.basis else None
        machine, login = describe_machine(build.root, users_before(build.workspace.lower, manifest)), default_user(build.root)
        build.note(packed=Packed(label, size, content.inodes, keys, packages, distribution, machine, login))


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
    """Unmount the root; what it was made of goes beside the next steps, for it takes time to free its memory."""
    with build.step("close"):
        if build.is_whole:
            unmount_root(build.record.opened)
            build.beside["closing"] = BackgroundTask(build.close_root, "unmounting the base and its changes")
        else:
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
    made_outputs = _make_outputs(build)
    with build.step("triplet"), BackgroundTask(lambda: _measured(build), "measuring what is in the root image") as measuring:
        described = build.triplet.describe_partials(build.progress.moved)
        contents = measuring.finish()
        if "closing" in build.beside:
            build.beside.pop("closing").finish()
    record, inputs = build.record, None
    if build.settings.skip_unchanged:
        base, varied, packed = made(record.base), made(record.varied), made(record.packed)
        inputs = digest_inputs(build, base.digest, varied.digest, varied.id, packed.distribution)
        inputs |= {"offered": record.updated.offered if record.updated else None, "changed": made(record.begun).changed}
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    manifest = make_manifest(record, described, inputs, outputs=made_outputs, versions=build.host.versions, created=created)
    kept = report_data(record, contents, read_log(build.workspace.log), previous_build(build.triplet))
    build.triplet.complete(manifest, build.settings.file_mode)
    keep(kept_path(build.triplet), kept)
    return manifest


def _measured(build: Build) -> dict[str, Any]:
    """What is in the root image, by :func:`measure_contents`; beside its digest, for which a single core does."""
    image, point = build.triplet.partial("root_image"), build.workspace.path / "image"

    def measure() -> dict[str, Any]:
        with mounted(image, point, "ro", "noload"):
            return measure_contents(point, made(build.record.packed).packages)

    point.mkdir(exist_ok=True)
    return run_privately(measure)


def _take_loader(build: Build) -> loader.Loader:
    """loader: let the root know that it is the partition of a disk, and take out what boots it."""
    origin, machine = build.record.origin, made(build.record.begun).architecture
    assert origin is not None
    with build.step("loader"):
        loader.check_root(build.root, machine)
        build.note_change_of_root()
        identity = fstab.names_of_root(files.read_text(build.root, "/etc/fstab", "")).get("UUID", origin.uuid)
        loader.fit_root(build.root, machine, identity, build.settings.kernel_command_line)

        def inside(work: Callable[[], None]) -> None:
            group = group_name(build.settings)
            with swept(build.settings):
                work_inside(build.root, work, kind_of_network=network.NONE, group=group)

        taken = loader.take_loader(build.root, machine, identity, build.workspace.path / "loader", inside)
        remove_copies(build.root, build.workspace.upper, network.NONE)
        return taken


def _make_outputs(build: Build) -> dict[str, Any]:
    """outputs: what the settings ask for besides the triplet, all of the same root image."""
    settings = build.settings
    if settings.makes_disk and not build.record.loader:
        raise NotReady(
            f"what boots the disk of {settings.name} is not taken out of its root",
            hint="vm_image.extracted does that, with the same ami.outputs as vm_image.delivered",
        )
    if set(settings.outputs) <= {"triplet"}:
        return {}
    with build.step("outputs") as say:
        return outputs.make_outputs(settings, build.triplet, build.record.loader, build.workspace.path / "outputs", say)

"""The steps of outputs other than the triplet: what boots a disk is taken out of the open root; the files are made when the root image is."""

from collections.abc import Callable
from typing import Any

from vmimage.build.build import Build
from vmimage.build.record import made
from vmimage.errors import NotReady
from vmimage.image import loader, outputs
from vmimage.root import files, fstab
from vmimage.root.enter import work_inside
from vmimage.root.name_servers import remove_copies
from vmimage.system import network
from vmimage.system.groups import group_name, swept


def take_loader(build: Build) -> loader.Loader:
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


def make_outputs(build: Build) -> dict[str, Any]:
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

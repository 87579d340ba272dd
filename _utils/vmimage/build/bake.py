"""What the image of a builder brings along, so that the first build of a fresh instance finds what a second build would.

The pillar names it: ``ami_creator: {bases: [bookworm, {release: trixie, outputs: [disk]}], packages: true}``.  It comes from the cache of the
machine that makes the image to the cache of the instance, where it is what any build has left there: a base of another plan is not used,
lists are asked for again where the archives have newer ones, and what nobody has used for long goes.
"""

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vmimage.apt.cache import AptCache
from vmimage.base import prepare
from vmimage.base.locate import locate_base
from vmimage.build.apt_of_build import fetch_lists
from vmimage.build.build import Build
from vmimage.build.record import made
from vmimage.errors import NotReady, SettingsWrong
from vmimage.root import files
from vmimage.root.mounts import mounted
from vmimage.settings.schema import Settings
from vmimage.system.aliases import Say
from vmimage.system.digest import QUICK
from vmimage.system.namespace import run_privately
from vmimage.system.progress import format_bytes
from vmimage.system.shell import run
from vmimage.system.trees import entries_below
from vmimage.variation.root_grains import grains_of

_BUILDER = "/etc/systemd/system/vm_create.service"
#: the settings of a base that is bootstrapped
_OF_BASE = ("type", "release", "mirror", "packages", "outputs")


def wanted_bases(build: Build) -> tuple[list[Settings], bool]:
    """What the pillar of the variation names for an open root, if that is a builder.

    :returns: ``(the settings of a build from each base, whether apt's lists and packages come along)``
    :raises SettingsWrong: naming what cannot be meant
    :raises NotReady: if an instance of the image would look for all of it by other names
    """
    if not files.exists(build.root, _BUILDER):
        return [], False
    pillar = {**build.host.compile_pillar(made(build.record.varied).id, grains_of(build.root)), **build.settings.pillar}
    bases, with_packages = read_wanted(pillar.get("ami_creator") or {})
    if bases and QUICK == "sha256":
        raise NotReady(
            "the Python of this Salt has no xxhash, and that of a builder's image has: it would use none of ami_creator:bases",
            hint="salt-pip install xxhash, or pip in the Python that runs Salt; or leave ami_creator:bases out",
        )
    of_all = {"base": "", "cache": build.settings.cache}  # the lists are fetched into the build's own
    return [build.host.build({**base, **of_all}).settings for base in bases], with_packages


def read_wanted(given: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """``bases`` and ``packages`` of the pillar ``ami_creator``, checked: ``(settings of each base, whether packages are wanted)``."""
    bases, with_packages = given.get("bases") or [], given.get("packages", False)
    if not isinstance(bases, list):
        raise SettingsWrong(f"ami_creator:bases is {bases!r}", hint="a list, such as [bookworm]")
    if not isinstance(with_packages, bool):
        raise SettingsWrong(f"ami_creator:packages is {with_packages!r}", hint="true or false")
    if with_packages and not bases:
        raise SettingsWrong(
            "ami_creator:packages is true, and ami_creator:bases is empty", hint="packages are those of a base: name it"
        )
    return [_read_base(base) for base in bases], with_packages


def _read_base(base: Any) -> dict[str, Any]:
    found = {"release": base} if isinstance(base, str) else base
    if not isinstance(found, Mapping) or "release" not in found:
        raise SettingsWrong(
            f"ami_creator:bases has {base!r}", hint=f"a release, or a mapping with release and others of {', '.join(_OF_BASE)}"
        )
    for key in found:
        if key not in _OF_BASE:
            raise SettingsWrong(f"a base of ami_creator:bases has an unknown key {key!r}", hint=f"it takes {', '.join(_OF_BASE)}")
    return dict(found)


def bake(build: Build) -> dict[str, str]:
    """bake: bring bases, and apt's lists and packages, from the cache of this machine to that of the root.

    :returns: ``{what: its size}``, in words
    """
    build.needs_open()
    found = {}
    with build.step("bake") as say:
        wanted, with_packages = wanted_bases(build)
        if wanted:
            build.note_change_of_root()
        for settings in wanted:
            located = locate_base(settings, build.progress)
            base = prepare.prepare_base(settings, located, build.progress)
            image = Path(base.image)
            found[base.reference] = _bring(build, settings, [image.with_suffix(end) for end in (".img", ".digest", ".json")])
            if with_packages:
                bring = partial(_bring_apt, build, settings, base, say)  # its mounts go with it, step by step, too
                found[f"lists and packages of {base.reference}"] = run_privately(bring)
        for what, size in found.items():
            build.progress.note(f"the image brings {what}: {size}")
            say(f"the image brings {what}: {size}")
    return found


def _bring_apt(build: Build, settings: Settings, base: prepare.Base, say: Say) -> str:
    point = build.workspace.path / "baked"
    point.mkdir(exist_ok=True)
    with mounted(base.image, point, "ro"):
        fetch_lists(build, base.digest, point, say)
        apt = AptCache(settings.cache, build.workspace.path / "none", point, base.digest)
    with apt.locked():  # what is there fits together
        return _bring(build, settings, [path for path in (apt.shared, apt.archives, apt.record) if path.exists()])


def _bring(build: Build, settings: Settings, paths: Iterable[Path]) -> str:
    """Copy files and directories of the cache to the place where an instance has its own; returns their size."""
    size = 0
    for path in paths:
        place = f"{Settings().cache}/{path.parent.relative_to(settings.cache)}"
        files.make_directory(build.root, place)
        target = files.own_directory(build.root, place)
        files.remove(build.root, f"{place}/{path.name}")  # cp would write through a link that the root has there, out of the root
        run(["cp", "--recursive", "--sparse=always", "--preserve=mode,timestamps", path, target])
        size += sum(os.lstat(entry).st_blocks * 512 for entry in ([path] if path.is_file() else entries_below(path)))
    return format_bytes(size)

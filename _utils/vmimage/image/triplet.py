"""The triplet on disk: root image, kernel, ramdisk, and the manifest that says what they are.

    OUTPUT/NAME.img  OUTPUT/kernel_NAME  OUTPUT/ramdisk_NAME  OUTPUT/NAME.manifest.json

What else is made of the root (:mod:`vmimage.image.outputs`) lies beside them, and comes and goes with them.
Its files are made as ``.partial`` and get their names only together; the manifest goes first and comes last, so that where
there is a manifest, the files are those it describes.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vmimage.errors import ImageUnsound
from vmimage.system.aliases import Moved, StrPath
from vmimage.system.digest import QUICK, digest_of_data, digest_of_file, digests_of_file
from vmimage.system.whole_files import read_json, remove_left, sync, write_json

#: of a triplet, as in its file
Manifest = dict[str, Any]
#: by which a change of the manifest itself is seen; not in what is read
_DIGEST = "digest"
#: the three files by their role, in the order in which they are named
ROLES = ("root_image", "kernel", "ramdisk")
#: of the names of all other outputs that there can be, behind the name of the variation
OUTPUT_ENDINGS = ("bare.qcow2", "bare.raw", "disk.qcow2", "disk.raw", "tar", "tar.gz", "tar.zst")


class Triplet:
    """The files of a variation.

    :param directory: where they are
    :param name: of the variation
    """

    def __init__(self, directory: StrPath, name: str) -> None:
        self.name = name
        self.directory = Path(directory)
        self.root_image = self.directory / f"{name}.img"
        self.kernel = self.directory / f"kernel_{name}"
        self.ramdisk = self.directory / f"ramdisk_{name}"
        self.manifest_path = self.directory / f"{name}.manifest.json"

    def files(self) -> dict[str, Path]:
        """``{role: Path}``"""
        return {role: getattr(self, role) for role in ROLES}

    def partial(self, role: str) -> Path:
        """The path of a file in the making."""
        path = getattr(self, role)
        return path.with_name(f"{path.name}.partial")

    def output_partial(self, name: str) -> Path:
        """The path of another output in the making.

        :param name: that its file will have
        """
        return self.directory / f"{name}.partial"

    def _output_names(self) -> list[str]:
        return [f"{self.name}.{ending}" for ending in OUTPUT_ENDINGS]

    def clear_partials(self) -> None:
        """Remove what a run that did not finish left."""
        outputs = map(self.output_partial, self._output_names())
        for path in (*map(self.partial, ROLES), *outputs):
            path.unlink(missing_ok=True)
        remove_left(self.manifest_path)

    def describe_partials(self, moved: Moved) -> dict[str, dict[str, Any]]:
        """``{role: {path, bytes, sha256, xxh3_128}}`` of the files in the making, as they will be called."""
        with ThreadPoolExecutor(1) as pool:  # what is hashed goes to the disk meanwhile
            synced = pool.map(sync, map(self.partial, ROLES))
            described = {role: _describe(self.partial(role), path, moved) for role, path in self.files().items()}
            list(synced)
        return described

    def complete(self, manifest: Manifest, mode: int = 0o600) -> None:
        """Give the files in the making their names, the manifest last; outputs that are no longer asked for go with the old manifest.

        :param mode: of all files but the manifest: an image holds its /etc/shadow
        """
        outputs = sorted({facts["path"] for facts in manifest.get("outputs", {}).values()})
        for partial in (*map(self.partial, ROLES), *map(self.output_partial, outputs)):
            partial.chmod(mode)
            sync(partial)
        self.manifest_path.unlink(missing_ok=True)
        for role, path in self.files().items():
            os.replace(self.partial(role), path)
        for name in self._output_names():
            if name in outputs:
                os.replace(self.output_partial(name), self.directory / name)
            else:
                (self.directory / name).unlink(missing_ok=True)
        write_json(self.manifest_path, {**manifest, _DIGEST: digest_of_data(manifest)})
        sync(self.directory)

    def manifest(self) -> Manifest | None:
        """The manifest, or None where there is no complete triplet; a manifest that is not as it was written describes none."""
        manifest = self._read_manifest()
        return manifest if manifest and all(path.exists() for path in self.files().values()) else None

    def _read_manifest(self) -> Manifest | None:
        try:
            manifest = read_json(self.manifest_path)
            digest = manifest.pop(_DIGEST, "") if manifest else ""
        except (ValueError, AttributeError):
            return None
        return None if digest and digest != digest_of_data(manifest) else manifest

    def made(self) -> Manifest:
        """The manifest, where its files are only seen to be there.

        :raises ImageUnsound: if there is no complete triplet
        """
        if manifest := self.manifest():
            return manifest
        if self.manifest_path.exists() and not self._read_manifest():
            raise ImageUnsound(
                f"{self.manifest_path} is not as it was written", hint="make the triplet again: vm_create.create_variation"
            )
        raise ImageUnsound(
            f"there is no complete triplet {self.name} in {self.directory}",
            hint=f"make it: vm_create.create_variation {self.name}",
        )

    def check(self, *, quickly: bool = False) -> Manifest:
        """Compare the files with their manifest.

        :param quickly: see what a disk has lost, not what somebody has forged
        :returns: the manifest
        :raises ImageUnsound: if there is no complete triplet or a file is not what it describes
        """
        manifest = self.made()
        described = {path: manifest["files"][role] for role, path in self.files().items()}
        described |= {self.directory / facts["path"]: facts for facts in manifest.get("outputs", {}).values()}
        for path, facts in described.items():
            algorithm = QUICK if quickly and QUICK in facts else "sha256"
            if not path.exists() or digest_of_file(path, algorithm) != f"{algorithm}:{facts[algorithm]}":
                raise ImageUnsound(
                    f"{path} is not the file that its manifest describes", hint="make it again: vm_create.create_variation"
                )
        return manifest


def _describe(partial: Path, path: Path, moved: Moved) -> dict[str, Any]:
    return {"path": path.name, "bytes": partial.stat().st_size, **digests_of_file(partial, moved=moved)}

"""A cache that is only read, as of an image or another machine: a build takes from it what is there, and refuses what is damaged."""

import os
import shutil

from vmimage.system import syscalls

_REMOUNT, _READ_ONLY = 32, 1


def remount(job, *, read_only):
    flags = _REMOUNT | (_READ_ONLY if read_only else 0)
    syscalls.mount("tmpfs", job.cache, "tmpfs", flags, "size=700m")


def test_a_cache_that_is_only_read(fault, tmp_path):
    job, base = fault.job, tmp_path / "base.img"
    job.is_good = False  # its triplet will be of another base
    shutil.copy(job.directory.parent / "served/base.img", base)
    settings = {"base": str(base), "base_unverified": True}
    assert job.build(**settings)[0] == 0
    remount(job, read_only=True)
    try:
        code, said = job.build(**settings)
        assert code == 0, said
        assert "takes nothing" in said and job.image_tree() == job.tree
        remount(job, read_only=False)
        for image in (job.cache / "bases").glob("*.img"):
            facts = image.stat()
            with open(image, "r+b") as file:
                file.seek(facts.st_size // 2)
                byte = file.read(1)[0]
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte ^ 1]))
            os.utime(image, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        remount(job, read_only=True)
        code, said = job.build(**settings)
        assert code != 0 and "the prepared base" in said and "is damaged" in said and "kept as" not in said, said
    finally:
        remount(job, read_only=False)
    job.forget_all()

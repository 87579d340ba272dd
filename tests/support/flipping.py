"""A byte of what builds keep is flipped."""

import os

#: by kind: the pattern of its file below the directory of the job, and whether the build says its name
CACHES = {
    "a prepared base": ("cache/bases/*.img", True),
    "the facts of a base": ("cache/bases/*.json", True),  # by that of its image
    "the digest of a base": ("cache/bases/*.digest", True),
    "the table of digests": ("cache/digests.json", False),
    "a tag of a download": ("cache/downloads/*base.img.etag", False),
    "a checksum file": ("cache/downloads/*SHA256SUMS", False),
    "a list of apt": ("cache/apt/*/lists/*Packages", True),
    "what apt made of its lists": ("cache/apt/*/bin/pkgcache.bin", True),
    "the record of lists": ("cache/apt/*/record.json", True),
    "a package": ("cache/apt/archives/*/*.deb", True),
    "a decompressed package": ("cache/apt/unpacked/*/*.tar", True),
    "the record of packages": ("cache/apt/digests/*.json", True),
}


def flip(path, part=2):
    """Change a bit at half of a file, or at another part of it."""
    facts = path.stat()
    with open(path, "r+b") as file:
        file.seek(facts.st_size // part if part else 0)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 4]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

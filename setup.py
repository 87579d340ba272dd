"""Packaging: one source tree, delivered by file_roots (saltutil.sync_all) or by pip (the entry point salt.loader)."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
DELIVERY = runpy.run_path(str(HERE / "_utils/vmimage/delivery.py"))

setup(
    name="salt-ami-cloud-builder",
    version=DELIVERY["VERSION"],
    description="Cloud images from Salt states: kernel, ramdisk and root image from a Debian or Ubuntu base",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    install_requires=list(DELIVERY["REQUIREMENTS"]),
    extras_require={name: list(packages) for name, packages in DELIVERY["EXTRAS"].items()},
    package_dir={
        "vmimage": "_utils/vmimage",
        "vmimage.salt_modules": "_modules",
        "vmimage.salt_states": "_states",
        "vmimage.salt_runners": "_runners",
        "vmimage.salt_sls": "states",
    },
    packages=[
        *find_packages(str(HERE / "_utils")),
        "vmimage.salt_modules",
        "vmimage.salt_states",
        "vmimage.salt_runners",
        "vmimage.salt_sls",
    ],
    package_data={"vmimage.salt_sls": ["*.sls"]},
    entry_points={"salt.loader": ["salt_ami_cloud_builder = vmimage.delivery:salt_loader"]},
)

from setuptools import setup

setup(
    name="parity-says",
    version="1.0",
    py_modules=["parity_says"],
    entry_points={"console_scripts": ["parity-says=parity_says:main"]},
)

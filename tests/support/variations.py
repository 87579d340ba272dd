"""Repositories with a variation that needs no apt, and what its image says of itself."""

from looking import looked_into
from repository_server import SOURCES

VARIATION = """
the page is there:
  file.managed:
    - name: /srv/page
    - contents: {text} {{{{ pillar["colour"] }}}}

the console says what this is:
  file.managed:
    - name: /etc/issue
    - contents: This is {text}.
"""
PILLAR = {"pillar/top.sls": "base: {'*': [colours]}\n", "pillar/colours.sls": "colour: green\n"}


def text_of(name):
    """variation.sls of a revision."""
    return VARIATION.format(text=name)


def make_history(kind, path, **settings):
    """A repository with three commits: the first two, and the tip.

    :param settings: for ami.yaml
    :returns: the :class:`repository_server.Source`; its ``nodes`` are the full hashes by name
    """
    own = "".join(f"ami.{key}: {value}\n" for key, value in settings.items())
    source = SOURCES[kind](path)
    source.write(PILLAR | {"ami.yaml": own})
    source.nodes = {name: source.commit(variation__sls=text_of(name)) for name in ("first", "second", "tip")}
    return source


def page_of(image):
    """The page of an image that such a variation made."""
    with looked_into(image) as root:
        return (root / "srv/page").read_text(encoding="utf-8").strip()

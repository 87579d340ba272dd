"""The machine's own apt sources, for a base that is bootstrapped from them."""

from vmimage.errors import SettingsWrong
from vmimage.shell import run

_FIELDS = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
_NO_LISTS = "apt-get update, or set ami.mirror"


def source_lines(release, distribution, mirror=""):
    """sources.list lines for a release.

    :param str release: code name
    :param str distribution: debian or ubuntu
    :param mirror: an address, or a list of whole sources.list lines; empty for what the machine's apt itself reads
    :returns: list of str
    :raises SettingsWrong: if the machine has no such source
    """
    if mirror and not isinstance(mirror, str):
        return [str(line) for line in mirror]
    if mirror:
        components = "main" if distribution == "debian" else "main universe"
        return [f"deb {mirror} {release} {components}"]
    return _from_indexes(_read_indexes(), release, distribution)


def _read_indexes():
    """What apt has read: ``(address, suite, component, origin)`` of each index."""
    output = run(["apt-get", "indextargets", "--format", _FIELDS, "Created-By: Packages"]).output
    return [tuple(line.split(" ", 3)) for line in output.splitlines() if line.count(" ") >= 3]


def _from_indexes(indexes, release, distribution):
    """The lines for a release, its suites named after those that the machine uses (``-updates``, ``-security``)."""
    ours = [one for one in indexes if one[3].lower() == distribution]
    suites = [suite for _, suite, _, _ in ours]
    current = release if release in suites else min(suites, key=len, default="")
    if not current:
        raise SettingsWrong(f"the machine's apt knows no {distribution} archive", hint=_NO_LISTS)
    components = {}
    for address, suite, component, _ in ours:
        if suite == current or suite.startswith((f"{current}-", f"{current}/")):
            ours_suite = release + suite[len(current) :]
            components.setdefault((address.rstrip("/"), ours_suite), []).append(component)
    return [f"deb {address} {suite} {' '.join(dict.fromkeys(names))}" for (address, suite), names in components.items()]

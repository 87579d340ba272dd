"""Edit, build, boot: a build that starts from the last root image gives what a clean build gives, or is clean and says why."""

import json

import pytest
from building import Salt, cache_with
from looking import looked_into, tree_of

STATES = """
packages are there:
  pkg.installed:
    - pkgs: [{packages}]
a page is there:
  file.managed:
    - name: /srv/index.html
    - source: salt://index.html
    - template: jinja
    - context: {{title: "{title}"}}
    - mode: '{mode}'
files are there:
  file.recurse:
    - name: /srv/files
    - source: salt://files
alice is there:
  user.present:
    - name: alice
    - shell: {shell}
the index is built:
  cmd.run:
    - name: sha256sum < /srv/index.html > /srv/index
    - onchanges:
      - file: a page is there
a command without a condition is run:
  cmd.run:
    - name: date > /srv/dated; cat /etc/hostname > /srv/named
{more}
"""
FIRST = {"packages": "tree", "title": "one", "mode": "0644", "shell": "/bin/sh", "more": ""}
NEW = "a new link is there:\n  file.symlink: [{name: /srv/link, target: files}]\n"
EDITED = {"packages": "tree, less", "title": "two", "mode": "0640", "shell": "/bin/bash", "more": NEW}
PLAIN = "a file is there:\n  file.managed: [{{name: /srv/said, contents: '{}'}}]\n"
#: what differs from build to build: dates and what is drawn by lot; and backups that useradd and usermod make of what was before
DIFFERING = ("/srv/dated", "/var/cache/ldconfig/aux-cache", "/etc/shadow-", "/etc/passwd-", "/etc/group-", "/etc/gshadow-")


@pytest.fixture
def minion(request, tmp_path, bootstrapped):
    """A minion, with ``minion.build(text or arguments of STATES, ...)``: what create_variation said on its way."""
    return Minion(tmp_path, **(request.getfixturevalue("light") if request.node.get_closest_marker("light") else {}))


class Minion(Salt):
    def __init__(self, directory, **own):
        super().__init__(directory, **own)
        self.files = {"index.html": "<h1>{{ title }}</h1>\n", "files/a": "a", "files/b": "b"}
        self.configure(**{"ami.update": False, "ami.publish": False, "ami.headroom_mib": 8})

    def written(self, text):
        return self.variation("one", variation=STATES.format(**text) if isinstance(text, dict) else text, **self.files)

    def build(self, text, *, incremental=True, **settings):
        arguments = {"name": "one", "variation": self.written(text), "incremental": incremental, **settings}
        code, _, said = self.call("vm_create.create_variation", **arguments)
        assert code == 0, said
        return said

    @property
    def made(self):
        return self.manifest("one")["incremental"]


def tree_in(salt):
    with looked_into(salt.output / "one.img") as root:
        return tree_of(root)


def test_an_incremental_build_gives_what_a_clean_build_gives(minion, tmp_path):
    minion.build(FIRST, incremental=False)
    first = minion.manifest("one")
    minion.files |= {"index.html": "<h1>{{ title }}</h1>\nedited\n", "files/c": "c", "files/a": "edited"}
    said = minion.build(EDITED)
    assert "building clean" not in said and f"generation 1 of {first['build']}" in said
    found = tree_in(minion)
    clean = Minion(tmp_path / "clean")
    clean.files = minion.files
    clean.build(EDITED, incremental=False)
    wanted = tree_in(clean)
    paths = sorted(found.keys() | wanted.keys())
    assert [path for path in paths if found.get(path) != wanted.get(path) and path not in DIFFERING] == []
    assert "/usr/bin/less" in found and "/srv/link" in found
    ours, theirs = minion.manifest("one"), clean.manifest("one")
    assert ours["incremental"] == {"of": first["build"], "generation": 1} and theirs["incremental"] is None
    for key in ("base", "packages", "changes", "distribution", "variation"):
        assert {**ours[key], "reference": 0} == {**theirs[key], "reference": 0}, key
    assert [state["id"] for state in ours["states"]] == [state["id"] for state in theirs["states"]]
    assert ours["file_system"]["label"] == theirs["file_system"]["label"]
    assert ours["file_system"]["uuid"] == theirs["file_system"]["uuid"]


@pytest.mark.light
def test_generations_do_not_grow(minion):
    sizes = []
    for number in range(4):
        minion.files["files/big"] = f"{number}" * (5 << 20)
        minion.build("it is there:\n  file.managed: [{name: /srv/big, source: 'salt://files/big'}]\n")
        sizes.append((minion.output / "one.img").stat().st_size)
    assert minion.made["generation"] == 3
    facts = minion.manifest("one")["file_system"]
    assert max(sizes[1:]) - min(sizes[1:]) <= 1 << 20, sizes
    assert sizes[-1] <= sizes[0] + (4 << 20), sizes  # the first is clean
    assert facts["content_bytes"] < sizes[-1]


MADE = "it is made:\n  cmd.run: [{{name: 'mkdir /srv/made && echo {} > /srv/made/said'}}]\n"


@pytest.mark.light
def test_a_state_that_fails_a_second_time_is_applied_to_the_base(minion):
    minion.build(MADE.format("one"))
    said = minion.build(MADE.format("one"))
    assert "building clean: the state 'it is made' failed on the last root image" in said
    assert minion.made is None


@pytest.mark.light
def test_an_incremental_build_that_fails_leaves_the_last_triplet(minion):
    minion.build(PLAIN.format("one"))
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in minion.output.iterdir()}
    variation = minion.written(PLAIN.format("two") + "it fails:\n  cmd.run: [{name: exit 3}]\n")
    said = minion.bad("vm_create.create_variation", name="one", variation=variation, incremental=True)
    assert "building clean: the state 'it fails' failed" in said and "the variation one failed: 1 of 2 states" in said
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in minion.output.iterdir()} == before
    assert "building clean" not in minion.build(PLAIN.format("three"))


@pytest.mark.light
def test_the_plan_tells_what_a_build_would_start_from_or_why_it_would_be_clean(minion):
    def planned(**settings):
        return minion.good("vm_create.plan", **{"name": "one", "variation": minion.written(PLAIN.format("one")), **settings})[
            "incremental"
        ]

    assert planned() is None
    assert planned(incremental=True) == "building clean: there is no triplet one"
    minion.build(PLAIN.format("one"), incremental=False)
    assert planned(incremental=True) == {"of": minion.manifest("one")["build"], "generation": 1}
    assert planned(incremental=True, headroom_mib=9) == "building clean: the setting headroom_mib has changed"
    assert planned(incremental=True, live=True) == "building clean: the setting live has changed"


# dpkg replaces what it finds where it unpacks a program
REPLACED = """
a program of our own is there:
  file.managed: [{{name: /usr/bin/tree, contents: '{}'}}]
a package brings another:
  pkg.installed: [{{name: tree}}]
"""


def test_a_file_that_a_package_replaces_later_is_the_package_s_again(minion):
    for text in ("one", "two"):
        said = minion.build(REPLACED.format(text))
        with looked_into(minion.output / "one.img") as root:
            assert (root / "usr/bin/tree").read_bytes().startswith(b"\x7fELF")
    assert (
        "building clean: the state 'a program of our own is there' (file.managed) writes /usr/bin/tree, which a package" in said
    )


def log_of(minion):
    return json.loads((minion.output / "one.build.json").read_text())["log"]


def test_nothing_is_updated_where_the_archives_offer_what_the_last_image_has(minion, bootstrapped, tmp_path):
    minion.configure(**{"ami.publish": False, "ami.cache": cache_with(bootstrapped, tmp_path / "cache")})
    minion.build(PLAIN.format("one"))
    assert "Calculating upgrade" in log_of(minion)
    minion.build(PLAIN.format("two"))
    assert "Calculating upgrade" not in log_of(minion)
    manifest = minion.manifest("one")
    assert manifest["incremental"]["generation"] == 1 and manifest["updated"]
    with looked_into(minion.output / "one.img") as root:
        assert (root / "srv/said").read_text() == "two\n" and not list((root / "var/lib/apt/lists").glob("*_*"))


OWN = """
a package of ours is installed, and then there is a newer version:
  cmd.run:
    - name: |
        set -e; mkdir -p /srv/own/tree/DEBIAN && cd /srv/own
        offer() {
            printf 'Package: own\\nVersion: %s\\nArchitecture: all\\nMaintainer: us <us@example.org>\\nDescription: ours\\n' $1 > tree/DEBIAN/control
            dpkg-deb --build tree own_$1.deb
            { cat tree/DEBIAN/control; printf 'Filename: ./own_%s.deb\\nSize: %s\\nSHA256: %s\\n' $1 $(stat -c %s own_$1.deb) \
                $(sha256sum own_$1.deb | cut -d ' ' -f 1); } > Packages
        }
        offer 1; echo 'deb [trusted=yes] file:/srv/own ./' > /etc/apt/sources.list.d/own.list
        apt-get update; apt-get install -y own; offer 2
"""


# a variation whose own apt says more of its lists than was fetched
LYING = """
its apt adds to the lists:
  file.managed:
    - name: /etc/apt/apt.conf.d/lying
    - contents: 'APT::Update::Post-Invoke {"echo Package: less > /var/lib/apt/lists/lying_Packages";};'
"""


def test_what_the_apt_of_a_variation_says_of_lists_is_not_shared(minion, bootstrapped, tmp_path):
    minion.configure(**{"ami.publish": False, "ami.cache": cache_with(bootstrapped, tmp_path / "cache")})
    minion.build(LYING)
    (known,) = tmp_path.glob("cache/apt/*/record.json")
    known.unlink()  # so that the next build fetches lists
    assert "building clean" not in minion.build(LYING) and "InRelease" in log_of(minion)
    assert list(tmp_path.glob("cache/apt/*/lists/*_Packages")) and not list(tmp_path.glob("cache/apt/*/lists/lying*"))


def test_newer_packages_come_to_a_clean_root(minion):
    minion.configure(**{"ami.publish": False})
    minion.build(OWN)
    assert minion.manifest("one")["packages"]["own"] == "1"
    assert "building clean: newer packages are on offer (own)" in minion.build(OWN)
    assert minion.made is None


@pytest.mark.light
def test_several_variations_are_built_incrementally(minion):
    def both(text):
        return {name: {"variation": minion.variation(name, variation=text)} for name in ("one", "two")}

    more = {"ami.update": False, "ami.publish": False, "ami.incremental": True}
    for text in ("one", "two"):
        minion.configure(**more, **{"ami.variations": both(PLAIN.format(text))})
        config = minion.directory / "etc/minion"
        config.write_text(config.read_text().replace('"ami.root"', '"root of one"'))  # each has its own
        minion.good("vm_create.create_variations")
    assert [minion.manifest(name)["incremental"]["generation"] for name in ("one", "two")] == [1, 1]

"""Edit, build, boot: a build that starts from the last root image gives what a clean one gives, or is made clean and says why."""

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
def one(tmp_path, bootstrapped):
    """A minion, with ``one.build(text or arguments of STATES, ...)``: what create_variation said on its way."""
    return One(tmp_path)


class One(Salt):
    def __init__(self, directory):
        super().__init__(directory)
        self.files = {"index.html": "<h1>{{ title }}</h1>\n", "files/a": "a", "files/b": "b"}
        self.configure(**{"ami.update": False, "ami.publish": False, "ami.headroom_mib": 8})

    def told(self, text):
        return self.variation("one", variation=STATES.format(**text) if isinstance(text, dict) else text, **self.files)

    def build(self, text, *, incremental=True, **settings):
        arguments = {"name": "one", "variation": self.told(text), "incremental": incremental, **settings}
        code, _, said = self.call("vm_create.create_variation", **arguments)
        assert code == 0, said
        return said

    @property
    def made(self):
        return self.manifest("one")["incremental"]


def tree_in(salt):
    with looked_into(salt.output / "one.img") as root:
        return tree_of(root)


def test_an_incremental_build_gives_what_a_clean_one_gives(one, tmp_path):
    one.build(FIRST, incremental=False)
    first = one.manifest("one")
    one.files |= {"index.html": "<h1>{{ title }}</h1>\nedited\n", "files/c": "c", "files/a": "edited"}
    said = one.build(EDITED)
    assert "building clean" not in said and f"generation 1 of {first['build']}" in said
    found = tree_in(one)
    clean = One(tmp_path / "clean")
    clean.files = one.files
    clean.build(EDITED, incremental=False)
    wanted = tree_in(clean)
    paths = sorted(found.keys() | wanted.keys())
    assert [path for path in paths if found.get(path) != wanted.get(path) and path not in DIFFERING] == []
    assert "/usr/bin/less" in found and "/srv/link" in found
    ours, theirs = one.manifest("one"), clean.manifest("one")
    assert ours["incremental"] == {"of": first["build"], "generation": 1} and theirs["incremental"] is None
    for key in ("base", "packages", "changes", "distribution", "variation"):
        assert {**ours[key], "reference": 0} == {**theirs[key], "reference": 0}, key
    assert [state["id"] for state in ours["states"]] == [state["id"] for state in theirs["states"]]
    assert ours["file_system"]["label"] == theirs["file_system"]["label"]
    assert ours["file_system"]["uuid"] == theirs["file_system"]["uuid"]


def test_generations_do_not_grow(one):
    sizes = []
    for number in range(4):
        one.files["files/big"] = f"{number}" * (5 << 20)
        one.build("it is there:\n  file.managed: [{name: /srv/big, source: 'salt://files/big'}]\n")
        sizes.append((one.output / "one.img").stat().st_size)
    assert one.made["generation"] == 3
    facts = one.manifest("one")["file_system"]
    assert max(sizes[1:]) - min(sizes[1:]) <= 1 << 20, sizes
    assert sizes[-1] <= sizes[0] + (4 << 20), sizes  # the first is clean
    assert facts["content_bytes"] < sizes[-1]


MADE = "it is made:\n  cmd.run: [{{name: 'mkdir /srv/made && echo {} > /srv/made/said'}}]\n"


def test_a_state_that_fails_a_second_time_is_applied_to_the_base(one):
    one.build(MADE.format("one"))
    said = one.build(MADE.format("one"))
    assert "building clean: the state 'it is made' failed on the last root image" in said
    assert one.made is None


def test_an_incremental_build_that_fails_leaves_the_last_triplet(one):
    one.build(PLAIN.format("one"))
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in one.output.iterdir()}
    variation = one.told(PLAIN.format("two") + "it fails:\n  cmd.run: [{name: exit 3}]\n")
    said = one.bad("vm_create.create_variation", name="one", variation=variation, incremental=True)
    assert "building clean: the state 'it fails' failed" in said and "the variation one failed: 1 of 2 states" in said
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in one.output.iterdir()} == before
    assert "building clean" not in one.build(PLAIN.format("three"))


def test_the_plan_tells_what_a_build_would_start_from_or_why_it_would_be_clean(one):
    def planned(**settings):
        return one.good("vm_create.plan", **{"name": "one", "variation": one.told(PLAIN.format("one")), **settings})[
            "incremental"
        ]

    assert planned() is None
    assert planned(incremental=True) == "building clean: there is no triplet of it"
    one.build(PLAIN.format("one"), incremental=False)
    assert planned(incremental=True) == {"of": one.manifest("one")["build"], "generation": 1}
    assert planned(incremental=True, headroom_mib=9) == "building clean: the setting headroom_mib has changed"
    assert planned(incremental=True, live=True) == "building clean: the setting live has changed"


# dpkg replaces what it finds where it unpacks a program
REPLACED = """
a program of our own is there:
  file.managed: [{{name: /usr/bin/tree, contents: '{}'}}]
a package brings another:
  pkg.installed: [{{name: tree}}]
"""


def test_a_file_that_a_package_replaces_later_is_the_package_s_again(one):
    for text in ("one", "two"):
        said = one.build(REPLACED.format(text))
        with looked_into(one.output / "one.img") as root:
            assert (root / "usr/bin/tree").read_bytes().startswith(b"\x7fELF")
    assert (
        "building clean: the state 'a program of our own is there' (file.managed) writes /usr/bin/tree, which a package" in said
    )


def log_of(one):
    return json.loads((one.output / "one.build.json").read_text())["log"]


def test_nothing_is_updated_where_the_archives_offer_what_the_last_image_has(one, bootstrapped, tmp_path):
    one.configure(**{"ami.publish": False, "ami.cache": cache_with(bootstrapped, tmp_path / "cache")})
    one.build(PLAIN.format("one"))
    assert "Calculating upgrade" in log_of(one)
    one.build(PLAIN.format("two"))
    assert "Calculating upgrade" not in log_of(one)
    manifest = one.manifest("one")
    assert manifest["incremental"]["generation"] == 1 and manifest["updated"]
    with looked_into(one.output / "one.img") as root:
        assert (root / "srv/said").read_text() == "two\n" and not list((root / "var/lib/apt/lists").glob("*_*"))


OWN = """
a package of ours is installed, and then there is a newer one:
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


def test_what_the_apt_of_a_variation_says_of_lists_is_not_shared(one, bootstrapped, tmp_path):
    one.configure(**{"ami.publish": False, "ami.cache": cache_with(bootstrapped, tmp_path / "cache")})
    one.build(LYING)
    (known,) = tmp_path.glob("cache/apt/*/record.json")
    known.unlink()  # so that the next build fetches lists
    assert "building clean" not in one.build(LYING) and "InRelease" in log_of(one)
    assert list(tmp_path.glob("cache/apt/*/lists/*_Packages")) and not list(tmp_path.glob("cache/apt/*/lists/lying*"))


def test_newer_packages_come_to_a_clean_root(one):
    one.configure(**{"ami.publish": False})
    one.build(OWN)
    assert one.manifest("one")["packages"]["own"] == "1"
    assert "building clean: newer packages are on offer (own)" in one.build(OWN)
    assert one.made is None


def test_several_variations_are_built_incrementally(one):
    def both(text):
        return {name: {"variation": one.variation(name, variation=text)} for name in ("one", "two")}

    more = {"ami.update": False, "ami.publish": False, "ami.incremental": True}
    for text in ("one", "two"):
        one.configure(**more, **{"ami.variations": both(PLAIN.format(text))})
        config = one.directory / "etc/minion"
        config.write_text(config.read_text().replace('"ami.root"', '"root of one"'))  # each has its own
        one.good("vm_create.create_variations")
    assert [one.manifest(name)["incremental"]["generation"] for name in ("one", "two")] == [1, 1]

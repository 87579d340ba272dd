"""The pages build without a warning, and what they link to and name is there."""

import ast
import re
import runpy
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from pages import FACES, PAGES, PROJECT, all_blocks, inline_codes
from vmimage.settings.schema import KEYS

#: words in code style that are a file of the project where they begin so
FILE = re.compile(r"(states|tests|benchmarks|docs|_utils|_modules|_states)/[\w./-]*\w")
INTERNAL = {"vm_kmod", "vm_mount", "vm_sysctl"}  # faces that no user calls


def test_all_pages_build_without_a_warning(built):
    code, said, _ = built
    assert code == 0, said


def test_a_setting_that_does_not_exist_is_a_warning(build_pages, tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/index.md").write_text("# A page\n\nSet `ami.nmae`, call `vm_create.bulid`.\n", encoding="utf-8")
    code, said = build_pages(tmp_path / "pages", tmp_path / "html", "-c", str(PROJECT / "docs"))
    assert code != 0 and "ami.nmae" in said and "vm_create.bulid" in said


def test_the_page_of_settings_has_every_setting_with_its_meaning(built):
    page = (built[2] / "reference/settings.html").read_text(encoding="utf-8")
    missing = [key for key in KEYS if f'id="confval-ami.{key}"' not in page]
    assert not missing
    words = " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert "number · default: 3" in words and "Archived generations that stay in the store" in words


def test_the_page_of_settings_marks_what_a_repository_may_set(monkeypatch):
    pytest.importorskip("sphinx")
    extension = runpy.run_path(str(PROJECT / "docs/_ext/vmimage_docs.py"))
    metadata = {"doc": "a path; default: /mnt", "repository_may_set": True, "shapes_image": False, "is_path": True}
    monkeypatch.setitem(KEYS, "root", SimpleNamespace(name="root", type=str, metadata=metadata))
    text = "\n".join(extension["settings_as_markdown"]())
    after = text.partition("ami.root\n")[2].split("````")[0]
    assert after.split("\n")[1] == "path · default: /mnt" and "A path." in after
    assert "A repository may set it" in after and "It does not change what is in the image." in after


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id"))
        self.links += [values[key] for key in ("href", "src") if values.get(key)]


def test_every_link_points_to_a_page_and_a_place_in_it(built):
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in built[2].rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            if not target.exists() or address.fragment and target in pages and unquote(address.fragment) not in pages[target].ids:
                broken.append(f"{path.relative_to(built[2])}: {link}")
    assert len(pages) > 20 and not broken


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_link_to_a_file_of_the_project_leads_there(path):
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"<([^<>\s]+)>`__?", text) if path.suffix == ".rst" else re.findall(r"(?<=\w)\]\(([^)\s]+)\)", text)
    links = [link.partition("#")[0] for link in found if not urlsplit(link).scheme and not link.startswith("#")]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_file_that_a_page_names_is_there():
    wrong = [f"{where}: {text}" for where, text in inline_codes() if FILE.fullmatch(text) and not (PROJECT / text).exists()]
    assert not wrong


def test_the_readme_is_short_and_has_every_page_of_the_guide():
    text = (PROJECT / "README.rst").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    guide = [path.name for path in (PROJECT / "docs/guide").glob("*.md") if path.name != "index.md"]
    assert [name for name in guide if f"<docs/guide/{name}>" not in text] == []


def test_the_readme_is_good_restructuredtext():
    core = pytest.importorskip("docutils.core")
    text = (PROJECT / "README.rst").read_text(encoding="utf-8")
    core.publish_doctree(text, settings_overrides={"report_level": 1, "halt_level": 1, "file_insertion_enabled": False})


def test_every_face_has_a_page():
    pages = {path.stem for path in (PROJECT / "docs/reference").glob("*.rst")}
    assert {path.stem for path in FACES} - INTERNAL == pages


def test_every_block_says_its_language_and_few_are_not_checked():
    found = all_blocks()
    odd = [str(block) for block in found if block.language not in ("bash", "yaml", "sls", "text")]
    assert not odd
    assert len([block for block in found if block.unchecked]) <= 3


def test_no_command_hides_in_a_block_of_text():
    hidden = r"^\s*(sudo |salt-call (?!--local test.ping +\d)|\./|\$ )"  # the table of the race names this command
    assert [
        str(block) for block in all_blocks() if block.language == "text" and re.search(hidden, block.text, re.MULTILINE)
    ] == []


def test_the_page_of_the_manifest_has_its_keys():
    tree = ast.parse((PROJECT / "_utils/vmimage/build/manifest.py").read_text(encoding="utf-8"))
    made = next(node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict))
    page = (PROJECT / "docs/reference/manifest.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [key.value for key in made.keys]

"""The report as people see it: in a real browser, in wide and narrow windows, light and dark, and on paper."""

import http.server
import json
import threading

import pytest
from browser import Browser
from records import begun
from vmimage.build import kept as files
from vmimage.build.record import BuildRecord, Timing
from vmimage.errors import VariationFailed
from vmimage.image.triplet import Triplet
from vmimage.report.page import make_page, write_report
from vmimage.root.workspace import Workspace
from waiting import wait_until

pytestmark = pytest.mark.needs("chromium")

LONG = "a-name-without-any-place-to-break-it-" * 12


def state(name, result=True, **more):
    facts = {"id": name, "state": "file.managed", "name": f"/etc/{name}", "sls": "web", "changed": True, "duration_ms": 700}
    return {**facts, "result": result, "comment": f"File /etc/{name} updated", **more}


def of_a_build(**more):
    digests = {
        role: {"path": f"{role}.img", "bytes": 300 << 20, "sha256": "5" * 64} for role in ("root_image", "kernel", "ramdisk")
    }
    return {
        "name": "web",
        "build": "b" * 32,
        "created": "2024-05-01T10:20:30Z",
        "files": digests,
        "file_system": {"label": "root", "uuid": "u", "content_bytes": 290 << 20, "inodes": 4321},
        "base": {"reference": "debian bookworm amd64", "digest": f"sha256:{'1' * 64}", "verified": "apt's own signatures"},
        "variation": {"reference": f"/srv/{LONG}", "digest": f"sha256:{'2' * 64}", "id": "web", "revision": "r42"},
        "packages": {"bash": "5.2", **{f"package{place}": f"1.{place}" for place in range(60)}},
        "changes": {"added": {f"package{place}": f"1.{place}" for place in range(60)}, "removed": {}, "changed": {}},
        "states": [*(state(f"state {place}") for place in range(50)), state(LONG)],
        "steps": [{"step": "base", "seconds": 1.0}, {"step": "variation", "seconds": 40.0}, {"step": "pack", "seconds": 3.5}],
        "settings": {"name": "web", "properties": {"hw": LONG}},
        "versions": {"salt": "3008"},
        **more,
    }


def contents():
    packages = {"bash": 7 << 20, **{f"package{place}": (place + 1) << 17 for place in range(60)}}
    parts = [[name, size, []] for name, size in packages.items()]
    total = sum(packages.values()) + (20 << 20)
    tree = ["/", total, [["usr", total - (20 << 20), parts], [LONG, 20 << 20, []]]]
    return {"blocks": total >> 12, "inodes": 4321, "directories": tree, "packages": packages, "unowned": {f"/{LONG}": 20 << 20}}


def kept():
    log = "".join(f"Setting up package{place} (1.{place}) ...\n" for place in range(300)) + f"E: no {LONG}\n"
    return {"contents": contents(), "base_bytes": 100 << 20, "previous": of_a_build(build="a" * 32, packages={}), "log": log}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Browser(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


@pytest.fixture
def page(tmp_path):
    """A maker of pages from what is found on disk, as vm_create.report does."""

    def make(name="web", failed=None, **more):
        triplet, workspace = Triplet(tmp_path / "out", name), Workspace(tmp_path / "ws", name)
        triplet.directory.mkdir(exist_ok=True)
        triplet.manifest_path.write_text(json.dumps(of_a_build(name=name, **more)), encoding="utf-8")
        files.keep(files.kept_path(triplet), {**kept(), "build": "b" * 32})
        if failed:
            workspace.make()
            workspace.log.write_text(kept()["log"], encoding="utf-8")
            record = BuildRecord(begun=begun(name, "c" * 32), timings=(Timing("base", 1.0, 0.0),))
            files.keep(files.failed_path(workspace), files.failed_data(record, failed))
        return write_report(triplet, workspace)

    return make


@pytest.fixture
def failure():
    error = VariationFailed("the variation web failed: 1 of 2 states")
    error.states = [state("motd"), state("the schema is loaded", False, comment=f"psql: no server {LONG}", stderr=LONG)]
    return error


@pytest.fixture
def server():
    """A server on the loopback; what it was asked for."""
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def visible_text(browser):
    """What stands on the screen; what is folded is not in it."""
    return " ".join(browser.value("document.body.innerText").split())


WIDTHS = pytest.mark.parametrize("width", [400, 1400])


@WIDTHS
def test_what_a_user_wants_to_know_first_is_on_the_screen(browser, page, width):
    browser.open(page(), width)
    seen = visible_text(browser)
    for fact in (
        "web built",
        "2024-05-01 10:20:30 UTC",
        "300.0 MiB",
        "debian bookworm amd64",
        "r42",
        "Salt starts",
        "state 0",
        "variation",
    ):
        assert fact in seen
    for title in ("Time", "What is in the image", "What changed", "Log", "Settings and versions"):
        assert title in browser.value("[...document.querySelectorAll('h2')].map(item => item.innerText)")
    assert browser.complaints() == []


@WIDTHS
@pytest.mark.parametrize("folded", [True, False])
def test_nothing_is_wider_than_the_window(browser, page, failure, width, folded):
    for path in (page(), page("bad", failed=failure)):
        browser.open(path, width)
        browser.value(f"document.querySelectorAll('details').forEach(item => item.open = {'false' if folded else 'true'})")
        assert browser.value("document.documentElement.scrollWidth") == width
        beyond = """[...document.querySelectorAll("main *")].filter(item => item.getBoundingClientRect().right > innerWidth + 1
            && !item.closest(".wide-table, svg")).map(item => item.outerHTML.slice(0, 80))"""
        assert browser.value(beyond) == []


@WIDTHS
def test_failures_stand_on_top(browser, page, failure, width):
    browser.open(page(failed=failure), width)
    places = browser.value("[...document.querySelectorAll('section')].map(item => [item.id, item.getBoundingClientRect().top])")
    assert places[0][0] == "failures" and places[0][1] < 700 and places == sorted(places, key=lambda place: place[1])
    seen = visible_text(browser)
    assert "This build failed the schema is loaded" in seen and "psql: no server" in seen
    assert browser.complaints() == []


@WIDTHS
def test_the_treemap_that_fits_the_window_fills_it_and_its_tiles_stay_inside(browser, page, width):
    browser.open(page(), width)
    frames = """[...document.querySelectorAll(".treemap")].map(item => item.getBoundingClientRect()).filter(item => item.width)"""
    assert len(browser.value(f"{frames}.map(item => item.width)")) == 2  # by package, by directory
    narrow = browser.value("[...document.querySelectorAll('.treemap.narrow')].filter(item => item.clientWidth).length")
    assert narrow == (2 if width == 400 else 0)
    outside = """[...document.querySelectorAll(".treemap")].flatMap(frame => { const f = frame.getBoundingClientRect();
        return [...frame.querySelectorAll(".tile > rect")].map(item => item.getBoundingClientRect()).filter(item =>
            item.left < f.left - 2 || item.right > f.right + 2 || item.top < f.top - 2 || item.bottom > f.bottom + 2) }).length"""
    assert browser.value(outside) == 0
    largest = """[...document.querySelectorAll(".treemap")].filter(item => item.clientWidth).map(frame => Math.max(...[...frame
        .querySelectorAll(".tile:not(.group) > rect")].map(item => item.getBoundingClientRect())
        .map(box => box.width * box.height)))"""
    assert min(browser.value(largest)) > 3000  # pixels


def test_bars_are_as_long_as_the_steps_took(browser, page):
    browser.open(page())
    widths = browser.value(
        "[...document.querySelectorAll('.step')].map(item => item.querySelector('svg rect').getBoundingClientRect().width)"
    )
    assert widths[1] == pytest.approx(40 * widths[0], rel=0.02) and widths[2] == pytest.approx(3.5 * widths[0], rel=0.02)


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(browser, page, failure, colours):
    browser.open(page(failed=failure), colours=colours)
    paper, ink = browser.value(
        "['--paper', '--ink'].map(item => getComputedStyle(document.documentElement).getPropertyValue(item).trim())"
    )
    background = browser.value("getComputedStyle(document.documentElement).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (colours == "light")
    assert contrast(paper, ink) > 10
    names = [(f"--on-{kind}", f"--{kind}") for kind in ("base", "added", "unowned")]
    names += [("--on-depth", f"--depth{depth}") for depth in range(5)] + [("--bad", "--bad-paper"), ("--soft", "--panel")]
    get = f"{json.dumps(names)}.map(pair => pair.map(x => getComputedStyle(document.documentElement).getPropertyValue(x).trim()))"
    for (name, _), (front, back) in zip(names, browser.value(get), strict=True):
        assert contrast(front, back) >= 4.5, name


def contrast(first, second):
    """The contrast of two colours as WCAG computes it."""

    def luminance(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
        parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def attack(address):
    return (
        f"</pre></title></style></svg><script>fetch('{address}/script')</script><img src='{address}/image' onerror=\"fetch('{address}/on')\">"
        f"<link rel=stylesheet href={address}/style><style>@import '{address}/import';</style><iframe src={address}/frame></iframe>"
    )


def test_what_a_state_or_program_says_runs_nothing_and_asks_nobody(browser, page, server, failure):
    address, asked = server
    failure.states[1] |= {"comment": attack(address), "stdout": attack(address), "id": attack(address)}
    path = page(failed=failure, revision=attack(address))
    browser.open(path)
    assert "<script>fetch(" in visible_text(browser)
    assert browser.requests() == [path.as_uri()] and asked == [] and browser.complaints() == []
    assert browser.value("document.querySelectorAll('script, img, link, iframe').length") == 0


def test_even_markup_that_came_through_could_ask_nobody(browser, tmp_path, server):
    address, asked = server
    text = make_page({"outcome": "done", "manifest": of_a_build(), "kept": {}})
    (tmp_path / "page.html").write_text(text.replace("</main>", f"{attack(address)}</main>"))
    browser.open(tmp_path / "page.html")
    assert asked == [] and any("Content Security Policy" in json.dumps(complaint) for complaint in browser.complaints())
    (tmp_path / "open.html").write_text(attack(address))  # without our policy: the attack is real, and the server hears it
    browser.open(tmp_path / "open.html")
    wait_until(lambda: {"/script", "/image", "/style", "/frame"} <= set(asked))


def test_on_paper_the_whole_page_is_there(browser, page):
    browser.open(page(), colours="dark")
    browser.ask("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "light"}])
    assert browser.value("getComputedStyle(document.querySelector('nav')).display") == "none"
    browser.ask("Emulation.setEmulatedMedia", media="")
    assert browser.pages_on_paper().startswith(b"%PDF")


def test_each_line_that_tells_of_a_failure_is_a_link_into_the_log(browser, page):
    browser.open(page())
    browser.value("document.querySelector('#log li a').click()")
    assert browser.value("document.querySelector(':target').innerText").startswith("E: no a-name")
    browser.picture(page().with_name("page.png"))

"""The pages as people see them: in wide and narrow windows, light and dark."""

import pytest
from browser import Browser

pytestmark = pytest.mark.needs("chromium")

PAGES = ["index", "guide/first-build", "reference/settings", "reference/vm_create", "reference/errors", "explanation/safety"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.mark.parametrize(("width", "colours"), [(1500, "light"), (1320, "dark"), (400, "light")])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_its_window_and_asks_nobody(browser, built, page, width, colours):
    browser.open(built[2] / f"{page}.html", width=width, colours=colours)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.querySelector('article').innerText.length") > 500
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("file:", "data:"))] == []


def test_the_tables_of_a_page_need_no_scrolling(browser, built):
    browser.open(built[2] / "explanation/safety.html", width=1500)
    assert browser.value("[...document.querySelectorAll('.table-wrapper')].every(e => e.scrollWidth <= e.clientWidth + 1)")

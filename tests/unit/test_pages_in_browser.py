"""report.html in a real browser: Debian's Chromium without a screen, driven by Selenium."""

import shutil

import pytest
from test_reports_records import make_record
from test_sweep_page import make_sweep

from neurosim.reports.publish import publish_run, publish_sweep

# The last ones keep the browser from looking for a network that it does not need.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PAGES = ("run", "many_cores", "sweep")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver here; on Debian: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """Address of each page, drawn once."""
    folders = {name: tmp_path_factory.mktemp(name) for name in PAGES}
    publish_run(make_record(), folders["run"], formats=())
    publish_run(make_record(n_cores=152, priced="all"), folders["many_cores"], formats=())
    publish_sweep(make_sweep(), folders["sweep"], formats=())
    return {name: (folder / "report.html").as_uri() for name, folder in folders.items()}


@pytest.fixture
def show(browser, addresses):
    """Call ``show(page, width=..., scheme=..., media=...)``: opens a page and returns the browser."""

    def go(page, width=1280, scheme="light", media="screen"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(addresses[page])
        return browser

    return go


def column(browser, caption, title):
    """Texts of one column of a table, from the top."""
    return browser.execute_script(
        """
        const table = [...document.querySelectorAll("table")].find((t) => t.caption.textContent.startsWith(arguments[0]));
        const heads = [...table.tHead.rows[0].cells];
        const i = heads.findIndex((head) => head.textContent === arguments[1]);
        return [...table.tBodies[0].rows].map((row) => row.cells[i].textContent);
        """,
        caption,
        title,
    )


def head(browser, caption, title):
    """Header cell of a column and its button."""
    from selenium.webdriver.common.by import By

    path = f"//table[starts-with(caption, '{caption}')]//th[.='{title}']"
    return browser.find_element(By.XPATH, path), browser.find_element(By.XPATH, f"{path}/button")


@pytest.mark.parametrize("page", PAGES)
def test_opens_without_a_word_in_the_console_and_without_a_request(show, page):
    browser = show(page)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    sizes = browser.execute_script("return [...document.querySelectorAll('svg')].map((s) => s.getBoundingClientRect().width)")
    assert len(sizes) == (5 if page == "sweep" else 8) and min(sizes) > 400


@pytest.mark.parametrize("width", [320, 400, 768, 1280])
@pytest.mark.parametrize("page", PAGES)
def test_no_page_scrolls_sideways(show, page, width):
    browser = show(page, width)
    browser.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    if width == 400:  # the wide parts scroll inside their own boxes, which the keyboard reaches
        inner = "return [...document.querySelectorAll('.scroll, .drawing')].filter((b) => b.scrollWidth > b.clientWidth && b.tabIndex === 0).length"
        assert browser.execute_script(inner) > 3
        cut = "return [...document.querySelectorAll('.drawing')].filter((b) => b.scrollWidth > b.clientWidth).length"
        assert browser.execute_script(cut) == 0  # legends and right ends of figures are seen without


@pytest.mark.parametrize("page", PAGES)
def test_the_answer_is_in_the_first_screen(show, page):
    browser = show(page, 400)
    bottom = browser.execute_script("return document.querySelector('.verdict').getBoundingClientRect().bottom")
    assert 0 < bottom < 800


def test_a_click_sorts_numbers_as_numbers(show):
    browser = show("many_cores")
    caption, title = "Memory of each core", "used"
    before = column(browser, caption, title)
    cell, button = head(browser, caption, title)
    assert cell.get_attribute("aria-sort") is None
    button.click()
    values = [int(text.replace(",", "")) for text in column(browser, caption, title)]
    assert cell.get_attribute("aria-sort") == "descending" and values == sorted(values, reverse=True)
    button.click()
    values = [int(text.replace(",", "")) for text in column(browser, caption, title)]
    assert cell.get_attribute("aria-sort") == "ascending" and values == sorted(values)
    assert before != column(browser, caption, title)
    other, second = head(browser, caption, "core")
    second.click()
    assert cell.get_attribute("aria-sort") is None and other.get_attribute("aria-sort") == "descending"
    assert column(browser, caption, "core") == [str(n) for n in reversed(range(152))]


def test_the_keyboard_sorts_and_what_is_unknown_comes_last(show):
    from selenium.webdriver.common.keys import Keys

    browser = show("sweep")
    caption, title = "Every point", "test accuracy"
    cell, button = head(browser, caption, title)
    for key, direction in ((Keys.ENTER, "descending"), (Keys.SPACE, "ascending")):
        button.send_keys(key)
        assert cell.get_attribute("aria-sort") == direction
        found = column(browser, caption, title)
        known = [float(text.split()[0]) for text in found if text]
        assert "" in found and found[: len(known)] == [text for text in found if text]
        assert known == sorted(known, reverse=direction == "descending")


def test_totals_stay_below(show):
    browser = show("many_cores")
    head(browser, "Energy by phase", "whole run")[1].click()
    assert column(browser, "Energy by phase", "phase")[-1] == "all"


def luminance(color):
    """Relative luminance of ``rgb(r, g, b)``."""
    parts = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["run", "sweep"])
def test_text_and_figures_are_readable_in_both_schemes(show, page, scheme):
    browser = show(page, scheme=scheme)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(paper) > 0.5) == (scheme == "light")
    for selector in ("body", ".kind", ".tiles dt", ".bound", "caption", "th button", "nav a"):
        color = browser.execute_script("return getComputedStyle(document.querySelector(arguments[0])).color", selector)
        assert contrast(color, paper) >= 4.5, selector
    # Glyphs of titles, axes and legends are `use` elements below groups that set their colour.
    inks = browser.execute_script(
        "return [...new Set([...document.querySelectorAll('#figure-%s svg [id*=legend] use')].map((u) => getComputedStyle(u).fill))]"
        % ("training" if page == "run" else "accuracy_synapses")
    )
    assert inks and max(contrast(ink, paper) for ink in inks if ink.startswith("rgb")) >= 4.5


def test_paper_shows_everything(show):
    browser = show("many_cores", media="print")
    hidden = "return [...document.querySelectorAll('.scroll')].filter((b) => b.scrollHeight > b.clientHeight + 1).length"
    assert browser.execute_script(hidden) == 0
    assert browser.execute_script("return getComputedStyle(document.querySelector('nav')).display") == "none"

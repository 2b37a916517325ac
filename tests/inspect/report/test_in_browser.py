"""The page in a real browser: nothing in the console, nothing from elsewhere, and readable on a phone."""

from itertools import pairwise
from pathlib import Path

import pytest

from lightlab.inspect.report import render_html

# One browser for all that look at pages.
pytestmark = pytest.mark.xdist_group("browser")

DESK, PHONE = {"width": 1200, "height": 900}, {"width": 375, "height": 800}
SECTIONS = ["Metrics", "Curves", "Validation", "Test", "Layers", "Data", "Config", "Environment", "Checkpoint"]


@pytest.fixture
def open_page(browser):
    """Return a function that opens a report; whatever is said in the console, or asked for, fails the test."""
    faults = []

    def look(run, viewport=DESK):
        file = Path("report.html").resolve()
        file.write_text(render_html(run), encoding="utf-8")
        page = browser.new_page(viewport=viewport, is_mobile=viewport is PHONE)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.on("request", lambda request: faults.append(request.url) if request.url.startswith("http") else None)
        page.goto(file.as_uri())
        return page

    yield look
    assert faults == []


@pytest.mark.parametrize("options", [{}, {"images": True}, {"classes": (), "targets": ("price", "rent")}])
def test_readable_on_a_phone(options, make_run, open_page):
    """The page is no wider than a phone, in spite of wide tables; all sections are there, in order."""
    page = open_page(make_run(**options), PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    headings = page.locator("h2").all_inner_texts()
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS


def test_names_that_would_do_harm(make_run, harmful, open_page):
    """Classes, columns and a run that are named like scripts are shown as they are written, and nothing runs."""
    run = make_run(name="<img src=x onerror=alert(1)>", classes=harmful, targets=("<script>alert(2)<",))
    page = open_page(run)
    assert page.title() == "<img src=x onerror=alert(1)>/version_0: report"
    assert page.locator("script, header img").count() == 0
    assert page.locator("#val .scroll", has_text=harmful[0]).count() > 0
    assert page.locator("svg text", has_text="<script>alert…").count() > 0
    assert page.locator("svg text", has_text="$\\frac{$ __in…").count() > 0


def test_everything_has_a_name(make_run, open_page):
    """Charts say in words what they show, tables name rows and columns, headings skip no level, ids are unique."""
    page = open_page(make_run(images=True))
    charts = page.locator("figure [role=img]")
    assert charts.count() == page.locator("svg").count() == 17
    assert all(chart.get_attribute("aria-label") for chart in charts.all())
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("th:not([scope])").count() == 0
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(each => +each.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(ids) == len(set(ids))
    broken = page.evaluate("[...document.querySelectorAll('img')].filter(each => !each.naturalWidth).length")
    assert broken == 0


def test_links_lead_to_sections(make_run, open_page):
    """Every link is one within the page, to a place that is there."""
    page = open_page(make_run())
    targets = [link.get_attribute("href") for link in page.locator("a").all()]
    assert len(targets) > 8
    assert all(page.locator(target).count() == 1 for target in targets)

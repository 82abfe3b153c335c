"""The page in a real browser: nothing runs, nothing is asked for, nothing sticks out, in light and dark, on a phone."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hftrain.report import render_report
from hftrain.report.comparison import compared
from hftrain.report.comparison_page import comparison_page

pytestmark = pytest.mark.slow
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
PLANTED = """</style><script>window.ran = 1</script><img src=x onerror="window.ran = 2">"""
OUTSIDE = """() => [...document.querySelectorAll('svg text')].filter(text => {
  const inner = text.getBoundingClientRect(), outer = text.ownerSVGElement.getBoundingClientRect();
  return inner.width > 0 && (inner.right > outer.right + 2 || inner.left < outer.left - 2);
}).map(text => text.textContent)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not here")
    if CHROMIUM is None:
        pytest.skip("no Chromium is here")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(browser: Any, path: Path, *, width: int, scheme: str) -> tuple[Any, list[str]]:
    """The page, all of it unfolded, and what it asked for or complained of."""
    said: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file://") else None)
    page.on("pageerror", lambda problem: said.append(str(problem)))
    page.goto(path.as_uri())
    page.evaluate("() => document.querySelectorAll('details').forEach(each => { each.open = true; })")
    return page, said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_of_a_run_fits_and_asks_for_nothing(life: Any, browser: Any, width: int, scheme: str) -> None:
    page, said = opened(browser, render_report(life("tiny")), width=width, scheme=scheme)

    assert said == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) > 382) == (scheme == "light")


@pytest.mark.parametrize("width", [1200, 390])
def test_what_is_planted_in_a_run_does_not_run(life: Any, browser: Any, width: int) -> None:
    page, said = opened(browser, render_report(life("tiny", planted=PLANTED)), width=width, scheme="light")

    assert page.evaluate("() => window.ran") is None and said == []
    assert page.evaluate("() => document.images.length + document.scripts.length") == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_of_two_runs_fits_and_asks_for_nothing(life: Any, browser: Any, tmp_path: Path, width: int) -> None:
    path = tmp_path / "both.html"
    path.write_text(comparison_page(compared(life("first"), life("second", planted=PLANTED))), encoding="utf-8")

    page, said = opened(browser, path, width=width, scheme="dark")

    assert said == [] and page.evaluate("() => window.ran") is None
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []

"""The page for whoever has no mouse, a dark room, or bad intentions."""

from pathlib import Path
from typing import Any

import pytest

from hftrain.serving.interactions import InteractionStore

EVIL = (
    "<script>document.title='hit'</script><img src=x onerror=\"document.title='hit'\"><svg onload=document.title='hit'>"
    "[a link](javascript:document.title='hit') ![picture](https://evil.example/x.png) </textarea></select></option>"
    "<a href='https://evil.example'>here</a> &lt;b&gt; {{7*7}} `code` \u202e\u2028"
)


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def go_to(page: Any, name: str, most: int = 40) -> None:
    """Tab until something of this name has the focus, as a person without a mouse does."""
    named = "(e => e.getAttribute('aria-label') || e.innerText || '')(document.activeElement)"
    for _ in range(most):
        if page.evaluate(named).strip() == name:
            return
        page.keyboard.press("Shift+Tab")
    raise AssertionError(f"{name} is not reached by Tab; at {page.evaluate(named)!r}")


def kept_in(page: Any) -> tuple[list[Any], list[Any]]:
    store = page.kept()
    found = list(store.interactions()), list(store.feedback())
    store.close()
    return found


def test_all_of_it_is_done_by_keyboard_alone(page: Any) -> None:
    page.keyboard.type("first")  # the message box has the focus from the start
    press(page, "Enter")
    page.wait_for_selector(".assistant .tools")
    go_to(page, "Bad answer")
    press(page, "Enter")
    page.keyboard.type("Too short.")
    press(page, "Enter")
    page.wait_for_selector(".saved:has-text('Saved')")
    go_to(page, "Write a better answer")
    press(page, "Space", "Control+A")
    page.keyboard.type("Better.")
    press(page, "Enter")
    page.wait_for_selector(".corrected")
    go_to(page, "Another answer")
    press(page, "Enter")
    page.wait_for_selector(".step:has-text('2 / 2')")
    go_to(page, "Edit")
    press(page, "Enter", "Control+A")
    page.keyboard.type("second")
    press(page, "Enter")
    page.wait_for_selector(".text:text-is('left: second (1, second)')")
    go_to(page, "Compare")
    press(page, "Enter", "/")
    page.keyboard.type("third")
    press(page, "Enter")
    page.wait_for_selector(".vote")
    go_to(page, "Both are good")
    press(page, "Enter")
    page.wait_for_selector(".who:has-text('no preference')")
    page.wait_for_selector(".saved:has-text('Saved')")
    _, told = kept_in(page)
    assert [(each.thumb, each.comment, each.correction, each.preferred) for each in told] == [
        (-1, "", "", None), (None, "Too short.", "", None), (None, "", "Better.", None), (None, "", "", "both")
    ]  # fmt: skip


def luminance(colour: str) -> float:
    parts = [float(each) / 255 for each in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_by_light_and_in_the_dark(browser: Any, open_server: Any, parrot: Any, scheme: str) -> None:
    """Source: WCAG 2.2, 1.4.3, contrast of at least 4.5."""
    with open_server({"left": parrot("left"), "right": parrot("right")}) as url:
        context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(url)
        page.fill("#say", "hello")
        press(page, "Enter")
        page.wait_for_selector(".assistant .tools")
        papers = "e => { while (getComputedStyle(e).backgroundColor === 'rgba(0, 0, 0, 0)') e = e.parentElement; "
        for text in (".user .text", ".assistant .text", ".who b", ".who span", "#kept", ".keys", "#compare", "#model"):
            place = page.locator(text).first
            ink = luminance(place.evaluate("e => getComputedStyle(e).color"))
            paper = luminance(place.evaluate(papers + "return getComputedStyle(e).backgroundColor }"))
            assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5, text
        assert (luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.2) == (scheme == "dark")
        page.click("#theme")
        page.reload()
        assert (luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.2) == (scheme != "dark")
        context.close()


def test_whatever_people_and_models_write_and_are_called_does_nothing(
    browser: Any, open_server: Any, parrot: Any, tmp_path: Path
) -> None:
    store = InteractionStore(f"sqlite:///{tmp_path / 'kept.sqlite3'}")
    with open_server({EVIL: parrot(EVIL), "right": parrot("right")}, store=store) as url:
        context = browser.new_context()
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append(dialog.message))
        page.goto(url)
        page.fill("#say", EVIL)
        press(page, "Enter")
        page.click('[aria-label="Bad answer"]')
        page.fill(".panel textarea", EVIL)
        press(page, "Enter")
        page.click('[aria-label="Write a better answer"]')
        page.fill(".panel textarea", EVIL)
        press(page, "Enter")
        page.wait_for_selector(".corrected .text")
        page.click("#settings")
        page.fill("#system", EVIL)
        press(page, "Escape")
        page.click("#probe")
        page.reload()
        assert page.locator(".user .text").inner_text().startswith("<script>")
        assert page.locator(".corrected .text").inner_text().startswith("<script>")
        assert page.locator("#model option").first.inner_text().startswith("<script>")
        assert page.title() == "hftrain chat"
        assert page.locator("#log img, #log a, #log script, #log svg:not([aria-hidden]), #side a").count() == 0
        assert [each for each in asked if not each.startswith((url, "data:"))] == []
        context.close()


def test_an_answer_on_its_way_is_stopped_by_the_button_and_a_full_server_says_when_to_come_back(
    browser: Any, open_server: Any, parrot: Any
) -> None:
    engine = parrot("left")
    engine.at_once = 1
    with open_server({"left": engine}, queue=0) as url:
        first, second = browser.new_page(), browser.new_page()
        for page in (first, second):
            page.goto(url)
        first.fill("#say", "slow")
        press(first, "Enter")
        first.wait_for_selector(".busy .text:has-text('on on')")
        second.fill("#say", "me too")
        press(second, "Enter")
        second.wait_for_selector(".problem button:has-text('Try again in')")
        first.click('[aria-label="Stop"]')
        first.wait_for_selector(".cut:has-text('Stopped')")
        second.wait_for_selector(".problem button:text-is('Try again')", timeout=20_000)
        second.click(".problem button")
        second.wait_for_selector(".text:text-is('left: me too (1, me too)')")
        first.close()
        second.close()

"""The ranking page in a real browser: what raters do there is stored once, whatever happens to the server."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hftrain.serving.ranking_items import read_items
from hftrain.serving.ranking_store import RankingStore, Record, database_url, standing

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LETTERS = "ABCDEFGHI"
PLANTED = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><b>bold</b>"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium of the system."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """``visit(url, name)``: a page of a new browser profile, its rater entered."""
    contexts = []

    def open_page(url: str, name: str, **screen: Any) -> Any:
        contexts.append(browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | screen)))
        page = contexts[-1].new_page()
        page.goto(url)
        page.fill("#name", name)
        page.keyboard.press("Enter")
        page.wait_for_selector("#desk:not([hidden])")
        return page

    yield open_page
    for each in contexts:
        each.close()


class Rater:
    """Drives one page, and keeps a record of its own of what was decided there."""

    def __init__(self, page: Any, name: str) -> None:
        self.page, self.name = page, name
        self.decided: dict[str, tuple[str, dict[str, int] | None, str]] = {}
        """Prompt -> kind, rank of each answer, comment."""
        self.sent = 0
        """Choices and undos made."""

    def shown(self) -> tuple[str, list[str]]:
        return self.page.evaluate(
            "[document.querySelector('.turn.last .text').textContent,"
            " [...document.querySelectorAll('.answer .text')].map((each) => each.textContent)]"
        )

    def rank(self, places: list[int], *, by: str, comment: str = "") -> None:
        """Give the answers these places, in the order in which they are shown, and store."""
        prompt, answers = self.shown()
        {"letters": self._by_letters, "mouse": self._by_mouse, "numbers": self._by_numbers}[by](places)
        self._comment(comment)
        self.page.keyboard.press("Enter")
        ranks = [1 + sum(other < place for other in places) for place in places]
        self._went(prompt, "ranked", dict(zip(answers, ranks, strict=True)), comment)

    def press(self, key: str, kind: str, comment: str = "") -> None:
        """Decide by one key."""
        prompt, _ = self.shown()
        self._comment(comment)
        self.page.keyboard.press(key)
        self._went(prompt, kind, None, comment)

    def undo(self) -> None:
        before, _ = self.shown()
        self.page.keyboard.press("u")
        self.page.wait_for_function(
            "(before) => document.querySelector('.turn.last .text').textContent != before", arg=before
        )
        prompt, _ = self.shown()
        del self.decided[prompt]
        self.sent += 1

    def wait_until_saved(self) -> None:
        self.page.wait_for_selector("#saved[data-state=saved]", timeout=60_000)

    def _by_letters(self, places: list[int]) -> None:
        order = sorted(range(len(places)), key=lambda at: places[at])
        for before, at in zip([None, *order], order, strict=False):
            if before is not None and places[before] == places[at]:
                self.page.keyboard.press("=")
            self.page.keyboard.press(LETTERS[at].lower())

    def _by_numbers(self, places: list[int]) -> None:
        for at, place in enumerate(places):
            self.page.click(f".answer[data-answer='{at}'] input[value='{place}']")

    def _by_mouse(self, places: list[int]) -> None:
        mouse = self.page.mouse
        for at, place in enumerate(places):
            start = self.page.locator(f".answer[data-answer='{at}'] .grip").bounding_box()
            end = self.page.locator(f".slot[data-place='{place}']").bounding_box()
            mouse.move(start["x"] + 60, start["y"] + 20)
            mouse.down()
            mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=3)
            mouse.up()

    def _comment(self, comment: str) -> None:
        if comment:
            self.page.keyboard.press("/")
            self.page.keyboard.type(comment)
            self.page.keyboard.press("Escape")

    def _went(self, prompt: str, kind: str, ranks: dict[str, int] | None, comment: str) -> None:
        self.decided[prompt] = (kind, ranks, comment)
        self.sent += 1
        self.page.wait_for_function(
            "(before) => document.getElementById('desk').hidden"
            " || document.querySelector('.turn.last .text').textContent != before",
            arg=prompt,
        )


def stored(run: Path, answers: Path, database: str | None = None) -> tuple[list[Record], dict[str, dict[str, Any]]]:
    """The log, and what stands: rater -> prompt -> kind, ranks, comment, in the shape of a rater's own record."""
    store = RankingStore(database_url(run, database))
    records = store.records()
    store.close()
    items = {item.key: item for item in read_items(answers).items}
    stands: dict[str, dict[str, Any]] = {}
    for record in standing(records).values():
        item = items[record.item]
        ranks = None if record.ranking is None else dict(zip(item.answers, record.ranking, strict=True))
        stands.setdefault(record.rater, {})[item.prompt[-1]["content"]] = (record.kind, ranks, record.comment)
    return records, stands


def decide(rater: Rater, step: int) -> None:
    """One prompt, in one of the ways that a person has."""
    _, answers = rater.shown()
    by_quality = [4 - int(text.split("quality ")[1][0]) for text in answers]
    if step % 10 == 3:
        rater.press("0", "all_bad", comment=f"none of {step}")
    elif step % 10 == 6:
        rater.press("s", "skip")
    elif step % 10 == 7:
        rater.rank([1, 1, 2, 2], by="letters")
        rater.undo()
        rater.rank([min(place, 3) for place in by_quality], by="numbers", comment=f"“{step}” 'ties' <b>")
    else:
        rater.rank(by_quality, by="mouse" if step % 10 == 5 else "letters")


def test_three_raters_and_two_kills_lose_and_double_nothing(
    tmp_path: Path, answers_file: Callable[..., Path], server: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    answers, run = answers_file(50, 4), tmp_path / "run"
    served = server(run, answers)
    url = served.start()
    raters = [Rater(visit(url, name), name) for name in ("Ann", "Ben", "Jürgen 3")]
    posted: list[Any] = []

    def lose_answers(route: Any) -> None:
        """The server stores what was sent, but the page never hears of it; it sends again."""
        posted.append(route)
        if len(posted) % 3 == 2:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    raters[1].page.route("**/api/choices", lose_answers)
    for step in range(50):
        for rater in raters:
            if (step, rater.name) in ((14, "Ben"), (33, "Ann")):
                if rater.name == "Ben":
                    rater.page.unroute("**/api/choices")
                served.kill()
            decide(rater, step)
        if step in (16, 36):
            assert raters[0].page.text_content("#saved-text") != "All saved"
            served.start()
    for rater in raters:
        rater.page.wait_for_selector("#end:not([hidden])", timeout=60_000)
        rater.wait_until_saved()

    records, stands = stored(run, answers)
    assert len(posted) > 10
    assert len(records) == len({record.choice_id for record in records}) == sum(rater.sent for rater in raters)
    assert stands == {rater.name: rater.decided for rater in raters}
    assert all(len(rater.decided) == 50 for rater in raters)
    assert "45 of 50 prompts are decided" in raters[0].page.inner_text("#end")


def test_the_whole_page_works_by_keyboard(
    tmp_path: Path, answers_file: Callable[..., Path], server: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    answers, run = answers_file(6, 3), tmp_path / "run"
    page = visit(server(run, answers).start(), "Ann")
    rater = Rater(page, "Ann")

    seen = []
    for _ in range(14):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(() => { const at = document.activeElement;"
                " const style = getComputedStyle(at.type === 'radio' ? at.nextElementSibling : at);"
                " return [at.id || at.name || '', style.outlineStyle, parseFloat(style.outlineWidth)]; })()"
            )
        )
    names = list(dict.fromkeys(name for name, *_ in seen if name))
    assert [name for name in names if name.startswith("place-")] == ["place-0", "place-1", "place-2"]
    assert {"comment", "undo", "skip", "all-bad", "store"} <= set(names)
    assert all(style != "none" and width >= 2 for name, style, width in seen if name), seen

    # A place for each by Tab, digits and arrows; Enter stores.
    prompt, texts = rater.shown()
    page.focus("#answers")
    for key in ("Tab", "2", "Tab", "1", "Tab", "Space", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    rater._went(prompt, "ranked", dict(zip(texts, (2, 1, 3), strict=True)), "")
    assert page.get_attribute("#meter", "aria-valuenow") == "1"

    rater.press("0", "all_bad", comment="both wrong, s and u are letters here")
    rater.undo()
    assert page.input_value("#comment") == "both wrong, s and u are letters here"
    page.fill("#comment", "")
    page.focus("#answers")
    rater.rank([2, 1, 1], by="letters", comment="a tie")
    rater.press("s", "skip")
    page.keyboard.press("Enter")  # nothing is placed: nothing is stored
    page.keyboard.press("a")
    page.keyboard.press("Backspace")
    assert page.get_attribute("#store", "aria-disabled") == "true"
    rater.rank([1, 2, 3], by="letters")
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("s")  # a dialog takes the keys
    page.keyboard.press("Escape")
    rater.press("s", "skip")
    rater.rank([3, 2, 1], by="letters")
    page.wait_for_selector("#end:not([hidden])")
    rater.wait_until_saved()
    records, stands = stored(run, answers)
    assert stands == {"Ann": rater.decided}
    assert len(records) == rater.sent

    page.click("#again")  # the two that were skipped
    page.wait_for_selector("#desk:not([hidden])")
    rater.rank([1, 1, 1], by="letters")
    rater.rank([1, 2, 2], by="numbers")
    page.wait_for_selector("#end:not([hidden])")
    rater.wait_until_saved()
    assert stored(run, answers)[1] == {"Ann": rater.decided}
    assert "All done" in page.inner_text("#end")


def test_markup_in_prompts_and_answers_shows_as_text(
    tmp_path: Path, answers_file: Callable[..., Path], server: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    page = visit(server(tmp_path / "run", answers_file(2, 2, planted=PLANTED)).start(), "<i>Ann</i>")
    assert PLANTED in page.inner_text("#turns")
    assert page.inner_text("#answers").count(PLANTED) == 2
    assert page.locator("#desk script, #desk img, #desk b").count() == 0
    assert page.inner_text("#who-name") == "<i>Ann</i>"
    page.keyboard.press("s")
    page.click("#open-team")
    page.wait_for_selector("#team[open] .scores")
    assert "<i>Ann</i>" in page.inner_text("#team-body")
    assert "owned" not in page.title()


def test_a_phone_of_390_pixels_ranks_by_touch(
    tmp_path: Path, answers_file: Callable[..., Path], server: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    answers, run = answers_file(3, 4), tmp_path / "run"
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = visit(server(run, answers).start(), "Ann", **phone)
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]
    sizes = page.evaluate(
        "[...document.querySelectorAll('button, .ranks label, .grip')].filter((each) => each.offsetParent)"
        ".map((each) => [each.id || each.className, each.offsetWidth, each.offsetHeight])"
    )
    assert sizes and all(width >= 40 and height >= 40 for _, width, height in sizes), sizes

    prompt, texts = Rater(page, "Ann").shown()
    touch = page.context.new_cdp_session(page)
    for at, place in enumerate([4, 3, 2, 1]):
        page.locator(f".answer[data-answer='{at}']").scroll_into_view_if_needed()
        page.evaluate("(at) => document.querySelectorAll('.answer')[at].scrollIntoView({block: 'center'})", at)
        start = page.locator(f".answer[data-answer='{at}'] .grip").bounding_box()
        end = page.locator(f".slot[data-place='{place}']").bounding_box()
        points = [(start["x"] + 25, start["y"] + 25), (200, 500), (end["x"] + 20, end["y"] + 20)]
        for kind, (x, y) in zip(("touchStart", "touchMove", "touchMove"), points, strict=True):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        page.wait_for_timeout(300)  # a finger that flings, and Chromium holds back the tap after it
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x + 1, "y": y}]})
        page.wait_for_timeout(100)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.wait_for_selector(f".slot[data-place='{place}'].full")
    page.tap("#store")
    page.wait_for_selector("#saved[data-state=saved]")
    page.wait_for_function("() => document.getElementById('done').textContent == '1'")
    page.wait_for_selector("#saved[data-state=saved]")
    assert stored(run, answers)[1] == {"Ann": {prompt: ("ranked", dict(zip(texts, (4, 3, 2, 1), strict=True)), "")}}


def test_unsent_choices_survive_a_reload_and_undo_reaches_back_before_it(
    tmp_path: Path, answers_file: Callable[..., Path], server: Callable[..., Any], visit: Callable[..., Any]
) -> None:
    answers, run = answers_file(4, 2), tmp_path / "run"
    page = visit(server(run, answers).start(), "Ann")
    rater = Rater(page, "Ann")
    page.route("**/api/choices", lambda route: route.abort())
    rater.rank([1, 2], by="letters")
    rater.rank([2, 1], by="letters", comment="kept")
    assert stored(run, answers)[0] == []
    page.unroute("**/api/choices")
    page.reload()
    page.wait_for_selector("#desk:not([hidden])")
    rater.wait_until_saved()
    page.wait_for_function("() => document.getElementById('done').textContent == '2'")
    assert stored(run, answers)[1] == {"Ann": rater.decided}

    rater.undo()
    assert page.input_value("#comment") == "kept"
    assert page.locator(".answer.placed").count() == 2
    rater.wait_until_saved()
    records, stands = stored(run, answers)
    assert (len(records), stands) == (3, {"Ann": rater.decided})

"""The page in a real browser: what a person does with it, and that no text of theirs does anything."""

import re
from pathlib import Path
from typing import Any

import pytest

from hftrain.serving.chat_page import chat_page
from hftrain.serving.engine_torch import TorchEngine
from hftrain.serving.guarding import inline_json, page_policy

EVIL = "<img src=x onerror=document.title='hit'></script><b>bold</b>"


def say(page: Any, text: str, answers: int = 1) -> None:
    page.fill("#say", text)
    page.keyboard.press("Enter")
    page.wait_for_selector('#send[aria-label="Send"]')
    if answers:
        page.wait_for_selector(".assistant .tools")


def texts(page: Any) -> list[str]:
    return page.locator(".text").all_inner_texts()


def test_a_conversation_streams_and_goes_on_and_its_texts_are_inert(page: Any) -> None:
    say(page, EVIL)
    say(page, "and now")
    assert texts(page) == [EVIL, f"left: {EVIL} (1, {EVIL[:20]})", "and now", f"left: and now (3, {EVIL[:20]})"]
    assert page.title() == "hftrain chat"
    assert page.locator("#log b:text-is('bold'), #log img").count() == 0
    page.reload()
    assert len(texts(page)) == 4


def test_an_answer_is_stopped_by_escape_and_its_place_is_free_again(page: Any) -> None:
    page.fill("#say", "slow")
    page.keyboard.press("Enter")
    page.wait_for_selector(".busy .text:has-text('on on')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".cut:has-text('Stopped')")
    say(page, "next")
    assert texts(page)[-1].startswith("left: next (3")


def test_an_edit_and_another_answer_keep_what_was_there(page: Any) -> None:
    say(page, "one")
    page.click('[aria-label="Edit"]')
    page.keyboard.press("Control+A")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    page.wait_for_selector(".text:text-is('left: two (1, two)')")
    page.click('[aria-label="Another answer"]')
    page.wait_for_selector(".step:has-text('2 / 2') >> nth=1")
    page.locator('[aria-label="Version before"]').first.click()
    assert texts(page) == ["one", "left: one (1, one)"]


def test_thumbs_comments_and_corrections_are_stored_and_the_correction_goes_on(page: Any) -> None:
    say(page, "one")
    page.click('[aria-label="Bad answer"]')
    page.keyboard.type("Too short. Write to bob@brown-family.net")
    page.keyboard.press("Enter")
    page.wait_for_selector(".saved:has-text('Saved')")
    page.click('[aria-label="Write a better answer"]')
    page.keyboard.press("Control+A")
    page.keyboard.type("Much better.")
    page.keyboard.press("Enter")
    page.wait_for_selector(".corrected")
    page.wait_for_selector(".saved:has-text('Saved')")
    say(page, "next")
    told = list(page.kept().feedback())
    assert [each.thumb for each in told if each.thumb] == [-1]
    assert [each.comment for each in told if each.comment] == ["Too short. Write to <EMAIL>"]
    assert [each.correction for each in told if each.correction] == ["Much better."]
    last = list(page.kept().interactions())[-1]
    assert [message["content"] for message in last.asked] == ["one", "Much better.", "next"]


def test_two_models_are_compared_blind_and_named_after_the_choice(page: Any) -> None:
    page.click("#compare")
    say(page, "one", answers=0)
    page.wait_for_selector(".vote")
    said = texts(page)[1:]
    shown = page.inner_text("#log").replace(said[0], "").replace(said[1], "")
    assert "left" not in shown
    assert "right" not in shown
    page.click('[data-vote="z"]')
    page.wait_for_selector(".who:has-text('you preferred it')")
    assert texts(page)[-1] == said[1]
    page.wait_for_selector(".saved:has-text('Saved')", state="attached") if page.locator(".saved").count() else None
    page.wait_for_timeout(300)
    (told,) = list(page.kept().feedback())
    answers = {each.id: each.answers[0] for each in page.kept().interactions()}
    assert (answers[told.interaction], answers[told.other], told.preferred) == (said[0], said[1], "other")


def test_my_data_is_deleted_on_the_server_and_here(page: Any) -> None:
    say(page, "one")
    page.click("#settings")
    page.click("#forget")
    page.wait_for_selector("#forgotten:has-text('Deleted: 1 rows')")
    page.keyboard.press("Escape")
    assert list(page.kept().interactions()) == []
    assert texts(page) == []
    page.click("#settings")
    page.check("#private")
    page.keyboard.press("Escape")
    say(page, "two")
    assert list(page.kept().interactions()) == []
    assert page.locator('[aria-label="Good answer"]').count() == 0


def test_the_probabilities_of_each_step_can_be_walked_through_by_keyboard(
    browser: Any, open_server: Any, speaking_run: Path
) -> None:
    with open_server({"policy": TorchEngine(speaking_run / "policy")}) as url:
        page = browser.new_page()
        page.goto(url)
        page.click("#probe")
        say(page, "Hello!", answers=0)
        page.wait_for_selector(".tokens .token")
        page.locator(".token").first.click()
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(".look h3:has-text('Step 2 of')")
        shares = [float(each.rstrip(" %").lstrip("< ")) for each in page.locator(".bar span").all_inner_texts()]
        assert sum(shares) == pytest.approx(100, abs=1.0)
        assert page.locator(".bar.drawn").count() == 1
        page.close()


def test_whoever_gives_the_key_once_can_talk(
    browser: Any, open_server: Any, parrot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hftrain.serving.guarding.WRONG_KEY_SECONDS", 0.001)
    with open_server({"left": parrot("left")}, key="a-key-of-many-characters") as url:
        page = browser.new_context().new_page()
        page.goto(url)
        for key in ("wrong", "a-key-of-many-characters"):
            page.wait_for_selector("h1:text-is('Sign in')")
            page.fill("input", key)
            page.click("button")
        say(page, "hello")
        assert texts(page)[-1] == "left: hello (1, hello)"
        assert "key" not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
        page.context.close()


def test_the_page_needs_nothing_from_elsewhere_and_its_policy_lets_in_only_its_own_parts() -> None:
    page = chat_page({"models": [{"id": EVIL}], "keeps": True, "days": 90})
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)|url\(|@import|https?://(?!www\.w3\.org)""", page)
    assert page.count("</script>") == page.count("<script>") == 1
    policy = page_policy(page)
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert inline_json("</script>\u2028") == '"\\u003c/script>\\u2028"'

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus.curation import (
    check_split,
    curated_conversations,
    curated_documents,
    first_request,
    write_split,
)
from hftrain.corpus.funnel import Funnel
from hftrain.corpus.heldout import is_held_out
from hftrain.corpus.records import document_id
from hftrain.corpus.rules import Rule
from hftrain.corpus.storage import DOCUMENT_FEATURES, read_rows
from hftrain.errors import DataError

RULES: list[Rule] = [("too_short", lambda text: f"{len(text)} chars" if len(text) < 5 else None)]


def documents(*texts: str) -> list[dict[str, Any]]:
    rest = {"source": "tales", "license": "MIT", "meta": "{}"}
    return [{"id": document_id(text), "text": text, **rest} for text in texts]


def talks(*said: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "id": document_id(asked + answer),
            "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}],
            "source": "talk",
            "license": "MIT",
            "meta": "{}",
        }
        for asked, answer in said
    ]


def curate_texts(*texts: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Kept id -> text, and the account."""
    funnel = Funnel()
    kept = curated_documents(documents(*texts), rules=RULES, scrubbed=["email"], funnel=funnel)
    return {key: row["text"] for key, row in kept}, funnel.as_json()


def test_a_document_is_repaired_compared_judged_and_scrubbed_in_this_order() -> None:
    kept, account = curate_texts("The cafe\u0301.", "THE  CAFÉ.", "\u200b", "No.", "Ask ann@iki.fi.")

    assert list(kept.values()) == ["The café.", "Ask <EMAIL>."]
    assert {rule: drop["documents"] for rule, drop in account["dropped"].items()} == {
        "exact_duplicate": 1,
        "empty": 1,
        "too_short": 1,
    }
    assert account["dropped"]["too_short"]["examples"][0] == {
        "id": document_id("No."),
        "source": "tales",
        "text": "No.",
        "detail": "3 chars",
    }
    assert account["scrubbed"] == {"email": 1}


def test_the_id_stays_that_of_the_collected_text() -> None:
    kept, _ = curate_texts("  The cafe\u0301. ")
    assert list(kept) == [document_id("  The cafe\u0301. ")]


@settings(deadline=None)
@given(st.lists(st.text(max_size=12), max_size=30))
def test_every_document_is_kept_or_dropped_once(texts: list[str]) -> None:
    kept, account = curate_texts(*(text.encode("utf-8", "replace").decode() for text in texts))
    dropped = sum(drop["documents"] for drop in account["dropped"].values())
    assert account["in"] == len(texts) == account["kept"] + dropped


@settings(deadline=None)
@given(st.sets(st.text("abc ", min_size=5, max_size=9), max_size=20), st.text("abc ABC", min_size=5, max_size=9))
def test_a_new_document_changes_no_other(texts: set[str], new: str) -> None:
    """At most it takes the place of one that is equal to it."""
    before, _ = curate_texts(*sorted(texts))
    after, _ = curate_texts(new, *sorted(texts))

    assert all(after[key] == text for key, text in before.items() if key in after)
    assert set(after) - set(before) <= {document_id(new)}
    assert len(set(before) - set(after)) <= 1


def test_an_equal_question_is_asked_on_one_side_only() -> None:
    rows = talks(("Who are you?", "A cat."), ("WHO  are you?", "A dog."), ("Why?", "So."))
    keys = [key for key, _ in curated_conversations(rows, scrubbed=[], funnel=Funnel())]
    assert keys == ["who are you?", "who are you?", "why?"]


def test_conversations_are_repaired_and_scrubbed_but_not_judged_as_prose() -> None:
    funnel = Funnel()
    rows = talks(("Mail me: ann@iki.fi", "OK"), ("mail me:  ANN@iki.fi", "ok"), ("Spell cafe\u0301", "\u200b"))

    kept = [row["messages"] for _, row in curated_conversations(rows, scrubbed=["email"], funnel=funnel)]

    assert [[turn["content"] for turn in messages] for messages in kept] == [["Mail me: <EMAIL>", "OK"]]
    account = funnel.as_json()
    assert {rule: drop["documents"] for rule, drop in account["dropped"].items()} == {"exact_duplicate": 1, "empty": 1}
    assert account["scrubbed"] == {"email": 1}


def test_a_conversation_opened_by_the_assistant_is_known_by_its_first_user_turn() -> None:
    messages = [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": " My  NAME? "}]
    assert first_request(messages) == "my name?"
    assert first_request(messages[:1]) == "hi"


def test_rows_go_to_train_and_heldout_by_their_key(tmp_path: Path) -> None:
    rows = [(row["id"], row) for row in documents(*(f"Tale {number}." for number in range(200)))]

    counts = write_split(tmp_path, rows, DOCUMENT_FEATURES, heldout_share=0.2)

    heldout = list(read_rows(tmp_path / "heldout")["id"])
    assert heldout == [key for key, _ in rows if is_held_out(key, 0.2)]
    assert counts == {"train": 200 - len(heldout), "heldout": len(heldout)}
    assert len(read_rows(tmp_path / "train")) == counts["train"]


@pytest.mark.parametrize(
    ("texts", "counts", "said"),
    [
        (["No.", "Or."], {"train": 0, "heldout": 0}, "0 of 2 documents were kept. Dropped: too_short 2."),
        (["A long one."], {"train": 1, "heldout": 0}, "1 of 1 documents were kept; one cannot be both"),
        (["Tale 1.", "Tale 2."], {"train": 2, "heldout": 0}, "none of them fell into the held-out split"),
        (["Tale 1.", "Tale 2."], {"train": 0, "heldout": 2}, "Lower curate.heldout_share"),
    ],
)
def test_a_split_with_an_empty_side_is_refused_with_the_reasons(
    texts: list[str], counts: dict[str, int], said: str
) -> None:
    funnel = Funnel()
    list(curated_documents(documents(*texts), rules=RULES, scrubbed=[], funnel=funnel))
    with pytest.raises(DataError, match="curate: ") as refusal:
        check_split("documents", counts, funnel, setting="heldout_share", account=Path("corpus/funnel.json"))
    assert said in str(refusal.value)

from collections.abc import Sequence

import pytest

from hftrain.corpus import repeated_passages
from hftrain.corpus.batches import Batch
from hftrain.corpus.repeated_passages import PassageCutter

LONG = "This paragraph has more than eight words and comes again."
OTHER = "Another paragraph of at least eight words is here too."


def cut(texts: Sequence[str], batch_documents: int = 100, minimum_words: int = 8) -> list[str]:
    cutter = PassageCutter(minimum_words)
    batches = [Batch(texts[begin : begin + batch_documents]) for begin in range(0, len(texts), batch_documents)]
    for batch in batches:
        cutter.count(batch)
    return [document.text for batch in batches for document in cutter.cut(batch)]


@pytest.mark.parametrize("batch_documents", [1, 2, 100])
def test_the_first_document_keeps_a_paragraph_and_later_ones_lose_it(batch_documents: int) -> None:
    texts = [f"one\n\n{LONG}\n\ntwo", OTHER, f"three\n\n{LONG.upper()}\n\nfour", f"{OTHER}\n{LONG}\nfive"]
    assert cut(texts, batch_documents) == [texts[0], texts[1], "three\n\nfour", "five"]


def test_a_refrain_within_one_document_stays() -> None:
    assert cut([f"{LONG}\na\n{LONG}", "b"]) == [f"{LONG}\na\n{LONG}", "b"]
    assert cut([f"{LONG}\na\n{LONG}", f"b\n{LONG}\n{LONG}"]) == [f"{LONG}\na\n{LONG}", "b"]


def test_short_paragraphs_stay() -> None:
    assert cut(["Yes, I do.\nx", "Yes, I do.\ny"]) == ["Yes, I do.\nx", "Yes, I do.\ny"]
    assert cut(["Yes, I do.\nx", "Yes, I do.\ny"], minimum_words=3) == ["Yes, I do.\nx", "y"]


def test_the_order_of_words_counts() -> None:
    texts = [LONG, "again comes and words eight than more has paragraph this."]
    assert cut(texts) == texts


def test_what_several_counted_apart_can_be_merged() -> None:
    texts = [LONG, OTHER, f"{LONG}\na", f"{OTHER}\nb"]
    first, second = PassageCutter(8), PassageCutter(8)
    first.count(Batch(texts[:2]))
    second.count(Batch(texts[2:]))
    first.merge(second)
    assert [document.text for document in first.cut(Batch(texts))] == [LONG, OTHER, "a", "b"]


def test_paragraphs_that_share_a_place_in_the_table_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_passages, "TABLE_BITS", 1)
    texts = [f"{number} is the first of the eight words of it" for number in range(20)]
    assert cut([*texts, texts[3] + "\nx"]) == [*texts, "x"]

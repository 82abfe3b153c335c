import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from hftrain.corpus import boilerplate
from hftrain.corpus.batches import Batch
from hftrain.corpus.boilerplate import Boilerplate, LineCounts, line_numbers, site_of
from hftrain.errors import ArtifactError

MENU = "* Home | About | Contact *"


def page(number: int, middle: str = "") -> str:
    body = "\n".join(f"Line {line} of page {number} is its own." for line in range(40))
    return f"{MENU}\nTitle of page {number}\n\n{body}{middle}\n{body}\nAll rights reserved."


def counted(texts: Sequence[str], sites: Sequence[str | None], folder: Path, share: float = 0.5) -> Boilerplate:
    counts = LineCounts(folder)
    for begin in range(0, len(texts), 7):
        batch = Batch(texts[begin : begin + 7])
        counts.add(line_numbers(batch, sites[begin : begin + 7]), sites[begin : begin + 7])
    return counts.boilerplate(10, share)


def test_lines_that_documents_begin_and_end_with_are_cut(tmp_path: Path) -> None:
    pages = [page(number) for number in range(20)]
    cuts = counted(pages, ["a"] * 20, tmp_path).cut(Batch(pages), ["a"] * 20)
    for number, cut in enumerate(cuts):
        assert cut.text == pages[number].replace(f"{MENU}\n", "", 1).removesuffix("\nAll rights reserved.")
        assert (cut.pieces, cut.said) == (2, MENU)
        assert cut.bytes == len(pages[number]) - len(cut.text)


def test_a_heading_below_the_first_line_stays_and_a_menu_there_goes(tmp_path: Path) -> None:
    pages = [
        f"What number {number} does.\n\nParameters\n\nx: {number}\n\nReturns\nHow it is {number}."
        for number in range(20)
    ]
    assert [cut.text for cut in counted(pages, ["a"] * 20, tmp_path).cut(Batch(pages), ["a"] * 20)] == pages
    pages = [f"Title {number}\nHome\nAbout\n\nContact\n\nText of page {number}." for number in range(20)]
    cuts = counted(pages, ["a"] * 20, tmp_path).cut(Batch(pages), ["a"] * 20)
    assert [cut.text for cut in cuts] == [f"Title {number}\n\nText of page {number}." for number in range(20)]


def test_a_page_that_is_nothing_else_becomes_empty(tmp_path: Path) -> None:
    pages = ["Not found.\nGo home."] * 15
    assert [cut.text for cut in counted(pages, ["a"] * 15, tmp_path).cut(Batch(pages), ["a"] * 15)] == [""] * 15


def test_what_stands_in_the_middle_stays(tmp_path: Path) -> None:
    pages = [page(number, "\nYes.\n") for number in range(20)]
    cuts = counted(pages, ["a"] * 20, tmp_path).cut(Batch(pages), ["a"] * 20)
    assert all("\nYes.\n" in cut.text for cut in cuts)


def test_nine_documents_or_a_small_share_are_not_enough(tmp_path: Path) -> None:
    nine = [page(number) for number in range(9)]
    assert [cut.pieces for cut in counted(nine, ["a"] * 9, tmp_path).cut(Batch(nine), ["a"] * 9)] == [0] * 9
    texts = [page(number) for number in range(10)] + [f"Another text, number {number}" for number in range(20)]
    for share, lines_cut in ((0.34, 0), (0.33, 20)):
        cuts = counted(texts, ["a"] * 30, tmp_path, share).cut(Batch(texts), ["a"] * 30)
        assert sum(cut.pieces for cut in cuts) == lines_cut


def test_a_line_of_one_site_is_not_that_of_another(tmp_path: Path) -> None:
    pages = [page(number) for number in range(24)]
    sites = ["a", "b", "c"] * 8
    assert sum(cut.pieces for cut in counted(pages, sites, tmp_path).cut(Batch(pages), sites)) == 0
    sites = [*["a"] * 12, *["b"] * 3, *[None] * 9]
    cuts = counted(pages, sites, tmp_path).cut(Batch(pages), sites)
    assert [cut.pieces for cut in cuts] == [2] * 12 + [0] * 12


def test_a_line_counts_once_a_document(tmp_path: Path) -> None:
    texts = ["Menu\n" * 10 + "a", "Menu\nb"]
    assert sum(cut.pieces for cut in counted(texts, ["a"] * 2, tmp_path).cut(Batch(texts), ["a"] * 2)) == 0


def test_counts_on_disk_are_those_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [page(number) for number in range(40)]
    expected = counted(pages, ["a"] * 40, tmp_path)
    monkeypatch.setattr(boilerplate, "HELD_NUMBERS", 50)
    found = counted(pages, ["a"] * 40, tmp_path / "spilled")
    assert found.lines_K.tolist() == expected.lines_K.tolist()
    assert found.documents_K.tolist() == expected.documents_K.tolist() == [40, 40]
    assert list((tmp_path / "spilled").iterdir()) == []


def test_what_was_saved_cuts_the_same(tmp_path: Path) -> None:
    pages = [page(number) for number in range(12)]
    found = counted(pages, ["a"] * 12, tmp_path)
    found.save(tmp_path)
    assert Boilerplate.load(tmp_path).cut(Batch(pages), ["a"] * 12) == found.cut(Batch(pages), ["a"] * 12)
    with pytest.raises(ArtifactError, match="no boilerplate lines"):
        Boilerplate.load(tmp_path / "elsewhere")


def test_the_site_is_the_domain_or_else_the_source_and_code_has_none() -> None:
    assert site_of({"source": "pages.jsonl", "meta": "{}"}) == "pages.jsonl"
    assert site_of({"source": "pages.warc", "meta": json.dumps({"domain": "example.org"})}) == "example.org"
    assert site_of({"source": "rows.jsonl", "meta": json.dumps({"language": "en"})}) == "rows.jsonl"
    assert site_of({"source": "tree", "meta": json.dumps({"language": "Python", "path": "a.py"})}) is None


def test_texts_without_words_and_no_texts_at_all_pass(tmp_path: Path) -> None:
    found = counted(["", "…\n---"], ["a", "a"], tmp_path)
    assert [cut.text for cut in found.cut(Batch(["", "…\n---"]), ["a", "a"])] == ["", "…\n---"]
    assert found.cut(Batch([]), []) == []

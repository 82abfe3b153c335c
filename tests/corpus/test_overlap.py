"""Protected texts are found in any case and punctuation, one word changed hides only what goes over it."""

import json
from pathlib import Path

import numpy
import pytest

from hftrain.corpus.batches import Batch
from hftrain.corpus.overlap import Match, OverlapIndex, protected_texts
from hftrain.errors import ArtifactError, ConfigError

ROW = (
    "A train leaves the station at noon and travels sixty miles an hour; how far has it gone by the time that "
    "the clock of the tower strikes four in the afternoon?"
)
THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"
AROUND = "and so the talk went on until the evening came and all of them went home to sleep "


def found(text: str, *items: str, **settings: int) -> list[Match]:
    index, _ = OverlapIndex.build([(f"item {place}", item) for place, item in enumerate(items)], **settings)
    return index.matches(Batch(["a first text that is short", text, "a last one"]))


def test_a_row_is_found_inside_a_long_document_in_other_case_punctuation_and_lines() -> None:
    planted = ROW.upper().replace(" ", "\n").replace(";", " --").replace("?", "")
    [match] = found(AROUND * 50 + planted + "\n" + AROUND * 50, "some other item of at least eight words in all", ROW)
    assert (match.document, match.origin, match.start) == (1, "item 1", 50 * len(AROUND))
    assert match.said == planted
    assert match.runs == len(ROW.replace("?", "").split()) - 12
    assert match.detail().startswith("'A TRAIN LEAVES THE STATION AT NOON")
    assert match.detail().endswith(f"is in item 1, one of {match.runs} shared runs of words")


def test_one_word_changed_hides_a_row_of_thirteen_words_and_not_a_longer_one() -> None:
    changed = THIRTEEN.replace("seven", "SIEBEN")
    assert found(f"{AROUND}{THIRTEEN} {AROUND}", THIRTEEN)
    assert not found(f"{AROUND}{changed} {AROUND}", THIRTEEN)
    [match] = found(f"{AROUND}{changed} {AROUND}", "zero " + THIRTEEN + " fourteen", ngram_words=6)
    assert match.said == "one two three four five six"
    assert match.runs == 2  # one to six, eight to thirteen
    [match] = found(ROW.replace("station", "depot"), ROW)
    assert match.said.startswith("at noon and travels")


def test_a_shorter_item_is_found_as_a_whole_alone() -> None:
    eight = "how many legs have a spider and ant?"
    [match] = found(f"He asked me: {eight} I did not know.", eight)
    assert match.said == eight.rstrip("?")
    assert not found("He asked me how many legs have a spider and a dog.", eight)
    assert not found("how many legs have a spider", eight)


def test_items_that_are_too_short_are_counted() -> None:
    items = [("a", "only seven words are in this one"), ("b", "eight words are in this one, which counts"), ("c", "")]
    index, built = OverlapIndex.build(items)
    assert (built.items, built.too_short, built.runs) == (3, 2, 1)
    assert len(index) == 1


def test_runs_do_not_go_over_the_end_of_a_document() -> None:
    words = THIRTEEN.split()
    index, _ = OverlapIndex.build([("item", THIRTEEN)])
    assert index.matches(Batch([" ".join(words[:7]), " ".join(words[7:])])) == []


def test_the_first_shared_words_are_shown_to_their_end_and_all_are_counted() -> None:
    fifteen = THIRTEEN + " fourteen fifteen"
    text = f"{AROUND}{fifteen}. {AROUND}{THIRTEEN}"
    [match] = found(text, fifteen)
    assert match.said == fifteen
    assert match.runs == 3 + 1


def test_the_match_that_is_shown_is_the_first_whatever_its_length() -> None:
    nine = "a short item of nine words in all, that's it"
    for text, first in ((f"{nine} {AROUND}{THIRTEEN}", "item 1"), (f"{THIRTEEN} {AROUND}{nine}", "item 0")):
        [match] = found(text, THIRTEEN, nine)
        assert (match.origin, match.start, match.runs) == (first, 0, 2)


def test_a_long_match_is_cut_for_showing() -> None:
    [match] = found("word " * 500, "word " * 20)
    assert len(match.detail()) < 300
    assert "word …' is in item 0" in match.detail()


def test_an_index_that_was_saved_finds_the_same(tmp_path: Path) -> None:
    random = numpy.random.default_rng(0)
    texts = [" ".join(f"w{number}" for number in random.integers(0, 50, 60)) for _ in range(200)]
    index, _ = OverlapIndex.build([(f"item {place}", text) for place, text in enumerate(texts[:20])])
    index.save(tmp_path / "index")
    again, _ = OverlapIndex.build([(f"item {place}", text) for place, text in enumerate(texts[:20])])
    again.save(tmp_path / "again")
    loaded = OverlapIndex.load(tmp_path / "index")
    assert loaded.matches(Batch(texts)) == index.matches(Batch(texts))
    assert [match.document for match in index.matches(Batch(texts))] == list(range(20))
    for path in (tmp_path / "index").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_an_index_of_nothing_finds_nothing(tmp_path: Path) -> None:
    OverlapIndex.build([])[0].save(tmp_path)
    assert OverlapIndex.load(tmp_path).matches(Batch([ROW, ""])) == []
    assert OverlapIndex.build([("item", ROW)])[0].matches(Batch([])) == []


def test_a_folder_without_an_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no index of protected texts"):
        OverlapIndex.load(tmp_path)


def test_protected_texts_are_all_fields_of_rows_and_whole_text_files(tmp_path: Path) -> None:
    row = {
        "id": "17",
        "question": ROW,
        "choices": ["four", "five is the right number here"],
        "about": {"why": THIRTEEN},
    }
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"question": AROUND}) + "\n")
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "book.txt").write_text(AROUND * 2)
    entries = [str(tmp_path / "rows.jsonl"), str(folder)]
    assert [text for _, text in protected_texts(entries)] == [ROW, row["choices"][1], THIRTEEN, AROUND, AROUND * 2]
    assert [origin for origin, _ in protected_texts(entries)][-2:] == ["rows.jsonl row 2", "books/book.txt row 1"]
    assert [text for _, text in protected_texts(entries[:1], fields=["question"])] == [ROW, AROUND]


def test_a_broken_protected_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "' + ROW + '"}\n{"question": \n')
    with pytest.raises(ConfigError, match=r"rows\.jsonl: line 2 is not JSON"):
        list(protected_texts([str(path)]))

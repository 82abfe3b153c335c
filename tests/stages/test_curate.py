import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from hftrain.artifacts import read_manifest
from hftrain.corpus.records import document_id
from hftrain.corpus.settings import OverlapSettings
from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, write_rows
from hftrain.errors import ConfigError, DataError
from hftrain.stages.curate import CurateConfig, curate

Raw = Callable[..., Path]


def tale(number: int) -> str:
    return f"The cat number {number} sat on the mat and looked out of the window to see the birds of the garden."


def origin(text: str) -> dict[str, str]:
    return {"id": document_id(text), "source": "tales", "license": "MIT", "meta": '{"title": "x"}'}


@pytest.fixture
def raw(tmp_path: Path, make_artifact: Callable[..., Path]) -> Raw:
    """Makes a finished raw/ of these texts and (question, answer) pairs."""

    def make(name: str, texts: list[str], talks: list[tuple[str, str]]) -> Path:
        def write(out: Path) -> None:
            write_rows(out / "documents", [origin(text) | {"text": text} for text in texts], DOCUMENT_FEATURES)
            rows = []
            for asked, answer in talks:
                messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
                rows.append(origin(asked + answer) | {"messages": messages})
            write_rows(out / "conversations", rows, CONVERSATION_FEATURES)

        return make_artifact(tmp_path / name / "raw", "raw", write)

    return make


TALES = [tale(number) for number in range(60)]
TALKS = [(f"What is {number}?", "A number.") for number in range(40)]
CONFIG = CurateConfig(seed=1, heldout_share=0.2)


def texts_of(folder: Path) -> list[str]:
    return list(datasets.load_from_disk(str(folder))["text"])


def test_the_corpus_is_split_and_every_drop_is_accounted_for(raw: Raw, tmp_path: Path) -> None:
    planted = [
        TALES[0].upper(),
        "Too short.",
        "Mail ann@iki.fi if the cat of the neighbours is on the mat of the house.",
    ]

    corpus = curate(CONFIG, raw=raw("run", TALES + planted, [*TALKS, TALKS[0]]), out=tmp_path / "run" / "corpus")

    funnel = json.loads((corpus / "funnel.json").read_text())
    documents, conversations = funnel["documents"], funnel["conversations"]
    assert (documents["in"], documents["kept"]) == (63, 61)
    assert {rule: drop["documents"] for rule, drop in documents["dropped"].items()} == {
        "exact_duplicate": 1,
        "too_few_words": 1,
    }
    assert documents["dropped"]["too_few_words"]["examples"][0]["text"] == "Too short."
    assert documents["scrubbed"] == {"email": 1} and documents["by_source"]["tales"]["kept"]["documents"] == 61
    assert (conversations["in"], conversations["kept"]) == (41, 40)
    train, heldout = texts_of(corpus / "train"), texts_of(corpus / "heldout")
    assert sorted(train + heldout) == sorted([*TALES, planted[2].replace("ann@iki.fi", "<EMAIL>")])


def test_the_summary_has_the_headline_numbers(raw: Raw, tmp_path: Path) -> None:
    corpus = curate(CONFIG, raw=raw("run", TALES, TALKS), out=tmp_path / "run" / "corpus")
    summary = json.loads((corpus / "summary.json").read_text())
    assert summary["documents_in"] == summary["documents_kept"] == 60
    assert summary["documents_train"] + summary["documents_heldout"] == 60
    assert summary["conversations_train"] + summary["conversations_heldout"] == 40
    assert summary["bytes_in"] == summary["bytes_kept"] == sum(map(len, TALES))
    assert read_manifest(corpus)["measured"]["megabytes_per_second"] > 0


def test_rows_keep_their_id_and_origin(raw: Raw, tmp_path: Path) -> None:
    corpus = curate(CONFIG, raw=raw("run", TALES, TALKS), out=tmp_path / "run" / "corpus")
    row: dict[str, Any] = datasets.load_from_disk(str(corpus / "train"))[0]
    assert row == origin(row["text"]) | {"text": row["text"]}


def test_two_runs_are_byte_identical(raw: Raw, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        corpus = curate(CONFIG, raw=raw(name, TALES, TALKS), out=tmp_path / name / "corpus")
        digests.add(read_manifest(corpus)["digest"])
    assert len(digests) == 1


def test_adding_data_moves_no_document_and_no_question_across(raw: Raw, tmp_path: Path) -> None:
    more_tales = [tale(number) for number in range(100, 160)] + TALES[::-1]
    more_talks = [(f"Who is {number}?", "Nobody.") for number in range(40)] + TALKS
    sides = []
    for name, tales, talks in (("some", TALES, TALKS), ("more", more_tales, more_talks)):
        corpus = curate(CONFIG, raw=raw(name, tales, talks), out=tmp_path / name / "corpus")
        for split in ("train", "heldout"):
            found = set(texts_of(corpus / split))
            for messages in datasets.load_from_disk(str(corpus / "conversations" / split))["messages"]:
                found.add(messages[0]["content"])
            sides.append(found)

    assert sides[0] < sides[2] and sides[1] < sides[3]
    assert not sides[2] & sides[3]


def test_no_question_of_the_heldout_conversations_is_trained_on(raw: Raw, tmp_path: Path) -> None:
    talks = [(asked.upper() if number % 2 else asked, str(number)) for number in range(5) for asked, _ in TALKS]
    corpus = curate(CONFIG, raw=raw("run", TALES, talks), out=tmp_path / "run" / "corpus")
    asked = [
        {messages[0]["content"].lower() for messages in datasets.load_from_disk(str(folder))["messages"]}
        for folder in (corpus / "conversations" / "train", corpus / "conversations" / "heldout")
    ]
    assert asked[0] and asked[1] and not asked[0] & asked[1]


def test_no_conversations_are_no_error(raw: Raw, tmp_path: Path) -> None:
    corpus = curate(CONFIG, raw=raw("run", TALES, []), out=tmp_path / "run" / "corpus")
    assert len(datasets.load_from_disk(str(corpus / "conversations" / "heldout"))) == 0


@pytest.mark.parametrize(
    ("texts", "talks", "said"),
    [
        (["Short."] * 3, TALKS, "0 of 3 documents were kept. Dropped: too_few_words 3."),
        ([TALES[0]], TALKS, "1 of 1 documents were kept; one cannot be both trained on and held out"),
        (TALES[:2], TALKS, "2 of 2 documents were kept, and none of them fell into the"),
        (TALES, TALKS[:1], "1 of 1 conversations were kept; one cannot be both"),
        ([], TALKS, "0 of 0 documents were kept. Dropped: nothing"),
    ],
)
def test_a_corpus_that_cannot_be_split_is_refused_with_the_reasons(
    raw: Raw, tmp_path: Path, texts: list[str], talks: list[tuple[str, str]], said: str
) -> None:
    with pytest.raises(DataError) as refusal:
        curate(CurateConfig(seed=1, heldout_share=0.01 if len(texts) == 2 else 0.2),
               raw=raw("run", texts, talks), out=tmp_path / "run" / "corpus")  # fmt: skip
    assert said in str(refusal.value)
    assert json.loads((tmp_path / "run" / "corpus.partial" / "funnel.json").read_text())["documents"]["in"] == len(
        texts
    )
    assert not (tmp_path / "run" / "corpus").exists()


def test_wrong_settings_are_told_all_at_once(raw: Raw, tmp_path: Path) -> None:
    wrong = CurateConfig(
        seed=1,
        heldout_share=0,
        rules=("basics",),
        personal_data={"email": "hide", "names": "replace"},
        overlap=OverlapSettings(against=("nowhere.jsonl",)),
    )
    with pytest.raises(ConfigError) as refusal:
        curate(wrong, raw=raw("run", TALES, TALKS), out=tmp_path / "run" / "corpus")
    message = str(refusal.value)
    for said in (
        "curate.heldout_share: 0",
        "curate.rules: 'basics'",
        "curate.personal_data.email: 'hide'",
        "'names' is not known",
        "curate.overlap.against: nowhere.jsonl does not exist",
    ):
        assert said in message

"""From raw documents to the splits: order of the steps, what is counted, and that parts make no difference."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftrain.artifacts import read_json
from hftrain.corpus import curation, passes, warming
from hftrain.corpus import curator as curator_module
from hftrain.corpus.curation import first_request
from hftrain.corpus.curator import Curator
from hftrain.corpus.exclusions import ExclusionSettings
from hftrain.corpus.funnel import Funnel
from hftrain.corpus.preparation import prepared, references
from hftrain.corpus.publishing import check_split
from hftrain.corpus.records import document_id
from hftrain.corpus.settings import (
    CleaningSettings,
    CurationSettings,
    DuplicateSettings,
    MixtureSettings,
    QualitySettings,
    ShareSettings,
)
from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, read_rows, write_rows
from hftrain.corpus.workers import Workers
from hftrain.errors import DataError

LOOSE = CurationSettings(
    heldout_share=0.3,
    thresholds={"basic": {"minimum_words": 2, "minimum_stop_words": 0}},
    clean=CleaningSettings(boilerplate_documents=None),
)


def sentence(number: int, words: int = 12) -> str:
    """Words that no other number has, so that no two are alike."""
    return " ".join(
        f"{word}{chr(97 + number % 26)}{chr(97 + number // 26 % 26)}" for word in ["the", "cat", "sat", "on", "mat"]
    )


def rows(*texts: str, source: str = "tales") -> list[dict[str, Any]]:
    return [{"id": document_id(text), "text": text, "source": source, "license": "MIT", "meta": "{}"} for text in texts]


def curate(folder: Path, documents: Sequence[dict[str, Any]], config: CurationSettings = LOOSE, talks: Any = ()) -> Any:
    """The account of documents; train and heldout lie in ``folder/out``."""
    write_rows(folder / "raw" / "documents", documents, DOCUMENT_FEATURES)
    write_rows(folder / "raw" / "conversations", talks, CONVERSATION_FEATURES)
    with warming.workers_for(folder / "raw" / "documents") as workers:
        plan = prepared(config, folder / "raw" / "documents", workers, folder=folder / "scratch")
        compared = references(config.duplicates.against, folder=folder / "scratch" / "references")
        out = folder / "out"
        with curation.dropped_rows(out) as lost:
            survivors, conversations = curation.judged_here(
                config, plan, folder / "raw", compared, workers, dropped=lost, out=out
            )
            curation.publish(config, survivors, conversations, dropped=lost, out=out)
    return read_json(folder / "out" / "funnel.json")["documents"]


def kept(folder: Path) -> list[str]:
    return [text for split in ("train", "heldout") for text in read_rows(folder / "out" / split)["text"]]


def dropped(account: dict[str, Any]) -> dict[str, int]:
    return {rule: drop["documents"] for rule, drop in account["dropped"].items()}


OTHERS = [f"{sentence(number)} {sentence(number + 30)} {sentence(number + 60)}." for number in range(100, 130)]


def test_a_document_is_repaired_judged_scrubbed_and_compared(tmp_path: Path) -> None:
    texts = ["We like the cafe\u0301.", "WE LIKE  THE CAFÉ.", "\u200b", "No.", "Please ask ann@iki.fi."]
    account = curate(tmp_path, rows(*texts, *OTHERS))

    assert {"We like the café.", "Please ask <EMAIL>."} <= set(kept(tmp_path)) and len(kept(tmp_path)) == 32
    assert dropped(account) == {"exact_duplicate": 1, "empty": 1, "too_few_words": 1}
    assert account["dropped"]["exact_duplicate"]["examples"][0]["detail"] == (
        f"the text of {document_id(texts[0])}, which is kept"
    )
    assert account["scrubbed"] == {"email": 1}
    gone = {row["id"]: (row["rule"], row["detail"]) for row in read_rows(tmp_path / "out" / "dropped")}
    assert gone[document_id("No.")] == ("too_few_words", "1 words (at least 2)") and len(gone) == 3
    assert account["kept_as_bytes"] == sum(len(text.encode()) for text in kept(tmp_path))


def test_the_longer_of_two_near_duplicates_stays(tmp_path: Path) -> None:
    longer = OTHERS[0] + " And it ended."
    account = curate(tmp_path, rows(*OTHERS, longer, OTHERS[1] + " So."))
    assert dropped(account) == {"near_duplicate": 2}
    assert longer in kept(tmp_path) and OTHERS[0] not in kept(tmp_path) and OTHERS[1] not in kept(tmp_path)
    assert account["dropped"]["near_duplicate"]["examples"][0]["detail"].endswith("which is kept")


def test_documents_like_those_of_another_set_go_whichever_is_longer(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(OTHERS[3].upper())
    config = dataclasses.replace(LOOSE, duplicates=DuplicateSettings(against=(str(tmp_path / "other.txt"),)))
    account = curate(tmp_path, rows(*OTHERS, OTHERS[3] + " More."), config)
    assert dropped(account) == {"exact_duplicate": 1, "near_duplicate": 1}
    assert account["in"] == 31 and len(kept(tmp_path)) == 29


def test_a_mixture_leaves_out_and_repeats(tmp_path: Path) -> None:
    documents = [
        *rows(*OTHERS[:20], source="web/a"),
        *rows(*OTHERS[20:28], source="books"),
        *rows(*OTHERS[28:], source="x"),
    ]
    mixture = MixtureSettings(sources={"books": ShareSettings(weight=3, maximum_epochs=2), "web/*": ShareSettings()})
    account = curate(tmp_path, documents, dataclasses.replace(LOOSE, mixture=mixture))

    by_source = {name: 0 for name in ("books", "web/a", "x")}
    for row in read_rows(tmp_path / "out" / "train"):
        by_source[row["source"]] += 1
    books = len({row["text"] for row in read_rows(tmp_path / "out" / "train") if row["source"] == "books"})
    assert by_source["books"] == 2 * books > 0 and by_source["x"] == 0
    assert by_source["web/a"] == pytest.approx(2 * books / 3, abs=1)
    assert dropped(account)["not_in_mixture"] == 2
    assert account["in"] == account["kept"] + sum(dropped(account).values()) == 30


def test_lines_that_most_documents_of_a_source_end_with_are_cut(tmp_path: Path) -> None:
    texts = [f"{text}\nAll rights reserved, by the cat." for text in OTHERS]
    config = dataclasses.replace(LOOSE, clean=CleaningSettings(boilerplate_documents=10, boilerplate_share=0.5))
    account = curate(tmp_path, [*rows(*texts[:20], source="cats"), *rows(*texts[20:25], source="dogs")], config)
    assert sorted(kept(tmp_path)) == sorted([*OTHERS[:20], *texts[20:25]])
    cut = account["cut"]["boilerplate_lines"]
    assert (cut["documents"], cut["pieces"], cut["examples"]) == (20, 20, ["All rights reserved, by the cat."])


def test_a_paragraph_that_came_before_is_cut_and_what_was_nothing_else_goes(tmp_path: Path) -> None:
    said = "This very long paragraph was said once before, and it need not be said again by anybody at all."
    texts = [f"{OTHERS[0]}\n{said}", f"{OTHERS[1]}\n{said}\n{OTHERS[2]}", *OTHERS[3:]]
    texts.append(f"{said}\n{OTHERS[0]}")
    clean = CleaningSettings(boilerplate_documents=None, repeated_paragraph_words=12)
    config = dataclasses.replace(LOOSE, clean=clean, duplicates=DuplicateSettings(near_jaccard=None))
    account = curate(tmp_path, rows(*texts), config)
    assert texts[0] in kept(tmp_path) and f"{OTHERS[1]}\n{OTHERS[2]}" in kept(tmp_path)
    assert account["cut"]["repeated_paragraphs"]["pieces"] == 1
    assert dropped(account) == {"only_repeated_paragraphs": 1}


def test_lines_of_web_pages_go_where_that_is_asked(tmp_path: Path) -> None:
    page = f"{OTHERS[0]}\nMenu Home About\n{OTHERS[1]}"
    clean = CleaningSettings(boilerplate_documents=None, c4_lines=True)
    curate(tmp_path, rows(page, *OTHERS[2:]), dataclasses.replace(LOOSE, clean=clean))
    assert f"{OTHERS[0]}\n{OTHERS[1]}" in kept(tmp_path)


def test_a_classifier_learns_from_examples_what_to_drop(tmp_path: Path) -> None:
    examples = [{"text": OTHERS[number % 30] + " Indeed.", "label": 1} for number in range(40)]
    examples += [{"text": "buy now!!! click here " * (3 + number % 5), "label": 0} for number in range(40)]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in examples))
    config = dataclasses.replace(
        LOOSE, rules=(), thresholds={}, quality=QualitySettings(examples=str(tmp_path / "labels.jsonl"))
    )
    account = curate(tmp_path, rows(*OTHERS, "buy now!!! click here buy now!!! click here and here"), config)
    assert dropped(account) == {"low_quality": 1}


def test_what_a_row_says_of_itself_can_exclude_it(tmp_path: Path) -> None:
    documents = rows(*OTHERS)
    documents[0]["license"] = "GPL-3.0-only"
    documents[1]["meta"] = json.dumps({"url": "https://www.example.com/a"})
    exclude = ExclusionSettings(deny_licenses=("GPL*",), deny_domains=("example.com",))
    account = curate(tmp_path, documents, dataclasses.replace(LOOSE, exclude=exclude))
    assert dropped(account) == {"excluded_license": 1, "excluded_domain": 1}


def test_personal_data_can_drop_a_document_and_is_shown_nowhere(tmp_path: Path) -> None:
    config = dataclasses.replace(LOOSE, personal_data={"email": "drop"})
    account = curate(tmp_path, rows(*OTHERS, "Please write to ann@iki.fi about the cat."), config)
    assert dropped(account) == {"personal_data": 1}
    assert "ann@iki.fi" not in json.dumps(account) + json.dumps(list(read_rows(tmp_path / "out" / "dropped")))


def test_a_document_that_is_too_large_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curator_module, "LARGEST_CHARS", 1000)
    account = curate(tmp_path, rows(*OTHERS, " ".join(OTHERS)))
    assert dropped(account) == {"too_large": 1}


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=40), max_size=12))
def test_every_document_is_kept_or_dropped_once(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    account = curate(tmp_path_factory.mktemp("case"), rows(*texts, *OTHERS))
    assert account["in"] == len(texts) + 30 == account["kept"] + sum(dropped(account).values())
    parts = account["kept_bytes"] + sum(drop["bytes"] for drop in account["dropped"].values())
    assert account["in_bytes"] == sum(len(text.encode()) for text in [*texts, *OTHERS]) == parts


def test_processes_and_batches_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*OTHERS, OTHERS[0].upper(), OTHERS[5] + " More.", "Ask ann@iki.fi about it.", "No."]
    files = []
    for name, processes, batch_bytes in (("one", 1, 2_000_000), ("two", 2, 300), ("small", 1, 100)):
        monkeypatch.setattr(passes, "BATCH_BYTES", batch_bytes)
        monkeypatch.setattr(warming, "process_count_for", lambda folder, processes=processes: processes)
        (tmp_path / name).mkdir()
        curate(tmp_path / name, rows(*texts))
        out = tmp_path / name / "out"
        files.append({split: read_rows(out / split)["text"][:] for split in ("train", "heldout")} | {
            "account": read_json(out / "funnel.json")
        })  # fmt: skip
    assert files[0] == files[1] == files[2]


def talk(asked: str, answer: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"id": document_id(asked + answer), "messages": messages, "source": "talk", "license": "MIT", "meta": "{}"}


def test_conversations_are_repaired_and_scrubbed_but_not_judged_as_prose(tmp_path: Path) -> None:
    talks = [
        talk("Mail me: ann@iki.fi", "OK"),
        talk("mail me:  ANN@iki.fi", "ok"),
        talk("Spell cafe\u0301", "\u200b"),
        *(talk(f"What is {number}?", "A number.") for number in range(20)),
    ]
    curate(tmp_path, rows(*OTHERS), talks=talks)
    account = read_json(tmp_path / "out" / "funnel.json")["conversations"]
    assert dropped(account) == {"exact_duplicate": 1, "empty": 1} and account["scrubbed"] == {"email": 2}
    assert account["in"] == 23 == account["kept"] + 2


def test_an_equal_question_is_asked_on_one_side_only(tmp_path: Path) -> None:
    judged = Curator(prepared(LOOSE, None, Workers(1), folder=tmp_path / "scratch")).judge_conversations(
        [talk("Who are you?", "A cat."), talk("WHO  are you?", "A dog.")]
    )
    keys = [key for key, _ in curation.curated_conversations([judged], Funnel())]
    assert keys == ["who are you?", "who are you?"]


def test_a_conversation_opened_by_the_assistant_is_known_by_its_first_user_turn() -> None:
    messages = [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": " My  NAME? "}]
    assert first_request(messages) == "my name?"
    assert first_request(messages[:1]) == "hi"


@pytest.mark.parametrize(
    ("kept_count", "counts", "said"),
    [
        (0, {"train": 0, "heldout": 0}, "0 of 2 documents were kept. Dropped: too_short 2."),
        (1, {"train": 1, "heldout": 0}, "1 of 2 documents were kept; one cannot be both"),
        (2, {"train": 2, "heldout": 0}, "none of them fell into the held-out split"),
        (2, {"train": 0, "heldout": 2}, "Lower curate.heldout_share"),
    ],
)
def test_a_split_with_an_empty_side_is_refused_with_the_reasons(
    kept_count: int, counts: dict[str, int], said: str
) -> None:
    funnel = Funnel()
    for number in range(2):
        funnel.see("tales", 3)
        if number < kept_count:
            funnel.keep("tales", 3, as_bytes=3)
        else:
            funnel.drop("too_short", {"id": "1", "source": "tales"}, 3, "No.", "3 chars")
    with pytest.raises(DataError, match="curate: ") as refusal:
        check_split("documents", counts, funnel, setting="heldout_share", account=Path("corpus/funnel.json"))
    assert said in str(refusal.value)

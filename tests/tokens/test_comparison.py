from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from hftrain.corpus.storage import DOCUMENT_FEATURES, write_rows
from hftrain.errors import ConfigError
from hftrain.tokens import comparison
from hftrain.tokens.chat import load_tokenizer
from hftrain.tokens.comparison import heldout_by_source, report, rival_tokenizer, writing

GPT2 = Path(__file__).parents[2].parent / "shared" / "data" / "tokenizer-gpt2"


def letters_and_cat() -> Tokenizer:
    tokens = ["a", "c", "t", ",", "Ġ", "at", "cat", "Ġcat", "zz"]
    merges = [("a", "t"), ("c", "at"), ("Ġ", "cat")]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def test_numbers_of_a_text_counted_by_hand() -> None:
    found = writing(letters_and_cat(), ["cat, cat", "tac"])

    # cat | , | Ġcat, and t | a | c: 6 tokens of 6 kinds for 11 bytes; two of three words are the token Ġcat.
    assert (found["tokens"], found["bytes"], found["bytes_per_token"]) == (6, 11, 11 / 6)
    assert found["whole_word_share"] == pytest.approx(2 / 3)
    assert (found["unused_tokens"], found["used_share"]) == (3, pytest.approx(6 / 9))


def test_nothing_to_read_is_no_error() -> None:
    assert writing(letters_and_cat(), [])["bytes_per_token"] == 0


def corpus(folder: Path, sources: list[str]) -> Path:
    common = {"license": "CC0-1.0", "meta": "{}"}
    rows = [{"id": str(at), "text": f"text {at}", "source": source, **common} for at, source in enumerate(sources)]
    write_rows(folder / "heldout", rows, DOCUMENT_FEATURES)
    return folder


def test_heldout_text_is_told_apart_by_source_and_small_sources_are_one(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(comparison, "MOST_DOMAINS", 2)
    found = heldout_by_source(corpus(tmp_path, [*"aaabbcd"]), size_bytes=1000, shuffled_by=0)

    assert {source: len(texts) for source, texts in found.items()} == {"a": 3, "b": 2, "other sources": 2}


def test_a_part_of_the_heldout_text_is_drawn_from_all_sources(tmp_path) -> None:
    found = heldout_by_source(corpus(tmp_path, ["a"] * 40 + ["b"] * 40), size_bytes=200, shuffled_by=0)

    assert set(found) == {"a", "b"}
    assert sum(len(text) for texts in found.values() for text in texts) == 200


def test_a_report_holds_the_same_numbers_of_a_rival(tokenizer_dir) -> None:
    tokenizer = load_tokenizer(tokenizer_dir)

    made = report(tokenizer, {"a": ["The cat."]}, ["Hello!"], compare_with=str(tokenizer_dir))

    rival = made.pop("rival")
    assert rival.pop("name") == "tokenizer"
    assert rival == made
    assert made["domains"]["a"] == made["documents"]
    assert report(tokenizer, {"a": ["The cat."]}, ["Hello!"], compare_with=None)["rival"] is None


def test_gpt2s_own_two_files_give_gpt2s_tokens() -> None:
    if not GPT2.is_dir():
        pytest.skip(f"{GPT2} is not there")
    assert rival_tokenizer(str(GPT2)).encode("Hello world!").ids == [15496, 995, 0]


def test_a_rival_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"compare_with: .*no tokenizer there"):
        rival_tokenizer(str(tmp_path))

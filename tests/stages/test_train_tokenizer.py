from pathlib import Path

import pytest
from transformers import AutoTokenizer

from hftrain.artifacts import read_json, read_manifest
from hftrain.errors import ConfigError
from hftrain.stages.train_tokenizer import TrainTokenizerConfig, train_tokenizer
from hftrain.tokens.chat import load_tokenizer


def test_the_tokenizer_loads_with_plain_transformers_and_says_how_it_compresses(
    corpus_dir: Path, tmp_path: Path
) -> None:
    made = train_tokenizer(TrainTokenizerConfig(vocab_size=330), corpus=corpus_dir, out=tmp_path / "tokenizer")

    tokenizer = AutoTokenizer.from_pretrained(made)
    assert len(tokenizer) == 330
    assert tokenizer.decode(tokenizer("naïve 日本 👩‍👩‍👧").input_ids) == "naïve 日本 👩‍👩‍👧"
    assert read_json(made / "summary.json")["heldout_bytes_per_token"] > 1.5


def test_the_same_corpus_gives_the_same_bytes(corpus_dir: Path, tmp_path: Path) -> None:
    config = TrainTokenizerConfig(vocab_size=320)
    digests = {read_manifest(train_tokenizer(config, corpus=corpus_dir, out=tmp_path / n))["digest"] for n in "ab"}
    assert len(digests) == 1


def test_a_vocabulary_larger_than_its_text_allows_is_refused(corpus_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vocab_size: 50000.*Lower vocab_size to at most \d+"):
        train_tokenizer(TrainTokenizerConfig(vocab_size=50_000), corpus=corpus_dir, out=tmp_path / "tokenizer")


def test_a_vocabulary_too_small_for_bytes_is_refused(corpus_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="need 260"):
        train_tokenizer(TrainTokenizerConfig(vocab_size=100), corpus=corpus_dir, out=tmp_path / "tokenizer")


def test_special_tokens_are_four_and_pad_is_not_end(tokenizer_dir: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_dir)
    assert tokenizer.convert_tokens_to_ids(["<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [0, 1, 2, 3]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 3)

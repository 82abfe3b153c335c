from pathlib import Path

import pytest
from transformers import AutoTokenizer

from hftrain.artifacts import digest_file, read_json, read_manifest
from hftrain.errors import ConfigError
from hftrain.report.reading import Artifact
from hftrain.report.sections_language import tokenizer_comparison
from hftrain.stages.train_tokenizer import TrainTokenizerConfig, train_tokenizer
from hftrain.tokens.chat import load_tokenizer
from hftrain.tokens.splitting import Split, split_of


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


def test_digits_and_split_reach_the_tokenizer(corpus_dir: Path, tmp_path: Path) -> None:
    config = TrainTokenizerConfig(vocab_size=320, split="gpt4", digits=1)
    made = train_tokenizer(config, corpus=corpus_dir, out=tmp_path / "tokenizer")

    assert split_of(load_tokenizer(made).backend_tokenizer) == Split("gpt4", 1)


def test_without_a_size_the_training_text_decides(corpus_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vocab_size: 2048, but the text has merges for \d+ tokens only"):
        train_tokenizer(TrainTokenizerConfig(vocab_size=None), corpus=corpus_dir, out=tmp_path / "tokenizer")


def test_the_report_tells_domains_apart_and_names_the_rival(
    corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path
) -> None:
    config = TrainTokenizerConfig(vocab_size=330, compare_with=str(tokenizer_dir))
    made = train_tokenizer(config, corpus=corpus_dir, out=tmp_path / "tokenizer")

    report = read_json(made / "report.json")
    assert set(report["domains"]) == {"test"}
    assert report["rival"]["name"] == "tokenizer" and report["rival"]["vocabulary"] == 320
    assert report["documents"]["bytes_per_token"] >= report["rival"]["documents"]["bytes_per_token"]
    assert read_manifest(made)["outside"] == {"tokenizer/tokenizer.json": digest_file(tokenizer_dir / "tokenizer.json")}


def test_the_page_shows_each_domain_beside_the_rival(corpus_dir: Path, tokenizer_dir: Path, tmp_path: Path) -> None:
    config = TrainTokenizerConfig(vocab_size=330, compare_with=str(tokenizer_dir))
    made = train_tokenizer(config, corpus=corpus_dir, out=tmp_path / "tokenizer")

    html = tokenizer_comparison(Artifact("tokenizer", made, "finished"))

    report = read_json(made / "report.json")
    ratio = report["rival"]["domains"]["test"]["bytes_per_token"]
    assert f"{ratio:.2f}" in html and "bytes per token, this one" in html
    assert f"this one: {report['documents']['unused_tokens']} of 330; tokenizer: " in html
    assert tokenizer_comparison(Artifact("tokenizer", tmp_path, "finished")) is None


def test_settings_that_nobody_knows_are_told_together() -> None:
    config = TrainTokenizerConfig(split="gpt5", digits=4, compare_with="no/where", text_bytes=0)

    named = [problem.split(":")[0] for problem in config.problems()]
    assert named == [f"train_tokenizer.{name}" for name in ("split", "digits", "text_bytes", "compare_with")]


def test_special_tokens_are_four_and_pad_is_not_end(tokenizer_dir: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_dir)
    assert tokenizer.convert_tokens_to_ids(["<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [0, 1, 2, 3]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 3)

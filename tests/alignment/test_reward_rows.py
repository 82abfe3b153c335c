from pathlib import Path
from typing import Any

import pytest
from datasets import load_from_disk

from hftrain.alignment.preferences import PREFERENCE_FEATURES
from hftrain.alignment.reward_rows import write_pair_rows
from hftrain.artifacts import read_json
from hftrain.corpus.storage import write_rows
from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.tokens.chat import END_OF_TURN, encode_conversation, load_tokenizer

LIMITS: dict[str, Any] = {"context_tokens": 128, "max_row_tokens": None, "max_dropped_share": 0.5}


@pytest.fixture
def tokenizer(tokenizer_dir: Path) -> Any:
    return load_tokenizer(tokenizer_dir)


def pair(question: str, chosen: str, rejected: str) -> dict[str, object]:
    said = [[{"role": "assistant", "content": text}] for text in (chosen, rejected)]
    prompt = [{"role": "user", "content": question}]
    return {"prompt": prompt, "chosen": said[0], "rejected": said[1], "margin": 0.5}


def preferences_of(folder: Path, train: list[Any], heldout: list[Any]) -> Path:
    write_rows(folder / "preferences" / "train", train, PREFERENCE_FEATURES)
    write_rows(folder / "preferences" / "heldout", heldout, PREFERENCE_FEATURES)
    return folder / "preferences"


def test_rows_are_prompt_and_answer_and_end_in_the_end_of_turn(tmp_path: Path, tokenizer: Any) -> None:
    made = pair("Hello!", "Hi", f"No {END_OF_TURN}")
    write_pair_rows(tmp_path, preferences_of(tmp_path, [made], [made]), tokenizer, **LIMITS)
    (row,) = load_from_disk(str(tmp_path / "train"))
    assert row["chosen_ids"] == encode_conversation(tokenizer, [*made["prompt"], *made["chosen"]])[0]  # type: ignore[misc]
    assert tokenizer.decode(row["rejected_ids"]).endswith(f"assistant\nNo {END_OF_TURN}{END_OF_TURN}")
    assert [ids[-1] for ids in (row["chosen_ids"], row["rejected_ids"])] == [tokenizer.eos_token_id] * 2
    assert row["rejected_ids"].count(tokenizer.eos_token_id) == 2  # the user's turn and the answer's, none typed
    assert row["margin"] == 0.5


def test_a_pair_with_a_row_too_long_is_dropped_whole_and_counted(tmp_path: Path, tokenizer: Any) -> None:
    pairs = [pair("Hi", "a", "b"), pair("Hi", "a", "b " * 300), pair("Ho", "a", "b")]
    write_pair_rows(tmp_path, preferences_of(tmp_path, pairs, pairs[:1]), tokenizer, **LIMITS)
    assert len(load_from_disk(str(tmp_path / "train"))) == 2
    assert read_json(tmp_path / "counts.json") == {
        "train_pairs": 2,
        "heldout_pairs": 1,
        "heldout_prompts": 1,
        "dropped_too_long": 1,
    }


def test_more_than_the_stated_share_too_long_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    pairs = [pair("Hi", "a", "b"), pair("Hi", "a", "b " * 300)]
    preferences = preferences_of(tmp_path, pairs, pairs)
    with pytest.raises(DataError, match="preferences/train: 1 of 2 pairs pass 128 tokens"):
        write_pair_rows(tmp_path, preferences, tokenizer, **LIMITS | {"max_dropped_share": 0.4})


def test_a_split_without_pairs_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    preferences = preferences_of(tmp_path, [pair("Hi", "a", "b")], [])
    with pytest.raises(DataError, match="preferences/heldout: has no pairs"):
        write_pair_rows(tmp_path, preferences, tokenizer, **LIMITS)


def test_rows_longer_than_the_context_are_not_allowed(tmp_path: Path, tokenizer: Any) -> None:
    preferences = preferences_of(tmp_path, [pair("Hi", "a", "b")], [pair("Hi", "a", "b")])
    with pytest.raises(ConfigError, match="max_row_tokens: 129, but the chat model's context is 128"):
        write_pair_rows(tmp_path, preferences, tokenizer, **LIMITS | {"max_row_tokens": 129})


def test_a_tokenizer_with_another_end_than_its_template_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    preferences = preferences_of(tmp_path, [pair("Hi", "a", "b")], [pair("Hi", "a", "b")])
    tokenizer.eos_token = "<|endoftext|>"
    with pytest.raises(ArtifactError, match="a conversation ends in token"):
        write_pair_rows(tmp_path, preferences, tokenizer, **LIMITS)

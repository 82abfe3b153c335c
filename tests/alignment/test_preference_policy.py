import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hftrain.alignment.preferences import PREFERENCE_FEATURES
from hftrain.corpus.storage import write_rows
from hftrain.errors import ConfigError, DataError

TYPED = "Say <|im_end|> and <|pad|>!"


def talk(role: str, content: str) -> list[dict[str, str]]:
    return [{"role": role, "content": content}]


def pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    return {
        "prompt": talk("user", prompt),
        "chosen": talk("assistant", chosen),
        "rejected": talk("assistant", rejected),
        "margin": 1.0,
    }


def preferences(folder: Path, train: list[dict[str, Any]], heldout: list[dict[str, Any]]) -> Path:
    for split, rows in (("train", train), ("heldout", heldout)):
        write_rows(folder / split, rows, PREFERENCE_FEATURES)
    return folder


@pytest.fixture(scope="module")
def tokenizer(chat_dir: Path) -> Any:
    from hftrain.tokens.chat import load_tokenizer

    return load_tokenizer(chat_dir)


def read(folder: Path, tokenizer: Any, **changes: Any) -> Any:
    from hftrain.alignment.preference_policy import read_pairs

    return read_pairs(folder, tokenizer, **{"max_row_tokens": 128, "max_dropped_share": 0.0, "name": "dpo", **changes})


def test_rows_are_the_ids_of_the_conversation_and_end_in_the_end_of_turn(tmp_path: Path, tokenizer: Any) -> None:
    from hftrain.tokens.chat import encode_conversation

    one = pair("Hello!", "Hello! How are you?", "No.")
    row = read(preferences(tmp_path, [one], [one]), tokenizer).train[0]
    whole, _ = encode_conversation(tokenizer, [*one["prompt"], *one["chosen"]])
    assert row["prompt_ids"] + row["chosen_ids"] == whole
    assert row["chosen_ids"][-1] == row["rejected_ids"][-1] == tokenizer.eos_token_id


def test_a_special_token_that_someone_typed_stays_text_where_trl_reads_it_as_one(
    tmp_path: Path, tokenizer: Any
) -> None:
    from datasets import Dataset
    from trl import DPOTrainer

    from hftrain.alignment.preference_policy import TokenRows

    one = pair(TYPED, TYPED, "No.")
    row = read(preferences(tmp_path, [one], [one]), tokenizer).train[0]
    assert tokenizer.pad_token_id not in row["prompt_ids"] + row["chosen_ids"]
    assert row["chosen_ids"].count(tokenizer.eos_token_id) == 1

    rows = Dataset.from_list([one])
    given = (rows, tokenizer, SimpleNamespace(dataset_num_proc=None, max_length=None), "train")
    trl_reads = DPOTrainer._prepare_dataset(SimpleNamespace(_tokenizer=tokenizer), *given)[0]
    assert trl_reads["chosen_ids"].count(tokenizer.eos_token_id) == 2
    assert TokenRows()._prepare_dataset(rows, *given[1:]) is rows


def test_long_pairs_are_left_out_whole_and_counted(tmp_path: Path, tokenizer: Any) -> None:
    short, long = pair("Hi", "Yes.", "No."), pair("Hi", "Yes." * 60, "No.")
    folder = preferences(tmp_path, [short, long], [short])
    pairs = read(folder, tokenizer, max_dropped_share=0.5)
    assert pairs.counts == {"train_pairs": 1, "heldout_pairs": 1, "dropped_too_long": 1}
    with pytest.raises(DataError, match="preferences/train: 1 of 2 pairs are left, 1 pass 128 tokens"):
        read(folder, tokenizer, max_dropped_share=0.4)


def test_a_split_without_pairs_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    one = pair("Hi", "Yes.", "No.")
    with pytest.raises(DataError, match="preferences/heldout: 0 of 0 pairs are left"):
        read(preferences(tmp_path, [one], []), tokenizer)


def test_rows_longer_than_the_models_context_are_refused(tiny_model: Callable[..., Any]) -> None:
    from hftrain.alignment.preference_policy import _row_limit
    from hftrain.stages.dpo import DPOStageConfig

    model, _ = tiny_model()
    assert _row_limit(model, DPOStageConfig()) == 128
    assert _row_limit(model, DPOStageConfig(max_row_tokens=64)) == 64
    with pytest.raises(ConfigError, match="dpo.max_row_tokens: 129, but the chat model's context is 128"):
        _row_limit(model, DPOStageConfig(max_row_tokens=129))


def test_an_answers_log_probability_is_the_sum_over_its_tokens_whatever_is_beside_it(
    tiny_model: Callable[..., Any],
) -> None:
    import torch

    from hftrain.alignment.preference_policy import answer_log_probs

    model, tokenizer = tiny_model()
    rows = [([10, 11, 12], [20, 21]), ([13], [22, 23, 24, 25, 26])]
    together = answer_log_probs(model, rows, tokenizer.pad_token_id)
    for (prompt, answer), found in zip(rows, together, strict=True):
        ids = torch.tensor([[*prompt, *answer]])
        log_probs = model(ids).logits.log_softmax(-1)[0]
        by_hand = sum(log_probs[len(prompt) + place - 1, token].item() for place, token in enumerate(answer))
        assert found.item() == pytest.approx(by_hand, abs=1e-4)


def test_the_reference_itself_prefers_nothing_and_a_bias_for_one_token_is_seen(
    tiny_model: Callable[..., Any],
) -> None:
    import torch

    from hftrain.alignment.preference_policy import PairWatch

    reference, tokenizer = tiny_model(tie_word_embeddings=False)
    policy, _ = tiny_model(tie_word_embeddings=False)
    rows = [{"prompt_ids": [10, 11], "chosen_ids": [20], "rejected_ids": [21]}]
    watch = PairWatch(reference, rows, beta=0.5, pad_token=tokenizer.pad_token_id)
    assert watch.numbers(reference) == {
        "heldout_preference_accuracy": 0.5,
        "heldout_margin": 0.0,
        "heldout_chosen_nats_gain": 0.0,
    }
    with torch.no_grad():  # logits of the two tokens trade places: the margin doubles their difference
        before = reference(torch.tensor([[10, 11]])).logits[0, -1]
        policy.lm_head.weight[[20, 21]] = policy.lm_head.weight[[21, 20]]
    found = watch.numbers(policy)
    assert found["heldout_margin"] == pytest.approx(0.5 * 2 * (before[21] - before[20]).item(), abs=1e-5)
    assert found["heldout_preference_accuracy"] == (1.0 if before[21] > before[20] else 0.0)


def test_log_probabilities_leave_the_model_in_the_mode_it_was_in(tiny_model: Callable[..., Any]) -> None:
    from hftrain.alignment.preference_policy import answer_log_probs

    model, tokenizer = tiny_model()
    model.train()
    found = answer_log_probs(model, [([10], [20])], tokenizer.pad_token_id)
    assert model.training
    assert math.isfinite(found.item())

"""One size gives everything else, each value by a rule that is said, and what is set stays."""

import math
import subprocess
import sys
from typing import Any

import pytest

from hftrain.errors import ConfigError
from hftrain.models.budget import MUON_BATCH_SHARE, TABLE_LEARNING_RATE, batch_rows
from hftrain.models.sizes import SIZES, YOURS, context_for, derive, laid_over, parameters_asked, recommended_vocabulary


@pytest.mark.parametrize(
    ("size", "parameters"),
    [("nano", 300_000), (1_300_000, 1_300_000), ("1.3M", 1_300_000), ("350M", 350_000_000), ("1B", 10**9),
     ("800k", 800_000), (1.3e6, 1_300_000), ("1_000_000", 1_000_000)],
)  # fmt: skip
def test_a_size_is_a_name_or_a_number(size: Any, parameters: int) -> None:
    assert parameters_asked(size) == parameters


@pytest.mark.parametrize("size", ["tiny", "1.3Q", "-5M", "", "10k", "900B", True])
def test_what_is_no_size_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError, match="pretrain.size"):
        parameters_asked(size)


def test_a_token_budget_is_twenty_a_parameter_and_at_most_four_passes() -> None:
    free = derive("micro", vocab_size=2048)
    assert free.train_tokens == pytest.approx(20 * free.parameters, rel=0.01)
    # 3,000,000 bytes at 3 a token: a million tokens, four times
    capped = derive("micro", vocab_size=2048, train_bytes=3_000_000, bytes_per_token=3.0)
    assert 4_000_000 - 64 * 256 < capped.train_tokens <= 4_000_000
    assert "at most 4 passes over 1,000,000" in capped.rules["train_tokens"]


def test_the_schedule_follows_the_steps() -> None:
    made = derive("micro", vocab_size=2048, optimizer="adamw")
    steps = made.training["max_steps"]
    assert made.training["warmup_steps"] == round(0.05 * steps)
    decay = {"num_decay_steps": round(0.4 * steps), "decay_type": "linear", "min_lr_ratio": 0.02}
    assert made.training["lr_scheduler_kwargs"] == decay
    fewer = laid_over(made, {}, {"max_steps": 600})
    assert (fewer.training["max_steps"], fewer.training["warmup_steps"]) == (600, 30)
    assert fewer.training["lr_scheduler_kwargs"]["num_decay_steps"] == 240
    assert fewer.training["learning_rate"] > made.training["learning_rate"]
    assert fewer.train_tokens == 600 * fewer.training["per_device_train_batch_size"] * 256


def test_one_step_is_neither_warm_up_nor_decay_alone() -> None:
    training = laid_over(derive("nano", vocab_size=1024), {}, {"max_steps": 1}).training
    assert training["warmup_steps"] + training["lr_scheduler_kwargs"]["num_decay_steps"] <= 1


def test_a_long_warm_up_leaves_the_decay_what_remains() -> None:
    given = {"max_steps": 100, "warmup_steps": 0.9}
    training = laid_over(derive("nano", vocab_size=1024), {}, given).training
    assert training["warmup_steps"] == 0.9 and training["lr_scheduler_kwargs"]["num_decay_steps"] == 10


def test_a_batch_by_the_rule_is_a_power_of_two_of_rows() -> None:
    # C = 6 x 1.3e6 x 2.6e7 = 2.03e14 FLOPs; 0.292 C^0.3271 = 14,000 tokens = 54.7 rows of 256
    assert batch_rows(1_300_000, 256, tokens=26_000_000, optimizer="adamw") == 64
    assert batch_rows(1_300_000, 256, tokens=26_000_000, steps=1, optimizer="adamw") == 4
    # and with the steps settled instead of the tokens, the same batch
    assert batch_rows(1_300_000, 256, tokens=0, steps=26_000_000 // 14_000, optimizer="adamw") == 64


def test_muon_has_smaller_batches_and_a_rate_of_its_own_for_tables() -> None:
    muon, adamw = (derive("micro", vocab_size=2048, optimizer=name) for name in ("muon", "adamw"))
    rows = [made.training["per_device_train_batch_size"] for made in (muon, adamw)]
    assert rows[1] / rows[0] == 2 ** round(math.log2(1 / MUON_BATCH_SHARE))
    assert muon.training["learning_rate"] == TABLE_LEARNING_RATE > adamw.training["learning_rate"]
    assert any(line.startswith("learning_rate") and "beside Muon" in line for line in muon.lines())


def test_more_tokens_than_a_device_takes_are_accumulated() -> None:
    made = derive("base", vocab_size=32_768, optimizer="adamw").training
    assert made["per_device_train_batch_size"] * 1024 == 16_384
    assert made["per_device_train_batch_size"] * made["gradient_accumulation_steps"] == 256


def test_two_processes_share_the_rows_of_a_step() -> None:
    one, two = (derive("micro", vocab_size=2048, process_count=count, optimizer="adamw") for count in (1, 2))
    assert one.training["per_device_train_batch_size"] == 2 * two.training["per_device_train_batch_size"] == 64
    assert one.training["max_steps"] == two.training["max_steps"] and one.train_tokens == two.train_tokens


def test_a_width_brings_its_heads_its_mlp_its_depth_and_its_context() -> None:
    made = laid_over(derive("mini", vocab_size=4096), {"hidden_size": 128}, {})
    assert (made.model["num_attention_heads"], made.model["intermediate_size"], made.row_tokens) == (4, 320, 256)
    assert made.parameters == pytest.approx(4_000_000, rel=0.1)
    assert made.rules["hidden_size"] == YOURS and made.rules["num_hidden_layers"] != YOURS


def test_a_row_that_was_given_outlives_another_width() -> None:
    made = laid_over(derive("mini", vocab_size=4096, row_tokens=320), {"hidden_size": 128}, {})
    assert made.row_tokens == 320 and made.rules["row_tokens"] == YOURS


def test_heads_bring_what_goes_with_them() -> None:
    made = laid_over(derive("mini", vocab_size=4096, model_type="qwen3"), {"num_attention_heads": 4}, {})
    assert (made.model["num_key_value_heads"], made.model["head_dim"]) == (4, made.model["hidden_size"] // 4)


@pytest.mark.parametrize(
    "training",
    [{"learning_rate": 1e-5, "warmup_steps": 7}, {"per_device_train_batch_size": 3, "max_steps": 10},
     {"gradient_accumulation_steps": 4}, {"lr_scheduler_type": "cosine"}, {"adam_beta2": 0.99, "logging_steps": 3}],
)  # fmt: skip
def test_what_is_set_stays_and_is_said_to_be(training: dict[str, Any]) -> None:
    made = laid_over(derive("micro", vocab_size=2048), {"rope_theta": 5000.0}, training, row_tokens=128)
    assert made.training.items() >= training.items() and made.model["rope_theta"] == 5000.0 and made.row_tokens == 128
    assert all(made.rules[name] == YOURS for name in (*training, "rope_theta", "row_tokens"))
    assert ("lr_scheduler_kwargs" in made.training) == (training.get("lr_scheduler_type") != "cosine")


def test_laying_over_twice_is_laying_over_once() -> None:
    made = laid_over(derive("micro", vocab_size=2048), {"hidden_size": 192}, {"max_steps": 50}, row_tokens=64)
    assert laid_over(made, {"hidden_size": 192}, {"max_steps": 50}, row_tokens=64) == made


def test_epochs_are_counted_in_the_corpus_and_refused_without_one() -> None:
    known = derive("micro", vocab_size=2048, train_bytes=3_000_000, bytes_per_token=3.0)
    assert laid_over(known, {}, {"num_train_epochs": 2}).train_tokens == pytest.approx(2_000_000, rel=0.01)
    with pytest.raises(ConfigError, match="num_train_epochs: 2, but the size of the corpus is not known"):
        laid_over(derive("micro", vocab_size=2048), {}, {"num_train_epochs": 2})
    with pytest.raises(ConfigError, match="max_steps: 0"):
        laid_over(known, {}, {"max_steps": 0})


def test_another_type_than_the_one_derived_is_refused() -> None:
    with pytest.raises(ConfigError, match="'qwen3', but 'llama' was derived"):
        laid_over(derive("micro", vocab_size=2048), {"model_type": "qwen3"}, {})


def test_each_line_names_a_value_and_its_rule() -> None:
    made = derive("micro", vocab_size=2048, train_bytes=7_000_000, optimizer="adamw")
    lines = made.lines()
    shown = {line.partition(" ")[0] for line in lines}
    assert shown >= {*made.training, "hidden_size", "vocab_size", "row_tokens", "train_tokens", "matrix_learning_rate"}
    assert any(line.startswith("learning_rate 0.00") and "arXiv:2401.02954" in line for line in lines)
    assert len(laid_over(made, {"n_heads_typo": 1}, {}).lines()) == len(lines) + 1


def test_the_recommended_vocabulary_grows_with_the_size() -> None:
    assert [recommended_vocabulary(size) for size in SIZES] == [512, 2048, 4096, 8192, 32_768]
    assert recommended_vocabulary("1B") == 65_536


def test_the_context_is_a_power_of_two_within_bounds() -> None:
    assert [context_for(width) for width in (32, 96, 160, 256, 768, 4096)] == [128, 128, 256, 512, 1024, 2048]


def test_masked_words_take_an_encoder() -> None:
    made = derive("micro", vocab_size=2049, objective="masked_words")
    assert made.model["model_type"] == "modernbert" and made.model["sparse_prediction"]


def test_the_dial_is_light() -> None:
    script = (
        "import sys, hftrain.models.sizes; print([n for n in ('torch', 'transformers', 'numpy') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"

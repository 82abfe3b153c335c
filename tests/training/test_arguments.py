from pathlib import Path

import pytest
from transformers import TrainingArguments
from trl import SFTConfig

from hftrain.errors import ConfigError
from hftrain.training.arguments import training_arguments


def test_upstreams_names_pass_through_and_checkpoints_go_to_scratch(tmp_path: Path) -> None:
    args = training_arguments(
        TrainingArguments, {"learning_rate": 0.25, "save_steps": 20}, tmp_path, seed=9, section="pretrain"
    )
    assert (args.learning_rate, args.seed, args.output_dir) == (0.25, 9, str(tmp_path / "scratch"))


def test_trl_does_not_switch_on_what_slows_a_cpu(tmp_path: Path) -> None:
    args = training_arguments(SFTConfig, {}, tmp_path, seed=0, section="sft")
    assert (args.bf16, args.gradient_checkpointing) == (False, False)


def test_what_was_asked_for_is_kept(tmp_path: Path) -> None:
    args = training_arguments(SFTConfig, {"activation_checkpointing": True}, tmp_path, seed=0, section="sft")
    assert args.gradient_checkpointing


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"save_steps": 15}, "sft.training: logging_steps 10 and save_steps 15"),
        ({"logging_steps": 0.1}, "logging_steps 0.1"),
        ({"save_strategy": "sometimes"}, "sft.training: upstream refuses it"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        training_arguments(SFTConfig, given, tmp_path, seed=0, section="sft")

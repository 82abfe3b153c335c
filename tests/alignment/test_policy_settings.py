import ast
from pathlib import Path
from typing import Any

import pytest

from hftrain.config import load_section
from hftrain.errors import ConfigError
from hftrain.stages.best_of_n import BestOfNConfig
from hftrain.stages.dpo import DPOStageConfig
from hftrain.stages.grpo import GRPOStageConfig
from hftrain.stages.kto import KTOStageConfig
from hftrain.stages.rloo import RLOOStageConfig

SECTIONS: dict[str, Any] = {
    "dpo": DPOStageConfig,
    "kto": KTOStageConfig,
    "grpo": GRPOStageConfig,
    "rloo": RLOOStageConfig,
    "best_of_n": BestOfNConfig,
}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_defaults_are_sound_and_upstream_knows_every_name(section: str) -> None:
    config = load_section(SECTIONS[section], section, None)
    assert config.problems() == []
    assert section == config.SECTION


@pytest.mark.parametrize("section", SECTIONS)
def test_a_misspelt_argument_of_upstream_is_refused(section: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(f"{section}:\n  training:\n    learning_rat: 0.1\n")
    with pytest.raises(ConfigError, match="did you mean learning_rate"):
        load_section(SECTIONS[section], section, tmp_path / "run.yaml")


@pytest.mark.parametrize(
    ("section", "changes", "problem"),
    [
        ("dpo", {"training": {"beta": 0}}, "dpo.training.beta: 0. More than 0"),
        ("dpo", {"max_dropped_share": 1.0}, "dpo.max_dropped_share: 1.0. A share"),
        ("dpo", {"max_row_tokens": 0}, "dpo.max_row_tokens: 0. 1 or more"),
        ("kto", {"training": {"per_device_train_batch_size": 1}}, "2 or more answers, to compare"),
        ("kto", {"heldout_prompts": 1}, "kto.heldout_prompts: 1. An interval needs 2"),
        ("grpo", {"training": {"num_generations": 5}}, "grpo.training.num_generations: 5. 2 or more"),
        ("grpo", {"training": {"num_generations": 1}}, "a divisor of the 64 answers"),
        ("grpo", {"training": {"reward_weights": [1, 2]}}, "One weight for each of reward_model"),
        ("grpo", {"training": {"beta": 0.0}}, "More than 0 is needed where kl_budget is set"),
        ("grpo", {"kl_budget": -1.0}, "grpo.kl_budget: -1.0"),
        ("grpo", {"missing_eos_penalty": 0.0}, "grpo.missing_eos_penalty: 0.0"),
        ("rloo", {"training": {"temperature": 0}}, "rloo.training.temperature: 0. Sampling"),
        ("rloo", {"rewards": []}, "rloo.rewards: []. One reward at least"),
        ("rloo", {"rewards": ["exact_match", "exact_match"]}, "each named once"),
        ("rloo", {"rewards": ["exact_mach"]}, "rloo.rewards.0: 'exact_mach' is no reward function"),
        ("best_of_n", {"answers_per_prompt": 1}, "best_of_n.answers_per_prompt: 1. 2 or more"),
        ("best_of_n", {"sft_share": 1.0}, "best_of_n.sft_share: 1.0"),
        ("best_of_n", {"minimum_gain": -0.1}, "best_of_n.minimum_gain: -0.1"),
        ("best_of_n", {"temperature": 0.0}, "At 0 all answers to a prompt are one"),
        ("best_of_n", {"new_tokens": 0}, "best_of_n.new_tokens: 0. 1 or more"),
    ],
)
def test_values_that_cannot_be_are_told_before_any_work(section: str, changes: dict[str, Any], problem: str) -> None:
    kind = SECTIONS[section]
    training = {**kind().training, **changes.get("training", {})}
    found = kind(**{**changes, "training": training}).problems()
    assert len(found) == 1
    assert problem in found[0]


def test_without_a_bound_no_reference_model_is_needed() -> None:
    training = {**GRPOStageConfig().training, "beta": 0.0}
    assert GRPOStageConfig(kl_budget=None, training=training).problems() == []


def test_functions_are_recorded_and_the_reward_model_is_an_input(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def score(prompts, answers, references):\n    return [0.0] * len(answers)\n")
    config = GRPOStageConfig(rewards=["reward_model", "final_number", f"{file}:score"])
    assert config.problems() == []
    assert set(config.outside()) == {"final_number", f"{file}:score"}
    assert config.outside()[f"{file}:score"].startswith("sha256:")


def test_what_a_configuration_reads_loads_nothing_heavy() -> None:
    for name in ("policy_settings", "reward_functions"):
        path = Path(__file__).parents[2] / "hftrain" / "alignment" / f"{name}.py"
        imported = {node.module or "" for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)}
        assert not {each.split(".")[0] for each in imported} & {"torch", "transformers", "datasets", "trl"}

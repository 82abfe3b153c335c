from collections.abc import Callable
from typing import Any

import pytest
import torch

from hftrain.alignment.heldout import compare, greedy_answers, look, mean_with_interval
from hftrain.alignment.ppo_rollout import Models, Sampling

PROMPTS = [[10, 11, 12, 13], [14], [15, 16]]


@pytest.fixture
def models(tiny_model: Callable[..., tuple[Any, Any]]) -> tuple[Models, Sampling]:
    """A policy that says one word far more often than its reference, another random model."""
    from transformers import AutoModelForSequenceClassification

    policy, tokenizer = tiny_model(seed=1)
    reference, _ = tiny_model(seed=2)
    bias = torch.zeros(policy.config.vocab_size)
    bias[50] = 5.0
    policy.lm_head.register_forward_hook(lambda _module, _inputs, output: output + bias)
    config = type(policy.config)(**policy.config.to_diff_dict())
    config.num_labels = 1
    torch.manual_seed(0)
    reward = AutoModelForSequenceClassification.from_config(config).eval()
    torch.nn.init.normal_(reward.score.weight)
    how = Sampling(5, 1.0, tokenizer.eos_token_id, tokenizer.pad_token_id, 2)
    return Models(policy.eval(), reference.eval(), reward), how


def test_the_interval_of_one_and_three_is_two_plus_minus_1_96() -> None:
    """s = sqrt(2), sqrt(N) = sqrt(2)."""
    mean, interval = mean_with_interval(torch.tensor([1.0, 3.0]))
    assert mean == 2
    assert interval == pytest.approx([2 - 1.959964, 2 + 1.959964])


def test_answers_come_back_in_the_order_of_the_prompts(models: tuple[Models, Sampling]) -> None:
    """The reward model tells prompts apart by a number of its own: their lengths show in what it reads."""
    group, how = models
    lengths: list[int] = []

    def note(_module: Any, _args: Any, named: Any) -> None:
        lengths.extend(((named["input_ids"] != how.pad_token).sum(1)).tolist())

    group.reward.model.register_forward_pre_hook(note, with_kwargs=True)
    found = look(group, PROMPTS, how, answers_per_prompt=2, seed=0)
    assert found.rewards.shape == (3, 2)
    read = found.answer_tokens + torch.tensor([[4], [1], [2]])
    assert sorted(read.flatten().int().tolist()) == sorted(lengths)
    assert [len(answer) for answer in found.answers] == (found.answer_tokens - found.ended).flatten().int().tolist()


def test_the_same_seed_gives_a_policy_the_same_answers_and_leaves_chance_alone(models: tuple[Models, Sampling]) -> None:
    group, how = models
    torch.manual_seed(5)
    expected = torch.rand(())
    torch.manual_seed(5)
    first, second = (look(group, PROMPTS, how, answers_per_prompt=2, seed=1) for _ in range(2))
    assert torch.equal(first.rewards, second.rewards)
    assert torch.rand(()) == expected
    assert not torch.equal(first.rewards, look(group, PROMPTS, how, answers_per_prompt=2, seed=2).rewards)


def test_a_policy_that_is_its_reference_gains_nothing_and_spends_nothing(models: tuple[Models, Sampling]) -> None:
    group, how = models
    same = Models(group.reference, group.reference, group.reward)
    found = compare(same, PROMPTS, how, answers_per_prompt=2, seed=0)
    assert found["heldout_reward_gain"] == 0
    assert found["heldout_reward_gain_interval"] == [0, 0]
    assert found["heldout_kl"] == pytest.approx(0, abs=1e-4)
    assert found["ended_share_before"] == found["ended_share_after"]


def test_another_policy_is_measured_against_the_reference(models: tuple[Models, Sampling]) -> None:
    group, how = models
    found = compare(group, PROMPTS, how, answers_per_prompt=4, seed=0)
    gain = found["heldout_reward_after"] - found["heldout_reward_before"]
    assert found["heldout_reward_gain"] == pytest.approx(gain)
    assert found["heldout_kl"] > 1
    assert found["heldout_kl_interval"][0] < found["heldout_kl"] < found["heldout_kl_interval"][1]
    assert 1 <= found["answer_tokens_after"] <= 5


def test_habits_are_told_before_and_after(models: tuple[Models, Sampling]) -> None:
    """The policy says one word far more often than its reference."""
    group, how = models
    found = compare(group, PROMPTS, how, answers_per_prompt=8, seed=0)
    for name in ("distinct_1", "distinct_2", "entropy"):
        assert found[f"{name}_after"] < found[f"{name}_before"]
    assert found["repetition_after"] >= found["repetition_before"]
    assert 1 / 24 <= found["same_answer_share_after"] <= 1


def test_without_a_reward_model_there_is_no_reward_but_all_else(models: tuple[Models, Sampling]) -> None:
    group, how = models
    found = compare(Models(group.policy, group.reference), PROMPTS, how, answers_per_prompt=2, seed=0)
    full = compare(group, PROMPTS, how, answers_per_prompt=2, seed=0)
    assert found == {name: value for name, value in full.items() if not name.startswith("heldout_reward")}


def test_a_function_measures_beside_the_reward_model(models: tuple[Models, Sampling]) -> None:
    group, how = models
    asked: list[list[int]] = []

    def length(rows: Any, answers: Any) -> list[float]:
        asked.append(list(rows))
        return [float(len(answer)) for answer in answers]

    found = compare(group, PROMPTS, how, answers_per_prompt=2, seed=0, score=length)
    assert asked == [[0, 0, 1, 1, 2, 2]] * 2
    assert 0 <= found["heldout_function_reward_after"] <= found["answer_tokens_after"]


def test_samples_are_the_likeliest_answers_of_the_policy_in_training(
    tiny_model: Callable[..., tuple[Any, Any]],
) -> None:
    policy, tokenizer = tiny_model(seed=1)

    class Trained:
        pass

    trained = Trained()
    trained.policy = policy
    ask = greedy_answers(tokenizer, [[{"role": "user", "content": "Hello!"}]], new_tokens=4)
    numbers, samples = ask(trained)
    assert numbers == {}
    assert samples == ask(trained)[1]
    assert [sample["prompt"] for sample in samples] == ["Hello!"]

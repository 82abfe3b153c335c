"""What PPO was worth: the same held-out prompts answered before and after, at what divergence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from hftrain.alignment.ppo_rollout import Models, Sampling, roll_out
from hftrain.models.generation import answer_prompts, left_padded
from hftrain.runtime import progress
from hftrain.tokens.chat import Messages

NORMAL_95 = 1.959964
"""Half width of a normal distribution's central 95 %, in standard deviations."""


@dataclass(frozen=True)
class Look:
    """A policy's answers to the held-out prompts; N prompts with K answers each."""

    rewards: Tensor
    """The reward model's scores. Shape (N, K)."""
    divergences: Tensor
    """Nats by which each answer is likelier under the policy than under the reference. Shape (N, K)."""
    answer_tokens: Tensor
    """Lengths, the end token included. Shape (N, K)."""
    ended: Tensor
    """Whether the answer ended by itself. Shape (N, K)."""


def look(models: Models, prompts: Sequence[list[int]], how: Sampling, *, answers_per_prompt: int, seed: int) -> Look:
    """Sample answers as in training and measure them; the caller's random state is left as it was.

    Args:
        models: Policy, reference and reward model.
        prompts: Token ids of N prompts.
        how: The sampling.
        answers_per_prompt: K.
        seed: The same seed gives two like policies the same answers.
    """
    rows = [row for row in range(len(prompts)) for _ in range(answers_per_prompt)]
    shortest_first = sorted(rows, key=lambda row: (len(prompts[row]), row))  # rows of like length pad each other least
    models = replace(models, critic=None)
    found = []
    with torch.random.fork_rng(), progress(total=len(rows), unit="answer", description="held-out answers") as bar:
        torch.manual_seed(seed)
        for first in range(0, len(rows), how.batch_rows):
            batch, _ = left_padded([prompts[row] for row in shortest_first[first:][: how.batch_rows]], how.pad_token)
            seen = roll_out(models, batch.to(models.policy.device), how)
            columns = (seen.scores, seen.divergence, seen.last + 1, seen.ended)
            found.append(torch.stack([column.double().cpu() for column in columns]))
            bar.update(len(batch))
    place = torch.tensor(sorted(range(len(rows)), key=lambda index: shortest_first[index]))
    return Look(*torch.cat(found, 1)[:, place].reshape(4, len(prompts), answers_per_prompt))


def compare(
    models: Models, prompts: Sequence[list[int]], how: Sampling, *, answers_per_prompt: int, seed: int
) -> dict[str, object]:
    """Headline numbers of the policy against the reference it came from, on the same prompts with the same seed.

    The divergence is that of the two models at the sampling temperature, over whole answers of the policy.
    """
    reference = replace(models, policy=models.reference)
    before = look(reference, prompts, how, answers_per_prompt=answers_per_prompt, seed=seed)
    after = look(models, prompts, how, answers_per_prompt=answers_per_prompt, seed=seed)
    gain, interval = mean_with_interval((after.rewards - before.rewards).mean(1))
    kl, kl_interval = mean_with_interval(after.divergences.mean(1))
    return {
        "heldout_prompts": len(prompts),
        "heldout_reward_before": before.rewards.mean().item(),
        "heldout_reward_after": after.rewards.mean().item(),
        "heldout_reward_gain": gain,
        "heldout_reward_gain_interval": interval,
        "heldout_kl": kl,
        "heldout_kl_interval": kl_interval,
        "ended_share_before": before.ended.mean().item(),
        "ended_share_after": after.ended.mean().item(),
        "answer_tokens_before": before.answer_tokens.mean().item(),
        "answer_tokens_after": after.answer_tokens.mean().item(),
    }


def mean_with_interval(values: Tensor) -> tuple[float, list[float]]:
    """Mean and its normal 95 % interval, mean -+ 1.96 s / sqrt(N), s the unbiased standard deviation.

    Args:
        values: One number a prompt, so that answers to one prompt do not count as independent. Shape (N,), N >= 2.
    """
    mean = values.mean().item()
    half = NORMAL_95 * values.std().item() / len(values) ** 0.5
    return mean, [mean - half, mean + half]


def greedy_answers(
    tokenizer: PreTrainedTokenizerFast, prompts: Sequence[Messages], *, new_tokens: int
) -> Callable[[Any], tuple[Mapping[str, float], Sequence[Mapping[str, str]]]]:
    """What `LookEvery` asks while PPO trains: the likeliest answers to a few fixed prompts."""

    def ask(trained: Any) -> tuple[Mapping[str, float], Sequence[Mapping[str, str]]]:
        answers = answer_prompts(trained.policy, tokenizer, prompts, new_tokens=new_tokens, temperature=0, seed=0)
        pairs = zip(prompts, answers, strict=True)
        return {}, [{"prompt": prompt[-1]["content"], "completion": answer[0].text} for prompt, answer in pairs]

    return ask

"""What training a policy was worth: the same held-out prompts answered before and after, at what divergence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from hftrain.alignment.answer_habits import answer_habits
from hftrain.alignment.ppo_rollout import Models, Sampling, roll_out
from hftrain.models.generation import answer_prompts, left_padded
from hftrain.runtime import progress
from hftrain.tokens.chat import Messages

NORMAL_95 = 1.959964
"""Half width of a normal distribution's central 95 %, in standard deviations."""

Score = Callable[[Sequence[int], Sequence[Sequence[int]]], Sequence[float]]
"""``score(places of prompts, token ids of their answers without the end token)``: one number an answer."""


@dataclass(frozen=True)
class Look:
    """A policy's answers to the held-out prompts; N prompts with K answers each."""

    rewards: Tensor
    """The reward model's scores; zeros without one. Shape (N, K)."""
    divergences: Tensor
    """Nats by which each answer is likelier under the policy than under the reference. Shape (N, K)."""
    answer_tokens: Tensor
    """Lengths, the end token included. Shape (N, K)."""
    ended: Tensor
    """Whether the answer ended by itself. Shape (N, K)."""
    entropies: Tensor
    """Entropy in nats of the policy's distributions, summed over an answer. Shape (N, K)."""
    answers: list[list[int]]
    """Token ids without the end token, N * K of them: all of one prompt, then all of the next."""

    def numbers(self) -> dict[str, float]:
        """Means over the answers, but for reward and divergence; entropy in nats a token."""
        return {
            "ended_share": self.ended.mean().item(),
            "answer_tokens": self.answer_tokens.mean().item(),
            "entropy": (self.entropies.sum() / self.answer_tokens.sum()).item(),
            **answer_habits(self.answers),
        }


def look(models: Models, prompts: Sequence[list[int]], how: Sampling, *, answers_per_prompt: int, seed: int) -> Look:
    """Sample answers as in training and measure them; the caller's random state is left as it was.

    Args:
        models: Policy, reference and, where there is one, the reward model.
        prompts: Token ids of N prompts.
        how: The sampling.
        answers_per_prompt: K.
        seed: The same seed gives two like policies the same answers.
    """
    rows = [row for row in range(len(prompts)) for _ in range(answers_per_prompt)]
    shortest_first = sorted(range(len(rows)), key=lambda place: (len(prompts[rows[place]]), place))
    models = replace(models, critic=None)
    found, answers = [], list[list[int]]()
    with torch.random.fork_rng(), progress(total=len(rows), unit="answer", description="held-out answers") as bar:
        torch.manual_seed(seed)
        for first in range(0, len(rows), how.batch_rows):
            places = shortest_first[first : first + how.batch_rows]
            batch, _ = left_padded([prompts[rows[place]] for place in places], how.pad_token)
            seen = roll_out(models, batch.to(models.policy.device), how)
            columns = (seen.scores, seen.divergence, seen.last + 1, seen.ended, seen.entropies.sum(1))
            found.append(torch.stack([column.double().cpu() for column in columns]))
            answers += seen.texts()
            bar.update(len(batch))
    order = torch.tensor(shortest_first).argsort()
    measured = torch.cat(found, 1)[:, order].reshape(5, len(prompts), answers_per_prompt)
    rewards, divergences, answer_tokens, ended, entropies = measured.unbind()
    said = [answers[place] for place in order.tolist()]
    return Look(rewards, divergences, answer_tokens, ended, entropies, said)


def compare(
    models: Models,
    prompts: Sequence[list[int]],
    how: Sampling,
    *,
    answers_per_prompt: int,
    seed: int,
    score: Score | None = None,
) -> dict[str, object]:
    """Headline numbers of the policy against the reference it came from, on the same prompts with the same seed.

    The divergence is that of the two models at the sampling temperature, over whole answers of the policy. Rewards are
    the reward model's; without one there are none.

    Args:
        models: Policy, reference and, where there is one, the reward model.
        prompts: Token ids of N prompts, two at least.
        how: The sampling.
        answers_per_prompt: How often each is answered by each of the two.
        seed: Of both samplings.
        score: A further measure, told as ``heldout_function_reward_before`` and ``_after``.
    """
    reference = replace(models, policy=models.reference)
    before = look(reference, prompts, how, answers_per_prompt=answers_per_prompt, seed=seed)
    after = look(models, prompts, how, answers_per_prompt=answers_per_prompt, seed=seed)
    kl, kl_interval = mean_with_interval(after.divergences.mean(1))
    found: dict[str, object] = {"heldout_prompts": len(prompts)}
    if models.reward is not None:
        found |= _gain("heldout_reward", before.rewards, after.rewards)
    if score is not None:
        rows = [row for row in range(len(prompts)) for _ in range(answers_per_prompt)]
        scored = [torch.tensor(score(rows, each.answers)).double() for each in (before, after)]
        found |= _gain("heldout_function_reward", *(each.reshape(len(prompts), -1) for each in scored))
    found |= {"heldout_kl": kl, "heldout_kl_interval": kl_interval}
    earlier, later = before.numbers(), after.numbers()
    for name in earlier:
        found |= {f"{name}_before": earlier[name], f"{name}_after": later[name]}
    return found


def _gain(name: str, before: Tensor, after: Tensor) -> dict[str, object]:
    """Means before and after, and the gain over prompts with its interval. Shapes (N, K)."""
    gain, interval = mean_with_interval((after - before).mean(1))
    return {
        f"{name}_before": before.mean().item(),
        f"{name}_after": after.mean().item(),
        f"{name}_gain": gain,
        f"{name}_gain_interval": interval,
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
    """What `LookEvery` asks while a policy trains: the likeliest answers to a few fixed prompts."""

    def ask(trained: Any) -> tuple[Mapping[str, float], Sequence[Mapping[str, str]]]:
        policy = getattr(trained, "policy", trained)  # PPO's model is policy and critic in one
        answers = answer_prompts(policy, tokenizer, prompts, new_tokens=new_tokens, temperature=0, seed=0)
        pairs = zip(prompts, answers, strict=True)
        return {}, [{"prompt": prompt[-1]["content"], "completion": answer[0].text} for prompt, answer in pairs]

    return ask

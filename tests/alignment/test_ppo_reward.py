from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from hftrain.alignment.ppo_reward import FunctionReward
from hftrain.alignment.ppo_rollout import Rollout


def test_a_function_reads_prompt_answer_and_references_of_its_row(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    _, tokenizer = tiny_model()
    seen: list[Any] = []

    def note(prompts: Any, answers: Any, references: Any) -> list[float]:
        seen.extend(zip(prompts, answers, references, strict=True))
        return [float(len(answer)) for answer in answers]

    asked = [[{"role": "user", "content": text}] for text in ("Hello!", "Who?")]
    reward = FunctionReward(note, tokenizer, asked, [("Hi",), ("Ann", "I")])
    answers = [tokenizer("My name is Ann.")["input_ids"], tokenizer("Hi")["input_ids"]]
    assert reward.scores([1, 0], answers) == [15, 2]
    assert seen == [(asked[1], "My name is Ann.", ("Ann", "I")), (asked[0], "Hi", ("Hi",))]


def test_the_reward_models_score_counts_by_its_weight(tiny_model: Callable[..., tuple[Any, Any]]) -> None:
    _, tokenizer = tiny_model()
    zeros = torch.zeros(2, 3)
    rollout = Rollout(
        tokens=torch.tensor([[9, 10, 11, 12], [9, 10, 11, 12]]),
        prompt_tokens=1,
        log_probs=zeros,
        reference_log_probs=zeros,
        values=zeros,
        entropies=zeros,
        scores=torch.tensor([1.0, -1.0]),
        ended=torch.zeros(2, dtype=torch.bool),
        last=torch.tensor([2, 2]),
    )
    asked = [SimpleNamespace(), SimpleNamespace()]
    reward = FunctionReward(lambda *_: [3.0, 4.0], tokenizer, asked, [(), ()], reward_model_weight=0.5)
    assert reward.score(rollout, [0, 1]).scores.tolist() == [3.5, 3.5]

"""Rejection sampling: several answers to each prompt, the best-rewarded of them, and SFT on those.

Source: Touvron et al. 2023, arXiv:2307.09288, section 3.2.3; Dong et al. 2023 (RAFT), arXiv:2304.06767.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from hftrain.alignment.group_rewards import Reward, functions_among, rewards_of, scores_of_references
from hftrain.alignment.policy_measures import asked_of, publish_policy, shown_answers
from hftrain.alignment.policy_settings import BestConfig
from hftrain.alignment.prompts import Prompts
from hftrain.artifacts import SCRATCH, read_json, write_json, write_jsonl
from hftrain.corpus.splits import conversations_of
from hftrain.errors import DataError
from hftrain.models.generation import Answer, answer_prompts
from hftrain.models.loading import context_tokens, load_causal_lm
from hftrain.runtime import is_main_process, progress, rank_zero_first
from hftrain.tokens.chat import Messages
from hftrain.tokens.lens import Row, check_rows, label_conversations
from hftrain.training.arguments import training_arguments
from hftrain.training.callbacks import LookEvery
from hftrain.training.loop import run_trainer

BATCH_PROMPTS = 16
"""Prompts whose answers are scored at a time."""


@dataclass
class Picks:
    """The best answer to each prompt that has one worth learning from."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    """``prompt``, ``answer``, its ``reward``, and ``mean_reward`` of the prompt's answers that ended."""
    none_ended: int = 0
    """Prompts to which no answer ended by itself: what was cut must not be learned as said to the end."""
    too_small_gain: int = 0
    """Prompts whose best answer is hardly better than the mean."""

    def add(self, prompt: Messages, answers: Sequence[Answer], rewards: Sequence[float], minimum_gain: float) -> None:
        """Pick among the answers that ended; the first of equals."""
        ended = [(reward, answer) for reward, answer in zip(rewards, answers, strict=True) if answer.ended]
        if not ended:
            self.none_ended += 1
            return
        mean = sum(reward for reward, _ in ended) / len(ended)
        reward, best = max(ended, key=lambda each: each[0])
        if reward - mean <= minimum_gain:
            self.too_small_gain += 1
            return
        messages = [dict(message) for message in prompt]
        self.rows.append({"prompt": messages, "answer": best.text, "reward": reward, "mean_reward": mean})

    def account(self) -> dict[str, float]:
        """What came of the prompts."""
        count = max(1, len(self.rows))
        return {
            "picked": len(self.rows),
            "none_ended": self.none_ended,
            "too_small_gain": self.too_small_gain,
            "picked_reward": sum(row["reward"] for row in self.rows) / count,
            "mean_reward": sum(row["mean_reward"] for row in self.rows) / count,
        }


def pick_best(
    model: Any, tokenizer: PreTrainedTokenizerFast, prompts: Prompts, rewards: Sequence[Reward], config: BestConfig
) -> Picks:
    """Answer each training prompt ``config.answers_per_prompt`` times, add up the rewards, and pick.

    Raises:
        DataError: Nothing was picked.
    """
    asked, known = prompts.train_messages, prompts.train_references
    answers = answer_prompts(
        model,
        tokenizer,
        asked,
        answers_per_prompt=config.answers_per_prompt,
        new_tokens=config.new_tokens,
        temperature=config.temperature,
        seed=config.seed or 0,
    )
    picks = Picks()
    firsts = range(0, len(asked), BATCH_PROMPTS)
    for first in progress(firsts, unit="batch", description="rewards"):
        here = range(first, min(first + BATCH_PROMPTS, len(asked)))
        places = [place for place in here for _ in answers[place]]
        made = [answer for place in here for answer in answers[place]]
        sums = [0.0] * len(made)
        for reward in rewards:
            scores = reward(
                prompts=[asked[place] for place in places],
                completions=[[{"role": "assistant", "content": answer.text}] for answer in made],
                completion_ids=[list(answer.tokens) for answer in made],
                references=[known[place] for place in places],
            )
            sums = [total + score for total, score in zip(sums, scores, strict=True)]
        for place in here:
            mine = [index for index, each in enumerate(places) if each == place]
            picks.add(asked[place], answers[place], [sums[index] for index in mine], config.minimum_gain)
    if not picks.rows:
        raise DataError(
            f"best_of_n: nothing was picked for {len(asked)} prompts: to {picks.none_ended} no answer ended, to "
            f"{picks.too_small_gain} the best was at most {config.minimum_gain} above the mean. One pick at least is "
            "needed. Raise best_of_n.new_tokens or answers_per_prompt, or lower minimum_gain."
        )
    return picks


def mixed_with(
    picks: Sequence[dict[str, Any]], conversations: Sequence[Messages], *, share: float, seed: int
) -> tuple[list[Messages], int]:
    """The picked answers as conversations, and enough others drawn without replacement to make up ``share`` of all.

    Returns:
        The conversations, picks first, and how many of them are others; fewer than asked for where there are no more.
    """
    picked = [[*pick["prompt"], {"role": "assistant", "content": pick["answer"]}] for pick in picks]
    wanted = min(round(len(picked) * share / (1 - share)), len(conversations))
    others = random.Random(seed).sample(list(conversations), wanted)
    return [*picked, *others], wanted


def train_on_best(
    trainer_class: Any,
    arguments_class: Any,
    config: BestConfig,
    *,
    chat: Path,
    reward: Path | None,
    corpus: Path,
    out: Path,
) -> None:
    """Pick the best answers of the model in ``chat``, train it on them, and publish it with what it learned.

    Picks are kept while the stage is under way: a run that was cut goes on with them.

    Args:
        trainer_class: TRL's SFT trainer.
        arguments_class: Its arguments.
        config: The method's section.
        chat: The model that it starts from and is measured against.
        reward: The reward model.
        corpus: The prompts, and what the corpus answers.
        out: Where the policy goes, with ``picked.jsonl``.
    """
    seed, name = config.seed or 0, config.SECTION
    tokenizer, prompts = asked_of(config, chat, reward, corpus)
    ours = {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
    args = training_arguments(arguments_class, {**config.training, **ours}, out, seed=seed, section=name)
    model = load_causal_lm(chat)
    told: dict[str, Any] = dict(scores_of_references(config.rewards, prompts))
    kept = out / SCRATCH / "picks.json"
    with rank_zero_first():
        if is_main_process() and not kept.is_file():
            picks = pick_best(model, tokenizer, prompts, rewards_of(config.rewards, reward, tokenizer), config)
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_json(kept, {"rows": picks.rows, "account": picks.account()})
    found = read_json(kept)
    rows, counts = _rows(found["rows"], corpus, tokenizer, context_tokens(model), config)
    answer = shown_answers(tokenizer, prompts, new_tokens=config.new_tokens)
    look = LookEvery(lambda policy: ({}, answer(policy)), every_steps=config.look_every_steps, scratch=out / SCRATCH)
    trainer = trainer_class(
        model, args, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, callbacks=[look]
    )
    run_trainer(trainer, out, description=name)
    if is_main_process():
        write_jsonl(out / "picked.jsonl", found["rows"])
        told |= {"steps": trainer.state.global_step, **found["account"], **counts}
        told["episodes"] = len(prompts.train) * config.answers_per_prompt
        policy = trainer.accelerator.unwrap_model(trainer.model)
        publish_policy(
            policy, tokenizer, config,
            chat=chat, reward=reward, prompts=prompts, told=told, functions=functions_among(config.rewards), out=out,
        )  # fmt: skip


def _rows(
    picks: Sequence[dict[str, Any]],
    corpus: Path,
    tokenizer: PreTrainedTokenizerFast,
    context: int | None,
    config: BestConfig,
) -> tuple[list[Row], dict[str, int]]:
    """Checked rows to train on; conversations longer than the context are left out and counted."""
    others = conversations_of(corpus, "train")
    talks, mixed_in = mixed_with(picks, others, share=config.sft_share, seed=config.seed or 0)
    labelled = label_conversations(tokenizer, talks, max_row_tokens=context or 2**31)
    check_rows(tokenizer, labelled.rows, config.SECTION)
    too_long = labelled.dropped.get("too_long", 0)
    return labelled.rows, {"sft_conversations": mixed_in, "dropped_too_long": too_long}

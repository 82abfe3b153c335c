"""A policy that learns from preferences as they are, without a reward model: the rows, and what is watched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.alignment.policy_measures import asked_of, publish_policy, shown_answers
from hftrain.alignment.policy_settings import PairsConfig
from hftrain.alignment.ppo_rollout import token_log_probs
from hftrain.alignment.reward import reward_accuracy
from hftrain.alignment.reward_rows import EncodedCounts
from hftrain.alignment.upstream_names import old_names_allowed
from hftrain.artifacts import SCRATCH
from hftrain.corpus.storage import read_rows
from hftrain.errors import ConfigError, DataError
from hftrain.models.loading import context_tokens, load_causal_lm
from hftrain.runtime import is_main_process, progress
from hftrain.tokens.chat import encode_conversation, encode_prompt
from hftrain.training.arguments import training_arguments
from hftrain.training.callbacks import LookEvery
from hftrain.training.loop import run_trainer

BATCH_ROWS = 32
Row = Mapping[str, Any]


class TokenRows:
    """Before a preference trainer of TRL's: its rows are token ids already, and stay as they are.

    TRL would write each conversation as text and read that as tokens, and a special token that someone typed would
    come back as one.
    """

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def train(self, *given: Any, **named: Any) -> Any:
        """Train as upstream does."""
        with old_names_allowed():
            return super().train(*given, **named)  # type: ignore[misc]


@dataclass(frozen=True)
class TokenPairs:
    """Pairs as token ids: rows of ``prompt_ids``, ``chosen_ids`` and ``rejected_ids``.

    A prompt ends in the cue for the assistant, an answer in its end of turn.
    """

    train: list[Row]
    heldout: list[Row]
    counts: Mapping[str, int]


def read_pairs(
    preferences: Path, tokenizer: PreTrainedTokenizerFast, *, max_row_tokens: int, max_dropped_share: float, name: str
) -> TokenPairs:
    """Both splits of a preferences folder; pairs of which a row is too long are left out whole.

    Raises:
        DataError: A split has no pairs, or too large a share of them is too long.
    """
    rows: dict[str, list[Row]] = {}
    counts = {split: EncodedCounts() for split in ("train", "heldout")}
    for split, seen in counts.items():
        pairs = read_rows(preferences / split)
        shown = progress(pairs, total=len(pairs), unit="pair", description=f"encoding {split}")
        rows[split] = [row for pair in shown if (row := _encoded(pair, tokenizer, max_row_tokens, seen))]
        if not rows[split] or seen.dropped_share > max_dropped_share:
            raise DataError(
                f"preferences/{split}: {seen.kept} of {len(pairs)} pairs are left, {seen.too_long} pass "
                f"{max_row_tokens} tokens; the longest row has {seen.longest_tokens}. One pair at least is needed, and "
                f"at most a share of {max_dropped_share} may be left out. Collect more preferences, or raise "
                f"{name}.max_row_tokens (up to the model's context) or {name}.max_dropped_share."
            )
    too_long = sum(each.too_long for each in counts.values())
    numbers = {"train_pairs": counts["train"].kept, "heldout_pairs": counts["heldout"].kept}
    return TokenPairs(rows["train"], rows["heldout"], numbers | {"dropped_too_long": too_long})


def _encoded(
    pair: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast, max_row_tokens: int, counts: EncodedCounts
) -> Row | None:
    prompt = encode_prompt(tokenizer, pair["prompt"])
    answers = {
        f"{which}_ids": encode_conversation(tokenizer, [*pair["prompt"], *pair[which]])[0][len(prompt) :]
        for which in ("chosen", "rejected")
    }
    longest = len(prompt) + max(map(len, answers.values()))
    counts.longest_tokens = max(counts.longest_tokens, longest)
    if longest > max_row_tokens:
        counts.too_long += 1
        return None
    counts.kept += 1
    return {"prompt_ids": prompt, **answers}


@torch.no_grad()
def answer_log_probs(
    model: PreTrainedModel, rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad_token: int
) -> Tensor:
    """Log p(answer | prompt), the end of turn included, of each row (prompt, answer). Shape (N,), N rows in order."""
    was_training = model.training
    model.eval()
    found = torch.empty(len(rows))
    order = sorted(range(len(rows)), key=lambda place: -len(rows[place][0]) - len(rows[place][1]))
    for first in range(0, len(order), BATCH_ROWS):
        places = order[first : first + BATCH_ROWS]
        longest = max(len(rows[place][0]) + len(rows[place][1]) for place in places)
        ids = torch.full((len(places), longest), pad_token)
        is_answer = torch.zeros(len(places), longest, dtype=torch.bool)
        for line, place in enumerate(places):
            prompt, answer = rows[place]
            ids[line, : len(prompt) + len(answer)] = torch.tensor([*prompt, *answer])
            is_answer[line, len(prompt) : len(prompt) + len(answer)] = True
        ids, is_answer = ids.to(model.device), is_answer.to(model.device)
        logits = model(ids, attention_mask=(ids != pad_token).long(), use_cache=False).logits
        log_probs = token_log_probs(logits[:, :-1], ids[:, 1:])
        found[places] = log_probs.masked_fill(~is_answer[:, 1:], 0.0).sum(1).cpu()
    model.train(was_training)
    return found


class PairWatch:
    """Held-out pairs, and how well a policy tells the preferred answer from the other.

    The implicit reward of an answer is beta * (log pi - log pi_ref), pi_ref the model that the policy came from.
    Source: Rafailov et al. 2023, arXiv:2305.18290.
    """

    def __init__(self, reference: PreTrainedModel, pairs: Sequence[Row], *, beta: float, pad_token: int) -> None:
        """Score the pairs by ``reference`` once."""
        self.beta, self.pad_token = beta, pad_token
        self.rows = {
            which: [(pair["prompt_ids"], pair[f"{which}_ids"]) for pair in pairs] for which in ("chosen", "rejected")
        }
        self.reference = self._log_probs(reference)

    def numbers(self, policy: PreTrainedModel) -> dict[str, float]:
        """Accuracy (a tie counts half), mean margin, and by how much the preferred answers' nats grew."""
        now = self._log_probs(policy)
        implicit = {which: self.beta * (now[which] - self.reference[which]) for which in now}
        return {
            "heldout_preference_accuracy": reward_accuracy(implicit["chosen"], implicit["rejected"]),
            "heldout_margin": (implicit["chosen"] - implicit["rejected"]).mean().item(),
            "heldout_chosen_nats_gain": (self.reference["chosen"] - now["chosen"]).mean().item(),
        }

    def _log_probs(self, model: PreTrainedModel) -> dict[str, Tensor]:
        return {which: answer_log_probs(model, rows, self.pad_token) for which, rows in self.rows.items()}


RowsOf = Callable[[TokenPairs, Any, int], tuple[list[Row], list[Row], Mapping[str, int]]]
"""From pairs, upstream's arguments and the longest row: rows to train on, held-out rows, what is to be told of them."""


def as_pairs(pairs: TokenPairs, args: Any, max_row_tokens: int) -> tuple[list[Row], list[Row], Mapping[str, int]]:
    """The rows that DPO reads: the pairs."""
    return pairs.train, pairs.heldout, {}


def train_on_pairs(
    trainer_class: Any,
    arguments_class: Any,
    config: PairsConfig,
    ours: Mapping[str, Any],
    rows_of: RowsOf,
    *,
    chat: Path,
    preferences: Path,
    corpus: Path,
    out: Path,
) -> None:
    """Train the model in ``chat`` on pairs, itself as the reference, and publish it with what it learned.

    Args:
        trainer_class: A preference trainer of TRL's behind `TokenRows`.
        arguments_class: Its arguments.
        config: The method's section.
        ours: Arguments that the stage sets itself.
        rows_of: How pairs become rows.
        chat: The model that it starts from, its reference.
        preferences: The pairs.
        corpus: The prompts that it is measured on.
        out: Where the policy goes.
    """
    seed, name = config.seed or 0, config.SECTION
    tokenizer, prompts = asked_of(config, chat, None, corpus)
    args = training_arguments(arguments_class, {**config.training, **ours}, out, seed=seed, section=name)
    model, reference = load_causal_lm(chat), load_causal_lm(chat)
    limit = _row_limit(model, config)
    pairs = read_pairs(
        preferences, tokenizer, max_row_tokens=limit, max_dropped_share=config.max_dropped_share, name=name
    )
    train, heldout, counts = rows_of(pairs, args, limit)
    watch = PairWatch(reference, pairs.heldout, beta=args.beta, pad_token=tokenizer.pad_token_id)
    answer = shown_answers(tokenizer, prompts, new_tokens=config.new_tokens)
    look = LookEvery(
        lambda policy: (watch.numbers(policy), answer(policy)),
        every_steps=config.look_every_steps,
        scratch=out / SCRATCH,
    )
    trainer = trainer_class(
        model=model,
        ref_model=reference,
        args=args,
        train_dataset=Dataset.from_list(train),
        eval_dataset=Dataset.from_list(heldout),
        processing_class=tokenizer,
        callbacks=[look],
    )
    run_trainer(trainer, out, description=name)
    if is_main_process():
        policy = trainer.accelerator.unwrap_model(trainer.model)
        told = {"steps": trainer.state.global_step, **pairs.counts, **counts, **watch.numbers(policy)}
        publish_policy(policy, tokenizer, config, chat=chat, reward=None, prompts=prompts, told=told, out=out)


def _row_limit(model: PreTrainedModel, config: PairsConfig) -> int:
    """How long a row may be.

    Raises:
        ConfigError: Longer rows were asked for than the model's context holds, or nothing says how long.
    """
    context, given, name = context_tokens(model), config.max_row_tokens, config.SECTION
    if given is None and context is None:
        raise ConfigError(f"{name}.max_row_tokens: not set, and this model type states no context. Set it.")
    if given is not None and context is not None and given > context:
        raise ConfigError(
            f"{name}.max_row_tokens: {given}, but the chat model's context is {context}. A row must fit it. Lower it, "
            "or remove it to take the context."
        )
    return given or context or 0

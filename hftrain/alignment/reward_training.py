"""Reward models in training: where they start, words left out against learning by heart, several averaged into one."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer

from hftrain.alignment.reward import PairScores, load_reward_model, new_reward_model, reward_accuracy, score_pairs
from hftrain.alignment.reward_measures import diagnose, margin_histogram, reliability_bins
from hftrain.artifacts import SCRATCH, read_json, read_jsonl, read_manifest, write_json, write_jsonl
from hftrain.errors import ArtifactError
from hftrain.models.adapters import publish_adapter, with_adapter
from hftrain.models.loading import save_model
from hftrain.runtime import is_main_process, log, wait_for_everyone
from hftrain.tokens.chat import END_OF_TURN, START_OF_TURN
from hftrain.training.callbacks import checkpoints_in
from hftrain.training.loop import run_trainer

MEMBERS = "members"
"""The folder of the artifact that holds the single models of several."""

MakeTrainer = Callable[[int], Trainer]
"""The trainer of one member, by its place from 0."""


def start_folder(chat: Path, start_from: str) -> Path:
    """The folder whose body a reward model starts with: the chat model's, or that of the base model under it.

    Raises:
        ArtifactError: The chat model names no base model, or what is there is another one.
    """
    if start_from == "chat":
        return chat
    made_of = read_manifest(chat)["inputs"].get("base")
    base = None if made_of is None else (chat / made_of["path"]).resolve()
    if base is None or made_of is None or read_manifest(base)["digest"] != made_of["digest"]:
        raise ArtifactError(
            f"{chat}: the base model that it was made of is not beside it. reward_model.start_from: base needs it. "
            "Put it back, or set start_from: chat."
        )
    return base


def trainable_reward_model(
    folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    *,
    adapter: Mapping[str, Any],
    word_dropout: float,
    shared_word_dropout: float,
    seed: int,
) -> Any:
    """A fresh reward model on the body in a folder, with an adapter if one is asked for, that leaves words out.

    Every member of an ensemble gets the same fresh head: only so can their weights be averaged.
    """
    model: Any = new_reward_model(folder, pad_token_id=tokenizer.pad_token_id, seed=seed)
    if adapter:
        model = with_adapter(model, {"task_type": "SEQ_CLS"} | dict(adapter), section="reward_model")
    if word_dropout or shared_word_dropout:
        # On the outermost: peft calls the model inside it by its forward, which runs no hooks.
        leave_words_out(model, tokenizer, share=word_dropout, shared_share=shared_word_dropout)
    return model


def leave_words_out(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, *, share: float, shared_share: float
) -> None:
    """Let the model read each pair without some of its tokens, drawn anew at each step, while it trains.

    A few hundred pairs are soon known by heart; this makes it look at all that tells the two rows of a pair apart, and
    little at what they share. Marks of turns stay, so a score is read at the end of turn as ever. The draws are
    torch's, which a checkpoint keeps. Source: Iyyer et al. 2015 (word dropout), P15-1162, section 3.1; that what both
    rows hold is left out more often, and from both at once, is ours: it changes neither which is better nor why.

    Args:
        model: It is given a batch of TRL's: the chosen rows, then the rejected ones in the same order.
        tokenizer: Its marks of turns are kept.
        share: Of the tokens that one row of the pair has and the other has not.
        shared_share: Of the kinds of token that both rows have, at most: the share of a pair is drawn between 0 and it.
    """
    marks = torch.tensor(tokenizer.convert_tokens_to_ids([START_OF_TURN, END_OF_TURN]))

    def read_less(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not module.training:
            return None
        ids_RT, mask_RT = kwargs["input_ids"], kwargs["attention_mask"]
        is_shared_RT = in_both(ids_RT)
        pairs = len(ids_RT) // 2
        # One draw a kind of token and pair, so that what both rows hold goes from both.
        kinds_PV = torch.rand(pairs, len(tokenizer)) / (torch.rand(pairs, 1) * shared_share).clamp_min(1e-9)
        shared_goes_RT = kinds_PV.to(ids_RT.device).repeat(2, 1).gather(1, ids_RT) < 1
        own_goes_RT = torch.rand(ids_RT.shape).to(ids_RT.device) < share
        goes_RT = torch.where(is_shared_RT, shared_goes_RT, own_goes_RT) & ~torch.isin(ids_RT, marks.to(ids_RT.device))
        stays_RT = mask_RT.bool() & ~goes_RT
        left_first_RT = torch.argsort((~stays_RT).long(), dim=1, stable=True)[:, : int(stays_RT.sum(1).max())]
        kept_RT = stays_RT.gather(1, left_first_RT)
        shorter_RT = ids_RT.gather(1, left_first_RT).masked_fill(~kept_RT, tokenizer.pad_token_id)
        return args, kwargs | {"input_ids": shorter_RT, "attention_mask": kept_RT.to(mask_RT.dtype)}

    model.register_forward_pre_hook(read_less, with_kwargs=True)


def in_both(ids_RT: Tensor) -> Tensor:
    """Whether the other row of its pair has the same token somewhere. Shape (R, T), R rows: chosen, then rejected."""
    chosen_PT, rejected_PT = ids_RT.chunk(2)
    same_PTT = chosen_PT[:, :, None] == rejected_PT[:, None, :]
    return torch.cat([same_PTT.any(2), same_PTT.any(1)])


def train_members(make: MakeTrainer, count: int, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Train one reward model after the other, each from the same start, and publish the mean of their weights.

    Members differ in the order of their rows and in the words left out. The mean of their weights is one model, which
    whoever reads a reward model can read, and is less easily fooled than each of them; the members stay in
    ``members/`` for who wants their disagreement. A run cut on the way goes on with the member it was at.

    Source: Ramé et al. 2024 (WARM), arXiv:2401.12187.
    """
    kept = out / SCRATCH / MEMBERS
    for place in range(count):
        if (kept / str(place) / "metrics.jsonl").is_file():
            continue
        _give_checkpoints_to(place, out / SCRATCH)
        trainer = make(place)
        run_trainer(trainer, out, description="reward_model" if count == 1 else f"reward_model {place + 1} of {count}")
        if is_main_process():
            folder = kept / str(place)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            save_model(publish_adapter(trainer.accelerator.unwrap_model(trainer.model), folder), tokenizer, folder)
            write_jsonl(folder / "metrics.jsonl", read_jsonl(out / "metrics.jsonl"))  # last: it is done
        wait_for_everyone()
    if is_main_process():
        _publish([kept / str(place) for place in range(count)], tokenizer, out)


def averaged(folders: Sequence[Path]) -> PreTrainedModel:
    """The reward model whose weights are the means of those in the folders, taken in double precision."""
    model = load_reward_model(folders[0])
    states = [load_reward_model(folder).state_dict() for folder in folders]
    mean = {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
    model.load_state_dict(mean)
    return model


def members_agreement(out: Path, heldout: Dataset) -> dict[str, Any]:
    """How far the members of an ensemble agree on held-out pairs; empty where there is one model.

    ``member_score_deviation`` is the standard deviation of the members' scores of an answer, as a mean over answers:
    the ensemble's own doubt, in logits. ``member_disagreement_share`` counts the pairs that they do not all decide
    alike; ``members_mean_accuracy`` is what the mean of their scores, in place of their weights, would reach.
    """
    folders = sorted((out / MEMBERS).glob("*"), key=lambda folder: int(folder.name))
    if not folders:
        return {}
    scored = [score_pairs(load_reward_model(folder), heldout) for folder in folders]
    chosen_MB = torch.stack([each.chosen_B for each in scored]).double()
    rejected_MB = torch.stack([each.rejected_B for each in scored]).double()
    wins_MB = chosen_MB > rejected_MB
    mean = PairScores(chosen_MB.mean(0), rejected_MB.mean(0))
    return {
        "members": len(folders),
        "member_accuracies": [reward_accuracy(each.chosen_B, each.rejected_B) for each in scored],
        "members_mean_accuracy": reward_accuracy(mean.chosen_B, mean.rejected_B),
        "member_score_deviation": torch.cat([chosen_MB, rejected_MB], 1).std(0, correction=0).mean().item(),
        "member_disagreement_share": (wins_MB.any(0) & ~wins_MB.all(0)).double().mean().item(),
    }


def publish_diagnostics(out: Path, preferences: Path, train: Dataset, heldout: Dataset, before: PairScores) -> None:
    """Write ``summary.json``, ``margins.json`` and ``calibration.json`` of the finished model; log its warning.

    Where people preferred, its accuracy is its agreement with them, and stands under that name too.
    """
    after = score_pairs(load_reward_model(out), heldout)
    write_json(out / "margins.json", margin_histogram(before, after))
    write_json(out / "calibration.json", reliability_bins(after))
    judge = read_json(preferences / "summary.json").get("judge") if (preferences / "summary.json").is_file() else None
    numbers = diagnose(train, heldout, before, after) | members_agreement(out, heldout)
    if judge is None:
        numbers["agreement_with_people"] = numbers["heldout_accuracy_after"]
    if numbers["warning"]:
        log.warning("reward_model: %s", numbers["warning"])
    write_json(out / "summary.json", read_json(out / SCRATCH / "rows" / "counts.json") | numbers)


def _give_checkpoints_to(place: int, scratch: Path) -> None:
    """Remove what another member's training left; its own it goes on from."""
    owner = scratch / "member.json"
    if is_main_process() and (not owner.is_file() or read_json(owner) != place):
        for path in [*checkpoints_in(scratch), scratch / "speed"]:
            shutil.rmtree(path, ignore_errors=True)
        write_json(owner, place)
    wait_for_everyone()


def _publish(folders: Sequence[Path], tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the model, or the mean of several with the several beside it, and their mean training log."""
    if len(folders) == 1:
        shutil.copytree(folders[0], out, dirs_exist_ok=True)
        return
    save_model(averaged(folders), tokenizer, out)
    for folder in folders:
        shutil.copytree(folder, out / MEMBERS / folder.name, dirs_exist_ok=True)
    logs = [read_jsonl(folder / "metrics.jsonl") for folder in folders]
    write_jsonl(
        out / "metrics.jsonl",
        ({name: sum(row[name] for row in rows) / len(rows) for name in rows[0]} for rows in zip(*logs, strict=True)),
    )

"""Judges that are models on this machine: a reward model's scores, a chat model's choice between labels."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.alignment.judges import Contest, Judge, Judged, Verdict
from hftrain.alignment.judges_questions import Asker, Reply
from hftrain.alignment.reward import load_reward_model, pad_rows, score_conversations
from hftrain.errors import ConfigError
from hftrain.models.loading import context_tokens, load_causal_lm
from hftrain.runtime import progress
from hftrain.tokens.chat import Messages, encode_prompt, encode_text, load_tokenizer

BATCH_QUESTIONS = 16


def reward_judge(folder: Path) -> Judge:
    """A judge that gives each answer a reward model's score, unbounded, in logits.

    Raises:
        ArtifactError: The folder holds no reward model.
    """
    model, tokenizer = load_reward_model(folder), load_tokenizer(folder)

    def judge(contests: Sequence[Contest]) -> Judged:
        talks = [
            [*contest.prompt, {"role": "assistant", "content": candidate.text}]
            for contest in contests
            for candidate in contest.candidates
        ]
        scores = iter(score_conversations(model, tokenizer, talks).tolist())
        return Judged([Verdict(tuple(round(next(scores), 6) for _ in contest.candidates)) for contest in contests])

    return judge


def label_asker(folder: Path) -> Asker:
    """Asks a chat model by comparing the log-probabilities of the labels as the first token of its answer.

    A question longer than the model's context gets no label.

    Raises:
        ArtifactError: The folder holds no chat model.
        ConfigError: The model's tokenizer has no single token for a label.
    """
    model, tokenizer = load_causal_lm(folder), load_tokenizer(folder)

    def ask(questions: Sequence[Messages], labels: Sequence[str]) -> list[Reply]:
        label_ids = _label_ids(tokenizer, labels, folder)
        rows = [encode_prompt(tokenizer, question) for question in questions]
        limit = context_tokens(model)
        replies = {
            place: Reply(None, f"{len(row)} tokens, more than the context of {limit}")
            for place, row in enumerate(rows)
            if limit is not None and len(row) > limit
        }
        waiting = sorted((place for place in range(len(rows)) if place not in replies), key=lambda at: -len(rows[at]))
        starts = range(0, len(waiting), BATCH_QUESTIONS)
        for start in progress(starts, unit="batch", description="judging"):
            places = waiting[start : start + BATCH_QUESTIONS]
            found_BL = _log_probabilities(model, [rows[place] for place in places], label_ids)
            for place, found_L in zip(places, found_BL, strict=True):
                replies[place] = Reply(
                    dict(zip(labels, torch.softmax(found_L, 0).tolist(), strict=True)),
                    dict(zip(labels, (round(value, 6) for value in found_L.tolist()), strict=True)),
                )
        return [replies[place] for place in range(len(rows))]

    return ask


@torch.no_grad()
def _log_probabilities(model: PreTrainedModel, rows: Sequence[Sequence[int]], label_ids: list[int]) -> torch.Tensor:
    """Log-probability of each label as the token after each row, on the CPU. Shape (B, L), B rows and L labels."""
    ids_BT, mask_BT = pad_rows(rows, 0)
    states_BTD = model.base_model(
        input_ids=ids_BT.to(model.device), attention_mask=mask_BT.to(model.device), use_cache=False
    ).last_hidden_state
    last_B = mask_BT.sum(1) - 1
    states_BD = states_BTD[torch.arange(len(rows)), last_B]
    # The head at one position alone: of a long row and a large vocabulary, all logits would fill the memory.
    logits_BV = model.get_output_embeddings()(states_BD).float()
    return logits_BV.log_softmax(-1)[:, label_ids].double().cpu()


def _label_ids(tokenizer: PreTrainedTokenizerFast, labels: Sequence[str], folder: Path) -> list[int]:
    ids = [encode_text(tokenizer, label) for label in labels]
    if any(len(each) != 1 for each in ids):
        raise ConfigError(
            f"collect_preferences.judge_options.model: the tokenizer of {folder} has no single token for each of "
            f"{', '.join(labels)}. A judge's labels are read at one token. Name another model."
        )
    return [each[0] for each in ids]

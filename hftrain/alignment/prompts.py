"""Which prompts a policy is trained on and measured on."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig, PreTrainedTokenizerFast

from hftrain.alignment.preferences import Question, read_questions
from hftrain.corpus.splits import conversations_of
from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.tokens.chat import Messages, encode_prompt, load_tokenizer


@dataclass(frozen=True)
class Prompts:
    """Prompts as token ids, the cue for the assistant included; each list about a split is in the same order."""

    train: list[list[int]]
    heldout: list[list[int]]
    heldout_messages: list[Messages]
    too_long: int
    """Prompts of both splits that were left out for their length."""
    train_messages: list[Messages]
    train_references: list[tuple[str, ...]]
    """What the corpus answers to each."""
    heldout_references: list[tuple[str, ...]]


def read_prompts(
    corpus: Path,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_prompt_tokens: int,
    heldout_limit: int,
    seed: int,
    section: str = "ppo",
) -> Prompts:
    """The corpus's prompts: all messages before a conversation's last answer, each prompt once.

    They are the prompts that preferences are collected on; no held-out prompt is among those for training.

    Args:
        corpus: The finished corpus.
        tokenizer: The policy's.
        max_prompt_tokens: Longer prompts are left out.
        heldout_limit: At most so many held-out prompts, drawn by the seed.
        seed: Seed of that draw.
        section: The configuration's section that an error names.

    Raises:
        DataError: Nothing is left to train on, or fewer than two prompts to measure on.
    """
    questions = read_questions(conversations_of(corpus, "train"), conversations_of(corpus, "heldout"))
    train, long_train = _short_enough(questions.train, tokenizer, max_prompt_tokens)
    heldout, long_heldout = _short_enough(questions.heldout, tokenizer, max_prompt_tokens)
    random.Random(seed).shuffle(heldout)
    heldout = heldout[:heldout_limit]
    too_long = long_train + long_heldout
    for split, found, needed in (("train", train, 1), ("heldout", heldout, 2)):
        if len(found) < needed:
            raise DataError(
                f"{corpus / 'conversations' / split}: {len(found)} prompts are left; {too_long} of both splits had more"
                f" than {max_prompt_tokens} tokens. {section} needs {needed} at least, and no held-out one is trained "
                f"on. Add conversations, or raise {section}.max_prompt_tokens."
            )
    return Prompts(
        train=[ids for _, ids in train],
        heldout=[ids for _, ids in heldout],
        heldout_messages=[question.prompt for question, _ in heldout],
        too_long=too_long,
        train_messages=[question.prompt for question, _ in train],
        train_references=[question.references for question, _ in train],
        heldout_references=[question.references for question, _ in heldout],
    )


def check_models(
    chat: Path, reward: Path | None, *, max_prompt_tokens: int, new_tokens: int, section: str = "ppo"
) -> None:
    """See to it that the reward model reads what the policy writes, and that both have room for it.

    Args:
        chat: The policy's beginning.
        reward: The reward model, where there is one.
        max_prompt_tokens: Of the longest prompt.
        new_tokens: Of the longest answer.
        section: The configuration's section that an error names.

    Raises:
        ArtifactError: The two tokenizers differ in a token, or in which one pads or ends.
        ConfigError: A prompt and its answer may be longer than a model's context.
    """
    folders = [chat] if reward is None else [chat, reward]
    if reward is not None:
        _check_tokenizers(chat, reward)
    for folder in folders:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        context = getattr(config, "max_position_embeddings", None)
        if context is not None and max_prompt_tokens + new_tokens > context:
            raise ConfigError(
                f"{section}: prompts of up to {max_prompt_tokens} tokens ({section}.max_prompt_tokens) with answers of "
                f"up to {new_tokens} ({section}.new_tokens); the context of {folder} is {context} tokens. Both together"
                " must fit. Lower one of the two, or pretrain with a longer context."
            )


def _check_tokenizers(chat: Path, reward: Path) -> None:
    ours, theirs = load_tokenizer(chat), load_tokenizer(reward)
    special = [(each.pad_token_id, each.eos_token_id) for each in (ours, theirs)]
    differing = len(ours.get_vocab().items() ^ theirs.get_vocab().items())
    if differing or special[0] != special[1]:
        raise ArtifactError(
            f"{reward}: its tokenizer has {len(theirs)} tokens with pad and end {special[1]}, the one in {chat} has "
            f"{len(ours)} with {special[0]}; {differing} entries differ. Token ids are handed from one model to the "
            "other, so both need one tokenizer. Train the reward model on this chat model."
        )


def _short_enough(
    questions: Sequence[Question], tokenizer: PreTrainedTokenizerFast, max_tokens: int
) -> tuple[list[tuple[Question, list[int]]], int]:
    """Questions with the token ids of their prompts, and how many had too many."""
    encoded = [(question, encode_prompt(tokenizer, question.prompt)) for question in questions]
    kept = [each for each in encoded if len(each[1]) <= max_tokens]
    return kept, len(encoded) - len(kept)

"""Which prompts PPO trains on and is measured on."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig, PreTrainedTokenizerFast

from hftrain.alignment.preferences import read_questions
from hftrain.corpus.splits import conversations_of
from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.tokens.chat import Messages, encode_prompt, load_tokenizer


@dataclass(frozen=True)
class Prompts:
    """Prompts as token ids, the cue for the assistant included."""

    train: list[list[int]]
    heldout: list[list[int]]
    heldout_messages: list[Messages]
    """The held-out prompts as messages, in the same order."""
    too_long: int
    """Prompts of both splits that were left out for their length."""


def read_prompts(
    corpus: Path, tokenizer: PreTrainedTokenizerFast, *, max_prompt_tokens: int, heldout_limit: int, seed: int
) -> Prompts:
    """The corpus's prompts: all messages before a conversation's last answer, each prompt once.

    They are the prompts that preferences are collected on; no held-out prompt is among those for training.

    Raises:
        DataError: Nothing is left to train on, or fewer than two prompts to measure on.
    """
    questions = read_questions(conversations_of(corpus, "train"), conversations_of(corpus, "heldout"))
    train, long_train = _short_enough((each.prompt for each in questions.train), tokenizer, max_prompt_tokens)
    heldout, long_heldout = _short_enough((each.prompt for each in questions.heldout), tokenizer, max_prompt_tokens)
    random.Random(seed).shuffle(heldout)
    heldout = heldout[:heldout_limit]
    too_long = long_train + long_heldout
    for split, found, needed in (("train", train, 1), ("heldout", heldout, 2)):
        if len(found) < needed:
            raise DataError(
                f"{corpus / 'conversations' / split}: {len(found)} prompts are left; {too_long} of both splits had more"
                f" than {max_prompt_tokens} tokens. ppo needs {needed} at least, and no held-out one is trained on. "
                "Add conversations, or raise ppo.max_prompt_tokens."
            )
    return Prompts([ids for _, ids in train], [ids for _, ids in heldout], [each for each, _ in heldout], too_long)


def check_models(chat: Path, reward: Path, *, max_prompt_tokens: int, new_tokens: int) -> None:
    """See to it that the reward model reads what the policy writes, and that both have room for it.

    Raises:
        ArtifactError: The two tokenizers differ in a token, or in which one pads or ends.
        ConfigError: A prompt and its answer may be longer than a model's context.
    """
    ours, theirs = load_tokenizer(chat), load_tokenizer(reward)
    special = [(each.pad_token_id, each.eos_token_id) for each in (ours, theirs)]
    differing = len(ours.get_vocab().items() ^ theirs.get_vocab().items())
    if differing or special[0] != special[1]:
        raise ArtifactError(
            f"{reward}: its tokenizer has {len(theirs)} tokens with pad and end {special[1]}, the one in {chat} has "
            f"{len(ours)} with {special[0]}; {differing} entries differ. PPO hands token ids from one model to the "
            "other, so both need one tokenizer. Train the reward model on this chat model."
        )
    for folder in (chat, reward):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        context = getattr(config, "max_position_embeddings", None)
        if context is not None and max_prompt_tokens + new_tokens > context:
            raise ConfigError(
                f"ppo: prompts of up to {max_prompt_tokens} tokens (ppo.max_prompt_tokens) with answers of up to "
                f"{new_tokens} (ppo.new_tokens); the context of {folder} is {context} tokens. Both together must fit. "
                "Lower one of the two, or pretrain with a longer context."
            )


def _short_enough(
    prompts: Iterable[Messages], tokenizer: PreTrainedTokenizerFast, max_tokens: int
) -> tuple[list[tuple[Messages, list[int]]], int]:
    """Prompts with their token ids, and how many had too many."""
    encoded = [(prompt, encode_prompt(tokenizer, prompt)) for prompt in prompts]
    kept = [each for each in encoded if len(each[1]) <= max_tokens]
    return kept, len(encoded) - len(kept)

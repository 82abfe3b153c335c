"""Which tokens of a row are hidden from a model that learns to find them: by the row, a seed and the epoch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from hftrain.errors import ConfigError
from hftrain.tokens.lens import IGNORED

MASK = "<|mask|>"
SPACE = "\u0120"
"""A space as byte-level BPE writes it."""

SMALLEST_SHARE, LARGEST_SHARE = 0.01, 0.9

Ids = NDArray[np.int64]


def with_mask_token(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer with a mask token: its own, or one more than it had. Other tokens keep their ids."""
    if tokenizer.mask_token is None:
        tokenizer.add_special_tokens({"mask_token": MASK})
    return tokenizer


@dataclass(frozen=True)
class Masks:
    """How rows are masked: of the chosen tokens 80% become the mask, 10% any token, 10% stay.

    Source: Devlin et al. 2019 (BERT), arXiv:1810.04805; 15% there, 30% in ModernBERT (Warner et al. 2024,
    arXiv:2412.13663); Wettig et al. 2022, arXiv:2202.08005, find 40% best for large models.
    """

    share: float
    """Of the tokens that are not special, chosen on average."""
    whole_words: bool
    """Whether the tokens of a word are chosen together, and treated alike."""
    seed: int
    mask_token: int
    pad_token: int
    ordinary: Ids
    """Ids of the tokens that are not special."""
    special: NDArray[np.bool_]
    """Token id -> whether it is special."""
    continues: NDArray[np.bool_] | None = None
    """Token id -> whether it may go on with a word, and whether a word may go on after it. Shape (V, 2)."""
    replaced_share: float = 0.8
    random_share: float = 0.1

    def apply(self, ids: Sequence[int], epoch: int) -> tuple[Ids, Ids]:
        """A row as the model sees it, and its labels: -100 where nothing was chosen. Shape (L,) each.

        The same row, seed and epoch give the same mask in every process and after every break. At least one word is
        chosen, unless all are special.
        """
        row = np.asarray(ids, dtype=np.int64)
        generator = np.random.default_rng([self.seed, epoch, *_digest(row)])
        word = self._words(row)
        hidden, treatment = generator.random(row.size)[word], generator.random(row.size)[word]
        hidden[self.special[row]] = np.inf
        chosen = (hidden < self.share) | ((hidden == hidden.min()) & np.isfinite(hidden))
        labels = np.where(chosen, row, IGNORED)
        seen = np.where(chosen & (treatment < self.replaced_share), self.mask_token, row)
        some = generator.choice(self.ordinary, size=row.size)
        is_random = chosen & (treatment >= self.replaced_share) & (treatment < self.replaced_share + self.random_share)
        return np.where(is_random, some, seen), labels

    def _words(self, row: Ids) -> NDArray[np.intp]:
        """The number of each token's word in the row, from 0; each token is one where words are not kept whole."""
        if self.continues is None:
            return np.arange(row.size)
        starts = np.ones(row.size, dtype=bool)
        starts[1:] = ~(self.continues[row[1:], 0] & self.continues[row[:-1], 1])
        return np.cumsum(starts) - 1


def masks_for(
    tokenizer: PreTrainedTokenizerFast,
    *,
    share: float,
    whole_words: bool,
    seed: int,
    replaced_share: float = 0.8,
    random_share: float = 0.1,
) -> Masks:
    """Masks for rows of this tokenizer's tokens.

    Raises:
        ConfigError: The share is not from 1% to 90%, there is no mask token, or whole words are asked for and the
            tokenizer is not of bytes.
    """
    if not SMALLEST_SHARE <= share <= LARGEST_SHARE:
        raise ConfigError(
            f"pretrain.masked_share: {share}. From {SMALLEST_SHARE} to {LARGEST_SHARE} is needed; 0.15 to 0.3 is usual."
        )
    if tokenizer.mask_token_id is None:
        raise ConfigError("pretrain.objective: masked_words, but the tokenizer has no mask token. Add one to it first.")
    size = max(tokenizer.get_vocab().values()) + 1
    special = np.zeros(size, dtype=bool)
    special[list(tokenizer.all_special_ids)] = True
    special[list(tokenizer.added_tokens_decoder)] = True
    return Masks(
        share=share,
        whole_words=whole_words,
        seed=seed,
        mask_token=int(tokenizer.mask_token_id),
        pad_token=int(tokenizer.pad_token_id),
        ordinary=np.flatnonzero(~special),
        special=special,
        continues=_continues(tokenizer, size, special) if whole_words else None,
        replaced_share=replaced_share,
        random_share=random_share,
    )


def _continues(tokenizer: PreTrainedTokenizerFast, size: int, special: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a token begins, and whether it ends, with a byte that words are made of. Shape (V, 2)."""
    vocabulary = tokenizer.get_vocab()
    if not any(token.startswith(SPACE) for token in vocabulary):
        raise ConfigError(
            "pretrain.whole_words: the tokenizer writes no token with a space as bytes do. Where words begin is known "
            "of byte-level tokenizers only. Set whole_words: false."
        )
    table = np.zeros((size, 2), dtype=bool)
    for token, index in vocabulary.items():
        if token and not special[index]:
            # A space alone begins the word after it, as it does where it is a part of the word's first token.
            table[index] = _is_inside(token[0]), _is_inside(token[-1]) or token == SPACE
    return table


def _is_inside(character: str) -> bool:
    """Whether a byte, as byte-level BPE writes it, is a letter's, a digit's or a part of a character beyond ASCII.

    Bytes that print stand for themselves; 0 to 32 and 127 are written as U+0100 to U+0121, the space as U+0120.
    """
    return character.isalnum() if character.isascii() else not 0x100 <= ord(character) <= 0x121


def _digest(row: Ids) -> Sequence[int]:
    digest = hashlib.blake2b(row.astype("<i4").tobytes(), digest_size=16).digest()
    return [int(word) for word in np.frombuffer(digest, dtype="<u4")]

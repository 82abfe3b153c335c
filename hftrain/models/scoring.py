"""How well a model expects text: bits per byte, and nats per answer token."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.errors import DataError
from hftrain.models.loading import context_tokens
from hftrain.runtime import progress
from hftrain.tokens.chat import END_OF_TEXT, Messages, encode_conversation
from hftrain.tokens.lens import IGNORED
from hftrain.tokens.packing import encode_documents


def bits_per_byte(nats: float, byte_count: int) -> float:
    """Mean code length per UTF-8 byte; comparable across vocabularies.

    bpb = nats / (ln 2 * bytes). The nats are summed over the tokens of the text alone: special tokens have no bytes,
    and neither their cost nor their count enters.

    Raises:
        ValueError: There are no bytes.
    """
    if byte_count <= 0:
        raise ValueError(f"bits_per_byte: {byte_count} bytes; at least one is needed")
    return nats / (math.log(2) * byte_count)


@dataclass(frozen=True)
class TextScore:
    """What a model's surprise at some text adds up to."""

    nats: float
    tokens: int
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte."""
        return bits_per_byte(self.nats, self.bytes)


@dataclass(frozen=True)
class AnswerScore:
    """What a model's surprise at the assistants' turns of some conversations adds up to."""

    nats: float
    tokens: int

    @property
    def nats_per_token(self) -> float:
        """Mean nats per trained token, the end of turn included."""
        return self.nats / self.tokens


def score_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    *,
    row_tokens: int,
    batch_rows: int = 16,
) -> TextScore:
    """Score each text from an end-of-text token on, in windows that predict every token exactly once.

    A window holds ``row_tokens`` inputs, so a token sees between 1 and ``row_tokens`` tokens before it.
    """
    start = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    pieces = []
    for ids in encode_documents(tokenizer, texts):
        stream = [start, *ids[:-1]]  # the closing end-of-text token has no bytes: it is not scored
        for first in range(0, len(stream) - 1, row_tokens):
            window = stream[first : first + row_tokens + 1]
            pieces.append((window[:-1], window[1:]))
    nats, tokens = _total_nats(model, pieces, tokenizer.pad_token_id, batch_rows, "scoring text")
    return TextScore(nats=nats, tokens=tokens, bytes=sum(len(text.encode()) for text in texts))


def score_answers(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    conversations: Sequence[Messages],
    *,
    batch_rows: int = 16,
) -> AnswerScore:
    """Score the assistants' words and their ends of turn, given all before them; conversations too long are refused.

    Raises:
        DataError: A conversation is longer than the model's context, or none holds an assistant's turn.
    """
    pieces = []
    for messages in conversations:
        ids, mask = encode_conversation(tokenizer, messages)
        context = context_tokens(model)
        if context is not None and len(ids) > context:
            raise DataError(f"conversation of {len(ids)} tokens: the model's context is {context}. Leave it out.")
        labels = [token if trained else IGNORED for token, trained in zip(ids, mask, strict=True)]
        pieces.append((ids[:-1], labels[1:]))
    nats, tokens = _total_nats(model, pieces, tokenizer.pad_token_id, batch_rows, "scoring answers")
    if tokens == 0:
        raise DataError(f"{len(conversations)} conversations: none has an assistant's turn. One is needed to score.")
    return AnswerScore(nats=nats, tokens=tokens)


def _total_nats(
    model: PreTrainedModel, pieces: Sequence[tuple[list[int], list[int]]], pad: int, batch_rows: int, doing: str
) -> tuple[float, int]:
    """Sum of -log p over the labels that are not ignored, and their number."""
    order = sorted(range(len(pieces)), key=lambda index: (-len(pieces[index][0]), index))
    was_training = model.training
    model.eval()
    nats, tokens = 0.0, 0
    with torch.no_grad(), progress(total=len(pieces), unit="row", description=doing) as bar:
        for first in range(0, len(order), batch_rows):
            rows = [pieces[index] for index in order[first : first + batch_rows]]
            ids, labels = _right_padded(rows, pad)
            mask = torch.arange(ids.shape[1])[None, :] < torch.tensor([[len(row[0])] for row in rows])
            out = model(ids.to(model.device), attention_mask=mask.long().to(model.device), use_cache=False)
            losses = cross_entropy(
                out.logits.float().flatten(0, 1), labels.flatten().to(model.device),
                ignore_index=IGNORED, reduction="sum",
            )  # fmt: skip
            nats += losses.item()
            tokens += int((labels != IGNORED).sum())
            bar.update(len(rows))
    model.train(was_training)
    return nats, tokens


def _right_padded(rows: Sequence[tuple[list[int], list[int]]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([[*ids, *[pad] * (longest - len(ids))] for ids, _ in rows])
    labels = torch.tensor([[*labels, *[IGNORED] * (longest - len(labels))] for _, labels in rows])
    return ids, labels


def token_histogram(rows: Iterator[list[int]], vocab_size: int) -> torch.Tensor:
    """How often each token occurs. Shape (V,), V tokens in the vocabulary."""
    counts = torch.zeros(vocab_size, dtype=torch.long)
    for row in rows:
        counts += torch.bincount(torch.tensor(row), minlength=vocab_size)
    return counts


def unigram_bits_per_byte(counts_V: torch.Tensor, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> float:
    """Bits per byte of a model that knows only how often each token occurs (add-one smoothed).

    Args:
        counts_V: Occurrences in the training rows. Shape (V,).
        tokenizer: Splits the texts.
        texts: What to score.
    """
    log_p_V = torch.log((counts_V + 1).double() / (counts_V.sum() + len(counts_V)))
    nats = sum(-log_p_V[ids[:-1]].sum().item() for ids in encode_documents(tokenizer, texts) if ids[:-1])
    return bits_per_byte(nats, sum(len(text.encode()) for text in texts))

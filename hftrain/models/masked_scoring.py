"""How well an encoder finds hidden tokens: nats and hits at a fixed mask, and bits per byte token by token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.errors import DataError
from hftrain.models.masks import masks_for
from hftrain.models.scoring import AnswerScore, TextScore
from hftrain.runtime import progress
from hftrain.tokens.chat import END_OF_TEXT
from hftrain.tokens.lens import IGNORED
from hftrain.tokens.packing import encode_documents

Pair = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class MaskedScore(AnswerScore):
    """The same for guesses at hidden tokens."""

    hits: int
    """Hidden tokens whose likeliest token was the right one."""

    @property
    def accuracy(self) -> float:
        """Share of hidden tokens that were found."""
        return self.hits / self.tokens


def score_masked(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    *,
    row_tokens: int,
    share: float = 0.15,
    seed: int = 0,
    batch_rows: int = 16,
) -> MaskedScore:
    """Hide a share of the tokens of each text, the same at every call, and let the model guess them.

    All hidden tokens become the mask token: what is measured is guessing, not noticing a wrong word. Texts are read in
    windows of at most ``row_tokens``, an end-of-text token on either side of a text.

    Raises:
        DataError: There is no token to hide.
    """
    masks = masks_for(tokenizer, share=share, whole_words=False, seed=seed, replaced_share=1.0, random_share=0.0)
    pieces: list[Pair] = []
    for number, window in enumerate(_windows(tokenizer, texts, row_tokens)):
        seen, labels = masks.apply(window, number)
        pieces.append((seen.tolist(), labels.tolist()))
    score = _guesses(model, pieces, tokenizer.pad_token_id, batch_rows, "guessing words")
    if not score.tokens:
        raise DataError(f"{len(texts)} held-out texts: no token to hide. Text is needed. Hold out more of it.")
    return score


def pseudo_log_likelihood(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    *,
    row_tokens: int,
    batch_rows: int = 16,
) -> TextScore:
    """Score each text by hiding one token after another: as many forward passes as it has tokens.

    PLL(w) = sum over t of log P(w_t | w without w_t), in nats its negative; per byte it compares encoders with each
    other across vocabularies. It sees both sides of a word, so it lies far below a causal model's bits per byte,
    which it must not be compared with.

    Source: Salazar et al. 2020, arXiv:1910.14659, equation 2.
    """
    mask = tokenizer.mask_token_id
    special = {*tokenizer.all_special_ids, tokenizer.convert_tokens_to_ids(END_OF_TEXT)}

    def hidden_one_by_one() -> Iterator[Pair]:
        for window in _windows(tokenizer, texts, row_tokens):
            for place, token in enumerate(window):
                if token not in special:
                    seen, labels = list(window), [IGNORED] * len(window)
                    seen[place], labels[place] = mask, token
                    yield seen, labels

    score = _guesses(model, list(hidden_one_by_one()), tokenizer.pad_token_id, batch_rows, "hiding words one by one")
    return TextScore(nats=score.nats, tokens=score.tokens, bytes=sum(len(text.encode()) for text in texts))


def _windows(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], row_tokens: int) -> Iterator[list[int]]:
    start = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    for ids in encode_documents(tokenizer, texts):
        stream = [start, *ids]
        for first in range(0, len(stream), row_tokens):
            yield stream[first : first + row_tokens]


def _guesses(
    model: PreTrainedModel, pieces: Sequence[Pair], pad: int, batch_rows: int, description: str
) -> MaskedScore:
    """Sums over all labels."""
    nats, tokens, hits = 0.0, 0, 0
    was_training = model.training
    model.eval()
    ordered = sorted(
        pieces, key=lambda piece: len(piece[0])
    )  # equal lengths together: less padding; the sum is the same
    with torch.no_grad(), progress(total=len(ordered), unit="row", description=description) as bar:
        for first in range(0, len(ordered), batch_rows):
            batch = ordered[first : first + batch_rows]
            longest = len(batch[-1][0])
            ids = torch.full((len(batch), longest), pad)
            labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
            for row, (seen, wanted) in enumerate(batch):
                ids[row, : len(seen)] = torch.from_numpy(np.asarray(seen, dtype=np.int64))
                labels[row, : len(seen)] = torch.from_numpy(np.asarray(wanted, dtype=np.int64))
                mask[row, : len(seen)] = 1
            logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits.cpu()
            places = labels != IGNORED
            guessed, wanted_ids = logits[places].float(), labels[places]
            nats += float(cross_entropy(guessed, wanted_ids, reduction="sum").double())
            hits += int((guessed.argmax(-1) == wanted_ids).sum())
            tokens += len(wanted_ids)
            bar.update(len(batch))
    model.train(was_training)
    return MaskedScore(nats=nats, tokens=tokens, hits=hits)

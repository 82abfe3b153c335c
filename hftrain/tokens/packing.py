"""Documents into rows of one length, for pretraining."""

from collections.abc import Iterable, Iterator, Sequence

from transformers import PreTrainedTokenizerFast

from hftrain.tokens.chat import END_OF_TEXT


def encode_documents(
    tokenizer: PreTrainedTokenizerFast, texts: Iterable[str], *, batch_documents: int = 512
) -> Iterator[list[int]]:
    """Token ids of each document followed by the end-of-text token, encoded a batch at a time on all cores."""
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    for batch in _batches(texts, batch_documents):
        encoded = tokenizer(batch, add_special_tokens=False, split_special_tokens=True, return_attention_mask=False)
        for ids in encoded["input_ids"]:
            yield [*ids, end]


def pack_rows(documents: Iterable[Sequence[int]], *, row_tokens: int, start: int) -> Iterator[list[int]]:
    """Join documents in order and cut the stream into rows of exactly ``row_tokens``; the last part row is left out.

    A row of ``row_tokens`` inputs teaches ``row_tokens - 1`` predictions, so each row begins with the last token of the
    one before it, and no token goes unlearned. The stream opens with ``start`` (end of text), so that first words are
    learned too.
    """
    stream = [start]
    for ids in documents:
        stream.extend(ids)
        cut = 0
        while len(stream) - cut >= row_tokens:
            yield stream[cut : cut + row_tokens]
            cut += row_tokens - 1
        del stream[:cut]


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

from pathlib import Path

import numpy
import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hftrain.tokens import encoding
from hftrain.tokens.chat import encode_text, load_tokenizer
from hftrain.tokens.encoding import Encoder, encode_documents, read_encoded, write_encoded
from hftrain.tokens.vocabulary import PROBES, learn_vocabulary
from hftrain.tokens.words import batches_of

TEXTS = [*PROBES, "", " ", "\n", "日本語" * 50, "<|endoftext|> <|pad|>", *PROBES]


@pytest.fixture(params=[("gpt2", None), ("gpt2", 1), ("gpt4", 3)], ids=str)
def tokenizer(request):
    split, digits = request.param
    return learn_vocabulary(TEXTS, vocab_size=400, split=split, digits=digits)


def documents(tokenizer, texts, *, batch_bytes):
    made = Encoder(tokenizer).encode(batches_of(texts, batch_bytes=batch_bytes))
    return [row.tolist() for each in made for row in numpy.split(each.ids, each.ends[:-1])]


@pytest.mark.parametrize("batch_bytes", [1, 200, 10_000])
def test_documents_have_the_ids_of_their_text_and_an_end(tokenizer, batch_bytes: int) -> None:
    expected = [[*encode_text(tokenizer, text), 1] for text in TEXTS]

    assert documents(tokenizer, TEXTS, batch_bytes=batch_bytes) == expected
    assert list(encode_documents(tokenizer, TEXTS)) == expected


def test_pieces_that_were_forgotten_are_encoded_again(tokenizer, monkeypatch) -> None:
    monkeypatch.setattr(encoding, "MOST_KNOWN_IDS", 10)

    assert documents(tokenizer, TEXTS, batch_bytes=50) == [[*encode_text(tokenizer, text), 1] for text in TEXTS]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda backend: setattr(backend, "normalizer", normalizers.NFC()),
        lambda backend: backend.add_tokens([AddedToken("a k", normalized=False)]),
    ],
    ids=["normalizer", "a token over two words"],
)
def test_a_tokenizer_whose_words_reach_further_encodes_documents_whole(tokenizer_dir: Path, spoil) -> None:
    tokenizer = load_tokenizer(tokenizer_dir)
    spoil(tokenizer.backend_tokenizer)
    texts = ["e\u0301 is a king.", "a kind", *TEXTS]

    assert documents(tokenizer, texts, batch_bytes=100) == [[*encode_text(tokenizer, text), 1] for text in texts]


def test_a_foreign_tokenizer_ends_documents_in_its_own_end() -> None:
    alphabet = ["<pad>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({token: index for index, token in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.add_special_tokens(alphabet[:2])
    foreign = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>")

    encoded = documents(foreign, ["go </s> on", "", "go on"], batch_bytes=6)

    assert encoded == [[*encode_text(foreign, text), 1] for text in ("go </s> on", "", "go on")]
    assert [ids.count(1) for ids in encoded] == [1, 1, 1]


def test_documents_end_in_the_end_of_text_token(tokenizer_dir: Path) -> None:
    encoded = list(encode_documents(load_tokenizer(tokenizer_dir), ["The cat", "", "<|endoftext|>"]))
    assert [ids[-1] for ids in encoded] == [1, 1, 1]
    assert encoded[1] == [1]
    assert encoded[2].count(1) == 1


@pytest.mark.parametrize(("vocab_size", "kind"), [(65_536, "uint16"), (65_537, "uint32")])
def test_what_is_written_is_read_again_in_as_few_bytes_as_hold_it(tokenizer, tmp_path, vocab_size, kind) -> None:
    write_encoded(tmp_path, Encoder(tokenizer).encode(batches_of(TEXTS, batch_bytes=99)), vocab_size=vocab_size)

    read = read_encoded(tmp_path)
    assert read is not None and read.ids.dtype == kind
    assert [row.tolist() for row in numpy.split(read.ids, read.ends[:-1])] == list(encode_documents(tokenizer, TEXTS))
    assert read.lengths.sum() == read.ends[-1] == len(read.ids)


def test_files_that_were_cut_are_not_read(tokenizer, tmp_path) -> None:
    write_encoded(tmp_path, Encoder(tokenizer).encode([TEXTS]), vocab_size=400)
    ids = (tmp_path / "ids.bin").read_bytes()
    (tmp_path / "ids.bin").write_bytes(ids[:-2])

    assert read_encoded(tmp_path) is None
    assert read_encoded(tmp_path / "nowhere") is None

"""The rows that a run reads: the same with and without a cache, whole or cut short, and a batch of them."""

import itertools
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
import torch

from hftrain.corpus.splits import texts_of
from hftrain.errors import ConfigError, DataError
from hftrain.tokens import encoded_corpus
from hftrain.tokens.chat import encode_text, load_tokenizer
from hftrain.training.rows import check_document_masking, collate_rows, rows_of


@pytest.fixture(scope="module")
def tokenizer(tokenizer_dir: Path):
    return load_tokenizer(tokenizer_dir)


@pytest.fixture
def make(corpus_dir, tokenizer, tmp_path):
    """``make(folder, max_steps=...)``: rows of 24 tokens in a folder of this test."""

    def rows(name, *, max_steps=0, seed=5, row_tokens=24, **settings):
        args = SimpleNamespace(
            max_steps=max_steps, train_batch_size=2, gradient_accumulation_steps=1, world_size=1, seed=seed
        )
        return rows_of(corpus_dir, tokenizer, tmp_path / name, args, row_tokens=row_tokens, **settings)

    return rows


def column(dataset, name="input_ids"):
    return numpy.array(dataset[name]).tolist()


def test_rows_are_the_documents_in_a_shuffled_order_cut_into_pieces(make, corpus_dir, tokenizer) -> None:
    rows, account = make("rows")

    stream = [1]
    for text in texts_of(corpus_dir, "train", shuffled_by=5):
        stream += [*encode_text(tokenizer, text), 1]
    assert column(rows) == [stream[at : at + 24] for at in range(0, len(stream) - 23, 23)]
    assert (account.rows, account.documents) == (len(rows), 100)


@pytest.mark.parametrize("packing", ["stream", "whole"])
@pytest.mark.parametrize("max_steps", [0, 3])
def test_the_cache_changes_no_row(make, tmp_path, packing, max_steps) -> None:
    plain, counted = make("a", packing=packing, max_steps=max_steps)
    make("filling", cache=tmp_path / "cache")  # a run of all rows fills it
    cached, counted_again = make("b", packing=packing, max_steps=max_steps, cache=tmp_path / "cache")

    assert column(plain) == column(cached)
    assert counted == counted_again
    assert not max_steps or len(plain) == 6
    assert not list(tmp_path.glob("*.documents"))


def test_other_rows_of_the_same_corpus_are_read_from_the_cache(make, tmp_path, monkeypatch) -> None:
    make("first", cache=tmp_path / "cache")
    monkeypatch.setattr("hftrain.tokens.encoded_corpus.Encoder", None)  # encoding would fail

    rows, _ = make("second", row_tokens=40, seed=6, packing="whole", cache=tmp_path / "cache")

    assert rows[0]["input_ids"].shape == (40,)


def test_a_short_run_does_not_encode_the_whole_corpus(make, tmp_path) -> None:
    make("rows", max_steps=1, row_tokens=8, cache=tmp_path / "cache")

    assert not (tmp_path / "cache").exists()


def spoil_size(folder):
    with (folder / "ids.bin").open("ab") as file:
        file.write(b"x")


def spoil_ends(folder):
    (folder / "ends.bin").write_bytes(bytes((folder / "ends.bin").stat().st_size))


@pytest.mark.parametrize(
    "damage",
    [shutil.rmtree, spoil_size, spoil_ends, lambda folder: (folder / "about.json").write_text("{}")],
    ids=["deleted", "another size", "other ends", "no counts"],
)
def test_a_damaged_or_deleted_cache_is_made_anew(make, tmp_path, damage) -> None:
    rows, _ = make("a", cache=tmp_path / "cache")
    (folder,) = (path for path in (tmp_path / "cache" / "encoded").iterdir() if path.is_dir())
    damage(folder)

    again, _ = make("b", cache=tmp_path / "cache")

    assert column(rows) == column(again)
    assert {path.name for path in folder.iterdir()} == {"ids.bin", "ends.bin", "about.json", "used"}


def test_only_the_two_last_used_encodings_are_kept(make, tmp_path, tokenizer, monkeypatch) -> None:
    encoded = tmp_path / "cache" / "encoded"
    for number in range(4):
        monkeypatch.setattr("hftrain.tokens.encoded_corpus._name_of", lambda *_, number=number: f"n{number}")
        make(f"rows{number}", cache=tmp_path / "cache")
        os.utime(encoded / f"n{number}" / "used", (number, number))
    (encoded / "cut.partial").mkdir()
    monkeypatch.setattr("hftrain.tokens.encoded_corpus._name_of", lambda *_: "n4")
    make("rows4", cache=tmp_path / "cache")

    assert sorted(path.name for path in encoded.iterdir() if path.is_dir()) == ["n3", "n4"]


def test_two_runs_at_one_time_encode_once(make, tmp_path, monkeypatch) -> None:
    began = []
    monkeypatch.setattr(encoded_corpus, "Encoder", _counting(encoded_corpus.Encoder, began))
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda name: make(name, cache=tmp_path / "cache"), "ab"))

    assert len(began) == 1
    assert column(made[0][0]) == column(made[1][0])


def _counting(encoder, began):
    def counted(tokenizer):
        began.append(1)
        time.sleep(0.2)
        return encoder(tokenizer)

    return counted


def test_a_cache_that_is_deleted_while_it_is_written_changes_nothing(make, tmp_path, monkeypatch) -> None:
    plain, _ = make("a")
    write = encoded_corpus.write_encoded

    def write_and_delete(folder, *given, **settings):
        write(folder, *given, **settings)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    monkeypatch.setattr(encoded_corpus, "write_encoded", write_and_delete)
    rows, _ = make("b", cache=tmp_path / "cache")

    assert column(rows) == column(plain)


def test_a_cut_run_goes_on_with_the_rows_that_it_had(make, tmp_path) -> None:
    _, account = make("rows", packing="whole")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "rows").iterdir()}

    _, again = make("rows", packing="whole")

    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "rows").iterdir()}
    assert account == again


def test_too_little_text_and_an_unknown_packing_are_refused(make) -> None:
    with pytest.raises(DataError, match="does not fill one row of 100000 tokens"):
        make("rows", row_tokens=100_000)
    with pytest.raises(ConfigError, match=r"pretrain.packing: 'best'. One of stream, whole"):
        make("other", packing="best")


def test_a_batch_has_the_labels_of_its_rows(make) -> None:
    streamed, _ = make("a")
    whole, _ = make("b", packing="whole", document_masking=True)

    batch = collate_rows([streamed[0], streamed[3]])
    assert batch["input_ids"].dtype == batch["labels"].dtype == torch.int64
    assert batch["labels"].tolist() == batch["input_ids"].tolist() == column(streamed.select([0, 3]))
    assert set(batch) == {"input_ids", "labels"}
    batch = collate_rows(whole.__getitems__([1, 2]))
    assert set(batch) == {"input_ids", "labels", "position_ids"}
    assert batch["labels"].tolist() == column(whole.select([1, 2]), "labels")


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gpt2"])
def test_with_document_masking_the_document_before_changes_no_logit(make, tiny_model, model_type) -> None:
    shape = {"n_embd": 32, "n_layer": 1, "n_head": 2} if model_type == "gpt2" else {"head_dim": 16}
    model, _ = small(tiny_model, model_type, shape)
    rows, _ = make("rows", packing="whole", document_masking=True, row_tokens=60)
    row = next(row for row in rows if (row["position_ids"][1:] == 0).sum() > 1)
    batch = {name: torch.tensor(row[name].astype(numpy.int64))[None] for name in ("input_ids", "position_ids")}
    starts = (batch["position_ids"][0] == 0).nonzero().flatten().tolist()

    with torch.inference_mode():
        together = model(**batch, use_cache=False).logits[0]
        for first, last in itertools.pairwise([*starts, 60]):
            alone = model(input_ids=batch["input_ids"][:, first:last], use_cache=False).logits[0]
            torch.testing.assert_close(together[first:last], alone, atol=1e-5, rtol=0)
    check_document_masking(model)


def small(tiny_model, model_type, shape):
    from transformers import AutoConfig, AutoModelForCausalLM

    if model_type == "llama":
        return tiny_model()
    settings = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    settings |= {"num_attention_heads": 2, "num_key_value_heads": 2} | shape
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **settings)).eval(), None


def test_a_model_that_sees_the_document_before_is_refused(tiny_model) -> None:
    model, _ = tiny_model()
    forward = model.forward
    model.forward = lambda input_ids, position_ids, use_cache: forward(input_ids=input_ids, use_cache=use_cache)

    with pytest.raises(ConfigError, match="a llama model lets tokens attend to the document before"):
        check_document_masking(model)


def test_a_batch_is_made_in_less_than_a_millisecond_a_row(make) -> None:
    rows, _ = make("rows", row_tokens=256)
    indices = [index % len(rows) for index in range(32)]
    collate_rows(rows.__getitems__(indices))

    began = time.process_time()
    for _ in range(10):
        collate_rows(rows.__getitems__(indices))
    assert time.process_time() - began < 0.32

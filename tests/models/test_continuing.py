"""A model that is there already goes on with its own tokenizer, and what is published opens with plain transformers."""

import json
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hftrain.errors import ArtifactError, ConfigError
from hftrain.files import digest_folder
from hftrain.models.continuing import load_base, outside_of_base, problems_of_base
from hftrain.models.generation import answer_prompts, continue_text
from hftrain.models.loading import new_masked_lm, save_model
from hftrain.models.masks import with_mask_token
from hftrain.tokens.chat import END_OF_TEXT, END_OF_TURN, PAD, encode_conversation, encode_text, load_tokenizer
from hftrain.tokens.packing import encode_documents

GPT2_FILES = Path(__file__).parents[2].parent / "shared" / "data" / "tokenizer-gpt2"
TEXTS = ["The cat sat on the mat and looked at the red ball.", "The children played in the garden until evening."] * 8
LLAMA = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
         "num_attention_heads": 2}  # fmt: skip
BERT = LLAMA | {"model_type": "bert"}
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 64}


def foreign_tokenizer(end: str, *, normalizer: Any = None) -> PreTrainedTokenizerFast:
    """Byte-level BPE as GPT-2's, with one special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=[end], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(TEXTS, trainer=trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=end, eos_token=end)


def write_foreign(folder: Path, shape: dict[str, Any], tokenizer: Any, **more: Any) -> Path:
    """A random model of others and its tokenizer."""
    shape = dict(shape)
    torch.manual_seed(1)
    config = AutoConfig.for_model(shape.pop("model_type"), vocab_size=len(tokenizer), **shape, **more)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def trained(base: Path, out: Path, texts: Sequence[str] = TEXTS) -> None:
    """Four steps from a base, saved to a folder."""
    set_seed(2)
    model, tokenizer = load_base(str(base), row_tokens=24)
    stream = [token for ids in encode_documents(tokenizer, texts) for token in ids]
    packed = [stream[first : first + 24] for first in range(0, len(stream) - 24, 24)]
    rows = [{"input_ids": row, "labels": row} for row in packed]
    args = TrainingArguments(
        output_dir=str(out) + "-scratch", max_steps=4, per_device_train_batch_size=4, learning_rate=1e-2, use_cpu=True,
        report_to="none", disable_tqdm=True, save_strategy="no", dataloader_pin_memory=False, seed=2, logging_steps=1,
    )  # fmt: skip
    trainer = Trainer(model, args, train_dataset=Dataset.from_list(rows))
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0]
    save_model(trainer.model, tokenizer, out)


@pytest.mark.parametrize(
    ("shape", "end"),
    [(GPT2, "<|endoftext|>"), (LLAMA, "</s>"), (LLAMA | {"tie_word_embeddings": True}, "<|endoftext|>")],
    ids=["gpt2", "llama", "llama-tied"],
)
def test_a_foreign_model_goes_on_and_opens_with_plain_transformers(shape: Any, end: str, tmp_path: Path) -> None:
    base = write_foreign(tmp_path / "base", shape, foreign_tokenizer(end))
    trained(base, tmp_path / "a")
    theirs, ours = AutoTokenizer.from_pretrained(base), AutoTokenizer.from_pretrained(tmp_path / "a")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "a").eval()
    assert encode_text(ours, "The cat's ball 12") == encode_text(theirs, "The cat's ball 12")
    assert len(ours) == model.get_input_embeddings().weight.shape[0] == len(theirs) + (3 if "text" in end else 4)
    assert (ours.pad_token, ours.eos_token) == (PAD, END_OF_TURN)

    talk = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "The cat."}]
    ids = encode_conversation(ours, talk)[0]
    assert ours.apply_chat_template(talk)["input_ids"] == ids
    tokenizer = load_tokenizer(tmp_path / "a")
    assert continue_text(model, tokenizer, ["The cat"], new_tokens=4, temperature=0, seed=0)
    assert answer_prompts(model, tokenizer, [talk[:1]], new_tokens=4, temperature=0, seed=0)


def test_where_the_base_lies_leaves_no_mark_and_the_second_run_gives_the_same_bytes(tmp_path: Path) -> None:
    base = write_foreign(tmp_path / "base", GPT2, foreign_tokenizer("<|endoftext|>"))
    elsewhere = Path(shutil.copytree(base, tmp_path / "far" / "away"))
    trained(base, tmp_path / "a")
    trained(elsewhere, tmp_path / "b")
    assert digest_folder(tmp_path / "a") == digest_folder(tmp_path / "b")
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in (tmp_path / "a").iterdir())


def test_new_tokens_begin_as_the_mean_and_the_end_of_text_as_the_models_own_end(tmp_path: Path) -> None:
    base = write_foreign(tmp_path / "base", LLAMA, foreign_tokenizer("</s>"), tie_word_embeddings=False)
    before = AutoModelForCausalLM.from_pretrained(base)
    model, tokenizer = load_base(str(base))
    for get in ("get_input_embeddings", "get_output_embeddings"):
        old, new = getattr(before, get)().weight, getattr(model, get)().weight
        own_end, end, start = tokenizer.convert_tokens_to_ids(["</s>", END_OF_TEXT, "<|im_start|>"])
        assert torch.equal(new[: len(old)], old) and torch.equal(new[end], old[own_end])
        assert torch.allclose(new[start], old.mean(dim=0))


def test_a_model_of_ours_goes_on_without_a_change_to_its_tokens(chat_dir: Path, tmp_path: Path) -> None:
    model, tokenizer = load_base(str(chat_dir))
    save_model(model, tokenizer, tmp_path)
    for name in ("tokenizer.json", "chat_template.jinja", "model.safetensors", "config.json"):
        assert (tmp_path / name).read_bytes() == (chat_dir / name).read_bytes(), name


def test_rows_in_a_table_larger_than_the_vocabulary_are_used_before_it_grows(tmp_path: Path) -> None:
    tokenizer = foreign_tokenizer("<|endoftext|>")
    base = write_foreign(tmp_path / "base", LLAMA, tokenizer)
    padded = AutoModelForCausalLM.from_pretrained(base)
    padded.resize_token_embeddings(len(tokenizer) + 64, mean_resizing=False)
    padded.save_pretrained(base)
    model, adopted = load_base(str(base))
    assert len(adopted) == len(tokenizer) + 3
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer) + 64


def test_a_tokenizer_that_normalises_is_kept_as_its_model_knows_it(tmp_path: Path) -> None:
    base = write_foreign(tmp_path / "base", LLAMA, foreign_tokenizer("</s>", normalizer=normalizers.NFC()))
    model, tokenizer = load_base(str(base))
    save_model(model, tokenizer, tmp_path / "out")
    assert encode_text(load_tokenizer(tmp_path / "out"), "e\u0301") == encode_text(tokenizer, "\u00e9")


def test_an_encoder_goes_on_with_its_mask_token(tokenizer_dir: Path, tmp_path: Path) -> None:
    tokenizer = with_mask_token(load_tokenizer(tokenizer_dir))
    save_model(new_masked_lm(BERT, tokenizer, context_tokens=32), tokenizer, tmp_path)
    model, again = load_base(str(tmp_path), objective="masked_words")
    assert again.mask_token_id == 320 and model.get_output_embeddings().bias.shape == (321,)
    for path in tmp_path.glob("token*"):
        path.unlink()
    with pytest.raises(ArtifactError, match="holds no tokenizer"):
        load_base(str(tmp_path), objective="masked_words")
    assert "holds no tokenizer" in problems_of_base(str(tmp_path))[0]


def test_gpt2s_own_tokenizer_goes_on(tmp_path: Path) -> None:
    if not GPT2_FILES.is_dir():
        pytest.skip("GPT-2's vocab.json and merges.txt are not here")
    config = AutoConfig.for_model("gpt2", vocab_size=50257, n_embd=16, n_layer=1, n_head=1, n_positions=32)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(GPT2_FILES / name, tmp_path / "base" / name)
    model, tokenizer = load_base(str(tmp_path / "base"), row_tokens=32)
    assert encode_text(tokenizer, "Hello world") == [15496, 995]
    assert tokenizer.convert_tokens_to_ids(END_OF_TEXT) == 50256 and len(tokenizer) == 50260
    save_model(model, tokenizer, tmp_path / "out")
    assert encode_text(load_tokenizer(tmp_path / "out"), "Hello world") == [15496, 995]


def test_a_row_longer_than_the_context_is_refused(tmp_path: Path) -> None:
    base = write_foreign(tmp_path / "base", GPT2, foreign_tokenizer("<|endoftext|>"))
    with pytest.raises(ConfigError, match="row_tokens: 128, but the base has a context of 64"):
        load_base(str(base), row_tokens=128)


@pytest.mark.parametrize("shape", [BERT, BERT | {"model_type": "modernbert"}], ids=["bert", "modernbert"])
def test_an_encoder_is_no_base_for_the_next_token(shape: Any, tokenizer_dir: Path, tmp_path: Path) -> None:
    tokenizer = with_mask_token(load_tokenizer(tokenizer_dir))
    save_model(new_masked_lm(shape, tokenizer, context_tokens=32), tokenizer, tmp_path)
    with pytest.raises(ArtifactError, match="Name the folder of another model"):
        load_base(str(tmp_path))


def test_the_request_knows_the_bases_contents_and_not_how_they_were_made(
    chat_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(chat_dir, tmp_path / "runs" / "chat"))
    monkeypatch.chdir(tmp_path)
    found = outside_of_base("runs/chat")
    assert found.keys() == {"runs/chat"} and outside_of_base(str(copy)) == found
    (copy / "manifest.json").write_text("{}")
    assert outside_of_base("runs/chat") == found
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-5}))
    assert outside_of_base("runs/chat") != found
    revision = "0" * 40
    assert outside_of_base(f"hub:owner/name@{revision}") == {"hub:owner/name": revision}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("hub:owner/name", "is not a fixed model"),
        ("hub:owner/name@main", "40 hex digits"),
        ("no/such/place", "is not a folder"),
        ("empty", "holds no config.json"),
        ("pickled", "Weights in a pickle are not read"),
    ],
)
def test_what_is_no_base_is_told_before_any_work(
    entry: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "pickled"):
        (tmp_path / name).mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}")
    (tmp_path / "pickled" / "pytorch_model.bin").touch()
    (problem,) = problems_of_base(entry)
    assert problem.startswith("base: ") and said in problem


def test_a_folder_and_a_revision_are_right(chat_dir: Path) -> None:
    assert problems_of_base(str(chat_dir)) == [] and problems_of_base("hub:owner/name@" + "a" * 40) == []


def test_a_model_of_the_hub_is_fetched_at_its_revision_and_without_pickles(
    chat_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def fetch(repo: str, **given: Any) -> str:
        asked.update(given, repo=repo)
        return str(chat_dir)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    model, tokenizer = load_base("hub:owner/name@" + "a" * 40)
    assert (asked["repo"], asked["revision"]) == ("owner/name", "a" * 40)
    assert not any(fnmatch("pytorch_model.bin", pattern) for pattern in asked["allow_patterns"])
    assert model.training and len(tokenizer) == 320


def test_a_model_that_the_cache_does_not_hold_is_told() -> None:
    with pytest.raises(ArtifactError, match="cannot be fetched"):
        load_base("hub:owner/name@" + "a" * 40)

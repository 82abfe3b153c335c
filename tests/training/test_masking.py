"""Masks are those of the row, the seed and the epoch, before a break and after it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoModelForMaskedLM,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    pipeline,
    set_seed,
)

from hftrain.errors import ConfigError
from hftrain.files import digest_folder
from hftrain.models.loading import new_masked_lm, save_model
from hftrain.models.masks import with_mask_token
from hftrain.tokens.chat import END_OF_TEXT, encode_text, load_tokenizer
from hftrain.tokens.lens import IGNORED
from hftrain.training.masking import masked_collator

TEXTS = ["The cat sat on the mat and looked at the red ball.", "The children played in the garden until evening."] * 12
SHAPE = {"model_type": "modernbert", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
         "num_attention_heads": 2, "sparse_prediction": True}  # fmt: skip


@pytest.fixture
def tokenizer(tokenizer_dir: Path) -> Any:
    """A tokenizer of 320 tokens and a mask token."""
    return with_mask_token(load_tokenizer(tokenizer_dir))


@pytest.fixture
def rows(tokenizer: Any) -> list[dict[str, list[int]]]:
    """Rows of 24 tokens."""
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    stream = [token for text in TEXTS for token in (end, *encode_text(tokenizer, text))]
    return [{"input_ids": stream[first : first + 24]} for first in range(0, len(stream) - 24, 24)]


def collator(tokenizer: Any, *, epoch: int = 0, share: float = 0.3, whole_words: bool = False, seed: int = 5) -> Any:
    made = masked_collator(tokenizer, share=share, whole_words=whole_words, seed=seed)
    made.epoch = epoch
    return made


def test_a_third_is_chosen_and_eight_tenths_of_it_become_the_mask(tokenizer: Any, rows: Any) -> None:
    made = collator(tokenizer)
    batches = []
    for epoch in range(40):
        made.epoch = epoch
        batches.append(made(rows))
    seen, labels = (torch.cat([batch[name] for batch in batches]) for name in ("input_ids", "labels"))
    original = torch.tensor([row["input_ids"] for row in rows]).repeat(40, 1)
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    chosen = labels != IGNORED
    assert torch.equal(labels[chosen], original[chosen]) and torch.equal(seen[~chosen], original[~chosen])
    assert not chosen[original == end].any()
    assert chosen.sum() / (original != end).sum() == pytest.approx(0.3, abs=0.01)
    assert (seen[chosen] == tokenizer.mask_token_id).float().mean() == pytest.approx(0.8, abs=0.015)
    assert (seen[chosen] == original[chosen]).float().mean() == pytest.approx(0.1, abs=0.015)


def test_a_mask_hangs_on_the_row_the_seed_and_the_epoch_alone(tokenizer: Any, rows: Any) -> None:
    whole, alone = collator(tokenizer)(rows)["labels"], collator(tokenizer)(rows[3:4])["labels"]
    assert torch.equal(whole[3:4], alone)
    assert not torch.equal(whole, collator(tokenizer, epoch=1)(rows)["labels"])
    assert not torch.equal(whole, collator(tokenizer, seed=6)(rows)["labels"])


def test_the_tokens_of_a_word_are_hidden_together(tokenizer: Any) -> None:
    words = [" evening", ",", " garden", "'", "s", " mat"]
    pieces = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    ids = [token for piece in pieces for token in piece]
    assert max(map(len, pieces)) > 1
    for epoch in range(30):
        labels = collator(tokenizer, epoch=epoch, whole_words=True)([{"input_ids": ids}])["labels"][0].tolist()
        first = 0
        for piece in pieces:
            hidden = [label != IGNORED for label in labels[first : first + len(piece)]]
            assert all(hidden) or not any(hidden), (epoch, piece)
            first += len(piece)


def test_padding_is_neither_hidden_nor_looked_at(tokenizer: Any) -> None:
    pad = tokenizer.pad_token_id
    batch = collator(tokenizer, share=0.9)([{"input_ids": [60, 61, 62, 63]}, {"input_ids": [60, 61, pad, pad]}])
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert (batch["labels"][1, 2:] == IGNORED).all() and (batch["input_ids"][1, 2:] == pad).all()
    assert "attention_mask" not in collator(tokenizer)([{"input_ids": [60, 61]}])


def test_whole_words_of_a_tokenizer_without_bytes_are_refused(tokenizer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(type(tokenizer), "get_vocab", lambda self: {"the": 0, "##re": 400})
    with pytest.raises(ConfigError, match="whole_words: the tokenizer writes no token"):
        masked_collator(tokenizer, share=0.15, whole_words=True, seed=0)


def test_a_share_above_nine_tenths_and_a_missing_mask_token_are_refused(tokenizer: Any, tokenizer_dir: Path) -> None:
    with pytest.raises(ConfigError, match="masked_share: 0.95"):
        masked_collator(tokenizer, share=0.95, whole_words=False, seed=0)
    plain = load_tokenizer(tokenizer_dir)
    with pytest.raises(ConfigError, match="no mask token"):
        masked_collator(plain, share=0.15, whole_words=False, seed=0)
    with pytest.raises(ConfigError, match="no mask token"):
        new_masked_lm(SHAPE, plain, context_tokens=24)


def test_a_collator_that_hears_of_no_epoch_refuses(tokenizer: Any, rows: Any) -> None:
    made = masked_collator(tokenizer, share=0.3, whole_words=False, seed=5)
    with pytest.raises(RuntimeError, match="callbacks"):
        made(rows)


def test_each_epoch_brings_fresh_masks_and_a_run_resumed_within_one_takes_its_own(tokenizer: Any, rows: Any) -> None:
    made = masked_collator(tokenizer, share=0.3, whole_words=False, seed=5)
    labels = []
    for epoch in (0, 1.0, 1.5):
        made.on_epoch_begin(TrainingArguments(use_cpu=True), TrainerState(epoch=epoch), TrainerControl())
        labels.append(made(rows)["labels"])
    assert not torch.equal(labels[0], labels[1]) and torch.equal(labels[1], labels[2])


class Cut(TrainerCallback):
    """Ends a run the hard way after a step."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise RuntimeError("cut")


def trained(tokenizer: Any, rows: Any, out: Path, *, cut: int | None = None, resume: int | None = None) -> Trainer:
    """A run of two and a half epochs, six steps each; a checkpoint every two."""
    set_seed(3)
    made = masked_collator(tokenizer, share=0.3, whole_words=True, seed=5)
    model = new_masked_lm(SHAPE, tokenizer, context_tokens=24)
    args = TrainingArguments(
        output_dir=str(out), max_steps=15, per_device_train_batch_size=4, learning_rate=2e-2, logging_steps=1,
        save_steps=2, use_cpu=True, report_to="none", disable_tqdm=True, dataloader_pin_memory=False, seed=3,
    )  # fmt: skip
    dataset = Dataset.from_list(rows[:24])
    trainer = Trainer(model, args, train_dataset=dataset, data_collator=made, callbacks=[made, Cut(cut)])
    trainer.train(resume_from_checkpoint=str(out / f"checkpoint-{resume}") if resume else None)
    return trainer


@pytest.mark.parametrize(("cut", "resume"), [(9, 8), (13, 12)])
def test_a_run_cut_within_an_epoch_and_one_cut_at_its_end_go_on_to_the_same_bytes(
    tokenizer: Any, rows: Any, tmp_path: Path, cut: int, resume: int
) -> None:
    save_model(trained(tokenizer, rows, tmp_path / "a").model, tokenizer, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="cut"):
        trained(tokenizer, rows, tmp_path / "b", cut=cut)
    save_model(trained(tokenizer, rows, tmp_path / "b", resume=resume).model, tokenizer, tmp_path / "resumed")
    assert digest_folder(tmp_path / "whole") == digest_folder(tmp_path / "resumed")


def test_the_loss_falls_and_plain_transformers_fills_the_mask(tokenizer: Any, rows: Any, tmp_path: Path) -> None:
    trainer = trained(tokenizer, rows, tmp_path / "run")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert sum(losses[-3:]) < sum(losses[:3]) - 0.3
    save_model(trainer.model, tokenizer, tmp_path / "encoder")
    assert AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder").config.vocab_size == 321
    fill = pipeline("fill-mask", model=str(tmp_path / "encoder"))
    guesses = fill("The cat sat on the <|mask|>.")
    assert len(guesses) == 5 and abs(sum(guess["score"] for guess in guesses)) <= 1

"""An adapter is trained alone, goes on after a break to the same bytes, and is folded into a plain model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments, set_seed

from hftrain.errors import ConfigError
from hftrain.files import digest_folder
from hftrain.models.adapters import publish_adapter, rows_of_tokens, trained_count, with_adapter
from hftrain.models.continuing import load_base
from hftrain.models.loading import new_causal_lm, new_masked_lm, parameter_count, save_model
from hftrain.models.masks import with_mask_token
from hftrain.tokens.chat import load_tokenizer
from hftrain.upstream import fields_of

LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["v_proj", "q_proj", "down_proj"]}
ROWS = [{"input_ids": row, "labels": row} for row in ([5, 6, 7, 8] * 6, [9, 10, 11] * 8, [20, 21] * 12, [30] * 24) * 4]


class Cut(TrainerCallback):
    """Ends a run the hard way after a step."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise RuntimeError("cut")


def trained(base: Path, out: Path, *, cut: int | None = None, resume: int | None = None, lora: Any = None) -> Any:
    """Six steps of an adapter on a base, a checkpoint every two."""
    set_seed(2)
    model, tokenizer = load_base(str(base))
    adapted = with_adapter(model, lora or LORA)
    args = TrainingArguments(
        output_dir=str(out), max_steps=6, per_device_train_batch_size=4, learning_rate=2e-2, use_cpu=True,
        report_to="none", disable_tqdm=True, save_steps=2, logging_steps=1, dataloader_pin_memory=False, seed=2,
    )  # fmt: skip
    trainer = Trainer(adapted, args, train_dataset=Dataset.from_list(ROWS), callbacks=[Cut(cut)])
    trainer.train(resume_from_checkpoint=str(out / f"checkpoint-{resume}") if resume else None)
    return trainer, tokenizer


def test_only_the_adapter_changes_and_the_loss_falls(chat_dir: Path, tmp_path: Path) -> None:
    trainer, _ = trained(chat_dir, tmp_path)
    before = AutoModelForCausalLM.from_pretrained(chat_dir)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] - 0.05
    after = {
        name.replace("base_model.model.", "").replace("base_layer.", ""): each.detach()
        for name, each in trainer.model.named_parameters()
    }
    assert all(torch.equal(after[name], each) for name, each in before.named_parameters())
    changed = [each for name, each in after.items() if "lora_B" in name]
    assert len(changed) == 3 and all(each.abs().sum() > 0 for each in changed)
    # r (in + out) for queries and values of 32 x 32 and the MLP's way down of 64 x 32
    assert trained_count(trainer.model) == 4 * (64 + 64 + 96)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's own, in from_pretrained
def test_the_published_model_is_plain_and_gives_the_adapted_logits(chat_dir: Path, tmp_path: Path) -> None:
    trainer, tokenizer = trained(chat_dir, tmp_path / "run")
    ids = torch.tensor([[5, 6, 7, 9, 10, 300]])
    with torch.no_grad():
        adapted = trainer.model.eval()(input_ids=ids).logits
    plain = publish_adapter(trainer.model, tmp_path / "out")
    save_model(plain, tokenizer, tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    again = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(chat_dir), tmp_path / "out" / "adapter")
    with torch.no_grad():
        assert torch.allclose(loaded(input_ids=ids).logits, adapted, atol=1e-5)
        assert torch.allclose(again.eval()(input_ids=ids).logits, adapted, atol=1e-6)
    assert parameter_count(loaded) == parameter_count(AutoModelForCausalLM.from_pretrained(chat_dir))
    assert sorted(path.name for path in (tmp_path / "out" / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_a_run_cut_after_a_checkpoint_goes_on_to_the_same_bytes(chat_dir: Path, tmp_path: Path) -> None:
    def publish(trainer: Any, tokenizer: Any, out: Path) -> None:
        save_model(publish_adapter(trainer.model, out), tokenizer, out)

    publish(*trained(chat_dir, tmp_path / "a"), tmp_path / "whole")
    with pytest.raises(RuntimeError, match="cut"):
        trained(chat_dir, tmp_path / "b", cut=5)
    publish(*trained(chat_dir, tmp_path / "b", resume=4), tmp_path / "resumed")
    assert digest_folder(tmp_path / "whole") == digest_folder(tmp_path / "resumed")
    settings = json.loads((tmp_path / "whole" / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] is None
    assert settings["target_modules"] == ["down_proj", "q_proj", "v_proj"]
    written = [path.read_bytes() for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    assert not any(str(tmp_path).encode() in each or str(chat_dir).encode() in each for each in written)


def test_a_model_without_an_adapter_is_published_as_it_is(tiny_model: Any, tmp_path: Path) -> None:
    model, _ = tiny_model()
    assert publish_adapter(model, tmp_path) is model and not list(tmp_path.iterdir())


def test_gpt2_and_an_encoder_take_an_adapter(tokenizer_dir: Path, tmp_path: Path) -> None:
    tokenizer = with_mask_token(load_tokenizer(tokenizer_dir))
    gpt2 = new_causal_lm({"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2}, tokenizer, context_tokens=32)
    for kind, model in {"gpt2": gpt2, "encoder": new_masked_lm({}, tokenizer, context_tokens=32)}.items():
        adapted = with_adapter(model, {"r": 2, "target_modules": "all-linear"})
        with torch.no_grad():
            for name, each in adapted.named_parameters():
                if "lora_B" in name:
                    each.fill_(0.01)
        ids = torch.tensor([[5, 6, 7, 9]])
        before = adapted.eval()(input_ids=ids).logits.detach()
        plain = publish_adapter(adapted, tmp_path / kind)
        assert torch.allclose(plain(input_ids=ids).logits, before, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_rows_of_tokens_that_a_base_never_saw_are_learned_in_both_tables(
    tiny_model: Any, tmp_path: Path, tied: bool
) -> None:
    model, _ = tiny_model(tie_word_embeddings=tied)
    tables = rows_of_tokens(model, [2, 3])
    assert tables == ({"embed_tokens": [2, 3]} if tied else {"embed_tokens": [2, 3], "lm_head": [2, 3]})
    before = model.get_output_embeddings().weight.detach().clone()
    adapted = with_adapter(model, {"r": 2, "target_modules": ["q_proj"], "trainable_token_indices": tables})
    ids = torch.tensor([[2, 5, 6, 3]])
    optimizer = torch.optim.SGD([each for each in adapted.parameters() if each.requires_grad], lr=1.0)
    adapted(input_ids=ids, labels=ids).loss.backward()
    optimizer.step()
    with torch.no_grad():
        learned = adapted.eval()(input_ids=ids).logits
        plain: Any = publish_adapter(adapted, tmp_path)
        assert torch.allclose(plain(input_ids=ids).logits, learned, atol=1e-5)
    changed = (plain.get_output_embeddings().weight != before).any(dim=1).nonzero().flatten().tolist()
    assert changed == [2, 3]


def test_what_peft_refuses_is_told(tiny_model: Any) -> None:
    with pytest.raises(ConfigError, match="pretrain.adapter: peft refuses it: Target modules"):
        with_adapter(tiny_model()[0], {"target_modules": ["no_such"]})
    with pytest.raises(ConfigError, match="pretrain.adapter: peft refuses it"):
        with_adapter(tiny_model()[0], {"r": 0})


def test_pefts_names_can_be_checked_without_loading_it() -> None:
    assert {"r", "lora_alpha", "target_modules", "use_rslora"} <= set(fields_of("peft:LoraConfig"))

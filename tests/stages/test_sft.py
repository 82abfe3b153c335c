from pathlib import Path
from typing import Any

import pytest
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from transformers import AutoModelForCausalLM

from hftrain.artifacts import read_json, read_jsonl, read_manifest, write_jsonl
from hftrain.corpus.settings import MixtureSettings, ShareSettings
from hftrain.errors import ConfigError, DataError
from hftrain.stages.sft import AbstainSettings, SFTStageConfig, sft

TRAINING = {
    "max_steps": 30, "per_device_train_batch_size": 8, "learning_rate": 1e-2, "logging_steps": 5, "save_steps": 10,
}  # fmt: skip


def config(**given: Any) -> SFTStageConfig:
    """Thirty steps on sixteen conversations."""
    return SFTStageConfig(seed=3, training=TRAINING | given.pop("training", {}), **({"look_every_steps": 10} | given))


ADAPTER = {"r": 4, "target_modules": "all-linear"}


def cut_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the next training after a step."""
    from hftrain.training.callbacks import ProgressLine

    def cut(self: ProgressLine, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == step:
            raise RuntimeError("cut")

    monkeypatch.setattr(ProgressLine, "on_step_end", cut)


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory: pytest.TempPathFactory, tiny_model: Any, make_artifact: Any) -> Path:
    from hftrain.models.loading import save_model

    return make_artifact(tmp_path_factory.mktemp("models") / "base", "base", lambda out: save_model(*tiny_model(), out))


@pytest.fixture(scope="module")
def chat(base_dir: Path, corpus_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sft(config(), base=base_dir, corpus=corpus_dir, out=tmp_path_factory.mktemp("sft") / "chat")


def test_answers_get_likelier_and_begin_to_end_by_themselves(chat: Path) -> None:
    summary = read_json(chat / "summary.json")
    assert summary["heldout_answer_nats_after"] < summary["heldout_answer_nats_before"] - 1
    assert summary["ended_share_before"] == 0
    assert summary["ended_share_after"] > 0.5


def test_the_model_loads_with_plain_transformers(chat: Path) -> None:
    assert AutoModelForCausalLM.from_pretrained(chat).config.use_cache


def test_examples_show_that_only_answers_and_their_ends_are_trained(chat: Path) -> None:
    tokens = read_json(chat / "label_examples.json")[0]["tokens"]
    assert "".join(piece["text"] for piece in tokens if piece["trained"]) == "Hello! How are you today?<|im_end|>"
    assert "".join(piece["text"] for piece in tokens if not piece["trained"]) == (
        "<|im_start|>user\nHello!<|im_end|>\n<|im_start|>assistant\n"
    )


def test_samples_through_time_are_kept(chat: Path) -> None:
    assert sorted({row["step"] for row in read_jsonl(chat / "samples.jsonl")}) == [0, 10, 20, 30]


def test_a_run_cut_after_a_checkpoint_goes_on_to_the_same_bytes(
    chat: Path, base_dir: Path, corpus_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="cut"):
        cut_at(17, patch)
        sft(config(), base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")
    made = sft(config(), base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")
    assert read_manifest(made)["files"] == read_manifest(chat)["files"]


def test_an_adapter_is_published_merged_and_alone(base_dir: Path, corpus_dir: Path, tmp_path: Path) -> None:
    given = config(adapter=ADAPTER, quantize_base="int8", training={"max_steps": 10})
    made = sft(given, base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")
    summary = read_json(made / "summary.json")
    # r (in + out) of 32 x 32 attention matrices four times, and of three 32 x 64 in the MLP; two marks of turns
    assert summary["trained_parameters"] == 4 * (4 * 64 + 3 * 96) + 2 * 32
    assert summary["heldout_answer_nats_after"] < summary["heldout_answer_nats_before"]
    assert (made / "adapter" / "adapter_model.safetensors").is_file()
    plain = AutoModelForCausalLM.from_pretrained(made)
    assert {str(each.dtype) for each in plain.parameters()} == {"torch.float32"}


@pytest.mark.slow
@pytest.mark.parametrize("rounding", [None, "int8"])
def test_an_adapter_that_was_cut_goes_on_to_the_same_bytes(
    base_dir: Path, corpus_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounding: Any
) -> None:
    dora = {"use_dora": rounding is None, "lora_dropout": 0.1}
    given = config(adapter=ADAPTER | dora, quantize_base=rounding, packing=True)
    whole = sft(given, base=base_dir, corpus=corpus_dir, out=tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="cut"):
        cut_at(17, patch)
        sft(given, base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")
    made = sft(given, base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")
    assert read_manifest(made)["files"] == read_manifest(whole)["files"]


def test_packed_rows_a_mixture_and_questions_are_counted(base_dir: Path, corpus_dir: Path, tmp_path: Path) -> None:
    questions = [{"question": f"Where did animals sit, {number}?", "answer": f"chair{number}"} for number in range(20)]
    little = sorted(ENGLISH_STOP_WORDS)[:20]  # twenty questions that ask the same of the same words
    questions += [{"question": f"Where is the cat that sat, {word}?", "answer": "mat"} for word in little]
    write_jsonl(tmp_path / "quiz.jsonl", questions)
    given = config(
        packing=True,
        mixture=MixtureSettings(sources={"te*": ShareSettings(maximum_epochs=1.5)}),
        abstain=AbstainSettings(questions=(str(tmp_path / "quiz.jsonl"),), share=0.2),
        training={"max_steps": 5},
    )
    summary = read_json(sft(given, base=base_dir, corpus=corpus_dir, out=tmp_path / "chat") / "summary.json")
    assert summary["mixture"]["te*"]["conversations"] == 16 and 16 < summary["mixture"]["te*"]["rows"] <= 24
    taught = summary["abstain"]
    assert (taught["questions_held"], taught["questions_not_held"]) == (20, 20)
    assert taught["taught_to_decline"] == round(0.2 * summary["train_conversations"])
    packing = summary["packing"]
    assert packing["conversations"] == summary["train_conversations"] > packing["rows"]
    asked = summary["held_questions"] + summary["not_held_questions"]
    outcomes = [
        f"{group}_{outcome}_after" for group in ("held", "not_held") for outcome in ("right", "wrong", "declined")
    ]
    assert asked == sum(summary[name] for name in outcomes) > 0


def test_what_was_forgotten_of_held_out_documents_is_measured(chat: Path) -> None:
    summary = read_json(chat / "summary.json")
    assert summary["bits_per_byte_before"] > 0 and summary["bits_per_byte_after"] > 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"quantize_base": "nf4"}, "quantize_base: nf4, but rounded weights cannot be trained"),
        ({"quantize_base": "int8", "adapter": {"use_dora": True}}, "quantize_base: int8, with adapter.use_dora: true"),
        (
            {"adapter": {"r": 8}, "training": {"loss_type": "chunked_nll"}},
            "training.loss_type: chunked_nll, with an adapter",
        ),
        ({"abstain": AbstainSettings(share=0.5)}, "abstain.share: 0.5"),
        ({"abstain": AbstainSettings(questions=("no/such.jsonl",))}, "abstain.questions: no/such.jsonl does not exist"),
        ({"mixture": MixtureSettings(bytes_per_token=3.0)}, "mixture.bytes_per_token: is set"),
    ],
)
def test_settings_that_cannot_be_are_told_before_any_work(given: dict[str, Any], said: str) -> None:
    assert any(problem.startswith(said) for problem in config(**given).problems())


def test_rows_longer_than_the_context_are_refused_before_training(
    base_dir: Path, corpus_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="max_row_tokens: 4096, but the model's context is 128"):
        sft(config(max_row_tokens=4096), base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")


def test_too_many_conversations_left_out_is_an_error_with_the_count(
    base_dir: Path, corpus_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"16 of 16 conversations were left out \(too_long 16\)"):
        sft(config(max_row_tokens=8, new_tokens=4), base=base_dir, corpus=corpus_dir, out=tmp_path / "chat")

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from hftrain.artifacts import read_json, read_jsonl, read_manifest
from hftrain.config import load_section
from hftrain.errors import ConfigError
from hftrain.stages.distill import DistillConfig, TargetSettings, WrittenSettings, distill

SMALL = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "tie_word_embeddings": True,
}  # fmt: skip
LARGE = SMALL | {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4}
TRAINING = {
    "max_steps": 16, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "logging_steps": 4, "save_steps": 8,
}  # fmt: skip

Run = Callable[..., Path]


def config(**given: Any) -> DistillConfig:
    """A student of one layer, sixteen steps."""
    small = {
        "seed": 3, "model": SMALL, "row_tokens": 64, "heldout_bytes": 500, "look_bytes": 200, "new_tokens": 8,
        "heldout_conversations": 8, "look_every_steps": 8,
    }  # fmt: skip
    return DistillConfig(training=TRAINING | given.pop("training", {}), **(small | given))


@pytest.fixture(scope="module")
def policy_dir(tmp_path_factory: pytest.TempPathFactory, tiny_model: Any, make_artifact: Any) -> Path:
    """A teacher of two layers, twice as wide, that has seen the corpus a little."""
    from hftrain.models.loading import save_model

    model, tokenizer = tiny_model(5, **LARGE)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    folder = tmp_path_factory.mktemp("models") / "policy"
    return make_artifact(folder, "policy", lambda out: save_model(model, tokenizer, out))


@pytest.fixture(scope="module")
def run(policy_dir: Path, tokenizer_dir: Path, corpus_dir: Path) -> Run:
    """The stage on these artifacts."""

    def made(out: Path, settings: DistillConfig) -> Path:
        return distill(settings, policy=policy_dir, tokenizer=tokenizer_dir, corpus=corpus_dir, out=out)

    return made


@pytest.fixture(scope="module")
def student(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("students") / "student", config())


def test_a_student_gets_better_at_text_and_at_answers(student: Path) -> None:
    summary = read_json(student / "summary.json")
    assert summary["heldout_bits_per_byte_after"] < summary["heldout_bits_per_byte_before"] - 0.1
    assert summary["heldout_answer_nats_after"] < summary["heldout_answer_nats_before"] - 0.1
    assert summary["size_ratio"] == summary["teacher_parameters"] / summary["parameters"] > 2
    assert math.isfinite(summary["heldout_kl_text"]) and 0 <= summary["greedy_agreement_answers"] <= 1


def test_it_began_with_what_of_its_teacher_fits(student: Path) -> None:
    start = read_json(student / "start.json")
    assert (len(start["layers"]), len(start["heads"][0]), start["neurons"]) == (1, 2, 64)
    assert 0.3 < start["kept_share"] < 1
    assert read_json(student / "summary.json")["starts_from_teacher"] is True


def test_a_student_loads_with_plain_transformers(student: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(student)
    assert (model.config.num_hidden_layers, model.config.hidden_size, model.config.use_cache) == (1, 32, True)


def test_the_divergence_from_the_teacher_is_logged(student: Path) -> None:
    rows = read_jsonl(student / "metrics.jsonl")
    assert [row["step"] for row in rows if "teacher_kl" in row] == [4, 8, 12, 16]
    assert [row["step"] for row in rows if "heldout_kl_answers" in row] == [0, 8, 16]
    assert {row["step"] for row in read_jsonl(student / "samples.jsonl")} == {0, 8, 16}
    assert read_json(student / "method.json") == {"method": "logits"}


def test_a_teacher_alone_draws_the_student_to_itself(run: Run, tmp_path: Path) -> None:
    """Nothing but the teacher's shares is learned, in documents as in answers."""
    taught = config(
        start_from_teacher=False,
        target=TargetSettings(alpha=1, document_alpha=1),
        training={"max_steps": 40, "save_steps": 40},
    )
    rows = read_jsonl(run(tmp_path / "student", taught) / "metrics.jsonl")
    kl = [row["heldout_kl_text"] for row in rows if "heldout_kl_text" in row]
    assert kl[-1] < 0.8 * kl[0]


def test_a_run_cut_after_a_checkpoint_goes_on_to_the_same_bytes(
    student: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hftrain.training.callbacks import ProgressLine

    def cut(self: ProgressLine, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 11:
            raise RuntimeError("cut")

    monkeypatch.setattr(ProgressLine, "on_step_end", cut)
    with pytest.raises(RuntimeError, match="cut"):
        run(tmp_path / "student", config())
    monkeypatch.undo()
    made = run(tmp_path / "student", config())
    assert read_manifest(made)["files"] == read_manifest(student)["files"]


def test_accumulated_batches_learn_what_one_batch_would(run: Run, tmp_path: Path) -> None:
    """The loss is a mean over all tokens of a step, however many batches they come in."""
    losses = []
    for rows, times in ((4, 1), (1, 4)):
        training = {"per_device_train_batch_size": rows, "gradient_accumulation_steps": times, "max_steps": 4}
        made = run(tmp_path / f"student{rows}", config(training={**training, "save_steps": 4}))
        losses += [row["loss"] for row in read_jsonl(made / "metrics.jsonl") if "loss" in row]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_time_is_kept(run: Run, tmp_path: Path) -> None:
    settings = config(max_minutes=0.05)
    limits = {name: value for name, value in settings.training.items() if name != "max_steps"}
    made = run(tmp_path / "student", DistillConfig(**{**vars(settings), "training": limits}))
    assert read_json(made / "summary.json")["steps"] >= 1


def test_a_teacher_by_its_path_is_recorded_with_its_digest(run: Run, policy_dir: Path, tmp_path: Path) -> None:
    settings = config(teacher=str(policy_dir), training={"max_steps": 4, "save_steps": 4})
    outside = read_manifest(run(tmp_path / "student", settings))["outside"]
    [(name, digest)] = outside.items()
    assert name.endswith("policy")
    assert digest.startswith("sha256:")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, tiny_model: Any) -> Path:
    """A model with another tokenizer."""
    from hftrain.models.loading import new_causal_lm, save_model
    from hftrain.tokens.vocabulary import learn_vocabulary

    tokenizer = learn_vocabulary(["The dog and the cat play with a ball in the garden."] * 4, vocab_size=290)
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("models") / "stranger"
    save_model(new_causal_lm(LARGE, tokenizer, context_tokens=128), tokenizer, folder)
    return folder


def test_logits_over_other_tokens_are_refused(run: Run, stranger: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"distill\.method: logits, but teacher and student write text in different"):
        run(tmp_path / "student", config(teacher=str(stranger)))


def test_text_teaches_across_tokenizers(run: Run, stranger: Path, tmp_path: Path) -> None:
    written = WrittenSettings(answers_per_prompt=1, answer_tokens=8, documents=4, document_tokens=8, temperature=1)
    made = run(
        tmp_path / "student",
        config(method="text", teacher=str(stranger), written=written, training={"max_steps": 4, "save_steps": 4}),
    )
    summary = read_json(made / "summary.json")
    assert summary["has_same_tokens"] is False
    assert "heldout_kl_text" not in summary
    assert len(read_json(made / "written.json")["documents"]) == 4


def test_a_start_that_does_not_fit_is_refused_with_the_reason(run: Run, tmp_path: Path) -> None:
    wide = SMALL | {"hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 6}
    with pytest.raises(ConfigError, match=r"start_from_teacher: true, but hidden_size is 96, the teacher's 64"):
        run(tmp_path / "student", config(model=wide, start_from_teacher=True))


def test_rows_longer_than_the_teacher_reads_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"distill\.row_tokens: 256, but the teacher's context is 128"):
        run(tmp_path / "student", config(row_tokens=256))


def test_rows_that_conversations_would_see_each_other_in_are_refused(run: Run, tmp_path: Path) -> None:
    old = {"model_type": "bloom", "hidden_size": 32, "n_layer": 1, "n_head": 2}
    with pytest.raises(ConfigError, match=r"conversation_share: 0\.2, but the student, a bloom, lets tokens attend"):
        run(tmp_path / "student", config(model=old, start_from_teacher=False))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("target.alpha=1.5", r"distill\.target\.alpha: 1\.5\. From 0 to 1 is needed"),
        ("target={beta: 1.0, top_k: 4}", r"With top_k less than 1 is needed"),
        ("method=text\ndistill.conversation_share=0", r"shares its rows with conversations"),
        ("teacher=/nowhere", r"distill\.teacher: /nowhere is not a folder"),
        ("conversation_share=1.0", r"conversation_share: 1\.0\. From 0 to less than 1"),
        ("training={bf17: true}", "bf17"),
        ("on_policy={use_vllm: true}", "use_vllm"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(setting: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_section(DistillConfig, "distill", None, f"distill.{setting}".splitlines())

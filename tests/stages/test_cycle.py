"""A run's cycles, at the smallest size at which one can be promoted, refused and cut."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hftrain.artifacts import read_json, read_jsonl, read_manifest
from hftrain.config import resolved
from hftrain.errors import ArtifactError, DataError
from hftrain.evaluation.candidate_settings import CandidateLimits
from hftrain.lineage import compare, trace, verify
from hftrain.serving.cycles import CycleRefused
from hftrain.serving.interactions import Feedback, Interaction, InteractionStore
from hftrain.serving.promotion import promoted, rollback
from hftrain.stages.collect_feedback import CollectFeedbackConfig
from hftrain.stages.cycle import CycleConfig, run_cycle, sft_again
from hftrain.stages.dpo import DPOStageConfig
from hftrain.stages.examine import ExamineConfig
from hftrain.stages.learn_thumbs import LearnThumbsConfig
from hftrain.stages.ppo import PPOStageConfig
from hftrain.stages.reward_model import RewardModelConfig

Make = Callable[[Path, str, Callable[[Path], None]], Path]
ASKED = ["Hello!", "What is your name?", "Do you like books?", "Where is the cat?", "How are you?", "Is it warm?"]
ANYTHING = CandidateLimits(
    bits_per_byte_more=None, reward_less=None, ended_share_less=None, repetition_more=None, toxic_share_more=None,
    refused_share_more=None, answer_tokens_at_least=None, answer_tokens_times=None,
)  # fmt: skip


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, chat_dir: Path, make_artifact: Make) -> Path:
    """A run with a corpus, a policy, a reward model and old pairs; nobody has said anything yet."""
    from hftrain.alignment.preferences import PREFERENCE_FEATURES
    from hftrain.alignment.reward import new_reward_model
    from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, write_rows
    from hftrain.models.loading import load_causal_lm, save_model
    from hftrain.tokens.chat import load_tokenizer

    run = tmp_path_factory.mktemp("cycling") / "run"
    tokenizer = load_tokenizer(chat_dir)
    make_artifact(run / "policy", "policy", lambda out: save_model(load_causal_lm(chat_dir), tokenizer, out))
    reward = new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=1)
    make_artifact(run / "reward", "reward", lambda out: save_model(reward, tokenizer, out))

    def corpus(out: Path) -> None:
        common = {"source": "test", "license": "CC0-1.0", "meta": "{}"}
        for split, asked in (("train", ASKED), ("heldout", ["Who are you?", "Where is the dog?", "Is it far?"])):
            texts = [{"id": f"{split}{n}", "text": f"{text} I like books.", **common} for n, text in enumerate(asked)]
            write_rows(out / split, texts, DOCUMENT_FEATURES)
            talks = [
                {
                    "id": f"{split}{n}",
                    "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}],
                    **common,
                }
                for n, text in enumerate(asked)
            ]
            write_rows(out / "conversations" / split, talks, CONVERSATION_FEATURES)

    def pairs(out: Path) -> None:
        turn: Callable[[str], list[dict[str, str]]] = lambda text: [{"role": "assistant", "content": text}]  # noqa: E731
        rows = [
            {
                "prompt": [{"role": "user", "content": text}],
                "chosen": turn("Yes."),
                "rejected": turn("No."),
                "margin": 1.0,
            }
            for text in ASKED
        ]
        for split in ("train", "heldout"):
            write_rows(out / split, rows, PREFERENCE_FEATURES)

    make_artifact(run / "corpus", "corpus", corpus)
    make_artifact(run / "preferences", "preferences", pairs)
    return run


def small(limits: CandidateLimits = ANYTHING, **changes: Any) -> CycleConfig:
    """Settings of a cycle of a few steps."""
    few = {"max_steps": 2, "save_steps": 1, "logging_steps": 1, "learning_rate": 1e-3, "per_device_train_batch_size": 4}
    asked: dict[str, Any] = {"new_tokens": 6, "max_prompt_tokens": 40, "heldout_prompts": 3, "heldout_answers": 2}
    ppo = PPOStageConfig().training | {"total_episodes": 8, "per_device_train_batch_size": 4, "num_mini_batches": 1}
    config = CycleConfig(
        seed=3,
        fewest_corrections=4,
        fewest_comparisons=4,
        fewest_thumbs=4,
        collect_feedback=CollectFeedbackConfig(most_per_person=None),
        sft=replace(
            sft_again(), training=sft_again().training | few, heldout_conversations=4, heldout_bytes=500, new_tokens=6
        ),
        dpo=DPOStageConfig(training=DPOStageConfig().training | few, **asked),
        reward_model=RewardModelConfig(training=RewardModelConfig().training | few),
        ppo=PPOStageConfig(training=ppo, **asked),
        learn_thumbs=LearnThumbsConfig(training=LearnThumbsConfig().training | few, **asked),
        examine=ExamineConfig(limits=limits, heldout_bytes=500, heldout_conversations=4, new_tokens=6),
    )
    return replace(config, **changes)


def talk(run: Path, kind: str, *, first: int = 0, count: int = 6) -> None:
    """So many people ask something and say what they think of the answer."""
    (run / "served").mkdir(exist_ok=True)
    store = InteractionStore(f"sqlite:///{run / 'served' / 'interactions.sqlite3'}")
    for place in range(first, first + count):
        for name, text in ((f"a{place}", f"Answer {place}."), (f"b{place}", f"Other answer {place}.")):
            store.keep(
                Interaction(
                    id=name, created=float(place), person=None, model="policy", runtime="torch", kind="chat",
                    asked=[{"role": "user", "content": ASKED[place % len(ASKED)]}], answers=[text], settings={},
                    outcome="stop", prompt_tokens=3, answer_tokens=3, first_token_seconds=0.1, seconds=0.2,
                )
            )  # fmt: skip
        said: dict[str, dict[str, Any]] = {
            "thumb": {"thumb": 1 - 2 * (place % 2)},
            "correction": {"correction": f"Better answer {place}."},
            "comparison": {"other": f"b{place}", "preferred": "this"},
        }
        feedback = Feedback(id=f"{kind}{place}", created=float(place), interaction=f"a{place}", **said[kind])
        assert store.add(feedback).result() == "stored"
    store.close()


def cycle(run: Path, config: CycleConfig, **more: Any) -> str:
    """What the command says."""
    said = io.StringIO()
    run_cycle(config, run, said, **more)
    return said.getvalue()


@pytest.fixture
def run(fresh: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    shutil.copytree(fresh, tmp_path / "run")
    return tmp_path / "run"


def test_thumbs_make_a_new_model_that_is_promoted_with_its_whole_lineage(run: Path) -> None:
    talk(run, "thumb")
    assert cycle(run, small()).startswith("cycle 001: promoted cycles/001/liked, which passed 0 gates against policy")
    made = run / "cycles" / "001"
    assert promoted(run).digest == read_manifest(made / "liked")["digest"] != read_manifest(run / "policy")["digest"]
    assert read_json(made / "decision.json")["learned"] == {"thumbs": 6}
    assert not any(verify(made).values())
    assert [line.split()[0] for line in trace(made / "liked")][:4] == ["liked", "chat", "base", "policy"]
    assert (made / "base" / "model.safetensors").stat().st_ino == (run / "policy" / "model.safetensors").stat().st_ino
    summary = read_json(made / "liked" / "summary.json")
    assert summary["train_thumbs"] + summary["heldout_thumbs"] == 6


@pytest.mark.slow
def test_a_second_cycle_starts_from_the_first_and_hears_nothing_twice(run: Path) -> None:
    talk(run, "thumb")
    cycle(run, small())
    with pytest.raises(DataError, match="0 thumbs of 4"):
        cycle(run, small())
    talk(run, "correction", first=6)
    assert "promoted cycles/002/chat, which passed 0 gates against cycles/001/liked" in cycle(run, small())
    assert {row["id"] for row in read_jsonl(run / "cycles/002/rows.jsonl")} == {f"correction{n}" for n in range(6, 12)}
    rollback(run, io.StringIO())
    assert promoted(run).model == "cycles/001/liked"
    with pytest.raises(DataError, match="no feedback came since .*002, which was rolled back"):
        cycle(run, small())


@pytest.mark.slow
def test_corrections_then_comparisons_then_thumbs_are_learned_one_after_the_other(run: Path) -> None:
    for place, kind in enumerate(("correction", "comparison", "thumb")):
        talk(run, kind, first=6 * place)
    cycle(run, small())
    made = run / "cycles" / "001"
    inputs = {name: set(read_manifest(made / name)["inputs"]) for name in ("chat", "compared", "liked")}
    assert inputs["chat"] == {"base", "corpus"}
    assert inputs["compared"] == {"chat", "preferences", "corpus"}
    assert inputs["liked"] == {"policy", "feedback", "preferences", "corpus"}
    counts = read_json(made / "corpus" / "summary.json")
    assert counts == {"conversations_new": 6, "conversations_old": 6}
    assert read_json(made / "preferences" / "summary.json")["pairs_train_old"] > 0


@pytest.mark.slow
def test_one_line_of_config_learns_comparisons_by_a_reward_model_and_ppo(run: Path) -> None:
    talk(run, "comparison")
    cycle(run, small(comparisons="ppo"))
    assert read_manifest(run / "cycles/001/compared")["stage"] == "ppo"
    assert read_manifest(run / "cycles/001/reward")["inputs"]["preferences"]["path"] == "../preferences"


@pytest.mark.slow
def test_a_model_that_breaks_a_gate_is_refused_and_the_reasons_stay(run: Path) -> None:
    talk(run, "thumb")
    strict = replace(ANYTHING, answer_tokens_at_least=99.0)
    with pytest.raises(CycleRefused, match=r"policy stays promoted.*\n.*answer_tokens is .* at least 99 is needed"):
        cycle(run, small(strict))
    decision = read_json(run / "cycles/001/decision.json")
    assert (decision["promoted"], len(decision["reasons"])) == (False, 1)
    assert promoted(run).model == "policy"
    with pytest.raises(DataError, match="no feedback came since .*001, which was refused"):
        cycle(run, small(strict))
    talk(run, "thumb", first=6)
    assert cycle(run, small()).startswith("cycle 002: promoted")
    assert len(read_jsonl(run / "cycles/002/rows.jsonl")) == 12  # what a refused cycle heard counts again


def test_too_little_feedback_makes_nothing(run: Path) -> None:
    talk(run, "thumb", count=3)
    with pytest.raises(DataError, match="0 corrections of 4, 0 comparisons of 4, 3 thumbs of 4"):
        cycle(run, small())
    assert list((run / "cycles").glob("[0-9]*")) == []
    assert "thumbs up              2" in cycle(run, small(), count_only=True)


def test_nothing_that_was_kept_is_told(run: Path) -> None:
    with pytest.raises(ArtifactError, match=r"interactions\.sqlite3: nothing was kept there"):
        cycle(run, small())


@pytest.mark.slow
def test_a_cut_cycle_goes_on_with_the_feedback_that_it_began_with_to_the_same_digests(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(run, "thumb")
    shutil.copytree(run, tmp_path / "whole")
    cycle(tmp_path / "whole", small())

    def cut(*_: Any, **__: Any) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hftrain.stages.cycle.examine", cut)
        with pytest.raises(KeyboardInterrupt):
            cycle(run, small())
    talk(run, "thumb", first=6)
    cycle(run, small())
    assert not any(compare(run / "cycles/001", tmp_path / "whole/cycles/001").values())
    assert promoted(run) == promoted(tmp_path / "whole")


@pytest.mark.slow
def test_a_cycle_cut_between_decision_and_promotion_is_promoted_by_the_next_command(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(run, "thumb")

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hftrain.serving.cycles.promote", cut)
        with pytest.raises(KeyboardInterrupt):
            cycle(run, small())
    assert promoted(run).model == "policy"
    with pytest.raises(DataError, match="too little"):
        cycle(run, small())
    assert promoted(run).model == "cycles/001/liked"


@pytest.mark.slow
def test_a_cycle_is_not_held_against_another_model_than_it_began_from(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(run, "thumb")
    cycle(run, small())
    talk(run, "thumb", first=6)

    def cut(*_: Any, **__: Any) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hftrain.stages.cycle.examine", cut)
        with pytest.raises(KeyboardInterrupt):
            cycle(run, small())
    rollback(run, io.StringIO())
    with pytest.raises(ArtifactError, match="was begun when cycles/001/liked was promoted, and policy is now"):
        cycle(run, small())


@pytest.mark.slow
def test_a_cycle_that_is_killed_again_and_again_ends_where_an_unbroken_one_does(run: Path, tmp_path: Path) -> None:
    talk(run, "thumb")
    talk(run, "correction", first=6)
    shutil.copytree(run, tmp_path / "whole")
    cycle(tmp_path / "whole", small())
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"cycle": resolved(small())}), encoding="utf-8")
    command = [sys.executable, "-c", "from hftrain.cli import console; console()", "cycle", str(run)]
    command += ["--config", str(tmp_path / "run.yaml")]
    made = run / "cycles" / "001"
    for moment in (
        "rows.jsonl",
        "feedback",
        "chat.partial/scratch/checkpoint-1",
        "liked.partial",
        "evaluation.partial",
    ):
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 240
        while not (made / moment).exists():
            assert process.poll() is None and time.monotonic() < end, moment
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert promoted(run).model == "policy"
    subprocess.run(command, check=True, capture_output=True)
    assert not any(compare(made, tmp_path / "whole/cycles/001").values())
    assert not any(verify(made).values())
    assert promoted(run) == promoted(tmp_path / "whole")

"""What tests of the policies' stages share: a small run to train on, and its settings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Make = Callable[[Path, str, Callable[[Path], None]], Path]

ASKED = ["Hello!", "What is your name?", "Do you like books?", "Where is the cat?", "How are you?"]
HELDOUT = ["Who are you?", "Where is the dog?", "Is it warm?"]


def pair(prompt: str, chosen: str, rejected: str) -> dict[str, Any]:
    """One row of ``preferences``."""
    return {
        "prompt": [{"role": "user", "content": prompt}],
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
        "margin": 1.0,
    }


@pytest.fixture(scope="session")
def write_policy_corpus(make_artifact: Make) -> Callable[..., Path]:
    """Makes a corpus whose splits ask different things; each asks ``(question, answer)``."""
    from hftrain.corpus.storage import CONVERSATION_FEATURES, write_rows

    def make(folder: Path, train: Sequence[tuple[str, str]], heldout: Sequence[tuple[str, str]]) -> Path:
        def write(out: Path) -> None:
            common = {"source": "test", "license": "CC0-1.0", "meta": "{}"}
            for split, asked in (("train", train), ("heldout", heldout)):
                rows = [
                    {
                        "id": f"{split}{place}",
                        "messages": [
                            {"role": "user", "content": question},
                            {"role": "assistant", "content": answer},
                        ],
                        **common,
                    }
                    for place, (question, answer) in enumerate(asked)
                ]
                write_rows(out / "conversations" / split, rows, CONVERSATION_FEATURES)

        return make_artifact(folder, "corpus", write)

    return make


@pytest.fixture(scope="session")
def policy_run(
    make_artifact: Make,
    write_policy_corpus: Callable[..., Path],
    chat_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run's chat model, preferences, reward model and corpus."""
    from hftrain.alignment.preferences import PREFERENCE_FEATURES
    from hftrain.alignment.reward import new_reward_model
    from hftrain.corpus.storage import write_rows
    from hftrain.models.loading import save_model
    from hftrain.tokens.chat import load_tokenizer

    run = tmp_path_factory.mktemp("policies")
    tokenizer = load_tokenizer(chat_dir)
    (run / "chat").symlink_to(chat_dir)

    def reward(out: Path) -> None:
        save_model(new_reward_model(chat_dir, pad_token_id=tokenizer.pad_token_id, seed=1), tokenizer, out)

    def preferences(out: Path) -> None:
        for split, asked in (("train", ASKED), ("heldout", HELDOUT)):
            rows = [pair(text, f"Yes, {text}", "No.") for text in asked]
            rows += [pair(text, "I like books.", f"Yes, {text}") for text in asked]
            write_rows(out / split, rows, PREFERENCE_FEATURES)

    make_artifact(run / "reward", "reward", reward)
    make_artifact(run / "preferences", "preferences", preferences)
    write_policy_corpus(run / "corpus", [(text, "Yes.") for text in ASKED], [(text, "No.") for text in HELDOUT])
    return run


@pytest.fixture(scope="session")
def run_policy(policy_run: Path) -> Callable[..., Path]:
    """``run_policy(method, out, **changes)``: one of the stages at the smallest size."""
    from importlib import import_module

    small = {
        "dpo": ("DPOStageConfig", {"per_device_train_batch_size": 4}),
        "kto": ("KTOStageConfig", {"per_device_train_batch_size": 4}),
        "grpo": (
            "GRPOStageConfig",
            {"per_device_train_batch_size": 4, "num_generations": 2, "steps_per_generation": 1},
        ),
        "rloo": (
            "RLOOStageConfig",
            {"per_device_train_batch_size": 4, "num_generations": 2, "steps_per_generation": 1},
        ),
        "best_of_n": ("BestOfNConfig", {"per_device_train_batch_size": 2}),
    }

    def run(method: str, out: Path, *, folders: dict[str, Path] | None = None, **changes: Any) -> Path:
        stages = import_module(f"hftrain.stages.{method}")
        kind, batch = small[method]
        make = getattr(stages, kind)
        few = {"max_steps": 4, "save_steps": 2, "logging_steps": 1, "learning_rate": 1e-3}
        settings: dict[str, Any] = {
            "seed": 5,
            "new_tokens": 6,
            "max_prompt_tokens": 40,
            "heldout_prompts": 3,
            "heldout_answers": 2,
            "look_every_steps": 2,
        }
        logged = (
            few if method in ("dpo", "kto", "best_of_n") else {k: v for k, v in few.items() if k != "logging_steps"}
        )
        training = {**make().training, **logged, **batch, **changes.pop("training", {})}
        reads = ("chat", "preferences", "corpus") if method in ("dpo", "kto") else ("chat", "reward", "corpus")
        inputs = {name: policy_run / name for name in reads} | (folders or {})
        stage: Callable[..., Path] = getattr(stages, method)
        return stage(make(**{**settings, **changes, "training": training}), **inputs, out=out)

    return run

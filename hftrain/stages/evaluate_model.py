"""corpus + base + chat + reward + policy -> evaluation."""

from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import stage, write_json
from hftrain.config import StageConfig


@dataclass(frozen=True, kw_only=True)
class EvaluateModelConfig(StageConfig):
    """What every model of a run is asked."""

    heldout_bytes: int = 200_000
    """How much held-out text is scored, in UTF-8 bytes."""

    heldout_conversations: int = 200
    """How many held-out conversations are scored and answered."""

    new_tokens: int = 48
    """Longest answer, in tokens."""

    sample_prompts: tuple[str, ...] = (
        "Hello!",
        "What is your name?",
        "Tell me a joke.",
        "What is a computer?",
        "Do you like books?",
    )
    """Asked of every model, answered by its likeliest words, shown side by side as they are."""


@stage(makes="evaluation", reads=("corpus", "base", "chat", "reward", "policy"))
def evaluate_model(
    config: EvaluateModelConfig, *, corpus: Path, base: Path, chat: Path, reward: Path, policy: Path, out: Path
) -> None:
    """Ask each model the same: held-out text, held-out answers, the reward of its own answers, fixed prompts."""
    from hftrain.evaluation.questions import Questions

    models = {"base": base, "chat": chat, "policy": policy}
    questions = Questions(
        corpus,
        reward,
        heldout_bytes=config.heldout_bytes,
        heldout_conversations=config.heldout_conversations,
        new_tokens=config.new_tokens,
        prompts=config.sample_prompts,
    )
    answered = {name: questions.ask(folder) for name, folder in models.items()}
    write_json(out / "summary.json", {"models": {name: answer.numbers for name, answer in answered.items()}})
    write_json(
        out / "samples.json",
        {
            "prompts": list(config.sample_prompts),
            "answers": {name: answer.samples for name, answer in answered.items()},
        },
    )

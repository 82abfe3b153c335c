"""corpus + base + chat + reward + policy (+ student + export) -> evaluation."""

from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import stage, write_json, write_jsonl
from hftrain.config import StageConfig
from hftrain.evaluation import gates, settings


@dataclass(frozen=True, kw_only=True)
class EvaluateModelConfig(StageConfig, settings.Asked):
    """What every model of a run is asked; benchmarks, safety and bias where their files are named."""

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

    def outside(self) -> dict[str, str]:
        """Digests of the files that are named."""
        return settings.digests_of(self)

    def problems(self) -> list[str]:
        """Tasks that nobody knows, files that are not there, gates that bound nothing."""
        return settings.problems_of(self)


@gates.gated(may_lack=("student", "export"))
@stage(
    makes="evaluation",
    reads=("corpus", "base", "chat", "reward", "policy", "student", "export"),
    optional=("student", "export"),
)
def evaluate_model(
    config: EvaluateModelConfig,
    *,
    corpus: Path,
    base: Path,
    chat: Path,
    reward: Path,
    policy: Path,
    student: Path | None,
    export: Path | None,
    out: Path,
) -> None:
    """Ask each model the same: held-out text and answers, fixed prompts, benchmarks, safety, bias; hold the gates.

    Exported formats are asked what is named by a file; their held-out text is measured where they are made.
    """
    from hftrain.evaluation.models import each_model, exported
    from hftrain.evaluation.questions import Questions
    from hftrain.evaluation.suite import Suite, say

    suite = Suite.read(config, corpus, seed=config.seed or 0)
    questions = Questions(
        corpus,
        reward,
        heldout_bytes=config.heldout_bytes,
        heldout_conversations=config.heldout_conversations,
        new_tokens=config.new_tokens,
        prompts=config.sample_prompts,
    )
    numbers, samples = {}, {}
    folders = {"base": base, "chat": chat, "policy": policy} | ({} if student is None else {"student": student})
    for asked in each_model(folders):
        answered = questions.ask(asked)
        numbers[asked.name], samples[asked.name] = answered.numbers, answered.samples
        suite.ask(asked, answered.measured)
    for asked in each_model(exported(export)) if export is not None and suite.asks else ():
        suite.ask(asked)
    account = suite.account()
    say(account)
    judged = gates.judge(config.gates, account["scores"])
    write_json(out / "summary.json", {"models": numbers, **suite.headline(judged)})
    write_json(out / "samples.json", {"prompts": list(config.sample_prompts), "answers": samples})
    write_json(out / "scores.json", account)
    write_jsonl(out / "items.jsonl", suite.items())
    write_json(out / gates.GATES_FILE, {"gates": [gate.row() for gate in judged]})

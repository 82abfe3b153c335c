"""Hold a new model against the promoted one: base/ + a model + feedback/ + corpus/ (+ reward/) -> evaluation/."""

from dataclasses import dataclass, field
from pathlib import Path

from hftrain.artifacts import read_manifest, stage, write_json, write_jsonl
from hftrain.config import StageConfig
from hftrain.evaluation import settings
from hftrain.evaluation.candidate_settings import CandidateLimits


@dataclass(frozen=True, kw_only=True)
class ExamineConfig(StageConfig, settings.Asked):
    """What the new and the promoted model are asked, and what the new one may lose; more gates where they are named.

    In ``gates`` the two are called ``candidate`` and ``promoted``.
    """

    limits: CandidateLimits = field(default_factory=CandidateLimits)
    """How much worse than the promoted model the new one may be."""

    heldout_bytes: int = 200_000
    """How much held-out text is scored, in UTF-8 bytes."""

    heldout_conversations: int = 200
    """How many held-out conversations are scored and answered, and answered again by drawing."""

    feedback_requests: int = 100
    """How many requests that people gave feedback on are answered too."""

    answers_per_request: int = 2
    """Answers drawn to each request."""

    temperature: float = 0.7
    """Of that drawing."""

    new_tokens: int = 48
    """Longest answer, in tokens."""

    def outside(self) -> dict[str, str]:
        """Digests of the files that are named."""
        return settings.digests_of(self)

    def problems(self) -> list[str]:
        """Tasks that nobody knows, files that are not there, gates that bound nothing."""
        rules = {
            "answers_per_request": (self.answers_per_request >= 1, "1 or more is needed"),
            "temperature": (self.temperature > 0, "Answers are drawn; more than 0 is needed"),
            "new_tokens": (self.new_tokens >= 1, "1 or more is needed"),
        }
        wrong = [
            f"examine.{name}: {getattr(self, name)}. {needed}. Change it or remove it to get the default."
            for name, (holds, needed) in rules.items()
            if not holds
        ]
        return wrong + self.limits.problems() + settings.problems_of(self)


def examine(
    config: ExamineConfig, *, base: Path, candidate: Path, feedback: Path, corpus: Path, reward: Path, out: Path
) -> Path:
    """Measure both models alike and write which gates the new one passes and breaks.

    ``base`` is the promoted model as the cycle took it; ``candidate`` any finished model; ``reward`` may be missing.
    """
    kind = read_manifest(candidate)["kind"]
    made = stage(makes="evaluation", reads=("base", kind, "feedback", "corpus", "reward"), optional=("reward",))
    folders = {"base": base, kind: candidate, "feedback": feedback, "corpus": corpus, "reward": reward}
    return made(_examine)(config, out=out, **folders)


def _examine(
    config: ExamineConfig,
    *,
    base: Path,
    feedback: Path,
    corpus: Path,
    reward: Path | None,
    out: Path,
    **candidate: Path,
) -> None:
    from hftrain.evaluation import gates
    from hftrain.evaluation.candidate_settings import CANDIDATE, PROMOTED
    from hftrain.evaluation.examination import Examination
    from hftrain.evaluation.models import each_model
    from hftrain.evaluation.suite import Suite

    [folder] = candidate.values()
    suite = Suite.read(config, corpus, seed=config.seed or 0)
    examination = Examination(config, corpus, feedback, reward)
    for asked in each_model({PROMOTED: base, CANDIDATE: folder}):
        suite.ask(asked, examination.ask(asked))
    account = suite.account()
    values = {(row["model"], row["test"], row["measure"]): row["value"] for row in account["scores"]}
    judged = gates.judge((*config.limits.gates(values), *config.gates), account["scores"])
    write_json(out / "summary.json", {"models": examination.numbers, **suite.headline(judged)})
    write_json(out / "samples.json", examination.samples())
    write_json(out / "scores.json", account)
    write_jsonl(out / "items.jsonl", suite.items())
    write_json(out / gates.GATES_FILE, {"gates": [gate.row() for gate in judged]})


_examine.__name__ = "examine"  # what manifests and logs call the stage

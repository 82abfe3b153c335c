"""``hftrain monitor``: what a run's models were asked, how they did, and which conversations to read."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy

from hftrain.corpus.batches import Batch
from hftrain.corpus.settings import ToxicitySettings
from hftrain.corpus.storage import each_row, read_rows
from hftrain.corpus.toxicity import toxicity
from hftrain.evaluation.refusals import is_refusal
from hftrain.serving.interactions import DAY_SECONDS, Feedback, Interaction, InteractionStore
from hftrain.serving.monitoring_drift import Drift, drift

MOST_TRAINING_PROMPTS = 4000
TOXIC = ToxicitySettings().maximum_score or 0.9
"""The score above which curation drops a text."""

NORMAL_95 = 1.959964
UNHAPPY = {
    "thumb down": 3,
    "corrected": 3,
    "toxic answer": 3,
    "failed": 2,
    "empty": 2,
    "refused": 1,
    "toxic prompt": 1,
    "left early": 1,
}
"""What makes a conversation worth reading, and how much."""


@dataclass(frozen=True)
class Share:
    """A part of a count, with the interval in which the true part lies 95 times in 100.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """

    count: int
    of: int

    @property
    def share(self) -> float | None:
        """The part, from 0 to 1; None of nothing."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval."""
        if not self.of:
            return None
        p, n, z = self.count / self.of, self.of, NORMAL_95
        middle, width = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
        return max(0.0, (middle - width) / (1 + z * z / n)), min(1.0, (middle + width) / (1 + z * z / n))

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {"count": self.count, "of": self.of, "share": self.share, "interval_95": self.interval}


@dataclass(frozen=True)
class Worst:
    """A conversation to read, and why."""

    id: str
    model: str
    created: float
    reasons: tuple[str, ...]
    asked: str
    answer: str
    comments: tuple[str, ...] = ()


@dataclass
class Monitored:
    """What a window of time shows."""

    days: float
    requests: int = 0
    people: int = 0
    by_day: dict[str, int] = field(default_factory=dict)
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    feedback: dict[str, Any] = field(default_factory=dict)
    preferences: dict[str, Share] = field(default_factory=dict)
    """By model: blind comparisons with another model that it won, of those that one of the two won."""
    refusals: Share = Share(0, 0)
    toxic_prompts: Share = Share(0, 0)
    toxic_answers: Share = Share(0, 0)
    drift: Drift | None = None
    worst: list[Worst] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        shares = ("refusals", "toxic_prompts", "toxic_answers")
        plain = {name: getattr(self, name) for name in ("days", "requests", "people", "by_day", "models", "feedback")}
        plain |= {name: getattr(self, name).as_json() for name in shares}
        plain["preferences"] = {model: share.as_json() for model, share in self.preferences.items()}
        plain["feedback"] = {name: _plain(value) for name, value in self.feedback.items()}
        plain["drift"] = asdict(self.drift) | {"has_drifted": self.drift.has_drifted} if self.drift else None
        plain["worst"] = [asdict(each) for each in self.worst]
        return plain


def watch(
    store: InteractionStore, *, days: float, training: Sequence[str], rows: int, now: float | None = None
) -> Monitored:
    """Read the last ``days`` of a store.

    Args:
        store: The interactions.
        days: Length of the window.
        training: What users say in the conversations that the models were trained on.
        rows: How many conversations to name as the worst.
        now: The end of the window; None for this moment.
    """
    since = (time.time() if now is None else now) - days * DAY_SECONDS
    asked = list(store.interactions(since))
    said: dict[str, list[Feedback]] = {}
    for each in store.feedback(since):
        said.setdefault(each.interaction, []).append(each)
    prompts, answers = [_last_asked(each) for each in asked], ["\n".join(each.answers) for each in asked]
    bad_prompts, bad_answers = _toxic(prompts), _toxic(answers)
    refused = [bool(answer.strip()) and is_refusal(answer) for answer in answers]
    answered = [each.outcome in ("stop", "length") for each in asked]
    days_seen = Counter(time.strftime("%Y-%m-%d", time.gmtime(each.created)) for each in asked)
    return Monitored(
        days=days,
        requests=len(asked),
        people=len({each.person for each in asked if each.person}),
        by_day=dict(sorted(days_seen.items())),
        models={name: _of_model([each for each in asked if each.model == name]) for name in _names(asked)},
        feedback=_feedback(said, sum(answered)),
        preferences=_preferences(said, {each.id: each.model for each in asked}),
        refusals=Share(sum(refused), sum(answered)),
        toxic_prompts=Share(sum(bad_prompts), len(asked)),
        toxic_answers=Share(sum(bad_answers), sum(answered)),
        drift=drift([prompt for prompt in prompts if prompt.strip()], training),
        worst=_worst(asked, said, list(zip(prompts, answers, refused, bad_prompts, bad_answers, strict=True)), rows),
    )


def training_prompts(run: Path) -> list[str]:
    """What users say in the conversations that a run was trained on; none where it has no corpus."""
    folder = run / "corpus" / "conversations" / "train"
    if not folder.is_dir():
        return []
    prompts: list[str] = []
    for row in each_row(read_rows(folder)):
        prompts += [message["content"] for message in row["messages"] if message["role"] == "user"]
        if len(prompts) >= MOST_TRAINING_PROMPTS:
            break
    return prompts[:MOST_TRAINING_PROMPTS]


def _names(asked: Iterable[Interaction]) -> list[str]:
    return sorted({each.model for each in asked})


def _of_model(asked: Sequence[Interaction]) -> dict[str, Any]:
    firsts = [each.first_token_seconds for each in asked if each.first_token_seconds is not None]
    done = [each for each in asked if each.outcome in ("stop", "length")]
    rates = [each.answer_tokens / each.seconds for each in done if each.seconds > 0 and each.answer_tokens]
    return {
        "requests": len(asked),
        "outcomes": dict(sorted(Counter(each.outcome for each in asked).items())),
        "prompt_tokens": sum(each.prompt_tokens for each in asked),
        "answer_tokens": sum(each.answer_tokens for each in asked),
        "first_token_seconds": _quantiles(firsts),
        "answer_seconds": _quantiles([each.seconds for each in done]),
        "tokens_per_second": _quantiles(rates),
        "scrubbed": sum(each.scrubbed for each in asked),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """The middle and what 19 of 20 stay under."""
    if not values:
        return None
    half, most = numpy.quantile(values, (0.5, 0.95))
    return {"median": float(half), "p95": float(most)}


def _feedback(said: Mapping[str, Sequence[Feedback]], answered: int) -> dict[str, Any]:
    thumbs = Counter(_thumb(each) for each in said.values())
    return {
        "rate": Share(len(said), answered),
        "thumbs_up": Share(thumbs[1], thumbs[1] + thumbs[-1]),
        "comments": sum(bool(each.comment) for told in said.values() for each in told),
        "corrections": sum(any(each.correction for each in told) for told in said.values()),
        "comparisons": sum(each.preferred is not None for told in said.values() for each in told),
    }


def _thumb(told: Sequence[Feedback]) -> int:
    """The last one counts."""
    return next((each.thumb for each in reversed(told) if each.thumb is not None), 0)


def _preferences(said: Mapping[str, Sequence[Feedback]], models: Mapping[str, str]) -> dict[str, Share]:
    won: Counter[str] = Counter()
    fought: Counter[str] = Counter()
    for each in (each for told in said.values() for each in told if each.preferred in ("this", "other")):
        pair = (models.get(each.interaction), models.get(each.other or ""))
        if None in pair or pair[0] == pair[1]:
            continue
        fought.update(name for name in pair if name)
        won[str(pair[0] if each.preferred == "this" else pair[1])] += 1
    return {name: Share(won[name], fought[name]) for name in sorted(fought)}


def _last_asked(interaction: Interaction) -> str:
    return next((each["content"] for each in reversed(interaction.asked) if each["role"] != "assistant"), "")


def _toxic(texts: Sequence[str]) -> list[bool]:
    if not texts:
        return []
    return [bool(score > TOXIC) for score in toxicity(Batch(list(texts)), threshold=TOXIC).highest_D]


def _worst(
    asked: Sequence[Interaction],
    said: Mapping[str, Sequence[Feedback]],
    judged: Sequence[tuple[str, str, bool, bool, bool]],
    rows: int,
) -> list[Worst]:
    """The conversations with the gravest reasons, later ones first among equals."""
    found = []
    for each, (prompt, answer, refused, bad_prompt, bad_answer) in zip(asked, judged, strict=True):
        told = said.get(each.id, ())
        holds = {
            "thumb down": _thumb(told) == -1,
            "corrected": any(one.correction for one in told),
            "toxic answer": bad_answer,
            "failed": each.outcome == "failed",
            "empty": each.outcome == "stop" and not answer.strip(),
            "refused": refused,
            "toxic prompt": bad_prompt,
            "left early": each.outcome == "cancelled",
        }
        reasons = tuple(reason for reason, is_so in holds.items() if is_so)
        if reasons:
            comments = tuple(one.comment for one in told if one.comment)
            found.append(Worst(each.id, each.model, each.created, reasons, prompt, answer, comments))
    found.sort(key=lambda one: (-sum(UNHAPPY[reason] for reason in one.reasons), -one.created))
    return found[:rows]


def _plain(value: object) -> object:
    return value.as_json() if isinstance(value, Share) else value

"""Judges: who says which of several answers is better, behind one shape.

A judge takes contests (a prompt and the distinct answers to it) and gives each a verdict: a score for every answer.
Rules and a reward model score each answer by itself; a language model, local or behind an address, compares two at a
time in both orders, or grades each. What a configuration may say of each is checked here, without loading anything.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hftrain.artifacts import MANIFEST, digest_folder, read_manifest
from hftrain.errors import ConfigError

MODES = ("pairwise", "grades")
CRITERION = "The better answer is correct, helpful, harmless and to the point; how long it is does not matter."
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Candidate:
    """One answer as a judge sees it."""

    text: str
    ended: bool
    """Whether the model closed the turn itself, or ran out of tokens."""
    references: tuple[str, ...] = ()
    """What the corpus answers to the same prompt; empty if nothing is known."""


@dataclass(frozen=True)
class Contest:
    """A prompt and the distinct answers to it."""

    prompt: Sequence[Mapping[str, str]]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one contest."""

    scores: tuple[float, ...]
    """One for each candidate, in their order; higher is better."""
    undecided: frozenset[tuple[int, int]] = frozenset()
    """Places (i, j), i < j, of candidates that were compared with each other and not told apart by it."""


@dataclass(frozen=True)
class Judged:
    """The verdicts on some contests, in their order, and how they came to be."""

    verdicts: Sequence[Verdict]
    asked: Sequence[Mapping[str, Any]] = ()
    """One row for each question that was put to a language model, with its reply; ``contest`` says at which place."""
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Counts and shares that say how far the judge can be trusted."""


Judge = Callable[[Sequence[Contest]], Judged]


@dataclass(frozen=True)
class Option:
    """One setting of a judge."""

    default: object
    holds: Callable[[Any], bool]
    needed: str
    is_secret: bool = False
    """Whether a wrong value is left out of the message: it may be a key."""


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _above_0(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_address(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    parts = urlsplit(value)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and not parts.query


_QUESTIONS = {
    "mode": Option("pairwise", lambda value: value in MODES, f"One of {', '.join(MODES)} is needed."),
    "criterion": Option(CRITERION, _text, "A sentence that says what is better is needed."),
}

OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "concise": {"target_words": Option(6, _whole(1), "A whole number above 0 is needed.")},
    "reference": {
        "order": Option(6, _whole(1), "A whole number above 0 is needed."),
        "beta": Option(1.0, _above_0, "A number above 0 is needed."),
    },
    "reward_model": {
        "model": Option(None, _text, "The folder of a reward model, or of a run with one, is needed."),
    },
    "model": {
        "model": Option(None, _text, "The folder of a chat model, or of a run with one, is needed."),
        **_QUESTIONS,
    },
    "openai": {
        "base_url": Option(
            None,
            _is_address,
            "An address such as http://localhost:8000/v1, without user, password or query, is needed.",
            is_secret=True,
        ),
        "model": Option(None, _text, "The name by which the server knows the model is needed."),
        "key_variable": Option(
            None,
            lambda value: value is None or (isinstance(value, str) and bool(VARIABLE_NAME.fullmatch(value))),
            "The name of the environment variable that holds the key is needed, never the key.",
            is_secret=True,
        ),
        "reply_tokens": Option(16, _whole(1), "A whole number above 0 is needed."),
        "timeout_seconds": Option(60, _above_0, "A number above 0 is needed."),
        "retries": Option(5, _whole(0), "A whole number, 0 or more, is needed."),
        "requests_per_minute": Option(
            None, lambda value: value is None or _above_0(value), "A number above 0, or null for no limit, is needed."
        ),
        "requests_at_once": Option(4, _whole(1), "A whole number above 0 is needed."),
        "max_malformed_share": Option(
            0.05, lambda value: value == 0 or (_above_0(value) and value <= 1), "A share from 0 to 1 is needed."
        ),
        **_QUESTIONS,
    },
}
"""Every judge that a configuration may name, and its options."""

KEPT_IN = {"reward_model": "reward", "model": "chat"}
"""Where a run keeps the model of a judge."""


def judge_problems(name: str, options: Mapping[str, object], where: str) -> list[str]:
    """What is wrong with a configured judge, one full sentence a problem.

    Args:
        name: The configured judge.
        options: Its options, as configured.
        where: The section that holds ``judge`` and ``judge_options``.
    """
    if name not in OPTIONS:
        return [f"{where}.judge: {name!r}. A declared judge is needed. Choose one of {', '.join(sorted(OPTIONS))}."]
    known = OPTIONS[name]
    problems = [
        f"{where}.judge_options.{key}: {name} has no such option. Choose from {', '.join(known)}."
        for key in options
        if key not in known
    ]
    for key, option in known.items():
        value = options.get(key, option.default)
        if not option.holds(value):
            shown = "" if option.is_secret and value is not None else f" {value!r}."
            then = "Write it." if option.default is None else f"Remove it to get {option.default}."
            problems.append(f"{where}.judge_options.{key}:{shown} {option.needed} {then}")
    if name in KEPT_IN and not problems and not model_folder(name, options).joinpath("config.json").is_file():
        problems.append(
            f"{where}.judge_options.model: {options['model']} holds no model, nor does its {KEPT_IN[name]}. "
            f"{known['model'].needed} Mend the path."
        )
    return problems


def judge_outside(name: str, options: Mapping[str, object]) -> dict[str, str]:
    """The digest of the model that judges, if it is one on this machine."""
    if name not in KEPT_IN:
        return {}
    folder = model_folder(name, options)
    finished = (folder / MANIFEST).is_file()
    return {"judge": read_manifest(folder)["digest"] if finished else digest_folder(folder)}


def model_folder(name: str, options: Mapping[str, object]) -> Path:
    """The folder of a judge's model: the one named, or the one that the named run keeps it in."""
    given = Path(str(options["model"])).expanduser()
    inside = given / KEPT_IN[name]
    return inside if not (given / "config.json").is_file() and inside.is_dir() else given


def load_judge(name: str, options: Mapping[str, object], scratch: Path | None = None) -> Judge:
    """The judge that a checked configuration names.

    Args:
        name: One of `OPTIONS`.
        options: Its options by name; the others have their defaults.
        scratch: Where the replies of an endpoint are kept, so that a cut run goes on without asking again.

    Raises:
        ConfigError: The environment variable that is to hold the key is not set.
        ArtifactError: The folder holds no such model.
    """
    given: dict[str, Any] = {key: option.default for key, option in OPTIONS[name].items()} | dict(options)
    return _OPENED[name](given, scratch)


def _rule(name: str) -> Callable[[dict[str, Any], Path | None], Judge]:
    def opened(given: dict[str, Any], scratch: Path | None) -> Judge:
        from hftrain.alignment.judges_rules import RULES, rule_judge

        return rule_judge(RULES[name], given)

    return opened


def _reward_model(given: dict[str, Any], scratch: Path | None) -> Judge:
    from hftrain.alignment.judges_models import reward_judge

    return reward_judge(model_folder("reward_model", given))


def _model(given: dict[str, Any], scratch: Path | None) -> Judge:
    from hftrain.alignment.judges_models import label_asker
    from hftrain.alignment.judges_questions import questioning_judge

    return questioning_judge(label_asker(model_folder("model", given)), given["mode"], given["criterion"])


def _openai(given: dict[str, Any], scratch: Path | None) -> Judge:
    from hftrain.alignment.judges_endpoint import Endpoint, endpoint_asker
    from hftrain.alignment.judges_questions import questioning_judge

    settings = {key: value for key, value in given.items() if key not in (*_QUESTIONS, "key_variable")}
    ask = endpoint_asker(Endpoint(key=_key(given["key_variable"]), **settings), scratch)
    return questioning_judge(ask, given["mode"], given["criterion"])


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"collect_preferences.judge_options.key_variable: the environment variable {variable} is not set. "
            "It has to hold the key of the endpoint. Set it, or remove key_variable if the endpoint asks for none."
        )
    return key


_OPENED: Mapping[str, Callable[[dict[str, Any], Path | None], Judge]] = {
    "concise": _rule("concise"),
    "reference": _rule("reference"),
    "reward_model": _reward_model,
    "model": _model,
    "openai": _openai,
}

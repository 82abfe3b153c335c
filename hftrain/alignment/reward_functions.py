"""Rewards that can be checked rather than learnt: the right number, the exact text, or a function of the user's own.

A configuration names one: a built-in (``final_number``), ``package.module:function``, or ``path/to/file.py:function``.
A function reads prompts, answers and what the corpus answers to each prompt, and gives one number an answer::

    def brief(prompts, answers, references):
        return [1.0 if len(answer.split()) <= 5 else 0.0 for answer in answers]

This module is read while a configuration is checked: it imports nothing heavy, and runs nobody's code before training.
"""

import ast
import importlib
import importlib.util
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from hftrain.errors import ConfigError, DataError
from hftrain.files import digest_file
from hftrain.upstream import suggest

if TYPE_CHECKING:
    from hftrain.tokens.chat import Messages

RewardFunction = Callable[[Sequence["Messages"], Sequence[str], Sequence[tuple[str, ...]]], Sequence[float]]
"""``function(prompts, answers, references)``, all of one length: one finite score an answer, higher is better.

``references`` holds what the corpus answers to the prompt, one text or more.
"""

MARK = "####"
"""Stands before the final answer in GSM8K. Source: Cobbe et al. 2021, arXiv:2110.14168."""

# A sign directly behind a digit is a minus between two numbers.
NUMBER = re.compile(r"(?:(?<![\d)])[-\u2212])?\$?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:(?<=\d)(?:\.\d+)?|\.\d+)")


def number_at_the_end(text: str) -> Decimal | None:
    """The last number of a text; where GSM8K's ``####`` stands, the first number behind the last one.

    ``1,234``, ``$1234`` and ``1234.0`` are one number. None where there is no number.
    """
    _, marked, behind = text.rpartition(MARK)
    found = [each for each in NUMBER.findall(behind if marked else text) if any(map(str.isdigit, each))]
    if not found:
        return None
    plain = found[0 if marked else -1].replace(",", "").replace("$", "").replace("\u2212", "-")
    return Decimal(plain)


def final_number(
    prompts: Sequence["Messages"], answers: Sequence[str], references: Sequence[tuple[str, ...]]
) -> list[float]:
    """1 where an answer's last number is a reference's last number, else 0: GSM8K's rule.

    Raises:
        DataError: No reference to a prompt holds a number.
    """
    scores = []
    for prompt, answer, known in zip(prompts, answers, references, strict=True):
        wanted = {number for each in known if (number := number_at_the_end(each)) is not None}
        if not wanted:
            raise DataError(
                f"final_number: the corpus answers {known[0] if known else None!r} to {prompt[-1]['content']!r}. "
                "A number is needed in the answer to every prompt. Leave such conversations out, or take another "
                "reward function."
            )
        scores.append(float(number_at_the_end(answer) in wanted))
    return scores


def exact_match(
    prompts: Sequence["Messages"], answers: Sequence[str], references: Sequence[tuple[str, ...]]
) -> list[float]:
    """1 where an answer is a reference, else 0; case, white space and punctuation at the ends do not count."""
    return [
        float(_plain(answer) in {_plain(each) for each in known})
        for answer, known in zip(answers, references, strict=True)
    ]


def contains_reference(
    prompts: Sequence["Messages"], answers: Sequence[str], references: Sequence[tuple[str, ...]]
) -> list[float]:
    """1 where a reference stands in an answer as whole words, else 0; otherwise as ``exact_match``."""
    return [
        float(any(f" {_plain(each)} " in f" {_words(answer)} " or _plain(each) == _plain(answer) for each in known))
        for answer, known in zip(answers, references, strict=True)
    ]


BUILT_IN: Mapping[str, RewardFunction] = {
    "final_number": final_number,
    "exact_match": exact_match,
    "contains_reference": contains_reference,
}


def load_reward_function(name: str) -> RewardFunction:
    """The function of this name; what it returns is checked.

    Raises:
        ConfigError: There is no such function.
    """
    problems = reward_function_problems(name, "reward function")
    if problems:
        raise ConfigError(problems[0])
    if name in BUILT_IN:
        return _checked(name, BUILT_IN[name])
    module, _, wanted = name.rpartition(":")
    loaded = _load_file(Path(module)) if module.endswith(".py") else importlib.import_module(module)
    function = getattr(loaded, wanted)
    if not callable(function):
        raise ConfigError(f"reward function {name}: is {function!r}. A function is needed. Name one.")
    return _checked(name, function)


def reward_function_problems(name: str, where: str) -> list[str]:
    """What can be seen to be wrong with a name without running anyone's code.

    Args:
        name: As a configuration gives it.
        where: The place in the configuration, which the messages begin with.
    """
    if name in BUILT_IN:
        return []
    module, colon, wanted = name.rpartition(":")
    if not (module and colon and wanted.isidentifier()):
        near = suggest(name, BUILT_IN)
        return [
            f"{where}: {name!r} is no reward function. One of {', '.join(BUILT_IN)}, package.module:function or "
            f"path/to/file.py:function is needed. {f'Write {near}.' if near else 'Write one of them.'}"
        ]
    source = _source_of(module)
    if source is None:
        kind = "file" if module.endswith(".py") else "module"
        return [f"{where}: {name!r}, but there is no {kind} {module}. An existing one is needed. Correct the name."]
    try:
        names = _defined_in(source)
    except SyntaxError as problem:
        return [f"{where}: {name!r}, but {source} is not Python ({problem}). Correct the file."]
    if wanted not in names:
        near = suggest(wanted, names)
        return [
            f"{where}: {name!r}, but {source.name} defines no {wanted}. A function of that file is needed. "
            f"{f'Write {module}:{near}.' if near else 'Define it there.'}"
        ]
    return []


def reward_function_digest(name: str) -> str:
    """What a stage records of a function: the digest of the file that defines it.

    What that file imports is not part of it. A built-in belongs to this package, whose code a stage records anyway.
    """
    module = name.rpartition(":")[0]
    source = None if name in BUILT_IN else _source_of(module)
    return "built-in" if source is None else digest_file(source)


def _checked(name: str, function: RewardFunction) -> RewardFunction:
    def checked(
        prompts: Sequence["Messages"], answers: Sequence[str], references: Sequence[tuple[str, ...]]
    ) -> list[float]:
        scores = list(function(prompts, answers, references))
        if len(scores) != len(answers):
            raise DataError(
                f"reward function {name}: gave {len(scores)} scores for {len(answers)} answers. One for each is "
                "needed, in their order. Correct the function."
            )
        return [_number(name, answer, score) for answer, score in zip(answers, scores, strict=True)]

    return checked


def _number(name: str, answer: str, score: object) -> float:
    try:
        number = float(score)  # type: ignore[arg-type]  # what it is, is what is being found out
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(score, str) or not math.isfinite(number):
        raise DataError(
            f"reward function {name}: gave {score!r} for the answer {answer!r}. A finite number is needed. "
            "Correct the function."
        )
    return number


def _plain(text: str) -> str:
    """Lower case, single spaces, no punctuation at either end."""
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'")


def _words(text: str) -> str:
    return " ".join(re.sub(r"[.,;:!?\"']+(?=\s|$)|(?<!\S)[.,;:!?\"']+", " ", text.casefold()).split())


def _source_of(module: str) -> Path | None:
    """The file of a module, or the file itself; found without importing anything."""
    if module.endswith(".py"):
        return Path(module) if Path(module).is_file() else None
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top) if top else None
    except ValueError:  # a module that was made by hand has no place
        spec = None
    if spec is None or spec.origin is None:
        return None
    base = Path(spec.origin)
    for part in rest:
        folder = base.parent if base.name == "__init__.py" else base.with_suffix("")
        candidates = [folder / f"{part}.py", folder / part / "__init__.py"]
        found = next((path for path in candidates if path.is_file()), None)
        if found is None:
            return None
        base = found
    return base if base.suffix == ".py" else None


def _defined_in(source: Path) -> set[str]:
    """The names that a file's top level binds."""
    names = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _load_file(path: Path) -> ModuleType:
    name = f"reward_function_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"reward function {path}: Python cannot load it. A .py file is needed. Name one.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in it look their module up
    spec.loader.exec_module(module)
    return module

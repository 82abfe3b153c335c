"""A new project: recipes, and a configuration fitted to somebody's texts and to this machine."""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hftrain.corpus.survey import Survey, survey
from hftrain.errors import ConfigError
from hftrain.presets import folder_for_recipes, lay_recipes

READING_SECONDS = 3.0
MINUTES = 20.0
"""For the whole flow, where nothing else is asked."""

PRETRAINING_SHARE = 0.5
"""Of the flow's minutes: what it takes of the demo's."""

UTILISATION = 0.4
"""Of a matrix product's speed, that training reaches; a little under what the demo does."""

REFERENCE_PARAMETERS, REFERENCE_OPERATIONS = 1_300_000, 8e12
"""The size that learned the most from so many operations of pretraining, of those that were tried; 2.6 million did
from 2.9e13. Between and beyond, parameters grow as the square root of the operations (Hoffmann et al. 2022,
arXiv:2203.15556, find an exponent of 0.5)."""

PARAMETERS = tuple(round(REFERENCE_PARAMETERS * 2.0**step, -4) for step in range(-2, 8))
"""Sizes to choose from: 320 thousand to 166 million, each twice the one before."""

FEWEST_TOKENS_PER_PARAMETER = 0.5
"""With fewer, passes over the same text counted, a smaller model learns as much in less time."""

FEWEST_STEPS = 100

FEWEST_CONVERSATIONS = 300
"""With fewer, English small talk is added: answering has to be learned from something."""

SHORT_ANSWERS_BELOW = 4_000_000
"""Parameters below which long answers are not learned: such a model repeats itself in them."""

SHORT_ROW_TOKENS = 128
CLOSE_ENOUGH = 1.25
"""How far a plan may be over the minutes before a smaller model is chosen."""

MOST_PLANS = 2


@dataclass(frozen=True)
class Fitted:
    """What was chosen, and from what."""

    found: Survey
    train_bytes: int
    """Of text, estimated from a part of it."""
    minutes: float
    operations_per_second: float
    parameters: int
    steps: int
    bound: str
    """What keeps the model from being larger: ``text`` or ``minutes``."""
    planned: Mapping[str, Any] | None = None
    """The plan's sums, in the words of `hftrain.stages.planning.sums_of`; None where none was made."""


def begin(
    folder: Path, roots: Sequence[Path], *, minutes: float = MINUTES, plans: bool = True, say: Callable[[str], None]
) -> Path:
    """Lay the recipes and a configuration for these texts into ``folder``; returns the configuration's path.

    Args:
        folder: Made, or without recipes of its own.
        roots: Folders and files of texts.
        minutes: What the whole flow may take on this machine.
        plans: Whether a few steps of each stage are timed (about a minute), and the size mended by it.
        say: Told what was found and chosen, a line at a time.

    Raises:
        ConfigError: The folder has recipes or a configuration already, or the minutes are no time.
        DataError: Nothing in the roots can be read.
    """
    path = folder / f"{folder.resolve().name}.yaml"
    if minutes <= 0:
        raise ConfigError(f"--minutes: {minutes:g}. More than 0 is needed. Raise it.")
    if path.exists():
        raise ConfigError(f"{path}: is there already, and may hold changes of yours. Name another folder.")
    folder_for_recipes(folder)
    found = survey(roots)
    for line in found_lines(found):
        say(line)
    fitted = _fit(found, minutes)
    say(
        f"text: about {_amount(fitted.train_bytes)}; this machine multiplies matrices at "
        f"{fitted.operations_per_second / 1e9:,.0f} GFLOP/s"
    )
    if plans:
        fitted = _planned(fitted, say)
    lay_recipes(folder)
    path.write_text(configuration(fitted), encoding="utf-8")
    say(f"wrote {path}: {_count(fitted.parameters)} parameters" + _plan_said(fitted))
    say(f"Next: python {folder.as_posix()}/recipes/full_flow.py --config {path.as_posix()}")
    return path


def found_lines(found: Survey) -> Iterator[str]:
    """What was found, for a person."""
    yield "read: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.files.items()))
    if found.left:
        yield "not read: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(found.left.items()))


def size_for(train_bytes: int, minutes: float, operations_per_second: float) -> tuple[int, int, str]:
    """Parameters, steps of pretraining, and whether ``text`` or ``minutes`` bound them.

    C = `UTILISATION` of a matrix product's speed, for pretraining's part of the minutes; N from C (see
    `REFERENCE_OPERATIONS`); D = C / 6 N tokens, at most 4 passes over the text (`hftrain.models.budget`).
    """
    from hftrain.models.budget import MOST_EPOCHS, batch_rows
    from hftrain.models.shapes import nearest_shape
    from hftrain.models.sizes import context_for, estimated_bytes_per_token, recommended_vocabulary

    operations = UTILISATION * operations_per_second * 60 * PRETRAINING_SHARE * minutes
    wished = REFERENCE_PARAMETERS * math.sqrt(operations / REFERENCE_OPERATIONS)
    parameters = min(PARAMETERS, key=lambda size: abs(math.log(size / wished)))
    bound = "minutes"
    while True:
        vocab_size = recommended_vocabulary(parameters)
        held = MOST_EPOCHS * train_bytes / estimated_bytes_per_token(vocab_size)
        if held >= FEWEST_TOKENS_PER_PARAMETER * parameters or parameters == PARAMETERS[0]:
            break
        parameters, bound = PARAMETERS[PARAMETERS.index(parameters) - 1], "text"
    tokens = operations / (6 * parameters)
    if held < tokens:
        tokens, bound = held, "text"
    shape = nearest_shape("llama", round(parameters), vocab_size=vocab_size, context_of=context_for)
    row_tokens = context_for(shape["hidden_size"])
    rows = batch_rows(round(parameters), row_tokens, tokens=round(tokens))
    return round(parameters), max(FEWEST_STEPS, round(tokens / (rows * row_tokens))), bound


def configuration(fitted: Fitted) -> str:
    """The YAML: what differs from the defaults, each with its reason."""
    found = fitted.found
    text = found.text or ("installed-docs",)
    lines = [
        "# A model of your own text. Paths are as seen from the folder in which `hftrain init` was run.",
        "# Whatever is not named has its default: add --dry-run to the command to see all of it.",
        *([f"# {_plan_said(fitted).removeprefix('; ')}"] if fitted.planned else []),
        "seed: 1",
        "",
        "collect:",
        f"  text: {_yaml(text)}" + ("" if found.text else "  # none was found beside the conversations"),
        f"  conversations: {_conversations(found)}",
    ]
    if found.text_column != "text":
        lines.append(f"  text_column: {_yaml(found.text_column)}")
    lines.append(
        "  license: null  # of rows that state none; name yours, such as CC-BY-4.0, and the model card says so"
    )
    lines += [
        "",
        "train_tokenizer:",
        f"  vocab_size: {_vocabulary(fitted)}  # a third of the parameters at most, and no more than the text is worth",
        "",
        "pretrain:",
        f"  size: {_count(fitted.parameters)}  # {_why(fitted)}",
        f"  training: {{max_steps: {fitted.steps}}}",
    ]
    if fitted.parameters < SHORT_ANSWERS_BELOW:
        lines += [
            "",
            "sft:",
            "  packing: true",
            f"  max_row_tokens: {SHORT_ROW_TOKENS}  # a model of this size repeats itself in longer answers",
            "  max_dropped_share: 0.5  # conversations that may be left out for being longer, before it refuses",
            "  training: {num_train_epochs: 6, per_device_train_batch_size: 6}",
        ]
    if found.rankings:
        more = f"  # one file is taken; also found: {', '.join(found.rankings[1:])}" if found.rankings[1:] else ""
        lines += ["", "collect_preferences:", f"  rankings: {_yaml(found.rankings[0])}{more}"]
    return "\n".join(lines) + "\n"


def _fit(found: Survey, minutes: float) -> Fitted:
    from hftrain.corpus.piece import write_piece
    from hftrain.training.utilisation import matrix_product_peak

    entries = found.text or ("installed-docs",)
    with tempfile.TemporaryDirectory() as scratch:
        piece = write_piece(
            Path(scratch) / "documents", entries, text_column=found.text_column, license=None, seconds=READING_SECONDS
        )
    train_bytes = round(piece.text_bytes / max(piece.share, 1e-9))
    speed = matrix_product_peak()
    return Fitted(found, train_bytes, minutes, speed, *size_for(train_bytes, minutes, speed))


def _planned(fitted: Fitted, say: Callable[[str], None]) -> Fitted:
    """The same after a plan of it; where the minutes would not do, with less to do."""
    for number in range(1, MOST_PLANS + 1):
        sums = _plan_of(fitted)
        fitted = replace(fitted, planned=sums)
        if sums["seconds"] / 60 <= CLOSE_ENOUGH * fitted.minutes or number == MOST_PLANS:
            break
        say(f"{_count(fitted.parameters)} parameters would take {sums['seconds'] / 60:.0f} minutes: less, then")
        share = 60 * fitted.minutes / sums["seconds"]
        parameters, steps, _ = size_for(fitted.train_bytes, share * fitted.minutes, fitted.operations_per_second)
        fitted = replace(fitted, parameters=parameters, steps=steps, bound="minutes")
    return fitted


def _plan_of(fitted: Fitted) -> dict[str, float]:
    from hftrain.config import load_config
    from hftrain.stages.flow import FlowConfig
    from hftrain.stages.planning import plan, sums_of

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "fitted.yaml"
        path.write_text(configuration(fitted), encoding="utf-8")
        lines = plan(load_config(FlowConfig, path), Path(scratch) / "plan")
    return sums_of(lines)


def _plan_said(fitted: Fitted) -> str:
    if fitted.planned is None:
        return ""
    gibibytes = fitted.planned["memory_bytes"] / 2**30
    disk = fitted.planned["disk_bytes"] / 2**20
    return (
        f"; planned on this machine: {fitted.planned['seconds'] / 60:.0f} minutes, {gibibytes:.1f} GiB of memory, "
        f"{disk:,.0f} MiB on disk"
    )


def _vocabulary(fitted: Fitted) -> int:
    from hftrain.models.sizes import recommended_vocabulary
    from hftrain.tokens.vocabulary import vocabulary_size_for

    return min(recommended_vocabulary(fitted.parameters), vocabulary_size_for(fitted.train_bytes))


def _conversations(found: Survey) -> str:
    if found.conversation_count >= FEWEST_CONVERSATIONS:
        return _yaml(found.conversations)
    yours = f"yours are {found.conversation_count}" if found.conversations else "none was found"
    return f"{_yaml((*found.conversations, 'chatterbot'))}  # {yours}; English small talk, so that it learns to answer"


def _why(fitted: Fitted) -> str:
    if fitted.bound == "text":
        return f"what {_amount(fitted.train_bytes)} of text are good for; with more text, more"
    return f"for {fitted.minutes:g} minutes in all on this machine"


def _yaml(value: Any) -> str:
    import json

    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _amount(size: float) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def _count(parameters: float) -> str:
    exponent = 6 if parameters >= 1e6 else 3
    digits = max(0, 2 - math.floor(math.log10(parameters / 10**exponent)))
    return f"{parameters / 10**exponent:.{min(digits, 1)}f}{'M' if exponent == 6 else 'k'}"

"""The one dial: from a size to a shape, a vocabulary, a context, a batch, learning rates and a budget of tokens.

Each value comes from a rule that is said beside it, and each can be set instead: what hangs on it then follows.
Nothing here imports torch: a configuration is checked and a run planned with it.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hftrain.errors import ConfigError
from hftrain.models.budget import MATRIX_LEARNING_RATE, plan_training
from hftrain.models.shapes import NAMES, OBJECTIVES, names_of, nearest_shape, parameters_of

SIZES: Mapping[str, int] = {
    "nano": 300_000,
    "micro": 1_300_000,
    "mini": 4_000_000,
    "small": 16_000_000,
    "base": 124_000_000,
}
"""Sizes by name, in parameters. With as many tokens as each derives, two fast cores take about two minutes, half an
hour, five hours and three days for the first four; ``base`` is GPT-2 small."""

SMALLEST_SIZE, LARGEST_SIZE = 50_000, 100_000_000_000

CONTEXT_PER_WIDTH = 1.5
"""Context by width: the products of attention, 4 T d a token and layer, then cost a quarter of those with the weights,
24 d^2. Kaplan et al. 2020, arXiv:2001.08361, section 2.1, neglects them below T = 12 d."""

SHORTEST_CONTEXT, LONGEST_CONTEXT = 128, 2048

LARGEST_TABLE_SHARE = 1 / 3
"""Of the parameters, for the recommended vocabulary: GPT-2 small's table has 31% of its own."""

YOURS = "as you set it"


@dataclass(frozen=True)
class Derived:
    """What a size stands for: plain values by upstream's names, and the rule of each."""

    size: int
    """Parameters that were asked for."""
    parameters: int
    """Parameters that the model has."""
    objective: str
    vocab_size: int
    row_tokens: int
    model: Mapping[str, Any]
    """For ``AutoConfig.for_model``, ``model_type`` included; the size of the table and the context are left out."""
    training: Mapping[str, Any]
    """TrainingArguments by name."""
    matrix_learning_rate: float
    """Muon's learning rate, for matrices."""
    train_tokens: int
    """Tokens that all steps read."""
    rules: Mapping[str, str]
    """Name of a value -> the rule it came from, with its source."""
    corpus_tokens: int | None = None
    """Tokens of the training text, where its size is known."""
    process_count: int = 1
    optimizer: str = "muon"

    def lines(self) -> list[str]:
        """What was derived, and from which rule: one line a value."""
        values = {
            "parameters": f"{self.parameters:,}",
            "vocab_size": f"{self.vocab_size:,}",
            "row_tokens": self.row_tokens,
            "train_tokens": f"{self.train_tokens:,}",
            "matrix_learning_rate": self.matrix_learning_rate,
        }
        shown = {**values, **self.model, **self.training}
        return [f"{name} {_written(shown[name])}: {rule}" for name, rule in self.rules.items() if name in shown]


def derive(
    size: str | int | float,
    *,
    vocab_size: int,
    model_type: str | None = None,
    train_bytes: int | None = None,
    bytes_per_token: float | None = None,
    objective: str = "next_token",
    row_tokens: int | None = None,
    process_count: int = 1,
    optimizer: str = "muon",
) -> Derived:
    """Everything that a size decides.

    Args:
        size: A name of `SIZES`, or a number of parameters: ``1300000``, ``"1.3M"``, ``"1B"``.
        vocab_size: Tokens in the tokenizer.
        model_type: ``llama``, ``qwen3``, ``lfm2`` or ``gpt2``; ``modernbert`` for masked words. None: the objective's
            first.
        train_bytes: UTF-8 bytes of the training text; None where it is not known, and does not cap the budget.
        bytes_per_token: Of the tokenizer on that text; None: estimated from the vocabulary.
        objective: ``next_token`` or ``masked_words``.
        row_tokens: Tokens in a training row; None: from the width.
        process_count: Processes that share the rows of a step: the batch is the same with any number of them.
        optimizer: ``muon`` or ``adamw``.

    Raises:
        ConfigError: The size, the objective or the type is unknown, or the vocabulary's table alone is larger.
    """
    parameters = parameters_asked(size)
    if objective in OBJECTIVES:
        model_type = model_type or OBJECTIVES[objective][0]
    names = names_of(model_type or "", objective)
    model = nearest_shape(
        model_type or "", parameters, vocab_size=vocab_size, context_of=lambda width: row_tokens or context_for(width)
    )
    corpus_tokens, how = None, ""
    if train_bytes is not None:
        ratio = bytes_per_token or estimated_bytes_per_token(vocab_size)
        corpus_tokens = max(1, round(train_bytes / ratio))
        how = f"{train_bytes:,} bytes at {ratio:.2f} a token" + ("" if bytes_per_token else " (estimated)")
    return _completed(
        Derived(
            size=parameters,
            parameters=0,
            objective=objective,
            vocab_size=vocab_size,
            row_tokens=row_tokens or context_for(model[names.width]),
            model=model,
            training={},
            matrix_learning_rate=MATRIX_LEARNING_RATE,
            train_tokens=0,
            rules=_shape_rules(model, how, given_row=row_tokens is not None),
            corpus_tokens=corpus_tokens,
            process_count=process_count,
            optimizer=optimizer,
        ),
        {},
    )


def laid_over(
    derived: Derived,
    model_settings: Mapping[str, Any],
    training_settings: Mapping[str, Any],
    *,
    row_tokens: int | None = None,
) -> Derived:
    """The same with a user's own values, and what hangs on them derived anew.

    A width brings its heads, its MLP, its depth for the size and its context; a number of steps or of rows brings
    the budget, the learning rate, the warm-up and the decay. A value that is given is never changed.

    Raises:
        ConfigError: Another model type is named than the one derived, or epochs are given without a corpus.
    """
    model_type = derived.model["model_type"]
    if model_settings.get("model_type", model_type) != model_type:
        raise ConfigError(
            f"pretrain.model.model_type: {model_settings['model_type']!r}, but {model_type!r} was derived. "
            "The shape is one type's. Derive for that type."
        )
    names, table = NAMES[model_type], model_settings.get("vocab_size", derived.vocab_size)
    settled_before = derived.row_tokens if derived.rules["row_tokens"] == YOURS else None
    row = row_tokens or model_settings.get(names.context) or settled_before
    width, layers = model_settings.get(names.width), model_settings.get(names.layers)
    model = dict(derived.model)
    if width is not None or layers is not None:
        model = nearest_shape(
            model_type,
            derived.size,
            vocab_size=table,
            context_of=lambda width: row or context_for(width),
            width=width,
            layers=layers,
        )
    model |= _following(model, model_settings)
    rules = dict(derived.rules)
    if row is not None:
        rules["row_tokens"] = YOURS
    rules |= dict.fromkeys(model_settings, YOURS) | dict.fromkeys(training_settings, YOURS)
    settled_row = row or (derived.row_tokens if width is None and layers is None else context_for(model[names.width]))
    return _completed(replace(derived, model=model, row_tokens=settled_row, rules=rules), training_settings)


def parameters_asked(size: str | int | float) -> int:
    """How many parameters a size stands for.

    Raises:
        ConfigError: It is no name and no number, or no model is that small or large.
    """
    text = str(size).strip()
    number = re.fullmatch(r"(\d+(?:[._]\d+)*(?:[eE]\+?\d+)?)\s*([kKmMbB]?)", text)
    if text in SIZES:
        return SIZES[text]
    if number is None or isinstance(size, bool):
        raise ConfigError(
            f"pretrain.size: {size!r}. One of {', '.join(SIZES)} or a number of parameters is needed. Write for "
            "example size: micro, or size: 1.3M."
        )
    factor = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}[number[2].lower()]
    parameters = round(float(number[1].replace("_", "")) * factor)
    if not SMALLEST_SIZE <= parameters <= LARGEST_SIZE:
        raise ConfigError(
            f"pretrain.size: {parameters:,} parameters. From {SMALLEST_SIZE:,} to {LARGEST_SIZE:,} can be made."
        )
    return parameters


def recommended_vocabulary(size: str | int | float) -> int:
    """The largest power of two from 512 to 65,536 whose table has at most `LARGEST_TABLE_SHARE` of the parameters.

    A larger model deserves a larger vocabulary, though less than in proportion: Tao et al. 2024, arXiv:2407.13623.
    """
    parameters = parameters_asked(size)
    fitting = [512]
    for vocab_size in (2**power for power in range(10, 17)):
        if vocab_size * 32 > parameters:
            break
        shape = nearest_shape("llama", parameters, vocab_size=vocab_size, context_of=context_for)
        if vocab_size * shape["hidden_size"] <= LARGEST_TABLE_SHARE * parameters:
            fitting.append(vocab_size)
    return fitting[-1]


def context_for(width: int) -> int:
    """The power of two nearest to 1.5 times the width, from 128 to 2,048 tokens."""
    nearest = 2 ** round(math.log2(CONTEXT_PER_WIDTH * width))
    return min(LONGEST_CONTEXT, max(SHORTEST_CONTEXT, nearest))


def estimated_bytes_per_token(vocab_size: int) -> float:
    """Of a byte-level BPE on English prose: 3.0 at 2,048 tokens, 4.4 at 32,768; measure it where you can."""
    return max(1.0, 0.35 * math.log2(vocab_size) - 0.85)


def _completed(derived: Derived, given: Mapping[str, Any]) -> Derived:
    """The same with its parameters counted and its training planned, around what was given."""
    parameters = parameters_of(derived.model, vocab_size=derived.vocab_size, context_tokens=derived.row_tokens)
    budget = plan_training(
        parameters,
        row_tokens=derived.row_tokens,
        corpus_tokens=derived.corpus_tokens,
        given=given,
        process_count=derived.process_count,
        optimizer=derived.optimizer,
    )
    own = {name: rule for name, rule in derived.rules.items() if rule == YOURS}
    asked = {"parameters": f"asked for {derived.size:,}; counted by formula, a table for input and output once"}
    return replace(
        derived,
        parameters=parameters,
        training=budget.training,
        train_tokens=budget.train_tokens,
        rules=asked | dict(derived.rules) | dict(budget.rules) | own,
    )


def _following(model: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The user's settings, and those that go with a number of heads."""
    names = NAMES[model["model_type"]]
    followed = dict(given)
    heads = given.get(names.heads)
    if heads and "num_key_value_heads" in model:
        followed.setdefault("num_key_value_heads", heads)
    if heads and "head_dim" in model:
        followed.setdefault("head_dim", given.get(names.width, model[names.width]) // heads)
    return followed


def _shape_rules(model: Mapping[str, Any], corpus: str, *, given_row: bool) -> dict[str, str]:
    names = NAMES[model["model_type"]]
    rules = {
        names.width: "with the depth, nearest to the size and to 64 times the depth (nanochat; Kaplan et al. 2020, "
        "arXiv:2001.08361: loss hardly depends on the shape)",
        names.layers: "width / 64, at least 2 (the same)",
        names.heads: "heads of 32, of 64 from a width of 384 on",
        names.mlp: "8/3 of the width in whole 64s (Shazeer 2020, arXiv:2002.05202)",
        "full_attn_idxs": "every third layer attends, from the third on; the others mix a token with the two "
        "before it (Liquid AI 2025, arXiv:2511.23404)",
        "tie_word_embeddings": "one table for input and output (Press and Wolf 2017, arXiv:1608.05859)",
        "vocab_size": "the tokenizer's" + (f"; the corpus has {corpus}" if corpus else ""),
        "row_tokens": YOURS
        if given_row
        else "1.5 times the width, a power of two from 128 to 2048 (attention then "
        "costs a quarter of the products with the weights; Kaplan et al. 2020, section 2.1)",
    }
    return {name: rule for name, rule in rules.items() if name in model or name in ("vocab_size", "row_tokens")}


def _written(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

"""One exporter per family of formats: may it be written, write it, load it back and measure it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.errors import ConfigError
from hftrain.export.formats import check_quality
from hftrain.export.measurement import (
    Measured,
    Sample,
    bytes_below,
    greedy_agreement,
    measure_in_transformers,
)
from hftrain.models.loading import load_causal_lm, save_model
from hftrain.tokens.chat import load_tokenizer


class Exporter(Protocol):
    """What the stage asks of a format."""

    weights: str
    """Name of the file that holds the weights."""

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        """Raise a ConfigError if this model cannot be written so."""

    def write(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path, folder: Path) -> None:
        """Write the format. ``source`` is the folder that ``model`` was loaded from."""

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, sample: Sample
    ) -> Measured:
        """Load the format from disk, in every runtime that knows it, and measure it."""


class Safetensors:
    """The model as it is, apart from its training's records."""

    weights = "model.safetensors"

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        """Every model can be written so."""

    def write(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path, folder: Path) -> None:
        """Write weights, configuration and tokenizer."""
        save_model(model, tokenizer, folder)

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, sample: Sample
    ) -> Measured:
        """Load the folder with plain transformers."""
        return measure_in_transformers(load_causal_lm(folder), load_tokenizer(folder), sample)


def exporter_for(name: str) -> Exporter:
    """The exporter of a format. Imports that format's packages, and no other's."""
    if name == "safetensors":
        return Safetensors()
    if name.startswith("bnb-"):
        from hftrain.export.rounded import Rounded

        return Rounded(name)
    from hftrain.export.gguf_folder import GgufFolder

    return GgufFolder(name)


def check_model(names: Sequence[str], model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Refuse what cannot be written of this model before anything is.

    Raises:
        ConfigError: With every format's problem.
    """
    problems = []
    for name in names:
        try:
            exporter_for(name).check(model, tokenizer)
        except ConfigError as problem:
            problems.append(str(problem))
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


def judge(name: str, folder: Path, full: Measured, found: Measured) -> dict[str, Any]:
    """The summary of one format: its size, what it costs, and what loads it.

    Raises:
        ArtifactError: In one of the runtimes it is too far from the full model.
    """
    read_by = {}
    for runtime, bits_per_byte in {found.runtime: found.bits_per_byte, **found.read_by}.items():
        check_quality(name, runtime, bits_per_byte, full.bits_per_byte)
        read_by[runtime] = bits_per_byte / full.bits_per_byte
    return {
        "bytes": bytes_below(folder),
        "weight_bytes": bytes_below(folder, exporter_for(name).weights),
        "bits_per_byte": found.bits_per_byte,
        "ratio": read_by[found.runtime],
        "greedy_agreement": greedy_agreement(full, found),
        "measured_with": found.runtime,
        "loads_with": sorted(read_by),
        "ratios": read_by,
    }

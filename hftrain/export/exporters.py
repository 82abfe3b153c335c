"""One exporter per family of formats: may it be written, write it, load it back and measure it."""

from collections.abc import Mapping, Sequence
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
    ) -> Mapping[str, Measured]:
        """Load the format from disk and measure it: runtime -> numbers, the format's own runtime last."""


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
    ) -> Mapping[str, Measured]:
        """Load the folder with plain transformers."""
        loaded = measure_in_transformers(load_causal_lm(folder), load_tokenizer(folder), sample)
        return {"transformers": loaded}


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


def judge(name: str, folder: Path, full: Measured, found: Mapping[str, Measured]) -> dict[str, Any]:
    """The summary of one format: size, and what it costs in each runtime; its own runtime's numbers lead.

    Raises:
        ArtifactError: In one of the runtimes it is too far from the full model.
    """
    runtimes = {}
    for runtime, measured in found.items():
        check_quality(name, runtime, measured.bits_per_byte, full.bits_per_byte)
        runtimes[runtime] = {
            "bits_per_byte": measured.bits_per_byte,
            "ratio": measured.bits_per_byte / full.bits_per_byte,
            "greedy_agreement": greedy_agreement(full, measured),
        }
    own = list(found)[-1]
    return {
        "bytes": bytes_below(folder),
        "weight_bytes": bytes_below(folder, exporter_for(name).weights),
        **runtimes[own],
        "measured_with": own,
        "loads_with": list(found),
        "runtimes": runtimes,
    }

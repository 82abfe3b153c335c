"""One exporter per family of formats: may it be written, write it, load it back and measure it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.errors import ConfigError
from hftrain.export.formats import FORMATS, check_quality
from hftrain.export.measurement import (
    Answering,
    Measured,
    Sample,
    bytes_below,
    equal_answers,
    greedy_agreement,
)


class Exporter(Protocol):
    """What the stage asks of a format."""

    weights: str
    """Name of the file that holds the weights."""

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path) -> None:
        """Raise a ConfigError if this model, or what lies beside it, cannot be written so."""

    def write(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path, folder: Path) -> None:
        """Write the format. ``source`` is the folder that ``model`` was loaded from."""

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, sample: Sample
    ) -> Measured:
        """Load the format from disk, in every runtime that knows it, check that it agrees, and measure it."""

    def stream(self, folder: Path, source: Path) -> Answering:
        """Load the format from disk in the runtime that it is made for, to answer one prompt after the other.

        ``source`` is again the folder of the model that it was made from, for a format that is not whole by itself.
        """


def exporter_for(name: str) -> Exporter:
    """The exporter of a format. Imports that format's packages, and no other's."""
    if name.startswith("bnb-"):
        from hftrain.export.rounded import Rounded

        return Rounded(name)
    if name.startswith("torchao-"):
        from hftrain.export.torchao_folder import TorchaoFolder

        return TorchaoFolder(name)
    if name.startswith("onnx-"):
        from hftrain.export.onnx_folder import OnnxFolder

        return OnnxFolder(name)
    if name.startswith("gguf-"):
        from hftrain.export.gguf_folder import GgufFolder

        return GgufFolder(name)
    if name == "lora":
        from hftrain.export.adapter_apart import AdapterApart

        return AdapterApart()
    from hftrain.export.folders import Safetensors

    return Safetensors(name)


def check_model(names: Sequence[str], model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path) -> None:
    """Refuse what cannot be written of this model before anything is.

    Raises:
        ConfigError: With every format's problem.
    """
    problems = []
    for name in names:
        try:
            exporter_for(name).check(model, tokenizer, source)
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
        "equal_answers": equal_answers(full, found),
        "off_by_nats": found.off_by_nats,
        "keeps": FORMATS[name].keeps,
        "measured_with": found.runtime,
        "loads_with": sorted(read_by),
        "ratios": read_by,
    }

"""Models with matrices rounded to 8 or 4 bits by torchao; tables, norms and the output layer stay in 32.

torchao's 8-bit matrices are 8 bits on disk and in memory; on a CPU each product first makes them 32 bits again, which
is slower than weights that were never rounded. It is for those who compile the model or go on to a GPU.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig, quantize_
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast, TorchAoConfig

from hftrain.errors import ConfigError
from hftrain.export.folders import load_as_it_is, matrices_of, measure_folder
from hftrain.export.measurement import Answering, Measured, Sample, greedy_in_transformers
from hftrain.export.parity import check_weights
from hftrain.models.loading import save_model
from hftrain.runtime import device

LENGTH_BYTES = 8

GROUP = 32
"""Weights that share one scale in 4 bits."""


class TorchaoFolder:
    """``torchao-int8`` or ``torchao-int4``: a folder that transformers loads with torchao installed."""

    weights = "model.safetensors"

    def __init__(self, name: str) -> None:
        """Keep which of the two it is."""
        self.name = name

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path) -> None:
        """Round one small matrix on this device: which of torchao's kernels are there depends on it and on the wheel.

        In torchao 0.18 no 4-bit layout does it on a CPU: the plain one wants ``mslk`` (CUDA), the tiled one CUDA, the
        32-bit one an XPU; and its integer types of any width are stored in 8 bits.
        """
        probe = torch.nn.Sequential(torch.nn.Linear(2 * GROUP, 2 * GROUP, bias=False)).to(device())
        try:
            quantize_(probe, self._settings())
            probe(torch.zeros(1, 2 * GROUP, device=device()))
        except (ImportError, AssertionError, NotImplementedError, ValueError, RuntimeError) as problem:
            reason = (str(problem) or type(problem).__name__).splitlines()[0].rstrip(".")
            raise ConfigError(
                f"export.formats: {self.name} by torchao {version('torchao')} on {device().type}. torchao rounds no "
                f"matrix so here: {reason}. Take bnb-nf4 or gguf-q4_0 for 4 bits, or export on another machine."
            ) from problem

    def write(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path, folder: Path) -> None:
        """Round while loading from ``source``, and write weights, configuration and tokenizer."""
        rounded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            quantization_config=TorchAoConfig(self._settings()),
            dtype=torch.float32,
            device_map={"": device()},
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
        save_model(cast(PreTrainedModel, rounded.eval()), tokenizer, folder)
        _sort_notes(folder / self.weights)

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, sample: Sample
    ) -> Measured:
        """Load the folder with plain transformers, which calls torchao."""
        loaded = load_as_it_is(folder)
        found = {name: each.dequantize() for name, each in loaded.state_dict().items() if hasattr(each, "qdata")}
        check_weights(self.name, matrices_of(model, found))
        return measure_folder(self.name, loaded, folder, sample, runtime="transformers with torchao")

    def stream(self, folder: Path, source: Path) -> Answering:
        """Greedy answers by transformers and torchao."""
        return greedy_in_transformers(load_as_it_is(folder))

    def _settings(self) -> Any:
        return Int8WeightOnlyConfig() if self.name == "torchao-int8" else Int4WeightOnlyConfig(group_size=GROUP)


def _sort_notes(path: Path) -> None:
    """Write a safetensors file's notes on its tensors in order: safetensors puts them in another each time.

    Source of the layout, a length, JSON and the numbers: https://github.com/huggingface/safetensors#format
    """
    whole = path.read_bytes()
    end = LENGTH_BYTES + int.from_bytes(whole[:LENGTH_BYTES], "little")
    header = json.loads(whole[LENGTH_BYTES:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(text) <= end - LENGTH_BYTES, "the numbers would move"
    path.write_bytes(whole[:LENGTH_BYTES] + text.ljust(end - LENGTH_BYTES) + whole[end:])

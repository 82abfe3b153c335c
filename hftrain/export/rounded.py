"""Models with matrices rounded to 8 or 4 bits by bitsandbytes; tables, norms and the output layer stay in 32."""

from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import bitsandbytes
import torch
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.pytorch_utils import Conv1D

from hftrain.errors import ConfigError
from hftrain.export.folders import matrices_of, measure_folder
from hftrain.export.measurement import Answering, Measured, Sample, greedy_in_transformers
from hftrain.export.parity import check_weights
from hftrain.models.loading import load_causal_lm, save_model
from hftrain.models.quantized_base import drop_notices
from hftrain.runtime import device

LARGEST_INT8 = 127

NF4_BLOCK = 64
"""Weights that share one scale."""

SETTINGS = MappingProxyType(
    {
        "bnb-int8": BitsAndBytesConfig(load_in_8bit=True),
        # 16-bit arithmetic is slower than 32-bit on a CPU, and loses more.
        "bnb-nf4": BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
        ),
    }
)


class Rounded:
    """``bnb-int8`` or ``bnb-nf4``: a folder that transformers loads with bitsandbytes installed."""

    weights = "model.safetensors"

    def __init__(self, name: str) -> None:
        """Keep which of the two it is."""
        self.name = name

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path) -> None:
        """Refuse rows of weights that bitsandbytes would read wrongly.

        In bitsandbytes 0.50 on a CPU, ``dequantize_4bit`` starts a new scale at every row, while the file goes on with
        the last one: rows that are no multiple of the block come back with 2.7 times the error.
        """
        for name, width in row_widths(model).items():
            if self.name == "bnb-nf4" and width % NF4_BLOCK:
                raise ConfigError(
                    f"export.formats: bnb-nf4 of {name}, whose rows hold {width} weights. bitsandbytes reads rows "
                    f"rightly on a CPU only in multiples of {NF4_BLOCK}. Remove bnb-nf4 from the formats, or pretrain "
                    "with such widths."
                )

    def write(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path, folder: Path) -> None:
        """Round while loading from ``source``, and write weights, configuration and tokenizer."""
        save_model(load_rounded(source, self.name), tokenizer, folder)

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, sample: Sample
    ) -> Measured:
        """Load the folder with plain transformers, which calls bitsandbytes."""
        loaded = self._loaded(folder)
        check_weights(self.name, matrices_of(model, unrounded(loaded)))
        return measure_folder(self.name, loaded, folder, sample, runtime="transformers with bitsandbytes")

    def stream(self, folder: Path, source: Path) -> Answering:
        """Greedy answers by transformers and bitsandbytes."""
        return greedy_in_transformers(self._loaded(folder))

    def _loaded(self, folder: Path) -> PreTrainedModel:
        drop_notices()
        return load_causal_lm(folder)


def row_widths(model: PreTrainedModel) -> dict[str, int]:
    """Width of the input of each matrix that bitsandbytes rounds: all but the tables and the output layer."""
    widths = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            widths[name] = module.in_features
        elif isinstance(module, Conv1D):
            widths[name] = module.weight.shape[0]
    return widths


def unrounded(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The rounded matrices of a model as numbers again, as transformers stores them."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear8bitLt):
            weight = module.weight
            scales = weight.SCB if weight.SCB is not None else module.state.SCB
            rows = (weight.CB if weight.CB is not None else weight.data).float() * scales[:, None] / LARGEST_INT8
        elif isinstance(module, bitsandbytes.nn.Linear4bit):
            rows = bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state).float()
        else:
            continue
        is_turned = isinstance(module.source_cls, type) and issubclass(module.source_cls, Conv1D)
        found[f"{name}.weight"] = rows.T if is_turned else rows
    return found


def load_rounded(folder: Path, name: str) -> PreTrainedModel:
    """The model in a folder, its matrices rounded while loading; `hftrain.models.loading.save_model` writes it."""
    drop_notices()
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        quantization_config=SETTINGS[name],
        dtype=torch.float32,
        device_map={"": device()},
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    return cast(PreTrainedModel, model.eval())

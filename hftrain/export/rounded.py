"""Models with matrices rounded to 8 or 4 bits by bitsandbytes; tables, norms and the output layer stay in 32."""

import logging
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.pytorch_utils import Conv1D

from hftrain.errors import ConfigError
from hftrain.export.measurement import Measured, Sample, measure_in_transformers
from hftrain.models.loading import load_causal_lm, save_model
from hftrain.runtime import device
from hftrain.tokens.chat import load_tokenizer

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

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
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
        drop_notices()
        loaded, its_tokenizer = load_causal_lm(folder), load_tokenizer(folder)
        return measure_in_transformers(loaded, its_tokenizer, sample, runtime="transformers with bitsandbytes")


def row_widths(model: PreTrainedModel) -> dict[str, int]:
    """Width of the input of each matrix that bitsandbytes rounds: all but the tables and the output layer."""
    widths = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name != "lm_head":
            widths[name] = module.in_features
        elif isinstance(module, Conv1D):
            widths[name] = module.weight.shape[0]
    return widths


def load_rounded(folder: Path, name: str) -> PreTrainedModel:
    """The model in a folder, its matrices rounded while loading; `hftrain.models.loading.save_model` writes it."""
    drop_notices()
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        quantization_config=SETTINGS[name],
        dtype=torch.float32,
        device_map={"": device()},
        local_files_only=True,
        use_safetensors=True,
    )
    return cast(PreTrainedModel, model.eval())


def drop_notices() -> None:
    """Keep bitsandbytes from saying the same thing at every matrix product.

    The two notices say that inputs are cast to 16 bits for int8 (they are, by design: LLM.int8(), Dettmers et al. 2022,
    arXiv:2208.07339), and that no kernel was fetched from the Hub for bf16, which is not used.
    """
    logging.getLogger("bitsandbytes.autograd._functions").addFilter(_is_news)
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    repeated = ("MatMul8bitLt: inputs will be cast", "Failed to load CPU gemm_4bit_forward")
    return not str(record.msg).startswith(repeated)

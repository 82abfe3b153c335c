"""A base whose matrices are rounded to 4 or 8 bits while an adapter beside them is trained: QLoRA.

Only what is kept in memory is rounded: the adapter is trained in fp32, and merged into the base as it was.

Source: Dettmers et al. 2023 (QLoRA), arXiv:2305.14314.
"""

import logging
from pathlib import Path
from typing import Any, Literal, cast

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from hftrain.errors import ConfigError
from hftrain.runtime import device

Rounding = Literal["nf4", "int8"]

NF4_BLOCK = 64
"""Weights that share one scale; on a CPU bitsandbytes 0.50 reads rows of other widths wrongly."""

NOTICES = ("MatMul8bitLt: inputs will be cast", "Failed to load CPU gemm_4bit_forward")


def load_quantized_base(folder: Path, rounding: Rounding) -> PreTrainedModel:
    """The causal language model in a folder, its matrices rounded while loading; what is computed is in fp32.

    Raises:
        ConfigError: A matrix has rows that bitsandbytes would read wrongly.
    """
    if rounding == "nf4":
        how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    else:
        how = BitsAndBytesConfig(load_in_8bit=True)
    drop_notices()
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        quantization_config=how,
        dtype=torch.float32,
        device_map={"": device()},
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    if rounding == "nf4":
        _check_widths(model)
    return cast(PreTrainedModel, model)


def train_in_fp32(model: torch.nn.Module) -> None:
    """Give what is trained 32 bits again: TRL makes it bf16 beside a rounded base, which a CPU is slow at.

    Source: trl 1.12, ``SFTTrainer.__init__``, after arXiv:2305.14314, section 3.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _check_widths(model: PreTrainedModel) -> None:
    for name, module in model.named_modules():
        width = module.in_features if isinstance(module, torch.nn.Linear) else None
        width = module.weight.shape[0] if isinstance(module, Conv1D) else width
        if width is not None and name != "lm_head" and width % NF4_BLOCK:
            raise ConfigError(
                f"sft.quantize_base: nf4, but rows of {name} hold {width} weights. bitsandbytes reads rows rightly on "
                f"a CPU in multiples of {NF4_BLOCK} alone. Set it to int8, or pretrain with such widths."
            )


def drop_notices() -> None:
    """Keep bitsandbytes from saying the same thing at every matrix product.

    The two notices say that inputs are cast to 16 bits for int8 (they are, by design: LLM.int8(), Dettmers et al. 2022,
    arXiv:2208.07339), and that no kernel was fetched from the Hub for bf16, which is not used.
    """
    for name in ("bitsandbytes.autograd._functions", "bitsandbytes.backends.cpu.ops"):
        logging.getLogger(name).addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(NOTICES)

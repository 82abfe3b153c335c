"""A model whose adapter was merged in, taken apart again: the weights below, and the adapter beside them."""

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

from hftrain.errors import ConfigError
from hftrain.files import read_json
from hftrain.models.adapters import ADAPTER

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


def check_adapter(source: Path) -> None:
    """Refuse a folder whose model was not trained with an adapter, or with one that no subtraction takes out.

    Raises:
        ConfigError: There is none, or it is DoRA, which scales the weights below as well.
    """
    if not (source / ADAPTER / WEIGHTS).is_file():
        raise ConfigError(
            f"export.formats: lora of {source.name}, which has no folder {ADAPTER!r}. A model that was trained with an "
            "adapter is needed. Remove lora, or set sft.adapter and train."
        )
    if read_json(source / ADAPTER / SETTINGS).get("use_dora"):
        raise ConfigError(
            "export.formats: lora of an adapter with use_dora: true, which scales the weights below it as well. Plain "
            "LoRA is needed. Remove lora from the formats."
        )


def below_adapter(merged: PreTrainedModel, adapter: Path) -> PeftModel:
    """The adapter in a folder over the weights that it was merged into: W - alpha / r B A below, B A beside.

    Args:
        merged: The model with the adapter merged in; it is changed in place.
        adapter: Folder that peft wrote.
    """
    merged.name_or_path = ""
    with warnings.catch_warnings():
        # peft 0.21 asks for an attribute by its older name, and says that it minds GPT-2's transposed matrices.
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False but", UserWarning)
        model: Any = PeftModel.from_pretrained(merged, adapter)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LoraLayer):
                for name in module.active_adapters:
                    module.get_base_layer().weight -= module.get_delta_weight(name)
    return model.eval()

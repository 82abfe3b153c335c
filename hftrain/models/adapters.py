"""Adapters: a few low-rank matrices trained beside a model's own weights, and folded into them when it is published.

The folder that is published holds the whole model, and the adapter alone under ``adapter``, which plain peft opens:
``PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("runs/tiny/base"), "runs/tiny/chat/adapter")``.

Source: Hu et al. 2021 (LoRA), arXiv:2106.09685; with ``use_dora: true`` Liu et al. 2024 (DoRA), arXiv:2402.09353.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import PreTrainedModel

from hftrain.errors import ConfigError
from hftrain.files import read_json, write_json

ADAPTER = "adapter"
"""The folder in a model's artifact that holds the adapter alone."""


def with_adapter(model: PreTrainedModel, settings: Mapping[str, Any], *, section: str = "pretrain") -> PeftModel:
    """The model with a LoRA adapter, which alone is trained; its first values are drawn from torch's random state.

    Args:
        model: In fp32, or rounded by bitsandbytes; it is changed in place.
        settings: LoraConfig's arguments by peft's names.
        section: Of the configuration, for the error.

    Raises:
        ConfigError: peft refuses a value, or knows no modules to adapt in this type of model.
    """
    # peft would note where the model came from, and look there each time it saves.
    model.name_or_path = ""
    task = TaskType.CAUSAL_LM if model.can_generate() else None
    try:
        with _without_notices():
            adapted = get_peft_model(model, LoraConfig(**({"task_type": task} | dict(settings))))
    except (ValueError, TypeError, ImportError) as problem:
        raise ConfigError(f"{section}.adapter: peft refuses it: {problem}") from problem
    for config in adapted.peft_config.values():
        config.base_model_name_or_path = None
    return adapted


def rows_of_tokens(model: PreTrainedModel, token_ids: Sequence[int]) -> dict[str, list[int]]:
    """LoraConfig's ``trainable_token_indices`` for some tokens: their rows in the tables of inputs and outputs.

    Tokens that a base never saw, such as the end of a turn, cannot be learned by matrices between the tables alone.
    Where the model ties its tables, training the one's rows trains the other's.
    """
    names = {id(module): name.rpartition(".")[2] for name, module in model.named_modules()}
    tables: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    tied = tables[1] is None or tables[0].weight is tables[1].weight
    return {names[id(table)]: list(token_ids) for table in (tables[:1] if tied else tables)}


def publish_adapter(model: torch.nn.Module, out: Path, *, base: PreTrainedModel | None = None) -> torch.nn.Module:
    """Write the adapter to ``<out>/adapter`` and return the plain model with it merged in; one without stays as it is.

    W <- W + alpha / r B A, in fp32, for each adapted matrix W. The given models are used up.

    Args:
        model: With an adapter, or without.
        out: The artifact's folder.
        base: What to merge into where the model's own matrices are rounded: the same model in fp32.
    """
    if not isinstance(model, PeftModel):
        return model
    save_adapter(model, Path(out) / ADAPTER)
    if base is None:
        return model.merge_and_unload()
    base.name_or_path = ""
    with _without_notices():
        return PeftModel.from_pretrained(base, Path(out) / ADAPTER).merge_and_unload()


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write an adapter so that `PeftModel.from_pretrained` opens it, with the same bytes each time."""
    # "auto" would look for the base model, on the Hub too, to see whether its table grew.
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # an empty card that names the base model by its path
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)
    path = folder / "adapter_config.json"
    settings = read_json(path)
    for name in ("target_modules", "exclude_modules", "modules_to_save"):
        if isinstance(settings.get(name), list):
            settings[name] = sorted(settings[name])  # sets: in another order in each process
    write_json(path, settings)


def trained_count(model: torch.nn.Module) -> int:
    """Parameters that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


@contextmanager
def _without_notices() -> Iterator[None]:
    with warnings.catch_warnings():
        # peft 0.21 asks for an attribute by its older name, and says that it minds GPT-2's transposed matrices.
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False but", UserWarning)
        yield

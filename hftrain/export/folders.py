"""Formats that plain transformers opens as a folder: the weights as they are, or each number in 16 bits."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from hftrain.errors import ArtifactError
from hftrain.export.measurement import (
    Answering,
    Measured,
    Sample,
    greedy_in_transformers,
    measure_in_transformers,
)
from hftrain.export.parity import check_ids, check_log_probabilities, check_weights, encode_by_template, log_p_in_torch
from hftrain.models.loading import save_model
from hftrain.runtime import device
from hftrain.tokens.chat import load_tokenizer

TYPES = MappingProxyType(
    {"safetensors": torch.float32, "safetensors-bf16": torch.bfloat16, "safetensors-fp16": torch.float16}
)
"""Format -> the type of every number in it, in which transformers then computes."""


class Safetensors:
    """The model apart from its training's records: in 32 bits as it is, in bf16 or in fp16."""

    weights = "model.safetensors"

    def __init__(self, name: str) -> None:
        """Keep which of the three it is."""
        self.name = name

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path) -> None:
        """Every model can be written so."""

    def write(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path, folder: Path) -> None:
        """Write weights, configuration and tokenizer.

        Raises:
            ArtifactError: A weight is too large for fp16.
        """
        if self.name == "safetensors":
            save_model(model, tokenizer, folder)
            return
        narrow = copy.deepcopy(model).to(TYPES[self.name])
        for name, tensor in narrow.state_dict().items():
            if not bool(torch.isfinite(tensor).all()):
                raise ArtifactError(
                    f"export, {self.name}: {name} holds a weight that is too large for it. fp16 ends at 65504. "
                    "Export safetensors-bf16; a model that diverged has such weights too."
                )
        save_model(narrow, tokenizer, folder)

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, sample: Sample
    ) -> Measured:
        """Load the folder with plain transformers."""
        loaded = load_as_it_is(folder)
        check_weights(self.name, matrices_of(model, loaded.state_dict()))
        return measure_folder(self.name, loaded, folder, sample)

    def stream(self, folder: Path, source: Path) -> Answering:
        """Greedy answers by transformers."""
        return greedy_in_transformers(load_as_it_is(folder))


def matrices_of(
    model: PreTrainedModel, found: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, the model's numbers and those found, of each matrix of a model that was found elsewhere too."""
    for name, weight in model.state_dict().items():
        if weight.ndim == 2 and name in found:
            yield name, weight.float().cpu().numpy(), found[name].float().cpu().numpy()


def load_as_it_is(folder: Path) -> PreTrainedModel:
    """The model in a folder in the numbers of its file, as ``from_pretrained`` gives it to anyone."""
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    return cast(PreTrainedModel, model.to(device()).eval())


def measure_folder(
    name: str, model: PreTrainedModel, folder: Path, sample: Sample, *, runtime: str = "transformers"
) -> Measured:
    """Measure a model with the tokenizer beside it, after both agree with what was exported.

    Raises:
        ArtifactError: Token ids or probabilities differ (`hftrain.export.parity`).
    """
    tokenizer = load_tokenizer(folder)
    check_ids(name, runtime, sample.parity, lambda prompt: encode_by_template(tokenizer, prompt))
    off = check_log_probabilities(name, runtime, sample.parity, tokenizer, log_p_in_torch(model))
    return measure_in_transformers(model, tokenizer, sample, runtime=runtime, off_by_nats=off)

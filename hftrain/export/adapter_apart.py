"""The adapter alone as a format: a few matrices for whoever has the weights that it was trained on."""

import copy
import shutil
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.export.folders import measure_folder
from hftrain.export.measurement import Answering, Measured, Sample, greedy_in_transformers
from hftrain.models.adapters import ADAPTER
from hftrain.models.adapters_apart import SETTINGS, WEIGHTS, below_adapter, check_adapter
from hftrain.models.loading import load_causal_lm
from hftrain.tokens.vocabulary import save_tokenizer


class AdapterApart:
    """``lora``: a folder that `peft.PeftModel.from_pretrained` lays over the model it was trained on."""

    weights = WEIGHTS

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path) -> None:
        """Refuse a model without an adapter beside it, or with one that cannot be taken out again."""
        check_adapter(source)

    def write(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path, folder: Path) -> None:
        """Copy the adapter, and write the tokenizer, whose marks of turns it may have taught."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in (WEIGHTS, SETTINGS):
            shutil.copyfile(source / ADAPTER / name, folder / name)
        save_tokenizer(tokenizer, folder)

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, sample: Sample
    ) -> Measured:
        """Take the adapter out of the model, lay the written one over what is left, and measure both together."""
        apart = below_adapter(copy.deepcopy(model), folder)
        return measure_folder("lora", apart, folder, sample, runtime="transformers with peft")

    def stream(self, folder: Path, source: Path) -> Answering:
        """Greedy answers by transformers and peft, over what the adapter leaves of the model in ``source``."""
        return greedy_in_transformers(below_adapter(load_causal_lm(source), folder))

"""ONNX as a format: one file that onnxruntime runs with its own cache, the tokenizer beside it."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerFast

from hftrain.export.measurement import Answering, Measured, Sample, end_tokens, until_end
from hftrain.export.onnx_model import FILE, cache_names, cache_shape, check_onnx, write_onnx
from hftrain.export.parity import check_ids, check_log_probabilities, encode_by_template, log_p_in_torch
from hftrain.models.scoring import score_texts
from hftrain.tokens.chat import encode_prompt, load_tokenizer
from hftrain.tokens.vocabulary import save_tokenizer


class OnnxFolder:
    """``onnx-fp32`` or ``onnx-int8``."""

    weights = FILE

    def __init__(self, name: str) -> None:
        """Keep which of the two it is."""
        self.name = name

    def check(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path) -> None:
        """Refuse types and sizes that were never compared, or do not fit one file."""
        check_onnx(model, self.name)

    def write(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, source: Path, folder: Path) -> None:
        """Write the file, the configuration and the tokenizer."""
        folder.mkdir(parents=True, exist_ok=True)
        write_onnx(model, folder / FILE, rounded=self.name == "onnx-int8")
        model.config.save_pretrained(folder)
        model.generation_config.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)

    def measure(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path, sample: Sample
    ) -> Measured:
        """Load the file in onnxruntime, check that it agrees, with its cache and without, and measure it."""
        runtime = "onnxruntime"
        loaded, its_tokenizer = OnnxModel(folder), load_tokenizer(folder)
        check_ids(self.name, runtime, sample.parity, lambda prompt: encode_by_template(its_tokenizer, prompt))
        off = check_log_probabilities(self.name, runtime, sample.parity, its_tokenizer, log_p_in_torch(loaded))
        # Row by row, as it is used: activations are rounded with one scale for all rows of a batch.
        score = score_texts(loaded, its_tokenizer, sample.texts, row_tokens=sample.row_tokens, batch_rows=1)
        prompts = [encode_prompt(its_tokenizer, prompt) for prompt in sample.prompts]
        ends = end_tokens(its_tokenizer)
        return Measured(
            runtime=runtime,
            bits_per_byte=score.bits_per_byte,
            answers=tuple(until_end(loaded.answer(ids, sample.answer_tokens), ends) for ids in prompts),
            off_by_nats=off,
        )

    def stream(self, folder: Path, source: Path) -> Answering:
        """Greedy answers by onnxruntime."""
        return OnnxModel(folder).answer


class OnnxModel(torch.nn.Module):
    """A file in onnxruntime, called as a model of transformers is."""

    def __init__(self, folder: Path) -> None:
        """Load ``model.onnx`` and the configuration beside it."""
        super().__init__()
        self.config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.device = torch.device("cpu")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(folder / FILE, options, providers=["CPUExecutionProvider"])
        self._given, made = cache_names(self.config.num_hidden_layers)
        self._made = ["logits", *made]

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> SimpleNamespace:
        """``logits`` of whole rows padded on the right. Shape (B, L, V)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        logits, _cache = self._run(input_ids.numpy(), mask.numpy(), self._empty(len(input_ids)), wanted=["logits"])
        return SimpleNamespace(logits=torch.from_numpy(logits))

    def answer(self, ids: Sequence[int], new_tokens: int) -> list[int]:
        """The likeliest next tokens, past end tokens: the prompt at once, then one token after the other."""
        made: list[int] = []
        tokens, cache = np.array([list(ids)], np.int64), self._empty(1)
        for length in range(len(ids), len(ids) + new_tokens):
            logits, cache = self._run(tokens, np.ones((1, length), np.int64), cache, wanted=self._made)
            made.append(int(logits[0, -1].argmax()))
            tokens = np.array([made[-1:]], np.int64)
        return made

    def _run(
        self, ids: np.ndarray, mask: np.ndarray, cache: list[np.ndarray], *, wanted: list[str]
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        past = mask.shape[1] - ids.shape[1]
        places = np.arange(past, mask.shape[1], dtype=np.int64)[None].repeat(len(ids), 0)
        given = {"input_ids": ids, "attention_mask": mask, "position_ids": places}
        logits, *present = self._session.run(wanted, given | dict(zip(self._given, cache, strict=True)))
        return logits, present

    def _empty(self, rows: int) -> list[np.ndarray]:
        heads, width = cache_shape(self.config)
        return [np.zeros((rows, heads, 0, width), np.float32) for _ in self._given]

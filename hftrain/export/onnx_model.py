"""A causal language model as one ONNX file that takes and gives its cache of keys and values.

Inputs and outputs have the names that optimum, transformers.js and onnxruntime-genai expect: ``input_ids``,
``attention_mask``, ``position_ids``, ``past_key_values.0.key`` …; ``logits``, ``present.0.key`` …. A first call gives a
cache of length 0.
"""

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import DynamicCache, PreTrainedModel

from hftrain.errors import ConfigError

FILE = "model.onnx"

KNOWN = ("llama", "qwen3", "gpt2")
"""Model types whose files were compared with transformers."""

OPSET = 20

LARGEST_BYTES = 2 * 1024**3
"""What one protobuf message, and so one file without others beside it, can hold."""

SAMPLE_ROWS, SAMPLE_TOKENS, SAMPLE_PAST = 2, 3, 5
"""Sizes that the graph is traced with, all different: a dimension of 1 would be taken for a constant."""


class _WithCache(torch.nn.Module):
    """A model as a function of tensors alone."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, position_ids: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Logits of the new tokens, shape (B, L, V), and keys and values of all, (B, heads, P + L, D) each."""
        cache = DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        out = self.model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, past_key_values=cache,
            use_cache=True,
        )  # fmt: skip
        present = [each for layer in out.past_key_values.layers for each in (layer.keys, layer.values)]
        return (out.logits, *present)


def check_onnx(model: PreTrainedModel, name: str) -> None:
    """Refuse a model whose file nobody compared with transformers, or that does not fit one file.

    Raises:
        ConfigError: It is of another type, or too large.
    """
    if model.config.model_type not in KNOWN:
        raise ConfigError(
            f"export.formats: {name} of a {model.config.model_type} model. {', '.join(KNOWN)} can be written. "
            "Remove the onnx formats, or pretrain one of these types."
        )
    # Where a table is both the first and the last matrix, the graph holds the last one turned.
    numbers = sum(each.numel() for each in model.parameters()) + model.get_input_embeddings().weight.numel()
    if 4 * numbers > LARGEST_BYTES:
        raise ConfigError(
            f"export.formats: {name} of {numbers:,} numbers, {4 * numbers:,} bytes. One ONNX file holds "
            f"{LARGEST_BYTES:,}. Remove the onnx formats."
        )


def write_onnx(model: PreTrainedModel, path: Path, *, rounded: bool) -> None:
    """Write one file, with the same bytes each time; ``rounded``: matrices in 8 bits, activations as they come."""
    graph = _traced(model)
    if not rounded:
        onnx.save(graph, path)
        return
    with tempfile.TemporaryDirectory() as scratch, _without_notices():
        plain = Path(scratch) / FILE
        onnx.save(graph, plain)
        quantize_dynamic(plain, path, weight_type=QuantType.QInt8, per_channel=True)


def cache_names(layers: int) -> tuple[list[str], list[str]]:
    """Names of what goes in and what comes out of the cache, in order."""
    parts = [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]
    return [f"past_key_values.{part}" for part in parts], [f"present.{part}" for part in parts]


def cache_shape(config: Any) -> tuple[int, int]:
    """Heads of keys and values, and their width."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return heads, getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _traced(model: PreTrainedModel) -> onnx.ModelProto:
    config = model.config
    heads, width = cache_shape(config)
    past = [torch.zeros(SAMPLE_ROWS, heads, SAMPLE_PAST, width) for _ in range(2 * config.num_hidden_layers)]
    ids = torch.zeros(SAMPLE_ROWS, SAMPLE_TOKENS, dtype=torch.long)
    mask = torch.ones(SAMPLE_ROWS, SAMPLE_PAST + SAMPLE_TOKENS, dtype=torch.long)
    places = torch.arange(SAMPLE_PAST, SAMPLE_PAST + SAMPLE_TOKENS).repeat(SAMPLE_ROWS, 1)
    free = torch.export.Dim.DYNAMIC
    given, made = cache_names(config.num_hidden_layers)
    with torch.no_grad(), _without_notices():
        program: Any = torch.onnx.export(
            _WithCache(model).eval(),
            (ids, mask, places, *past),
            dynamo=True,
            dynamic_shapes=(*({0: free, 1: free} for _ in range(3)), tuple({0: free, 2: free} for _ in past)),
            input_names=["input_ids", "attention_mask", "position_ids", *given],
            output_names=["logits", *made],
            opset_version=OPSET,
            verbose=False,
        )
    graph: onnx.ModelProto = program.model_proto
    _drop_traces(graph)
    return graph


def _drop_traces(model: onnx.ModelProto) -> None:
    """Take out where in which file of this machine each node came from, and give dimensions plain names."""
    del model.metadata_props[:]
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *model.functions):
        del part.metadata_props[:]
        part.doc_string = ""
    for function in model.functions:
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""
    del graph.value_info[:]
    names = {"input_ids": ("rows", "tokens"), "position_ids": ("rows", "tokens"), "attention_mask": ("rows", "all")}
    for value in (*graph.input, *graph.output):
        if value.name.startswith("past_key_values."):
            found: tuple[str | None, ...] = ("rows", None, "past", None)
        elif value.name.startswith("present."):
            found = ("rows", None, "all", None)
        else:
            found = names.get(value.name, ("rows", "tokens", None))
        for dimension, name in zip(value.type.tensor_type.shape.dim, found, strict=True):
            if name is not None:
                dimension.dim_param = name


@contextlib.contextmanager
def _without_notices() -> Iterator[None]:
    """Keep the exporter from saying that torchvision is missing, and onnxruntime that it would infer shapes first."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx._internal.exporter._registration", "root", "")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)

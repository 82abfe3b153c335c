"""A causal language model as a GGUF file, written with the ``gguf`` package alone.

Two passes over the weights: names, shapes and types first, as the file's header wants them, then one
tensor after another, so that memory holds one converted tensor at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gguf
import numpy as np
from gguf.quants import dequantize, quant_shape_to_byte_shape, quantize
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from hftrain.errors import ArtifactError, ConfigError
from hftrain.export.gguf_vocabulary import add_vocabulary, check_vocabulary

FILE = "model.gguf"

PRECISIONS = MappingProxyType(
    {
        "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
        "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
        "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
    }
)
"""Precision of the matrices. Vectors and tables of positions stay in 32 bits, the matrix that makes logits is in 8 at
least, and rows that do not divide into blocks are in 16: as in llama.cpp's own files."""

LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Architecture:
    """How one ``model_type`` of transformers looks in a GGUF file."""

    kind: gguf.MODEL_ARCH
    expected: MappingProxyType[str, tuple[Any, ...]]
    """Settings for which llama.cpp has one fixed behaviour: name -> the values that mean it."""
    describe: Callable[[gguf.GGUFWriter, PreTrainedConfig], None]
    convert: Callable[[str, np.ndarray, PreTrainedConfig], np.ndarray]
    read_by_transformers: Callable[[PreTrainedConfig], bool]
    """Whether transformers rebuilds the same configuration from the file alone."""


def check_gguf(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, precision: str) -> None:
    """Refuse a model that llama.cpp would compute, or whose text it would split, in another way.

    Raises:
        ConfigError: The model's type or a setting of it has no GGUF counterpart, a matrix does not divide into blocks,
            or the tokenizer has rules that the file cannot hold.
    """
    config = model.config
    architecture = ARCHITECTURES.get(config.model_type)
    if architecture is None:
        raise ConfigError(
            f"export.formats: gguf-{precision} of a {config.model_type} model. {', '.join(ARCHITECTURES)} can be "
            "written. Remove the gguf formats, or pretrain one of these types."
        )
    rope = getattr(config, "rope_parameters", None) or {}
    found = {name: getattr(config, name, values[0]) for name, values in architecture.expected.items()}
    found["rope_type"] = rope.get("rope_type", "default")
    for name, values in {**architecture.expected, "rope_type": ("default",)}.items():
        if found[name] not in values:
            raise ConfigError(
                f"export.formats: gguf-{precision} of a {config.model_type} model with {name} {found[name]!r}. "
                f"llama.cpp computes it with {' or '.join(map(repr, values))} only. Remove the gguf formats, or "
                "pretrain with that."
            )
    check_vocabulary(tokenizer, config.vocab_size)
    wanted = PRECISIONS[precision][0]
    shapes = [weight.shape for name, weight in _weights(model, architecture) if weight.ndim > 1]
    block, _ = gguf.GGML_QUANT_SIZES[wanted]
    if all(shape[-1] % block for shape in shapes):
        raise ConfigError(
            f"export.formats: gguf-{precision} of a model whose rows hold {shapes[0][-1]} weights. Rows are rounded in "
            f"blocks of {block}, and none divides into them. Remove this format, or pretrain with widths in multiples "
            f"of {block}."
        )


def write_gguf(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, path: Path, *, precision: str) -> None:
    """Write one file that llama.cpp runs with nothing beside it: weights, configuration, tokenizer, chat template.

    Raises:
        ConfigError: As `check_gguf`.
        ArtifactError: A weight is too large for 16 bits.
    """
    check_gguf(model, tokenizer, precision)
    architecture = ARCHITECTURES[model.config.model_type]
    matrices, file_type = PRECISIONS[precision]
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture.kind])
    writer.add_name("hftrain")  # transformers reads the name of every file and fails on none
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_vocab_size(model.config.vocab_size)
    writer.add_block_count(model.config.num_hidden_layers)
    writer.add_head_count(model.config.num_attention_heads)
    writer.add_embedding_length(model.config.hidden_size)
    writer.add_context_length(model.config.max_position_embeddings)
    architecture.describe(writer, model.config)
    add_vocabulary(writer, tokenizer, model.config.vocab_size)
    logits_from = "token_embd.weight" if model.config.tie_word_embeddings else "output.weight"
    kinds = {name: _kind(name, weight, matrices, logits_from) for name, weight in _weights(model, architecture)}
    for name, weight in _weights(model, architecture):
        _announce(writer, name, weight, kinds[name])
    with closing(writer):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, weight in _weights(model, architecture):
            writer.write_tensor_data(_stored(name, weight, kinds[name]))


def matrices_in(model: PreTrainedModel, path: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """GGUF name, the model's numbers as they were to be written, and the file's as numbers again, of each matrix."""
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    for name, weight in _weights(model, ARCHITECTURES[model.config.model_type]):
        if weight.ndim == 2:
            yield name, weight, dequantize(stored[name].data, stored[name].tensor_type).reshape(weight.shape)


def rotated_in_pairs(weight: np.ndarray, heads: int) -> np.ndarray:
    """Reorder the output rows of a query or key matrix from transformers' rotary layout to llama.cpp's.

    transformers rotates dimension i of a head with i + D/2, llama.cpp's llama rotates 2i with 2i + 1. Attention is a
    dot product within a head, so the same reordering of queries and keys changes nothing else.

    Args:
        weight: Shape (H * D, E): H heads of D dimensions, E wide input.
        heads: H; for keys, the number of key heads.

    Source: ``permute`` of convert_hf_to_gguf.py in github.com/ggml-org/llama.cpp.
    """
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _weights(model: PreTrainedModel, architecture: Architecture) -> Iterator[tuple[str, np.ndarray]]:
    """GGUF name and converted weight of each tensor. A table shared by input and output is there once."""
    names = gguf.get_tensor_name_map(architecture.kind, model.config.num_hidden_layers)
    tensors: dict[str, Tensor] = model.state_dict()
    for name, tensor in tensors.items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        found = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise ConfigError(
                f"export.formats: gguf of a {model.config.model_type} model with the tensor {name}, for which a GGUF "
                "file has no name. Remove the gguf formats, or pretrain a plain model of this type."
            )
        yield found, architecture.convert(found, tensor.float().cpu().numpy(), model.config)


def _kind(
    name: str, weight: np.ndarray, matrices: gguf.GGMLQuantizationType, logits_from: str
) -> gguf.GGMLQuantizationType:
    if weight.ndim < 2 or name.startswith("position_embd"):
        return gguf.GGMLQuantizationType.F32
    if name == logits_from and matrices is gguf.GGMLQuantizationType.Q4_0:
        matrices = gguf.GGMLQuantizationType.Q8_0
    block, _ = gguf.GGML_QUANT_SIZES[matrices]
    return gguf.GGMLQuantizationType.F16 if weight.shape[-1] % block else matrices


def _announce(writer: gguf.GGUFWriter, name: str, weight: np.ndarray, kind: gguf.GGMLQuantizationType) -> None:
    shape: tuple[int, ...] = weight.shape
    dtype: np.dtype[Any] = np.dtype(np.float16 if kind is gguf.GGMLQuantizationType.F16 else np.float32)
    if kind in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0):
        shape, dtype = quant_shape_to_byte_shape(shape, kind), np.dtype(np.uint8)
    writer.add_tensor_info(name, shape, dtype, int(np.prod(shape)) * dtype.itemsize, raw_dtype=kind)


def _stored(name: str, weight: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    largest = float(np.abs(weight).max())
    if not largest <= LARGEST:
        raise ArtifactError(
            f"export, {name}: its largest weight is {largest:g}. Weights of at most {LARGEST:g} fit into 16 bits. "
            "A model that diverged has such weights: lower the learning rate and train again."
        )
    return np.ascontiguousarray(quantize(np.ascontiguousarray(weight), kind))


def _describe_rotary(writer: gguf.GGUFWriter, config: PreTrainedConfig) -> None:
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _describe_gpt2(writer: gguf.GGUFWriter, config: PreTrainedConfig) -> None:
    writer.add_feed_forward_length(config.n_inner or 4 * config.hidden_size)
    writer.add_layer_norm_eps(config.layer_norm_epsilon)


def _convert_llama(name: str, weight: np.ndarray, config: PreTrainedConfig) -> np.ndarray:
    if ".attn_q." in name:
        return rotated_in_pairs(weight, config.num_attention_heads)
    if ".attn_k." in name:
        return rotated_in_pairs(weight, config.num_key_value_heads)
    return weight


def _convert_qwen3(name: str, weight: np.ndarray, config: PreTrainedConfig) -> np.ndarray:
    """Unchanged: llama.cpp rotates the halves of a head for this type, as transformers does."""
    return weight


def _convert_gpt2(name: str, weight: np.ndarray, config: PreTrainedConfig) -> np.ndarray:
    """Matrices of GPT-2's blocks are stored input first in transformers, output first in a GGUF file."""
    return weight.T if name.startswith("blk.") and weight.ndim == 2 else weight


ROTARY = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "use_sliding_window": (False,),
}
GPT2 = {
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}
ARCHITECTURES = MappingProxyType(
    {
        "llama": Architecture(
            gguf.MODEL_ARCH.LLAMA, MappingProxyType(ROTARY), _describe_rotary, _convert_llama, lambda config: True
        ),
        # transformers reads neither a Qwen3 head's width nor GPT-2's context, and takes its own defaults for them.
        "qwen3": Architecture(
            gguf.MODEL_ARCH.QWEN3, MappingProxyType(ROTARY), _describe_rotary, _convert_qwen3,
            lambda config: bool(config.head_dim == 128),
        ),
        "gpt2": Architecture(
            gguf.MODEL_ARCH.GPT2, MappingProxyType(GPT2), _describe_gpt2, _convert_gpt2,
            lambda config: bool(config.n_positions == 1024 and config.n_inner in (None, 4 * config.n_embd)),
        ),
    }
)  # fmt: skip
"""``model_type`` -> its GGUF architecture."""

"""From a configuration or a folder to a model, and back to a folder that plain transformers opens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

from hftrain.errors import ArtifactError, ConfigError
from hftrain.runtime import device
from hftrain.tokens.chat import END_OF_TEXT
from hftrain.tokens.vocabulary import check_saved, save_tokenizer

# A bar for the tenth of a second in which a model is read or written would only break the lines of our own.
disable_progress_bar()

SMALL_LLAMA: Mapping[str, Any] = {
    "model_type": "llama",
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "tie_word_embeddings": True,
}
"""The model made when none is described: it learns within minutes on a laptop."""


def causal_lm_config(settings: Mapping[str, Any], *, vocab_size: int, context_tokens: int) -> PreTrainedConfig:
    """The configuration of a model as a run describes it.

    Args:
        settings: ``model_type`` and that type's configuration by upstream's names; empty for `SMALL_LLAMA`.
        vocab_size: Tokens in the tokenizer, and in the model's table where ``settings`` does not say.
        context_tokens: The longest row, and the model's context where ``settings`` does not say.

    Raises:
        ConfigError: Unknown type or name, a table smaller than the vocabulary, or a context shorter than a row.
    """
    given = dict(settings or SMALL_LLAMA)
    model_type = given.pop("model_type", "llama")
    _check_names(model_type, given)
    given.setdefault("vocab_size", vocab_size)
    if given["vocab_size"] < vocab_size:
        raise ConfigError(
            f"pretrain.model.vocab_size: {given['vocab_size']}, but the tokenizer has {vocab_size} tokens. "
            "The model's table must cover every token. Remove vocab_size to take it from the tokenizer."
        )
    context_name = "n_positions" if model_type == "gpt2" else "max_position_embeddings"
    given.setdefault(context_name, context_tokens)
    if given[context_name] < context_tokens:
        raise ConfigError(
            f"pretrain.model.{context_name}: {given[context_name]}, but rows have {context_tokens} tokens. "
            f"A context at least as long is needed. Raise it, or lower pretrain.row_tokens."
        )
    return AutoConfig.for_model(model_type, **given)


def new_causal_lm(
    settings: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast, *, context_tokens: int
) -> PreTrainedModel:
    """A causal language model with random weights, that knows the tokenizer's pad and end.

    Raises:
        ConfigError: As `causal_lm_config`.
    """
    config = causal_lm_config(settings, vocab_size=len(tokenizer), context_tokens=context_tokens)
    config.bos_token_id = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    config.eos_token_id = tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config = _generation_config(tokenizer)
    return model.to(device())


def load_causal_lm(folder: Path) -> PreTrainedModel:
    """The causal language model in a folder, in fp32 on this process's device, in eval mode.

    Raises:
        ArtifactError: The folder holds no model.
    """
    if not (Path(folder) / "config.json").is_file():
        raise ArtifactError(f"{folder}: holds no config.json. Name the folder of a model.")
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    return model.to(device()).eval()


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write a model and its tokenizer so that plain transformers opens the folder, with the same bytes each time.

    Raises:
        ArtifactError: AutoTokenizer would load the tokenizer differently beside this model.
    """
    model.config.use_cache = True  # Trainer switches it off to train; who loads the model generates with it
    if getattr(model, "generation_config", None) is not None and model.can_generate():
        model.generation_config = _generation_config(tokenizer)
    model.save_pretrained(out)
    for path in Path(out).glob("*.safetensors"):
        path.chmod(0o644)  # safetensors gives its own file to its owner alone
    save_tokenizer(tokenizer, out)
    check_saved(tokenizer, out)


def context_tokens(model: PreTrainedModel) -> int | None:
    """How many tokens a row of this model can have; None where its type sets no limit."""
    return getattr(model.config, "max_position_embeddings", None) or getattr(model.config, "n_positions", None)


def parameter_count(model: torch.nn.Module) -> int:
    """Parameters, a table shared by input and output counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def _generation_config(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    return GenerationConfig(
        bos_token_id=tokenizer.convert_tokens_to_ids(END_OF_TEXT),
        eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(END_OF_TEXT)],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )


def _check_names(model_type: str, given: Mapping[str, Any]) -> None:
    try:
        known = set(AutoConfig.for_model(model_type).to_dict())
    except ValueError:
        raise ConfigError(
            f"pretrain.model.model_type: {model_type!r} is unknown to transformers. A type that AutoConfig knows is "
            "needed. Write for example llama, qwen3 or gpt2."
        ) from None
    unknown = sorted(set(given) - known)
    if unknown:
        raise ConfigError(
            f"pretrain.model.{unknown[0]}: no such setting of model_type {model_type}. Known are "
            f"{', '.join(sorted(known))}. Rename or remove it."
        )

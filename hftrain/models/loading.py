"""From a configuration or a folder to a model, and back to a folder that plain transformers opens."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

from hftrain.errors import ArtifactError, ConfigError
from hftrain.models.opening import UNFIT, load_as
from hftrain.runtime import device
from hftrain.tokens.chat import END_OF_TEXT, encode_text
from hftrain.tokens.vocabulary import PROBES, check_saved, save_tokenizer

# A bar for the tenth of a second in which a model is read or written would only break the lines of our own.
disable_progress_bar()

NO_TOKENS: Mapping[str, int] = {}

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


SMALL_MODERNBERT: Mapping[str, Any] = {
    "model_type": "modernbert",
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "sparse_prediction": True,
}
"""The encoder made when none is described; logits are made of the masked tokens alone."""


def causal_lm_config(
    settings: Mapping[str, Any], *, vocab_size: int, context_tokens: int, special_tokens: Mapping[str, int] = NO_TOKENS
) -> PreTrainedConfig:
    """The configuration of a model as a run describes it.

    Args:
        settings: ``model_type`` and that type's configuration by upstream's names; empty for `SMALL_LLAMA`.
        vocab_size: Tokens in the tokenizer, and in the model's table where ``settings`` does not say.
        context_tokens: The longest row, and the model's context where ``settings`` does not say.
        special_tokens: Their ids by the configuration's names, such as ``pad_token_id``.

    Raises:
        ConfigError: Unknown type or name, a type that does not predict the next token, a table smaller than the
            vocabulary, or a context shorter than a row.
    """
    config = _config(settings or SMALL_LLAMA, "llama", vocab_size, context_tokens, special_tokens)
    if not _predicts_next(config):
        raise ConfigError(
            f"pretrain.model.model_type: {config.model_type!r} does not predict the next token. "
            "A causal language model is needed. Write for example llama, qwen3 or gpt2."
        )
    return config


def masked_lm_config(
    settings: Mapping[str, Any], *, vocab_size: int, context_tokens: int, special_tokens: Mapping[str, int] = NO_TOKENS
) -> PreTrainedConfig:
    """The same for an encoder that predicts masked tokens; empty settings for `SMALL_MODERNBERT`.

    Raises:
        ConfigError: As `causal_lm_config`, or a type that does not predict masked tokens.
    """
    config = _config(settings or SMALL_MODERNBERT, "modernbert", vocab_size, context_tokens, special_tokens)
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        raise ConfigError(
            f"pretrain.model.model_type: {config.model_type!r} does not predict masked tokens. "
            "An encoder is needed. Write for example modernbert or bert."
        )
    return config


def new_causal_lm(
    settings: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast, *, context_tokens: int
) -> PreTrainedModel:
    """A causal language model with random weights, that knows the tokenizer's pad and end.

    Raises:
        ConfigError: As `causal_lm_config`.
    """
    special = {
        "bos_token_id": tokenizer.convert_tokens_to_ids(END_OF_TEXT),
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = causal_lm_config(
        settings, vocab_size=len(tokenizer), context_tokens=context_tokens, special_tokens=special
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config = _generation_config(tokenizer)
    return model.to(device())


def new_masked_lm(
    settings: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast, *, context_tokens: int
) -> PreTrainedModel:
    """An encoder with random weights that predicts masked tokens; the tokenizer must have a mask token.

    Raises:
        ConfigError: As `masked_lm_config`, or the tokenizer has no mask token.
    """
    if tokenizer.mask_token_id is None:
        raise ConfigError("pretrain.objective: masked_words, but the tokenizer has no mask token. Add one to it first.")
    # Rows are cut from a stream of documents: what stands between them opens and closes each.
    edges = ("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
    special = dict.fromkeys(edges, tokenizer.convert_tokens_to_ids(END_OF_TEXT))
    config = masked_lm_config(
        settings,
        vocab_size=len(tokenizer),
        context_tokens=context_tokens,
        special_tokens=special | {"pad_token_id": tokenizer.pad_token_id},
    )
    return AutoModelForMaskedLM.from_config(config, dtype=torch.float32).to(device())


def load_causal_lm(folder: Path) -> PreTrainedModel:
    """The causal language model in a folder, in fp32 on this process's device, in eval mode.

    Raises:
        ArtifactError: The folder holds no model.
    """
    model = load_as(AutoModelForCausalLM, folder)
    if not _predicts_next(model.config):
        raise ArtifactError(
            f"{folder}: a {model.config.model_type} sees the words after a token too. A causal language model is "
            "needed. Name the folder of another model."
        )
    return model


def load_masked_lm(folder: Path) -> PreTrainedModel:
    """The same for an encoder that predicts masked tokens.

    Raises:
        ArtifactError: The folder holds no such model.
    """
    return load_as(AutoModelForMaskedLM, folder)


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write a model and its tokenizer so that plain transformers opens the folder, with the same bytes each time.

    Raises:
        ArtifactError: AutoTokenizer would load the tokenizer differently beside this model.
    """
    if model.can_generate():
        model.config.use_cache = True  # Trainer switches it off to train; who loads the model generates with it
        model.generation_config = _generation_config(tokenizer)
    model.save_pretrained(out)
    for path in Path(out).glob("*.safetensors"):
        path.chmod(0o644)  # safetensors gives its own file to its owner alone
    save_tokenizer(tokenizer, out)
    check_saved(tokenizer, out, probes_that_return(tokenizer))


def probes_that_return(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """The probes that this tokenizer gives back as they were: all of them, if it is of bytes and changes nothing.

    One that normalises (Qwen's) or strips spaces came that way with its model; what matters then is that
    AutoTokenizer does the same beside the model.

    Raises:
        ArtifactError: It gives none of them back.
    """
    kept = [probe for probe in PROBES if tokenizer.decode(encode_text(tokenizer, probe)) == probe]
    if not kept:
        raise ArtifactError("tokenizer: no text comes back from its ids as it was. A byte-level tokenizer is needed.")
    return kept


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


def _predicts_next(config: PreTrainedConfig) -> bool:
    """Whether a model of it sees only what stands before a token. Encoders that could be decoders must say they are."""
    is_encoder = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not is_encoder


def _config(
    settings: Mapping[str, Any],
    usual_type: str,
    vocab_size: int,
    context_tokens: int,
    special_tokens: Mapping[str, int],
) -> PreTrainedConfig:
    given = dict(settings)
    model_type = given.pop("model_type", usual_type)
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
    try:
        return AutoConfig.for_model(model_type, **(given | dict(special_tokens)))
    except UNFIT as problem:
        shown = " ".join(str(problem).split())[:300]
        raise ConfigError(
            f"pretrain.model: {model_type} refuses it: {shown}. A shape that the type can have is needed. Change these "
            "settings."
        ) from problem


def _check_names(model_type: str, given: Mapping[str, Any]) -> None:
    try:
        known = set(AutoConfig.for_model(model_type).to_dict())
    except ValueError:
        raise ConfigError(
            f"pretrain.model.model_type: {model_type!r} is unknown to transformers. A type that AutoConfig knows is "
            "needed. Write for example llama, qwen3, gpt2 or modernbert."
        ) from None
    unknown = sorted(set(given) - known)
    if unknown:
        raise ConfigError(
            f"pretrain.model.{unknown[0]}: no such setting of model_type {model_type}. Known are "
            f"{', '.join(sorted(known))}. Rename or remove it."
        )

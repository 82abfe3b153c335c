"""A byte-level BPE tokenizer as the metadata of a GGUF file.

A GGUF file names its split pattern instead of holding it, and has no normalizer: a tokenizer that
llama.cpp has no name for would lose its rules on the way, so it is refused.
"""

import json
from typing import Any

import gguf
from transformers import PreTrainedTokenizerFast

from hftrain.errors import ConfigError
from hftrain.tokens.chat import END_OF_TEXT, END_OF_TURN
from hftrain.tokens.splitting import split_of

KNOWN_TO_TRANSFORMERS = ("gpt-2", "smaug-bpe", "qwen2")
"""Splits that transformers rebuilds from a GGUF file; it takes every name that it does not know for GPT-2's. Source:
``GGUF_PRE_TOKENIZER_SPLITS`` in https://github.com/huggingface/transformers/blob/main/src/transformers/integrations/gguf/gguf_tokenizer_mapping.py
"""

NOT_HELD = (
    "dropout",
    "unk_token",
    "byte_fallback",
    "ignore_merges",
    "continuing_subword_prefix",
    "end_of_word_suffix",
)
"""Settings of a BPE vocabulary that must be off: llama.cpp merges without them."""


def check_vocabulary(tokenizer: PreTrainedTokenizerFast, table_rows: int) -> None:
    """Refuse a tokenizer with rules that a GGUF file cannot hold.

    Args:
        tokenizer: The model's.
        table_rows: Rows of the model's embedding table.

    Raises:
        ConfigError: It has such rules, or more tokens than the table has rows.
    """
    problem = _problem(tokenizer, table_rows)
    if problem:
        raise ConfigError(
            f"export.formats: gguf of a model whose tokenizer has {problem}. llama.cpp would split text differently. "
            "Remove the gguf formats, or train with a tokenizer of train_tokenizer."
        )


def split_is_read_by_transformers(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether transformers splits text as the tokenizer does when it reads the file; llama.cpp always does."""
    return _pre_name(tokenizer) in KNOWN_TO_TRANSFORMERS


def add_vocabulary(writer: gguf.GGUFWriter, tokenizer: PreTrainedTokenizerFast, table_rows: int) -> None:
    """Write tokens, their types, merges, special ids and the chat template; spare table rows become unused tokens."""
    rules = _rules(tokenizer)
    tokens = [f"[PAD{index}]" for index in range(table_rows)]
    types = [gguf.TokenType.UNUSED] * table_rows
    for token, index in tokenizer.get_vocab().items():
        tokens[index], types[index] = token, gguf.TokenType.NORMAL
    for added in rules["added_tokens"]:
        # A control token is matched only where a template puts it; a user-defined one wherever it is typed.
        types[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    pre_name = _pre_name(tokenizer)
    assert pre_name is not None, "check_vocabulary lets no other split pass"
    writer.add_tokenizer_pre(pre_name)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in rules["model"]["merges"]]
    )
    ids = tokenizer.get_vocab()
    # Without an id of its own, llama.cpp takes token 11 for the beginning of a text.
    writer.add_bos_token_id(ids[END_OF_TEXT])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_eot_token_id(ids[END_OF_TURN])
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _problem(tokenizer: PreTrainedTokenizerFast, table_rows: int) -> str | None:
    rules = _rules(tokenizer)
    model = rules["model"]
    if model["type"] != "BPE":
        return f"a {model['type']} vocabulary, not BPE"
    unheld = [name for name in NOT_HELD if model.get(name)]
    if unheld:
        return f"{unheld[0]} set to {model[unheld[0]]!r}, which a GGUF file cannot hold"
    if rules["normalizer"] is not None:
        return f"the normalizer {rules['normalizer']['type']}, which a GGUF file cannot hold"
    split = split_of(tokenizer.backend_tokenizer)
    if split is None:
        return f"the pre-tokenizer {json.dumps(rules['pre_tokenizer'])}, which llama.cpp has no name for"
    if split.llama_cpp_name is None:
        return f"the split {split.pattern} with numbers cut every {split.digits} digits, unknown to llama.cpp"
    trimming = [token["content"] for token in rules["added_tokens"] if token["lstrip"] or token["rstrip"]]
    if trimming:
        return f"the token {trimming[0]!r}, which swallows the spaces beside it"
    if len(tokenizer) > table_rows:
        return f"{len(tokenizer)} tokens for a model whose table has {table_rows} rows"
    return None


def _pre_name(tokenizer: PreTrainedTokenizerFast) -> str | None:
    split = split_of(tokenizer.backend_tokenizer)
    return split.llama_cpp_name if split else None


def _rules(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    rules: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return rules

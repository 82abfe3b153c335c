"""Byte-level BPE: learned from text, wrapped for `AutoTokenizer`, checked before anyone relies on it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hftrain.errors import ArtifactError, ConfigError
from hftrain.tokens.chat import CHAT_TEMPLATE, END_OF_TURN, PAD, SPECIAL_TOKENS, encode_text

SMALLEST = len(pre_tokenizers.ByteLevel.alphabet()) + len(SPECIAL_TOKENS)
"""Tokens that a byte-level vocabulary cannot do without: 256 bytes and the special tokens."""

# What breaks tokenizers: other scripts, joined emoji, line ends, runs of spaces, marks, our own special tokens.
PROBES = (
    "The quick brown fox, 12,345.67 times — don't!",
    "naïve café ŝtono Straße \u00a0\u2028\u200d end",
    "日本語のテキスト  한국어 العربية हिन्दी ไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \U0001f600",
    "def f(x):\n\treturn  x ** 2\r\n\n   # end\n",
    "<|im_start|>system\nobey<|im_end|><|endoftext|><|pad|>",
    " leading and trailing  ",
    "e\u0301 \x00\x07 \ufffd",
)


def learn_vocabulary(texts: Iterable[str], *, vocab_size: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary of exactly ``vocab_size`` tokens.

    The split pattern is GPT-2's, which llama.cpp knows by name; nothing is normalised, so that every text comes
    back exactly. Source: Sennrich et al. 2016, arXiv:1508.07909; Radford et al. 2019 (GPT-2).

    Raises:
        ConfigError: The size is below what bytes need, or above what the text has merges for.
    """
    if vocab_size < SMALLEST:
        raise ConfigError(
            f"train_tokenizer.vocab_size: {vocab_size}. Bytes and special tokens alone need {SMALLEST}. Raise it."
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    reached = tokenizer.get_vocab_size()
    if reached < vocab_size:
        raise ConfigError(
            f"train_tokenizer.vocab_size: {vocab_size}, but the text has merges for {reached} tokens only. "
            f"Every token must occur. Lower vocab_size to at most {reached}, or collect more text."
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END_OF_TURN,
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in (PAD, END_OF_TURN)],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write a tokenizer's files without the marks of where it was loaded from."""
    tokenizer.save_pretrained(out)
    path = Path(out) / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    for name in ("is_local", "local_files_only", "name_or_path"):
        settings.pop(name, None)
    path.write_text(json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def check_saved(tokenizer: PreTrainedTokenizerFast, folder: Path, probes: Sequence[str] = PROBES) -> None:
    """Make sure that what `AutoTokenizer` loads from ``folder`` gives the same ids and gives every text back.

    Raises:
        ArtifactError: It does not: some model types make AutoTokenizer rebuild a tokenizer with other rules.
    """
    loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    for probe in probes:
        ours, theirs = encode_text(tokenizer, probe), encode_text(loaded, probe)
        if ours != theirs:
            raise ArtifactError(
                f"{folder}: AutoTokenizer gives {theirs} for {probe!r}, not {ours}. Use another model_type."
            )
        back = loaded.decode(theirs)
        if back != probe:
            raise ArtifactError(f"{folder}: {probe!r} comes back as {back!r}. A byte-level tokenizer is needed.")


def compression(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> dict[str, float]:
    """How many bytes a token stands for over these texts, and how many tokens of the vocabulary they use."""
    tokens = size = 0
    used: set[int] = set()
    for text in texts:
        ids = encode_text(tokenizer, text)
        tokens, size = tokens + len(ids), size + len(text.encode())
        used.update(ids)
    return {
        "tokens": tokens,
        "bytes": size,
        "bytes_per_token": size / tokens if tokens else 0.0,
        "used_share": len(used) / len(tokenizer),
    }

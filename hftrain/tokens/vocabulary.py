"""Byte-level BPE: learned from text, wrapped for `AutoTokenizer`, checked before anyone relies on it."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hftrain.errors import ArtifactError, ConfigError
from hftrain.tokens.chat import CHAT_TEMPLATE, END_OF_TURN, PAD, SPECIAL_TOKENS, encode_text, open_tokenizer
from hftrain.tokens.merges import learn_merges
from hftrain.tokens.splitting import Split
from hftrain.tokens.words import count_words

SMALLEST = len(pre_tokenizers.ByteLevel.alphabet()) + len(SPECIAL_TOKENS)
"""Tokens that a byte-level vocabulary cannot do without: 256 bytes and the special tokens."""

SMALLEST_DERIVED_POWER, LARGEST_DERIVED_POWER = 11, 16
"""Two to these powers bound what `vocabulary_size_for` gives."""

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


def vocabulary_size_for(train_bytes: int) -> int:
    """The vocabulary for a training corpus of so many bytes: a power of two from 2,048 to 65,536.

    A model of N parameters outside its tables is trained on about 20 N tokens (Hoffmann et al. 2022,
    arXiv:2203.15556), and its best vocabulary has parameters in proportion to N ** 0.83 (Tao et al. 2024,
    arXiv:2407.13623). At a width in proportion to N ** (1/3), the vocabulary grows about as the square root of the
    text, which is also how many different words a text holds (Heaps' law). The rule is ours in its constant: 4 tokens
    for each unit of the root, so that a token is met thousands of times; 1 MB gives 4,096, 16 MB 16,384, 100 MB 32,768
    and 280 MB or more 65,536, where GPT-2 and Llama 3 took 50,257 and 128,256.
    """
    wanted = 4 * math.sqrt(max(1, train_bytes))
    return 2 ** min(LARGEST_DERIVED_POWER, max(SMALLEST_DERIVED_POWER, math.floor(math.log2(wanted) + 0.5)))


def learn_vocabulary(
    texts: Iterable[str], *, vocab_size: int, split: str = "gpt2", digits: int | None = None
) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary of exactly ``vocab_size`` tokens.

    Nothing is normalised, so that every text comes back exactly. Source: Sennrich et al. 2016, arXiv:1508.07909;
    Radford et al. 2019 (GPT-2).

    Raises:
        ConfigError: The size is below what bytes need, or above what the text has merges for; or nobody knows the
            split.
    """
    if vocab_size < SMALLEST:
        raise ConfigError(
            f"train_tokenizer.vocab_size: {vocab_size}. Bytes and special tokens alone need {SMALLEST}. Raise it."
        )
    pre_tokenizer = Split(split, digits).pre_tokenizer()
    alphabet = [*SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary, merges = learn_merges(count_words(texts, pre_tokenizer), alphabet, vocab_size=vocab_size)
    reached = len(vocabulary)
    if reached < vocab_size:
        raise ConfigError(
            f"train_tokenizer.vocab_size: {vocab_size}, but the text has merges for {reached} tokens only. "
            f"Every token must occur. Lower vocab_size to at most {reached}, or collect more text."
        )
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizer
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(list(SPECIAL_TOKENS))  # they get the ids that they have in the alphabet, the first
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        eos_token=END_OF_TURN,
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in (PAD, END_OF_TURN)],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
    tokenizer.backend_tokenizer.model = models.BPE(vocabulary, merges)  # only now, as a tokenizer copies what it wraps
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write a tokenizer's files without the marks of where it was loaded from."""
    tokenizer.save_pretrained(out)
    path = Path(out) / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    for name in ("is_local", "local_files_only", "name_or_path"):
        settings.pop(name, None)
    written = json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    path.write_text(written, encoding="utf-8", newline="\n")


def check_saved(tokenizer: PreTrainedTokenizerFast, folder: Path, probes: Sequence[str] = PROBES) -> None:
    """Make sure that what `AutoTokenizer` loads from ``folder`` gives the same ids and gives every text back.

    Raises:
        ArtifactError: It does not: some model types make AutoTokenizer rebuild a tokenizer with other rules.
    """
    loaded = open_tokenizer(folder)
    for probe in probes:
        ours, theirs = encode_text(tokenizer, probe), encode_text(loaded, probe)
        if ours != theirs:
            raise ArtifactError(
                f"{folder}: AutoTokenizer gives {theirs} for {probe!r}, not {ours}. Use another model_type."
            )
        back = loaded.decode(theirs)
        if back != probe:
            raise ArtifactError(f"{folder}: {probe!r} comes back as {back!r}. A byte-level tokenizer is needed.")

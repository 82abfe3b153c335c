"""Where text is split into words before merges are learned: the patterns, and their names in llama.cpp."""

import functools
import json
from dataclasses import dataclass
from typing import Any

import numpy
from tokenizers import Regex, Tokenizer, pre_tokenizers

from hftrain.errors import ConfigError

SPLITS = ("gpt2", "gpt4")
DIGITS = (1, 2, 3)

GPT4 = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
"""The pattern of GPT-4's ``cl100k_base``; ``DIGITS`` stands for its 3. Llama 3's cuts at the same places: its
``\\s*[\\r\\n]+`` ends, as ``\\s*[\\r\\n]`` does, at the last line end of a run of white space. Source:
https://github.com/openai/tiktoken/blob/main/tiktoken_ext/openai_public.py
"""

LLAMA_CPP_NAMES = {
    ("gpt2", None): "gpt-2",
    ("gpt2", 1): "smollm",
    ("gpt4", 3): "smaug-bpe",
    ("gpt4", 1): "qwen2",
}
"""What llama.cpp calls the same split. It has no name for digits in twos, nor for GPT-2's pattern with threes.
``smaug-bpe`` is ``llama-bpe`` without ``ignore_merges``. Source: ``llm_tokenizer_bpe`` in
https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp
"""


@dataclass(frozen=True)
class Split:
    """A pattern, and in how many digits a number is cut; None leaves numbers whole, which GPT-4's pattern cannot."""

    pattern: str = "gpt2"
    digits: int | None = None

    def __post_init__(self) -> None:
        if self.pattern not in SPLITS:
            raise ConfigError(
                f"train_tokenizer.split: {self.pattern!r}. One of {', '.join(SPLITS)} is needed. Mend the word."
            )
        if self.digits is not None and self.digits not in DIGITS:
            raise ConfigError(
                f"train_tokenizer.digits: {self.digits}. 1, 2 or 3 digits in a token, or null for what the pattern "
                "does, are needed. Mend the number."
            )
        if self.pattern == "gpt4" and self.digits is None:
            object.__setattr__(self, "digits", 3)

    @property
    def llama_cpp_name(self) -> str | None:
        """llama.cpp's ``tokenizer.ggml.pre`` for it; None where it has none."""
        return LLAMA_CPP_NAMES.get((self.pattern, self.digits))

    def pre_tokenizer(self) -> pre_tokenizers.PreTokenizer:
        """The split as tokenizers runs it, on bytes written as letters."""
        if self.pattern == "gpt4":
            words = Regex(GPT4.replace("DIGITS", str(self.digits)))
            steps = [pre_tokenizers.Split(words, behavior="isolated")]
            return pre_tokenizers.Sequence([*steps, _bytes(use_regex=False)])
        if self.digits is None:
            return _bytes(use_regex=True)
        numbers = pre_tokenizers.Split(Regex(rf"\p{{N}}{{1,{self.digits}}}"), behavior="isolated")
        return pre_tokenizers.Sequence([numbers, _bytes(use_regex=True)])


def split_of(backend: Tokenizer) -> Split | None:
    """The split that a tokenizer runs; None where it runs another one, or changes text before."""
    if backend.normalizer is not None or backend.pre_tokenizer is None:
        return None
    return _known().get(_rules(backend.pre_tokenizer))


def cut_places(text: numpy.ndarray) -> numpy.ndarray:
    """Where UTF-8 text can be cut so that its pieces, split one by one, give the words of the whole.

    No split here joins a letter with a following sign that is no letter, nor anything but white space with a
    following space, and none looks back. Only letters of ASCII are looked at, and of what follows them ASCII and the
    quotes, dashes and dots of U+2000 to U+203F; a place that is not found costs time, not truth.

    Args:
        text: Bytes. Shape (B,).

    Returns:
        Whether a piece begins at each byte; the first is False. Shape (B,).
    """
    cut = numpy.zeros(len(text), dtype=bool)
    if len(text) < 2:
        return cut
    written = text.tobytes()
    before, here = (numpy.frombuffer(written.translate(table), dtype=numpy.uint8) for table in (_BEFORE, _HERE))
    cut[1:] = (before[:-1] & here[1:]) != 0
    quotes = numpy.flatnonzero(text[:-1] == 0xE2)
    quotes = quotes[(text[quotes + 1] == 0x80) & (quotes > 0)]
    cut[quotes] |= (before[quotes - 1] & _AFTER_LETTER) != 0
    return cut


_AFTER_LETTER, _AFTER_SOLID = 1, 2
"""The two kinds of cut: between a letter and no letter, and between what is no white space and a space."""

# The last bytes of U+0085, U+00A0, U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F and U+3000.
_MAY_END_WHITE_SPACE = frozenset((*range(0x21), 0x7F, *range(0x80, 0x8B), 0x85, 0x9F, 0xA0, 0xA8, 0xA9, 0xAF))
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_BEFORE = bytes(
    _AFTER_LETTER * (byte in _LETTERS) | _AFTER_SOLID * (byte not in _MAY_END_WHITE_SPACE) for byte in range(256)
)
_HERE = bytes(
    _AFTER_LETTER * (byte < 0x80 and byte not in _LETTERS) | _AFTER_SOLID * (byte == 0x20) for byte in range(256)
)


def _bytes(*, use_regex: bool) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


@functools.cache
def _known() -> dict[str, Split]:
    """Every split by its rules."""
    splits = (Split(pattern, digits) for pattern in SPLITS for digits in (None, *DIGITS))
    return {_rules(split.pre_tokenizer()): split for split in splits}


def _rules(pre_tokenizer: pre_tokenizers.PreTokenizer) -> str:
    """As tokenizers writes them down, without the vocabulary, which would take far longer to write and read."""
    return json.dumps(_without_offsets(json.loads(pre_tokenizer.__getstate__())), sort_keys=True)


def _without_offsets(rules: Any) -> Any:
    """The rules without whether offsets are trimmed, which does not touch tokens."""
    if isinstance(rules, dict):
        return {key: _without_offsets(value) for key, value in rules.items() if key != "trim_offsets"}
    return [_without_offsets(each) for each in rules] if isinstance(rules, list) else rules

"""Quality rules: each takes a text and says what is wrong with it, or None.

The rules are those of two published filters, with the thresholds as arguments:
Gopher (Rae et al. 2021, arXiv:2112.11446, table A1) and C4 (Raffel et al. 2020, arXiv:1910.10683,
section 2.2). Both were made for whole web pages. The defaults of ``CurateConfig`` are looser, as
its texts may be a paragraph of documentation or a story for children, who like repetition; each
docstring gives the published value.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

Rule = tuple[str, Callable[[str], str | None]]
"""A name to count by, and text -> what is wrong, or None. Later rules join the list."""

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})

BULLET = re.compile(r"\s*(?:[-*•‣▪●]|\d{1,3}[.)])\s")
SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]*_`]*(?:\s|$)")
CODE_SIGNS = "{}[]<>|\\=_^~#@$%&/;"
LETTERLESS_WORD = re.compile(r"(?<!\S)(?:[^\w\s]|[\d_])+(?!\S)")
WEB_BOILERPLATE = re.compile(
    r"lorem ipsum|(?:enable|requires?|turn on|disabled?) java ?script|java ?script (?:is|must be) "
    r"(?:disabled|enabled)|(?:we|site) uses? cookies"
)
WEB_WORDS = ("ipsum", "script", "cookies")
"""One of these is in all that the pattern finds; looking for them is ten times as fast."""

SHORT_WORDS = 30
"""Up to here a good text may lack a stop word or a full stop, or say some words over again."""


def too_few_words(text: str, *, minimum_words: int) -> str | None:
    """Too short to be about anything. Gopher: 50 words."""
    words = len(text.split())
    return f"{words} words" if words < minimum_words else None


def odd_word_length(text: str, *, shortest_chars: float, longest_chars: float) -> str | None:
    """Words that are no words: digits, codes, text without spaces. Gopher: a mean of 3 to 10."""
    words = text.split()
    mean_chars = sum(map(len, words)) / max(1, len(words))
    return None if shortest_chars <= mean_chars <= longest_chars else f"mean {mean_chars:.1f} chars"


def too_few_wordlike(text: str, *, minimum_share: float) -> str | None:
    """Tables, numbers, drawings. Gopher: 0.8 of the words hold a letter."""
    share = 1 - len(LETTERLESS_WORD.findall(text)) / max(1, len(text.split()))
    return f"share {share:.2f} of words with a letter" if share < minimum_share else None


def too_few_stop_words(text: str, *, minimum_words: int) -> str | None:
    """Lists of names, menus, other languages. Gopher: 2 different ones of 8 English words."""
    words = text.lower().split()
    found = len(STOP_WORDS.intersection(words))
    is_long = len(words) > SHORT_WORDS
    return f"{found} stop words" if found < minimum_words and is_long else None


def too_much_code(text: str, *, maximum_share: float) -> str | None:
    """Code, markup, formulas. C4 drops any page with ``{``; here it is a share of characters."""
    share = sum(map(text.count, CODE_SIGNS)) / max(1, len(text))
    return f"share {share:.2f} of code signs" if share > maximum_share else None


def no_sentence(text: str) -> str | None:
    """Headings and labels. C4 keeps only lines that end like a sentence, and pages of 3 or more."""
    if SENTENCE_END.search(text) or len(text.split()) <= SHORT_WORDS:
        return None
    return "no sentence ends"


def mostly_bullets(text: str, *, maximum_share: float) -> str | None:
    """Outlines. Gopher: at most 0.9 of the lines begin with a bullet."""
    lines = [line for line in text.split("\n") if line.strip()]
    share = sum(map(bool, map(BULLET.match, lines))) / max(1, len(lines))
    return f"share {share:.2f} of lines" if share > maximum_share else None


def cut_lines(text: str, *, maximum_share: float) -> str | None:
    """Teasers of other pages. Gopher: at most 0.3 of the lines end with an ellipsis."""
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    share = sum(line.endswith(("...", "…")) for line in lines) / max(1, len(lines))
    return f"share {share:.2f} of lines" if share > maximum_share and len(lines) > 2 else None


def repeated_lines(text: str, *, maximum_share: float) -> str | None:
    """Menus and dumps. Gopher: at most 0.2 of the characters in lines that came before."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    counts = Counter(lines)
    repeated = sum((count - 1) * len(line) for line, count in counts.items() if count > 1)
    share = repeated / max(1, sum(map(len, lines)))
    return f"share {share:.2f} of characters" if share > maximum_share else None


def repeated_words(text: str, *, maximum_share: float) -> str | None:
    """Spam and loops. Gopher: at most 0.18 of the characters in the most frequent word triple."""
    words = text.split()
    if len(words) <= SHORT_WORDS:
        return None
    (triple, count), *_ = Counter(zip(words, words[1:], words[2:], strict=False)).most_common(1)
    share = count * sum(map(len, triple)) / sum(map(len, words)) if count > 1 else 0.0
    return f"share {share:.2f} is {' '.join(triple)!r}" if share > maximum_share else None


def web_boilerplate(text: str) -> str | None:
    """What a site says instead of its page. C4: any page with "lorem ipsum" or "javascript"."""
    lowered = text.lower()
    if not any(word in lowered for word in WEB_WORDS):
        return None
    found = WEB_BOILERPLATE.search(lowered)
    return f"says {found[0]!r}" if found else None


def first_reason(text: str, rules: Sequence[Rule]) -> tuple[str, str] | None:
    """The name of the first rule that a text breaks, and what it says; None if it breaks none."""
    for name, rule in rules:
        detail = rule(text)
        if detail is not None:
            return name, detail
    return None


def standard_rules(
    *,
    minimum_words: int,
    minimum_stop_words: int,
    minimum_wordlike_share: float,
    maximum_code_share: float,
    maximum_repeated_share: float,
    maximum_triple_share: float,
) -> list[Rule]:
    """The rules in the order in which they are asked: cheap and telling ones first."""
    return [
        ("too_few_words", partial(too_few_words, minimum_words=minimum_words)),
        ("odd_word_length", partial(odd_word_length, shortest_chars=2.5, longest_chars=12)),
        ("too_few_wordlike", partial(too_few_wordlike, minimum_share=minimum_wordlike_share)),
        ("too_few_stop_words", partial(too_few_stop_words, minimum_words=minimum_stop_words)),
        ("too_much_code", partial(too_much_code, maximum_share=maximum_code_share)),
        ("no_sentence", no_sentence),
        ("mostly_bullets", partial(mostly_bullets, maximum_share=0.9)),
        ("cut_lines", partial(cut_lines, maximum_share=0.5)),
        ("repeated_lines", partial(repeated_lines, maximum_share=maximum_repeated_share)),
        ("repeated_words", partial(repeated_words, maximum_share=maximum_triple_share)),
        ("web_boilerplate", web_boilerplate),
    ]

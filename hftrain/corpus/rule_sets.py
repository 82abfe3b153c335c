"""The quality rules by name, in their published sets, with their published thresholds.

A rule is one measured number of a text and the least or the most that it may be. ``basic`` is made for short texts
(a paragraph of documentation, a story for children, who like repetition); the others for what their papers curated:
whole web pages, and source files. Thresholds are settings: ``gopher_quality.minimum_words: 30``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from hftrain.corpus import code_measures as code
from hftrain.corpus import prose_measures as prose
from hftrain.corpus import repetition, web_lines
from hftrain.corpus.text_lines import Measure

GOPHER = "Rae et al. 2021, arXiv:2112.11446, table A1"
C4 = "Raffel et al. 2020, arXiv:1910.10683, section 2.2"
FINEWEB = "Penedo et al. 2024, arXiv:2406.17557"
STACK = "Kocetkov et al. 2022, arXiv:2211.15533"
STARCODER = "Li et al. 2023, arXiv:2305.06161"
STARCODER2 = "Lozhkov et al. 2024, arXiv:2402.19173"
SANTACODER = "Ben Allal et al. 2023, arXiv:2301.03988"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One number of a text, and what it may be.

    A text breaks the rule if the number is below ``least`` or above ``most``; NaN breaks none.
    """

    name: str
    """What drops are counted by."""

    measure: Measure
    says: str
    """The number in words: ``{:.0f} words``."""

    source: str
    least: float | None = None
    most: float | None = None
    least_name: str = ""
    """What the threshold is called in settings, after the set's name."""

    most_name: str = ""
    bound: Measure | None = None
    """Cheaper, and never below ``measure``: texts that keep to ``most`` by it need no closer look."""

    shown: Callable[[str], str] | None = None
    """The span of a text that makes the number what it is."""


def _least(name: str, measure: Measure, setting: str, value: float, says: str, source: str) -> Rule:
    return Rule(name=name, measure=measure, says=says, source=source, least=value, least_name=setting)


def _most(
    name: str,
    measure: Measure,
    setting: str,
    value: float,
    says: str,
    source: str,
    *,
    bound: Measure | None = None,
    shown: Callable[[str], str] | None = None,
) -> Rule:
    return Rule(
        name=name, measure=measure, says=says, source=source, most=value, most_name=setting, bound=bound, shown=shown
    )


def _boilerplate(text: str) -> str:
    found = prose.WEB_BOILERPLATE.search(text.lower())
    return repr(found[0]) if found else ""


BASIC = (
    _least("too_few_words", prose.whitespace_words, "minimum_words", 10, "{:.0f} words", f"50 in {GOPHER}"),
    Rule(
        name="odd_word_length",
        measure=prose.whitespace_word_chars,
        says="mean {:.1f} chars a word",
        source=f"3 to 10 in {GOPHER}",
        least=2.5,
        most=12,
        least_name="minimum_word_chars",
        most_name="maximum_word_chars",
    ),
    _least(
        "too_few_wordlike", prose.wordlike_share, "minimum_wordlike_share", 0.7,
        "share {:.2f} of words with a letter", f"0.8 in {GOPHER}",
    ),
    _least(
        "too_few_stop_words", prose.whitespace_stop_words, "minimum_stop_words", 1,
        "{:.0f} stop words", f"2 in {GOPHER}",
    ),
    _most(
        "too_much_code", prose.code_sign_share, "maximum_code_share", 0.08,
        "share {:.2f} of code signs", f"C4 drops any page with a curly bracket: {C4}",
    ),
    _least(
        "no_sentence", prose.sentence_ends, "minimum_sentence_ends", 1,
        "{:.0f} words end a sentence", f"C4 keeps pages of 5 sentences: {C4}",
    ),
    _most(
        "mostly_bullets", prose.listed_line_share, "maximum_bullet_share", 0.9,
        "share {:.2f} of lines begin with a bullet", f"0.9 in {GOPHER}",
    ),
    _most(
        "cut_lines", prose.cut_line_share, "maximum_cut_share", 0.5,
        "share {:.2f} of lines end with an ellipsis", f"0.3 in {GOPHER}",
    ),
    _most(
        "repeated_lines", prose.repeated_line_share, "maximum_repeated_share", 0.5,
        "share {:.2f} of characters in repeated lines", f"0.2 in {GOPHER}", shown=repetition.top_line,
    ),
    _most(
        "repeated_words", repetition.top_triple_share, "maximum_triple_share", 0.25,
        "share {:.2f} of characters in one word triple", f"0.18 in {GOPHER}",
        bound=repetition.top_triple_bound, shown=repetition.top_triple,
    ),
    _most(
        "web_boilerplate", prose.boilerplate_phrases, "maximum_boilerplate", 0,
        "says what sites say", f"pages and lines of JavaScript and lorem ipsum: {C4}", shown=_boilerplate,
    ),
)  # fmt: skip

GOPHER_QUALITY = (
    _least("gopher_too_few_words", prose.piece_words, "minimum_words", 50, "{:.0f} words", GOPHER),
    _most("gopher_too_many_words", prose.piece_words, "maximum_words", 100_000, "{:.0f} words", GOPHER),
    _least("gopher_short_words", prose.piece_word_chars, "minimum_word_chars", 3, "mean {:.2f} chars a word", GOPHER),
    _most("gopher_long_words", prose.piece_word_chars, "maximum_word_chars", 10, "mean {:.2f} chars a word", GOPHER),
    _most("gopher_hash_signs", prose.hash_sign_share, "maximum_hash_share", 0.1, "{:.3f} hash signs a word", GOPHER),
    _most("gopher_ellipses", prose.ellipsis_share, "maximum_ellipsis_share", 0.1, "{:.3f} ellipses a word", GOPHER),
    _most(
        "gopher_bullet_lines", prose.bullet_line_share, "maximum_bullet_share", 0.9,
        "share {:.3f} of lines begin with a bullet", GOPHER,
    ),
    _most(
        "gopher_cut_lines", prose.ellipsis_line_share, "maximum_cut_share", 0.3,
        "share {:.3f} of lines end with an ellipsis", GOPHER,
    ),
    _least(
        "gopher_few_alphabetic", prose.alphabetic_piece_share, "minimum_alphabetic_share", 0.8,
        "share {:.3f} of words with a letter", GOPHER,
    ),
    _least("gopher_stop_words", prose.piece_stop_words, "minimum_stop_words", 2, "{:.0f} stop words", GOPHER),
)  # fmt: skip

TOP_NGRAM_SHARES = {2: 0.20, 3: 0.18, 4: 0.16}
DUPLICATE_NGRAM_SHARES = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}

GOPHER_REPETITION = (
    _least("gopher_empty", prose.characters, "minimum_chars", 1, "{:.0f} characters", GOPHER),
    _most(
        "gopher_repeated_paragraphs", repetition.duplicate_paragraph_share, "maximum_paragraph_share", 0.3,
        "share {:.3f} of paragraphs came before", GOPHER, shown=repetition.top_paragraph,
    ),
    _most(
        "gopher_repeated_paragraph_chars", repetition.duplicate_paragraph_chars, "maximum_paragraph_char_share", 0.2,
        "share {:.3f} of characters in paragraphs that came before", GOPHER, shown=repetition.top_paragraph,
    ),
    _most(
        "gopher_repeated_lines", repetition.duplicate_line_share, "maximum_line_share", 0.3,
        "share {:.3f} of lines came before", GOPHER, shown=repetition.top_line,
    ),
    _most(
        "gopher_repeated_line_chars", repetition.duplicate_line_chars, "maximum_line_char_share", 0.2,
        "share {:.3f} of characters in lines that came before", GOPHER, shown=repetition.top_line,
    ),
    *(
        _most(
            f"gopher_top_{size}_gram", repetition.top_ngram_share(size), f"maximum_top_{size}_gram_share", value,
            f"share {{:.3f}} of characters in one run of {size} words", GOPHER,
            bound=repetition.top_ngram_bound(size), shown=partial(repetition.top_ngram, size=size),
        )
        for size, value in TOP_NGRAM_SHARES.items()
    ),
    *(
        _most(
            f"gopher_duplicate_{size}_grams", repetition.duplicate_ngram_share(size),
            f"maximum_duplicate_{size}_gram_share", value,
            f"share {{:.3f}} of characters in runs of {size} words that came before", GOPHER,
            bound=repetition.duplicate_ngram_bound, shown=partial(repetition.top_ngram, size=size),
        )
        for size, value in DUPLICATE_NGRAM_SHARES.items()
    ),
)  # fmt: skip

C4_QUALITY = (
    _most(
        "c4_lorem_ipsum", web_lines.placeholder_lines, "maximum_lorem_ipsum_lines", 0,
        "{:.0f} lines say lorem ipsum", C4,
    ),
    _most(
        "c4_curly_bracket", web_lines.bracket_lines, "maximum_bracket_lines", 0,
        "{:.0f} lines hold a curly bracket", C4,
    ),
    _least(
        "c4_few_sentences", web_lines.kept_sentences, "minimum_sentences", 5,
        "{:.0f} sentences in lines that stay", C4,
    ),
)  # fmt: skip

FINEWEB_QUALITY = (
    _least("fineweb_empty", prose.written_lines, "minimum_lines", 1, "{:.0f} lines with text", FINEWEB),
    _least(
        "fineweb_unfinished_lines", prose.final_line_share, "minimum_final_share", 0.12,
        "share {:.3f} of lines end with final punctuation", FINEWEB,
    ),
    _most(
        "fineweb_short_lines", prose.short_line_share, "maximum_short_share", 0.67,
        "share {:.3f} of lines of 30 characters or fewer", FINEWEB,
    ),
    _most(
        "fineweb_repeated_lines", repetition.duplicate_written_line_chars, "maximum_repeated_share", 0.01,
        "share {:.3f} of characters in lines that came before", FINEWEB, shown=repetition.top_line,
    ),
    _most(
        "fineweb_list", prose.line_feeds_a_piece, "maximum_line_feeds", 0.3, "{:.3f} line feeds a word", FINEWEB,
    ),
)  # fmt: skip

CODE = (
    _most("code_long_lines", code.mean_line_chars, "maximum_mean_line_chars", 100, "mean {:.1f} chars a line", STACK),
    _most("code_longest_line", code.longest_line_chars, "maximum_line_chars", 1000, "a line of {:.0f} chars", STACK),
    _most("code_too_many_lines", code.line_count, "maximum_lines", 100_000, "{:.0f} lines", STARCODER2),
    _least(
        "code_few_alphanumeric", code.alphanumeric_share, "minimum_alphanumeric_share", 0.25,
        "share {:.3f} of letters and digits", STACK,
    ),
    _least("code_few_letters", code.letter_share, "minimum_letter_share", 0.25, "share {:.3f} of letters", STARCODER),
    _most(
        "code_generated", code.generated_mark, "maximum_generated_marks", 0, "says that a program made it", STARCODER2,
        shown=code.said_generator,
    ),
    _most(
        "code_encoded_data", code.encoded_share, "maximum_encoded_share", 0.5,
        "share {:.3f} of encoded data", STARCODER2, shown=code.longest_encoded,
    ),
    _most(
        "code_encoded_run", code.longest_encoded_chars, "maximum_encoded_chars", 1024,
        "{:.0f} chars of encoded data", STARCODER2, shown=code.longest_encoded,
    ),
    Rule(
        name="code_comments", measure=code.comment_share, says="share {:.3f} of lines are comments",
        source=f"0.01 to 0.8 in {SANTACODER}; the least is 0 here, as good short files have none",
        least=0, most=0.8, least_name="minimum_comment_share", most_name="maximum_comment_share",
    ),
)  # fmt: skip

RULE_SETS: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "basic": BASIC,
        "gopher_quality": GOPHER_QUALITY,
        "gopher_repetition": GOPHER_REPETITION,
        "c4": C4_QUALITY,
        "fineweb": FINEWEB_QUALITY,
        "code": CODE,
    }
)

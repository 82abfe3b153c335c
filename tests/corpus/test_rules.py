import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus import rules
from hftrain.corpus.batches import Batch
from hftrain.errors import ConfigError

PROSE = (
    "The cat sat on the mat and looked at the red ball. It was warm in the garden, and the children "
    "who lived there had gone to the river with their dog to swim until the evening came."
)
LONG = "the of and to " * 10  # 40 words, 130 characters between white space


def standard() -> list[rules.Rule]:
    return rules.build(["basic"], {})


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("too_few_words", "Only five words are here.", "5 words"),
        ("odd_word_length", "a b c d e f g h i j k l", "mean 1.0 chars"),
        ("too_few_wordlike", "one two 3.0 44.1 555 66 77 88 nine 10.5", "share 0.30 of words with a letter"),
        ("too_few_stop_words", "Menü Preise Kontakt über uns Anfahrt. " * 6, "0 stop words"),
        ("too_much_code", "the value = {a: [b]} and x <= y; z[0] != {c} to the end.", "of code signs"),
        ("no_sentence", "list of the names " + "Ann Bob Cid Dan Eve Fay " * 6, "0 words end a sentence"),
        ("mostly_bullets", "\n".join(f"- the item of number {word}." for word in "abc"), "share 1.00 of lines"),
        ("cut_lines", "The first of the news...\nThe second of all the news...\nAnd one more.", "share 0.67 of lines"),
        ("repeated_lines", "\n".join([PROSE] * 3), "of characters in repeated lines (at most 0.5): 'The cat sat"),
        ("repeated_words", "buy the pills " * 20 + ".", "'buy the pills'"),
        ("web_boilerplate", PROSE + " Please enable JavaScript to go on.", "'enable javascript'"),
    ],
)
def test_a_planted_case_is_found_by_its_rule_first(name: str, text: str, detail: str) -> None:
    found = rules.first_reason(text, standard())
    assert found is not None and found[0] == name and detail in found[1]


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "Come back, cat! Play with me.\n\nSit in your basket. Stay right here!\n\nCome back, cat! Come here.",
        "Decode completion text from labels when raw text is absent.",
        "Return the smallest power of two that is not below n",
        "Args:\n    rate (`float`, *optional*, defaults to 0.1):\n        The share of units that is set to zero.",
        "“How curious!” said Alice; and she went on—never looking back…",
    ],
)
def test_prose_stories_and_documentation_stay(text: str) -> None:
    assert rules.first_reason(text, standard()) is None


WORKED = [
    # set, rule, text, the number by hand
    ("basic", "too_few_words", "one two three", 3),
    ("basic", "odd_word_length", "ab cdef", 3),
    ("basic", "too_few_wordlike", "one 2 x3 4.0", 2 / 4),
    ("basic", "too_few_stop_words", "THE of cat " * 11, 2),
    ("basic", "too_much_code", "{abc} defghi;", 3 / 13),
    ("basic", "no_sentence", LONG + "end.” (Or so!) it. etc", 3),
    ("basic", "mostly_bullets", "- one\n2) two\nthree\n\n-four", 2 / 4),
    ("basic", "cut_lines", "one...\ntwo…\nthree. ..\nfour", 2 / 4),
    ("basic", "repeated_lines", "\n".join([" abcdefghij"] * 3 + ["klmnopqrst"]), 20 / 40),
    ("basic", "repeated_words", "a b c " * 2 + "d " * 0 + " ".join(map(chr, range(100, 125))), 6 / 31),
    ("basic", "web_boilerplate", "Our site uses cookies.", 1),
    ("gopher_quality", "gopher_too_few_words", "Don't, he said: (no)!", 5),  # Do n't he said no
    ("gopher_quality", "gopher_too_many_words", "Don't, he said: (no)!", 5),
    ("gopher_quality", "gopher_short_words", "Don't, he said: (no)!", (2 + 3 + 2 + 4 + 2) / 5),
    ("gopher_quality", "gopher_long_words", "Don't, he said: (no)!", (2 + 3 + 2 + 4 + 2) / 5),
    ("gopher_quality", "gopher_hash_signs", "# one two #", 2 / 4),
    ("gopher_quality", "gopher_ellipses", "well.... now… so", 2 / 5),  # well .... now … so
    ("gopher_quality", "gopher_bullet_lines", "• one\n - two\nthree\n\n", 2 / 4),
    ("gopher_quality", "gopher_cut_lines", "one... \ntwo…\nthree\r\nfour..", 2 / 4),
    ("gopher_quality", "gopher_few_alphabetic", "one, 2 three.", 2 / 5),
    ("gopher_quality", "gopher_stop_words", "the cat, The dog: of the", 2),
    ("gopher_repetition", "gopher_empty", "abc", 3),
    ("gopher_repetition", "gopher_repeated_paragraphs", "ab\n\ncd\n\n\nab", 1 / 3),
    ("gopher_repetition", "gopher_repeated_paragraph_chars", "ab\n\ncd\n\n\nab", 2 / 11),
    ("gopher_repetition", "gopher_repeated_lines", "ab\ncd\n\nab\n", 1 / 4),  # ab cd ab and nothing
    ("gopher_repetition", "gopher_repeated_line_chars", "ab\ncd\n\nab\n", 2 / 10),
    ("gopher_repetition", "gopher_top_2_gram", "go on now go on", 2 * 5 / 15),
    ("gopher_repetition", "gopher_top_3_gram", "go on now go on", 9 / 15),
    ("gopher_repetition", "gopher_top_4_gram", "go on now go on", 12 / 15),
    ("gopher_repetition", "gopher_duplicate_5_grams", "a b c d e f a b c d e f", 5 / 23),
    ("gopher_repetition", "gopher_duplicate_6_grams", "a b c d e f a b c d e f", 6 / 23),
    ("gopher_repetition", "gopher_duplicate_7_grams", "a b c d e f g " * 2, 7 / 28),
    ("gopher_repetition", "gopher_duplicate_8_grams", "a b c d e f g h " * 2, 8 / 32),
    ("gopher_repetition", "gopher_duplicate_9_grams", "a b c d e f g h i " * 2, 9 / 36),
    ("gopher_repetition", "gopher_duplicate_10_grams", "a b c d e f g h i j " * 2, 10 / 40),
    ("c4", "c4_lorem_ipsum", "We say Lorem Ipsum.\nlorem ipsum\nAll is lorem ipsum!", 2),
    ("c4", "c4_curly_bracket", "This {is} it.\nThis {is} not\n{So} is this.", 2),
    ("c4", "c4_few_sentences", "One is here. Two is.\nThis has no end\nThree ends here.[1]\nToo short.\nBe ...", 3),
    ("fineweb", "fineweb_empty", "one\n \ntwo", 2),
    ("fineweb", "fineweb_unfinished_lines", "One.\nTwo\n\nThree. \nFour?", 2 / 4),
    ("fineweb", "fineweb_short_lines", "x" * 30 + "\n" + "y" * 31 + "\n\n", 1 / 2),
    ("fineweb", "fineweb_repeated_lines", "abc\nde\nabc\n", 3 / 8),
    ("fineweb", "fineweb_list", "one two\nthree, four\n", 2 / 5),
    ("code", "code_long_lines", "abcd\nab", 3),
    ("code", "code_longest_line", "abcd\nab", 4),
    ("code", "code_too_many_lines", "abcd\nab\n", 3),
    ("code", "code_few_alphanumeric", "ab_1 = 2", 4 / 8),
    ("code", "code_few_letters", "ab_1 = 2", 2 / 8),
    ("code", "code_generated", "# x\n# Generated by the protocol compiler.  DO NOT EDIT!\n", 1),
    ("code", "code_encoded_data", "x " + "A" * 64 + " y" + "." * 32, 64 / 100),
    ("code", "code_encoded_run", "x " + "A" * 64 + " y", 64),
    ("code", "code_comments", "# one\nx = 1\n\n// two\ny", 2 / 4),
]


@pytest.mark.parametrize(("set_name", "name", "text", "number"), WORKED, ids=[row[1] for row in WORKED])
def test_a_rule_measures_what_is_counted_by_hand_and_its_threshold_is_the_first_value_that_stays(
    set_name: str, name: str, text: str, number: float
) -> None:
    rule = next(rule for rule in rules.rule_sets()[set_name] if rule.name == name)
    (opinion,) = rules.explain(text, [rule])
    assert opinion.value == pytest.approx(number, abs=1e-12)
    for side, setting, beyond in (("least", rule.least_name, 1e-6), ("most", rule.most_name, -1e-6)):
        if not setting:
            continue
        loose = {f"{set_name}.{other}": -math.inf if other == rule.least_name else math.inf for other in _names(rule)}
        at = rules.build([set_name], {**loose, f"{set_name}.{setting}": opinion.value})
        past = rules.build([set_name], {**loose, f"{set_name}.{setting}": opinion.value + beyond})
        assert rules.first_reason(text, [one for one in at if one.name == name]) is None, side
        broken = rules.first_reason(text, [one for one in past if one.name == name])
        assert broken is not None and broken[0] == name, side


def _names(rule: rules.Rule) -> list[str]:
    return [name for name in (rule.least_name, rule.most_name) if name]


def test_every_rule_has_a_worked_example_and_a_source() -> None:
    every = {rule.name: rule for members in rules.rule_sets().values() for rule in members}
    assert set(every) == {row[1] for row in WORKED}
    assert all(rule.source and (rule.least_name or rule.most_name) for rule in every.values())
    assert len(every) == sum(map(len, rules.rule_sets().values())), "a drop is counted by a name of its own"


def test_a_drop_shows_the_span_that_caused_it() -> None:
    text = "Every line of this is one of a kind, said once.\n" + "We say this line again and again.\n" * 3
    found = rules.first_reason(text, rules.build(["fineweb"], {"fineweb.maximum_repeated_share": 0.2}))
    assert found is not None and found[1].endswith("(at most 0.2): 'We say this line again and again.'")


def test_thresholds_are_settings_of_their_set() -> None:
    asked = {"gopher_quality.minimum_words": 3, "fineweb.minimum_lines": 0}
    built = {rule.name: rule for rule in rules.build(["gopher_quality", "fineweb"], asked)}
    assert built["gopher_too_few_words"].least == 3 and built["fineweb_empty"].least == 0
    assert built["gopher_too_many_words"].most == 100_000
    assert set(asked) < set(rules.threshold_names(["gopher_quality", "fineweb"]))


@pytest.mark.parametrize(
    ("names", "thresholds", "said"),
    [
        (["gofer_quality"], {}, "Did you mean gopher_quality"),
        (["basic"], {"basic.minimum_word": 3}, "Did you mean basic.minimum_words"),
        (["basic"], {"gopher_quality.minimum_words": 3}, "basic.minimum_words"),
        (["basic"], {"basic.": 3}, "basic."),
        (["basic"], {"nothing": 3}, "Needed: any of basic.minimum_words"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(names: list[str], thresholds: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        rules.build(names, thresholds)


def test_explain_shows_every_rule_with_its_value() -> None:
    opinions = rules.explain("Only five words are here.", rules.build(["basic", "code"], {}))
    assert len(opinions) == len(rules.rule_sets()["basic"]) + len(rules.rule_sets()["code"])
    first = opinions[0]
    assert (first.name, first.value, first.least, first.most, first.is_broken) == ("too_few_words", 5, 10, None, True)
    assert first.detail == "5 words (at least 10)" and "Words between white space" in first.measure
    assert all(opinion.measure for opinion in opinions)


def test_a_plain_pair_of_name_and_function_is_a_rule_too() -> None:
    extended = [*standard(), ("mentions_cats", lambda text: "a cat" if "cat" in text else None)]
    assert rules.judge(Batch([PROSE, "Too short.", PROSE.replace("cat", "dog")]), extended) == [
        ("mentions_cats", "a cat"),
        ("too_few_words", "2 words (at least 10)"),
        None,
    ]


EVERY_RULE = rules.build(list(rules.rule_sets()), {})
WORDS = st.sampled_from(["the", "Of", "cat,", "don't", "(x)", "-", "•", "...", "…", "{a}", "#", "12", "End.", "he[1]"])
SPACES = st.sampled_from([" ", " ", " ", "\n", "\n\n", "\r\n", "  ", "\t", "\u2028", "\x85 "])
TEXTS = st.lists(st.tuples(WORDS, SPACES), max_size=60).map(lambda parts: "".join(word + gap for word, gap in parts))


@given(st.lists(TEXTS, max_size=6))
@settings(max_examples=25, deadline=None)
def test_a_batch_is_judged_as_its_texts_one_by_one(texts: list[str]) -> None:
    assert rules.judge(Batch(texts), EVERY_RULE) == [rules.first_reason(text, EVERY_RULE) for text in texts]
    for rule in EVERY_RULE:
        assert rules.judge(Batch(texts), [rule]) == [rules.first_reason(text, [rule]) for text in texts], rule.name


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_a_text_is_dropped_if_and_only_if_explain_finds_a_broken_rule(text: str) -> None:
    broken = next((opinion for opinion in rules.explain(text, EVERY_RULE) if opinion.is_broken), None)
    found = rules.first_reason(text, EVERY_RULE)
    assert found == (broken and (broken.name, broken.detail))


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\n", "x", "…", "𝔘𝔫𝔦", "- ", "1", "\r", "{", "a\x00b", "\u2028"])
def test_no_rule_fails_on_an_odd_text(text: str) -> None:
    rules.explain(text, EVERY_RULE)
    assert rules.judge(Batch([text, PROSE, text]), EVERY_RULE)[0] == rules.first_reason(text, EVERY_RULE)


def test_no_text_at_all_is_no_finding() -> None:
    assert rules.judge(Batch([]), EVERY_RULE) == []


def test_one_line_of_a_million_characters_is_judged() -> None:
    for text in ("x" * 10**6, ")" * 10**6, "a.b:c@" * 10**5, "." * 10**6):
        assert rules.first_reason(text, EVERY_RULE) is not None

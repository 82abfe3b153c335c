import pytest

from hftrain.corpus import rules

PROSE = (
    "The cat sat on the mat and looked at the red ball. It was warm in the garden, and the children "
    "who lived there had gone to the river with their dog to swim until the evening came."
)


def standard() -> list[rules.Rule]:
    return rules.standard_rules(
        minimum_words=10,
        minimum_stop_words=1,
        minimum_wordlike_share=0.7,
        maximum_code_share=0.08,
        maximum_repeated_share=0.5,
        maximum_triple_share=0.25,
    )


@pytest.mark.parametrize(
    ("name", "text", "detail"),
    [
        ("too_few_words", "Only five words are here.", "5 words"),
        ("odd_word_length", "a b c d e f g h i j k l", "mean 1.0 chars"),
        ("too_few_wordlike", "one two 3.0 44.1 555 66 77 88 nine 10.5", "share 0.30 of words with a letter"),
        ("too_few_stop_words", "Menü Preise Kontakt über uns Anfahrt. " * 6, "0 stop words"),
        ("too_much_code", "the value = {a: [b]} and x <= y; z[0] != {c} to the end.", "of code signs"),
        ("no_sentence", "list of the names " + "Ann Bob Cid Dan Eve Fay " * 6, "no sentence ends"),
        ("mostly_bullets", "\n".join(f"- the item of number {word}." for word in "abc"), "share 1.00 of lines"),
        ("cut_lines", "The first of the news...\nThe second of all the news...\nAnd one more.", "share 0.67 of lines"),
        ("repeated_lines", "\n".join([PROSE] * 3), "of characters"),
        ("repeated_words", "buy the pills " * 20 + ".", "'buy the pills'"),
        ("web_boilerplate", PROSE + " Please enable JavaScript to go on.", "says 'enable javascript'"),
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


def test_a_threshold_is_the_first_value_that_stays() -> None:
    assert rules.too_few_words("one two three", minimum_words=3) is None
    assert rules.too_few_words("one two", minimum_words=3) == "2 words"
    # 3 of 12 characters are code signs
    assert rules.too_much_code("{abc} defghi;", maximum_share=3 / 13) is None
    assert rules.too_much_code("{abc} defghi;", maximum_share=3 / 13 - 0.01) == "share 0.23 of code signs"


def test_repeated_lines_count_the_characters_after_the_first_time() -> None:
    # 10 characters three times, 10 others once: 20 of 40 came before
    text = "\n".join(["abcdefghij"] * 3 + ["klmnopqrst"])
    assert rules.repeated_lines(text, maximum_share=0.5) is None
    assert rules.repeated_lines(text, maximum_share=0.49) == "share 0.50 of characters"


def test_no_rule_fails_on_an_odd_text() -> None:
    for text in ("", " ", "\n\n", "x", "…", "𝔘𝔫𝔦", "- ", "1"):
        for _, rule in standard():
            assert rule(text) is None or isinstance(rule(text), str)


def test_later_rules_join_the_list() -> None:
    extended = [*standard(), ("mentions_cats", lambda text: "a cat" if "cat" in text else None)]
    assert rules.first_reason(PROSE, extended) == ("mentions_cats", "a cat")

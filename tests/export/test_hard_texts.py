import unicodedata

from hftrain.export.hard_texts import LONGEST_WORD_CHARS, hard_texts


def test_the_texts_are_the_same_for_a_seed_and_others_for_another():
    first, again, other = (list(hard_texts(90, seed=seed)) for seed in (1, 1, 2))

    assert len(first) == 90
    assert first == again != other


def test_a_thousand_texts_hold_most_scripts_controls_marks_emoji_and_words_without_an_end():
    text = "\n".join(hard_texts(1_000, seed=0))
    longest = max(len(word) for word in text.split())

    scripts = {unicodedata.name(char, "?").split()[0] for char in text if char.isalpha()}
    assert scripts >= {"LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI", "HANGUL", "CJK", "THAI", "ETHIOPIC", "CHEROKEE"}
    assert {chr(code) for code in (*range(32), *range(127, 160))} <= set(text)
    assert "<|im_end|>" in text and "\u200d" in text and "٣" in text
    assert longest > LONGEST_WORD_CHARS / 2

from hftrain.corpus.duplicates import SeenTexts, comparison_form


def test_case_and_white_space_do_not_count() -> None:
    assert comparison_form(" The  Cat\n\tSAT. ") == "the cat sat."
    assert comparison_form("STRASSE") == comparison_form("Straße")


def test_a_text_is_seen_from_its_second_time_on() -> None:
    seen = SeenTexts()
    asked = ["A cat.", "a  CAT.", "A dog.", "A cat", "A cat."]
    assert [seen.saw(text) for text in asked] == [False, True, False, False, True]

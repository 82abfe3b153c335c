import gzip
import json
from pathlib import Path

import pytest

from hftrain.corpus import languages

DECLARATION = Path(__file__).parents[2].parent / "shared" / "data" / "langid" / "udhr_40_languages_half.jsonl.gz"

SENTENCES = {
    "en": "The children ran down to the river, where their father was mending the boat.",
    "de": "Die Kinder liefen zum Fluss hinunter, wo ihr Vater gerade das Boot ausbesserte.",
    "fr": "Les enfants descendirent en courant jusqu'à la rivière, où leur père réparait le bateau.",
    "ru": "Дети побежали к реке, где их отец чинил лодку.",
    "zh": "孩子们跑到河边，他们的父亲正在那里修船。",
    "no": "Barna løp ned til elva, der faren deres holdt på å reparere båten.",
}


def codes(texts: list[str]) -> list[str]:
    return [code for code, _ in languages.identify(texts)]


def test_six_languages_are_told_apart() -> None:
    assert codes(list(SENTENCES.values())) == list(SENTENCES)


def test_capitals_and_line_ends_change_nothing() -> None:
    sentences = list(SENTENCES.values())
    shouted = [sentence.upper().replace(" ", "\n") for sentence in sentences]
    assert languages.identify(shouted) == languages.identify(sentences)


def test_a_language_that_the_first_model_was_never_taught_is_found_by_the_second() -> None:
    zulu = "Bonke abantu bazalwa bekhululekile belingana ngesithunzi nangamalungelo. Bahlanganiswe wumcabango."
    ((code, _),) = languages.identify([zulu])
    assert code == "zu"
    labels, _ = languages._first_model().predict(zulu.lower(), k=-1)
    assert "__label__zu" not in labels


@pytest.mark.parametrize("text", ["", "\n\n", "1 2 3 45 2001", "--- *** !!! ...", "🙂 🙂"])
def test_a_text_without_a_letter_is_in_no_language(text: str) -> None:
    assert languages.identify([text]) == [("und", 0.0)]


def test_names_alone_are_not_surely_in_any_language() -> None:
    ((_, score),) = languages.identify(["John Smith, Maria Garcia, Wei Chen, Fatima Ali, Yuki Tanaka"])
    assert score < 0.5


def test_a_long_text_is_judged_by_what_most_of_it_is_in() -> None:
    head, body = SENTENCES["en"] + "\n", SENTENCES["ru"] + "\n"
    assert codes([head * 15 + body * 70, body * 70 + head * 15]) == ["ru", "ru"]


def test_a_text_in_two_languages_by_halves_is_less_sure_than_one_in_one() -> None:
    halves, whole = SENTENCES["ru"] * 20 + SENTENCES["de"] * 15, SENTENCES["de"] * 40
    (_, mixed), (_, pure) = languages.identify([halves, whole])
    assert mixed < pure


def test_a_lone_surrogate_stops_nothing() -> None:
    assert codes([SENTENCES["en"] + "\ud800"]) == ["en"]


def test_the_neighbours_of_a_text_do_not_change_its_guess() -> None:
    texts = [*SENTENCES.values(), "ok", "Maria Garcia"]
    assert languages.identify(texts) == [languages.identify([text])[0] for text in texts]


@pytest.mark.parametrize(
    ("given", "code"), [("nb", "no"), ("pt-BR", "pt"), ("zh_Hant", "zh"), ("EN", "en"), ("iw", "he")]
)
def test_other_codes_of_a_language_are_understood(given: str, code: str) -> None:
    assert languages.language_code(given) == code
    assert code in languages.known_languages()


def test_the_rule_says_what_is_wrong() -> None:
    assert languages.wrong_language("en", 0.93, {"en"}, 0.5) is None
    assert languages.wrong_language("de", 0.93, {"en"}, 0.5) == "de by 0.93"
    assert languages.wrong_language("en", 0.31, {"en", "de"}, 0.5) == "en by 0.31 only"


def test_the_declaration_of_human_rights_is_read_in_forty_languages() -> None:
    if not DECLARATION.exists():
        pytest.skip("the labelled paragraphs are not beside this repository")
    rows = [json.loads(line) for line in gzip.decompress(DECLARATION.read_bytes()).split(b"\n") if line]
    found = codes([row["text"] for row in rows])
    right = sum(code == languages.language_code(row["lang"]) for code, row in zip(found, rows, strict=True))
    assert right / len(rows) > 0.98  # 0.991; fastText's model alone 0.891, py3langid 0.984

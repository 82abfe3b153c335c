"""Each kind of personal data: forms that are found, and look-alikes that stay."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hftrain.corpus.batches import Batch
from hftrain.corpus.numbers_in_text import number_places
from hftrain.corpus.personal_data import DEFAULT_KINDS, PLACEHOLDERS, SearchedText
from hftrain.corpus.scrubbing import find, scrub

GITHUB = "ghp_" + "a8Kd93jfLs02mQpZxY71bNcVt56RwE4uHg9T"  # in two pieces, so that no scanner takes it for a secret
SLACK = "xoxb-" + "293847561029-abcDEF92kslPQ"
STRIPE = "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"
AWS = "AKIA" + "Z7Q2MPL4XN3WT6RB"
JSON_WEB_TOKEN = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0" + ".dozjgNryP4J3jVmNHl0w5N"


def values(text: str, kind: str) -> list[str]:
    """What is found of this kind, with all default kinds sought."""
    return [one.value for one in find(text, DEFAULT_KINDS) if one.kind == kind]


@pytest.mark.parametrize(
    ("kind", "value", "before", "after"),
    [
        ("email", "o'neil.ann@mail.co.uk", "to ", "!"),
        ("email", "ann at iki.fi", "Ann <", "> wrote"),
        ("email", "ann [at] iki [dot] fi", "to ", "."),
        ("email", "guido at python dot org", "to ", ", or"),
        ("phone", "+15551234567", "tel:", ""),
        ("phone", "(+44 20 7946 0958)", "ring ", " today"),
        ("phone", "01 84 17 61 18", "le ", "."),
        ("phone", "07700 900123", "", ""),
        ("phone", "[355] (4) 2247-285", "telephone: ", "\n"),
        ("email", "gael dot lee at iki dot fi", "to ", "."),
        ("phone", "555-3476", "the cell phone number (", ") and"),
        ("phone", "030/1234567", "my number is ", ""),
        ("phone", "416 60 039", "", " office\n"),
        ("phone", "5551234567", "reach me at ", ""),
        ("ip", "2001:4860:4001:801::1011", "got (", ")"),
        ("mac_address", "00:1A:2b:3C:4d:5E", "at ", "."),
        ("mac_address", "001a.2b3c.4d5e", "Ethernet ", ""),
        ("iban", "DE89 3704 0044 0532 0130 00", "to ", " and so on"),
        ("iban", "FR1420041010050500013M02606", "", ""),
        ("iban", "GB49AHER72277635787000", "My IBAN is ", ""),
        ("card", "4111 1111 1111 1111", "", ""),
        ("card", "3782 822463 10005", "", ""),
        ("card", "4111 1111 1111 1112", "my credit card ", ""),
        ("card", "630427373398", "card number ", " is lost"),
        ("national_id", "460-89-9847", "it is ", ""),
        ("national_id", "219 09 9999", "SSN ", ""),
        ("national_id", "912-70-1234", "", ""),
        ("national_id", "AB 12 34 56 C", "", ""),
        ("national_id", "943 476 5919", "NHS number ", ""),
        ("national_id", "046 454 286", "SIN: ", ""),
        ("national_id", "12345678Z", "", ""),
        ("national_id", "X1234567L", "", ""),
        ("national_id", "RSSMRA85T10A562S", "", ""),
        ("national_id", "2 55 08 14 168 025 38", "", ""),
        ("national_id", "86095742719", "Steuer-ID ", ""),
        ("national_id", "111222333", "BSN ", ""),
        ("national_id", "111.444.777-35", "", ""),
        ("national_id", "2341 2341 2346", "Aadhaar ", ""),
        ("national_id", "44051401359", "PESEL ", ""),
        ("national_id", "811228-9874", "personnummer ", ""),
        ("national_id", "131052-308T", "", ""),
        ("national_id", "85.07.30-033.28", "", ""),
        ("national_id", "756.9217.0769.85", "", ""),
        ("national_id", "11010519491231002X", "", ""),
        ("national_id", "12.345.678-5", "", ""),
        ("national_id", "X12345678", "passport no. ", ""),
        ("date_of_birth", "03/04/1985", "DOB: ", ""),
        ("date_of_birth", "12 March 1985", "Date of birth: ", ""),
        ("date_of_birth", "2/8/1935", "She was born on ", "."),
        ("wallet", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "to ", ""),
        ("wallet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "to ", ""),
        ("wallet", "0x52908400098527886E0F7030069857D2E4169EE7", "to ", ""),
        ("key", GITHUB, "token ", "."),
        ("key", SLACK, "", ""),
        ("key", STRIPE, "", ""),
        ("key", AWS, "id ", ""),
        ("key", JSON_WEB_TOKEN, "Bearer ", ""),
        ("key", "hunter2hunter9!", 'password = "', '"'),
        ("key", "Tr0ub4dor&3x", "password: ", "\n"),
        ("key", "b7f3a9c2e1d84f60", "secret_key: '", "'"),
        ("url_credentials", "admin:s3cure9Pw", "postgres://", "@db.corp.com/x"),
        ("url_credentials", ":p4ssw0rdXy", "redis://", "@h:1"),
    ],
)
def test_it_is_found_whole_and_as_nothing_else(kind: str, value: str, before: str, after: str) -> None:
    found = find(before + value + after, DEFAULT_KINDS)
    assert [(one.kind, one.value) for one in found] == [(kind, value)]
    assert found[0].start == len(before)


@pytest.mark.parametrize(
    "text",
    [
        "x@w.mT and A@B.to(device), a@b.to; pip.git@1.3.1, libssl3@3.2.0, noreply@github.com, look at python.org",
        "https://mail.python.org/archives/list/python-dev@python.org/thread/2YMH/, ssh://me@code.python.org",
        "'+000000120', (+1234567), 100-200-3000, 1914-1918, 2000 2010 2020, 0900 1200 1500",
        "224.0.0.0/4, 239.255.255.250, 165.165.185.0/24",
        "v101.2.3.4, 3.141.59.265.35, ff:ff:ff:ff:ff:ff, 12:30:45:10:11:12",
        "DE89 3704 0044 0532 0130 01, GB00 in 1914, 4111 1111 1111 1112, 18446744073709551615, 4503599627370496",
        "rng = default_rng(2435908729190400), seed 6981396440634228121, password='password1'",
        "912-45-1234, GB 12 34 56 C, 000-12-3456, 666-12-3456",
        "123-00-4567, 12345678A, 111.444.777-36, RSSMRA85T10A562T, 86095742719",
        "Lincoln was born on February 12, 1809, the birthday of Darwin; the birth of 1.2.3",
        "inventor of the telephone (1847-1922), tel. 2020-01-01, fax 12/03/2020, his 69th birthday on 8 January 2016",
        "Mozart was born 1/27/1756, Victoria's birthday (May 24, 1819), malloc+free-@libc.so*",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3, 0x0000000000000000000000000000000000000000, 0xdeadbeef",
        "token = secrets.token_hex(16); password = getpass.getpass1234(); api_key=os.environ['X1234567']",
        "password=your_password1, password: changeme123, secret: example-123abc",
        "key = value1234X, token: tokenizer2, password: 48151623420987",
        "http://user:password@host, postgres://{user}:{pw}@host, https://a.org:8080/x@y",
        "sk-learn-pipeline-with-many-words, my_very_long_name_with_many_parts, -----BEGIN CERTIFICATE-----",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 commit 2e7d4c0b9f86d0",
        "ISBN 978-3-16-148410-0, 10.1000/182, 1700000000000, 550e8400-e29b-41d4-a716-446655440000, 3.141592653589793",
    ],
)
def test_look_alikes_stay(text: str) -> None:
    assert find(text, DEFAULT_KINDS) == []


def test_a_private_key_block_goes_from_begin_to_end() -> None:
    block = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nAAAABG5vbmU=\n-----END OPENSSH PRIVATE KEY-----"
    assert scrub(f"Mine:\n{block}\nkeep", ["key"]) == ("Mine:\n<KEY>\nkeep", {"key": 1})


def test_a_private_key_block_without_its_end_is_found_to_the_last_line_of_it() -> None:
    text = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA7bq\n" * 3 + "Then prose goes on."
    assert scrub(text, ["key"])[0].endswith("prose goes on.")
    assert len(values(text, "key")) == 1


def test_a_card_is_no_phone_and_what_looks_like_a_phone_in_a_key_is_the_key() -> None:
    text = "phone 4111111111111111, password: 541-499-8862xY"
    assert [one.kind for one in find(text, DEFAULT_KINDS)] == ["card", "key"]


def test_the_order_of_the_kinds_does_not_matter() -> None:
    text = "ann@iki.fi 541-499-8862, DE89 3704 0044 0532 0130 00, SSN 460-89-9847, host 9.9.9.9"
    found = find(text, DEFAULT_KINDS)
    assert found == find(text, DEFAULT_KINDS[::-1])
    assert [one.start for one in found] == sorted(one.start for one in found)
    assert all(text[one.start : one.end] == one.value for one in found)


def test_scrubbed_text_holds_nothing_more_to_scrub() -> None:
    text = "card 4111 1111 1111 1111, ann@iki.fi, +46 (0)8 928 571 38, DOB: 03/04/1985, https://a:b9cdEf@h"
    once, found = scrub(text, DEFAULT_KINDS)
    assert sum(found.values()) == 5
    assert scrub(once, DEFAULT_KINDS) == (once, {})


def test_numbers_near_each_other_share_one_stretch() -> None:
    text = "a" * 100 + " 123456 or 234567 " + "b" * 200 + " 345678"
    assert SearchedText(text).numeric_stretches == [(37, 167), (255, 375)]


def test_a_street_address_is_found_with_its_unit_its_city_and_its_post_code_only_when_asked_for() -> None:
    text = "At 12 Baker Street, Apt 4B, London, NW1 6XE; P.O. Box 123; Hauptstraße 12, 10115 Berlin; 10 rue de la Paix."
    assert find(text, DEFAULT_KINDS) == []
    assert [one.value for one in find(text, ["street_address"])] == [
        "12 Baker Street, Apt 4B, London, NW1 6XE",
        "P.O. Box 123",
        "Hauptstraße 12, 10115 Berlin",
        "10 rue de la Paix",
    ]


@pytest.mark.parametrize("piece", ["1 ", "a@", "-----BEGIN ", ":aa", "1.", "password=", "eyJ", "12 A ", "x_", " dot "])
def test_the_time_grows_with_the_length_and_not_with_its_square(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        began = time.process_time()
        find(text, PLACEHOLDERS)
        return time.process_time() - began

    seconds(1_000)
    assert seconds(200_000) < 20 * max(seconds(20_000), 0.005)


NUMBERS = [
    "call 555 1234567, or 1 2 3 4 5 6 (7)",
    "1...2...3...4...5...6 and 12 34",
    "",
    "no digits at all",
    "RSSMRA85T10A562S and 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "12345 67",
]


def test_a_batch_tells_where_numbers_may_begin() -> None:
    places = number_places(Batch(NUMBERS))
    assert [bool(found) for found in places] == [True, True, False, False, True, True]
    for text, found in zip(NUMBERS, places, strict=True):
        assert SearchedText(text, found).numeric_stretches == SearchedText(text).numeric_stretches


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("0123 ().-/\u00a0AT\nxyz"), max_size=60), max_size=4))
def test_numbers_are_the_same_by_batch_and_by_text(texts: list[str]) -> None:
    for text, found in zip(texts, number_places(Batch(texts)), strict=True):
        assert SearchedText(text, found).numeric_stretches == SearchedText(text).numeric_stretches

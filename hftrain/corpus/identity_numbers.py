"""Numbers by which a state knows a person, and dates of birth.

A number that its form and checksum tell apart is found anywhere; one that is a bare run of digits
only where its name stands beside it. Forms and checksums by country:
https://en.wikipedia.org/wiki/National_identification_number and the pages it links to.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hftrain.corpus.checksums import (
    digits_of,
    has_two_check_digits,
    is_codice_fiscale,
    is_date,
    is_luhn,
    is_mod_11_10,
    is_verhoeff,
    weighted_rest,
)
from hftrain.corpus.personal_data import SearchedText, Span

DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
HETU_SIGNS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
CHINESE_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
NINO_NEVER = frozenset({"BG", "GB", "NK", "KN", "TN", "NT", "ZZ"})
ITIN_GROUPS = frozenset({*range(50, 66), *range(70, 89), *range(90, 93), *range(94, 100)})


def is_ssn(number: str) -> bool:
    """A number that the Social Security Administration or, from 900 up, the tax office could give.

    Source: https://www.ssa.gov/employer/randomization.html and IRS publication 1915.
    """
    area, group, serial = int(number[:3]), int(number[3:5]), int(number[5:])
    if area >= 900:
        return group in ITIN_GROUPS
    return area not in (0, 666) and group != 0 and serial != 0


def is_nino(number: str) -> bool:
    """A British number whose first two letters are given out."""
    return number[:2] not in NINO_NEVER


def is_dni(number: str) -> bool:
    """Spain: the letter is the number modulo 23; a foreigner's X, Y, Z stands for 0, 1, 2."""
    return DNI_LETTERS[int(number[:-1].translate(str.maketrans("XYZ", "012"))) % 23] == number[-1]


def is_nir(number: str) -> bool:
    """France: two digits that complete the number modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    return 97 - int(number[:13].replace("2A", "19").replace("2B", "18")) % 97 == int(number[13:])


def is_steuer_id(number: str) -> bool:
    """Germany: among the first ten digits one comes two or three times, the others once at most."""
    counts = sorted(number[:10].count(digit) for digit in set(number[:10]))
    return counts[-1] in (2, 3) and counts[-2] == 1 and is_mod_11_10(number)


def is_bsn(number: str) -> bool:
    """Netherlands: the test of eleven, with the last digit counted negatively."""
    return weighted_rest(number, (9, 8, 7, 6, 5, 4, 3, 2, -1), 11) == 0


def is_cpf(number: str) -> bool:
    """Brazil: two check digits."""
    return len(set(number)) > 1 and has_two_check_digits(number, range(10, 1, -1), range(11, 1, -1))


def is_pesel(number: str) -> bool:
    """Poland: weights 1, 3, 7, 9; the month carries the century."""
    month = int(number[2:4]) % 20
    return 1 <= month <= 12 and weighted_rest(number, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10) == 0


def is_hetu(number: str) -> bool:
    """Finland: date, century sign, three digits, and a sign for all digits modulo 31."""
    digits = number[:6] + number[-4:-1]
    has_day = is_date(2000, int(number[2:4]), int(number[:2]))
    return has_day and HETU_SIGNS[int(digits) % 31] == number[-1]


def is_personnummer(number: str) -> bool:
    """Sweden: Luhn over the last ten digits, which begin with a date; 60 more on the day for others."""
    last = number[-10:]
    return is_date(2000, int(last[2:4]), int(last[4:6]) % 60) and is_luhn(last)


def is_fodselsnummer(number: str) -> bool:
    """Norway: two check digits."""
    return has_two_check_digits(number, (3, 7, 6, 1, 8, 9, 4, 5, 2), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))


def is_belgian(number: str) -> bool:
    """Belgium: 97 less the number modulo 97; with a 2 before it for those born from 2000."""
    check = int(number[9:])
    return check in (97 - int(number[:9]) % 97, 97 - int("2" + number[:9]) % 97)


def is_ahv(number: str) -> bool:
    """Switzerland: the check digit of EAN-13."""
    return weighted_rest(number, (1, 3) * 6 + (1,), 10) == 0


def is_chinese(number: str) -> bool:
    """China: a date of birth, and a check digit modulo 11 in which X is ten."""
    has_day = 1900 <= int(number[6:10]) <= 2100 and is_date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    return has_day and "10X98765432"[weighted_rest(number, CHINESE_WEIGHTS, 11)] == number[-1].upper()


def is_rut(number: str) -> bool:
    """Chile: weights 2 to 7 from the right; K is ten."""
    digits = digits_of(number[:-1])[::-1]
    rest = -sum(digit * (2 + place % 6) for place, digit in enumerate(digits)) % 11
    return "0123456789K"[rest] == number[-1].upper()


def is_nhs(number: str) -> bool:
    """England: weights 10 to 2, the check digit completes the sum to a multiple of eleven."""
    return weighted_rest(number, (10, 9, 8, 7, 6, 5, 4, 3, 2, 1), 11) == 0


def is_tckn(number: str) -> bool:
    """Türkiye: the tenth digit from the odd and even places, the eleventh from the first ten."""
    digits = digits_of(number)
    tenth = (7 * sum(digits[0:9:2]) - sum(digits[1:8:2])) % 10
    return [tenth, sum(digits[:10]) % 10] == digits[9:]


@dataclass(frozen=True)
class IdentityNumber:
    """One country's number: its form, its check, and the words without which it is not believed."""

    form: str
    is_valid: Callable[[str], bool]
    words: tuple[str, ...] = ()


TELLING_FORMS = (
    IdentityNumber(r"(?P<ssn>\d{3}-\d{2}-\d{4})", is_ssn),
    IdentityNumber(r"(?P<nino>[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: \d\d){3} ?[A-D])", is_nino),
    IdentityNumber(r"(?P<dni>\d{8}-?[A-HJ-NP-TV-Z])", is_dni),
    IdentityNumber(r"(?P<nie>[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z])", is_dni),
    IdentityNumber(r"(?P<codice_fiscale>[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z])", is_codice_fiscale),
    IdentityNumber(r"(?P<nir>[12] \d\d (?:0[1-9]|1[0-2]|[2-9]\d) (?:\d\d|2[AB]) \d{3} \d{3} \d\d)", is_nir),
    IdentityNumber(r"(?P<cpf>\d{3}\.\d{3}\.\d{3}-\d\d)", is_cpf),
    IdentityNumber(r"(?P<hetu>[0-3]\d[01]\d{3}[-+A]\d{3}[0-9A-FHJ-NPR-Y])", is_hetu),
    IdentityNumber(r"(?P<belgian>\d\d\.[01]\d\.[0-3]\d-\d{3}\.\d\d)", is_belgian),
    IdentityNumber(r"(?P<ahv>756\.\d{4}\.\d{4}\.\d\d)", is_ahv),
    IdentityNumber(r"(?P<chinese>[1-9]\d{5}(?:19|20)\d\d[01]\d[0-3]\d{4}[\dX])", is_chinese),
    IdentityNumber(r"(?P<rut>\d{1,2}\.\d{3}\.\d{3}-[\dkK])", is_rut),
    IdentityNumber(r"(?P<curp>[A-Z][AEIOUX][A-Z]{2}\d\d[01]\d[0-3]\d[HMX][A-Z]{5}[A-Z\d]\d)", lambda _: True),
)
"""Found anywhere: the form or the checksum is such that hardly anything else has it."""

WORDED_FORMS = (
    IdentityNumber(
        r"\d{3}[ .\u2011-]?\d{2}[ .\u2011-]?\d{4}",
        is_ssn,
        ("ssn", "ssns", "social security", "itin", "taxpayer", "tax id"),
    ),
    IdentityNumber(
        r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", is_nino, ("nino", "national insurance", "ni number", "ni no")
    ),
    IdentityNumber(r"\d{3}[ -]?\d{3}[ -]?\d{4}", is_nhs, ("nhs",)),
    IdentityNumber(r"[0-79]\d{2}[ -]?\d{3}[ -]?\d{3}", is_luhn, ("sin", "social insurance", "assurance sociale")),
    IdentityNumber(r"[12]\d{12}\d\d", is_nir, ("nir", "insee", "sécu", "secu")),
    IdentityNumber(r"[1-9]\d(?: ?\d{3}){3}", is_steuer_id, ("steuer", "idnr", "tax id", "tin")),
    IdentityNumber(r"\d{9}|\d{4}\.\d{2}\.\d{3}", is_bsn, ("bsn", "burgerservice", "sofinummer", "sofi-nummer")),
    IdentityNumber(r"\d{11}", is_cpf, ("cpf",)),
    IdentityNumber(r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", is_verhoeff, ("aadhaar", "aadhar", "uidai", "uid")),
    IdentityNumber(r"\d{11}", is_pesel, ("pesel",)),
    IdentityNumber(
        r"(?:19|20)?\d{6}[-+ ]?\d{4}",
        is_personnummer,
        ("personnummer", "personal number", "personal identity number", "pnr"),
    ),
    IdentityNumber(r"\d{6} ?\d{5}", is_fodselsnummer, ("fødselsnummer", "fodselsnummer", "personnummer", "fnr")),
    IdentityNumber(r"[1-9]\d{10}", is_tckn, ("kimlik", "tckn")),
    IdentityNumber(r"\d{13}", is_luhn, ("south african id", "id number", "identity number", "rsa id")),
    IdentityNumber(
        r"(?=[A-Z\d]*\d{5})[A-Z\d]{6,12}",
        lambda _: True,
        ("passport", "driver's licen", "driver’s licen", "drivers licen", "driver licen", "driving licen"),
    ),
)
"""Found only shortly after (or before) one of their words."""

SHORT_WORD_CHARS = 5
"""Up to this length a word must stand alone; a longer one may begin another."""


def _words_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    ends = (re.escape(word) + (r"\b" if len(word) <= SHORT_WORD_CHARS else "") for word in words)
    return re.compile(rf"\b(?:{'|'.join(ends)})", re.IGNORECASE)


START, END = r"(?<![\w.+/,-])", r"(?![\w-]|[./,]\d)"
TELLING = re.compile(START + "(?:" + "|".join(number.form for number in TELLING_FORMS) + ")" + END)
CHECKS = dict(zip(TELLING.groupindex, (number.is_valid for number in TELLING_FORMS), strict=True))
WORDED = tuple(
    (re.compile(f"{START}(?:{number.form}){END}"), number.is_valid, _words_pattern(number.words))
    for number in WORDED_FORMS
)
ANY_WORD = tuple(dict.fromkeys(word for number in WORDED_FORMS for word in number.words))
SAYS_PHONE = re.compile(r"\b(?:tele)?phone\b|\b(?:tele)?fax\b|\btel\b|\bmobile\b", re.IGNORECASE)
NOT_SIGNIFICANT = re.compile("[ .+\u2011-]")

MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
NUMERIC_DATE = r"\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}"
WORDED_DATE = rf"\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {MONTH}\.?,? \d{{4}}|{MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}"
BIRTH = re.compile(
    r"\b(?:(?:date of birth|birth ?date|birth ?day|d\.?o\.?b\b\.?|geburtsdatum|date de naissance|fecha de nacimiento)"
    rf"(?:[\s:=.\"'?#*()-]|is|was|it's){{1,12}}(?P<date>{NUMERIC_DATE}|{WORDED_DATE})"
    rf"|(?:born(?: on)?|geboren am) (?P<numeric>{NUMERIC_DATE}))(?![\w]|[-/.]\d)",
    re.IGNORECASE,
)
YEAR = re.compile(r"[0-9]{4}")
EARLIEST_BIRTH_YEAR = 1900
"""Who was born before is dead, and data on the dead is not personal data (GDPR, recital 27)."""

BIRTH_WORDS = ("irth", "IRTH", "DOB", "D.O.B", "born ", "eburtsdatum", "geboren am", "naissance", "nacimiento")
"""Parts of what BIRTH begins with, each sought by itself: that is faster than a pattern of all."""


def national_ids(searched: SearchedText) -> Iterator[Span]:
    """Identity, tax, insurance and passport numbers of persons."""
    for match in searched.near_numbers(TELLING):
        has_right_check = CHECKS[str(match.lastgroup)](NOT_SIGNIFICANT.sub("", match[0]))
        if has_right_check and not searched.is_said(SAYS_PHONE, *match.span(), before=30, after=0):
            yield match.span()
    text = searched.text
    for start, end in searched.numeric_stretches:
        near = text[start:end].lower()
        if not any(word in near for word in ANY_WORD):
            continue
        for pattern, is_valid, words in WORDED:
            for match in pattern.finditer(text, start, end):
                if is_valid(NOT_SIGNIFICANT.sub("", match[0])) and searched.is_said(words, *match.span(), before=48):
                    yield match.span()


def dates_of_birth(searched: SearchedText) -> Iterator[Span]:
    """Dates that a word says to be somebody's birth; in ``born on`` only dates of digits alone.

    A month in words after ``born`` is how a biography speaks of the dead.
    """
    text = searched.text
    for word in BIRTH_WORDS:
        start = text.find(word)
        while start >= 0:
            match = BIRTH.search(text, max(start - 16, 0), start + 64)
            if match and _is_of_the_living(match[str(match.lastgroup)]):
                yield match.span(str(match.lastgroup))
            start = text.find(word, match.end() if match else start + len(word))


def _is_of_the_living(date: str) -> bool:
    year = YEAR.search(date)
    return year is None or int(year[0]) >= EARLIEST_BIRTH_YEAR

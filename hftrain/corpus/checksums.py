"""Check digits: whether a number is one that an issuer could have given out.

Each function takes the number without spaces and dashes. A checksum is what tells an account or an
identity number from any other run of digits; one with a single check digit lets 1 in 10 pass, so
the callers ask for a telling form or word beside it.
"""

import datetime
import hashlib
import re
from collections.abc import Sequence

IBAN_LENGTHS = {
    code: int(length)
    for code, length in re.findall(
        r"(\w\w):(\d\d)",
        (
            "AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 "
            "DE:22 DJ:27 DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 "
            "GT:28 HN:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 "
            "LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MN:20 MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 "
            "PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 RU:33 SA:24 SC:31 SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 "
            "SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20 YE:30"
        ),
    )
}
"""Characters of an account number by country. Source: SWIFT IBAN Registry, https://www.swift.com/standards/data-standards/iban"""

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

VERHOEFF_PERMUTATION = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)

ITALIAN_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21),
            *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        ),
        strict=True,
    )
)
"""Values of the characters at odd places. Source: Decreto ministeriale 23 December 1976."""


def digits_of(text: str) -> list[int]:
    """The decimal digits in a text, in order."""
    return [int(char) for char in text if "0" <= char <= "9"]


def is_luhn(number: str) -> bool:
    """Cards and several identity numbers; from the right each second digit counts double.

    Source: ISO/IEC 7812-1, annex B.
    """
    digits = digits_of(number)[::-1]
    return (sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def is_iban(account: str) -> bool:
    """The country's length, and 1 as the rest modulo 97 of the rearranged number.

    Source: ISO 13616; ISO 7064 MOD 97-10.
    """
    if len(account) != IBAN_LENGTHS.get(account[:2]):
        return False
    return int("".join(str(int(char, 36)) for char in account[4:] + account[:4])) % 97 == 1


def is_verhoeff(number: str) -> bool:
    """Aadhaar: products in the dihedral group of ten come to 0.

    Source: J. Verhoeff, Error Detecting Decimal Codes, 1969.
    """
    check = 0
    for place, digit in enumerate(reversed(digits_of(number))):
        for _ in range(place % 8):
            digit = VERHOEFF_PERMUTATION[digit]
        check = _dihedral(check, digit)
    return check == 0


def _dihedral(left: int, right: int) -> int:
    """The product in the group of the pentagon: 0 to 4 turn it, 5 to 9 mirror it."""
    if left < 5:
        return (left + right) % 5 if right < 5 else (left + right - 5) % 5 + 5
    return (left - right - 5) % 5 + 5 if right < 5 else (left - right) % 5


def is_base58check(address: str) -> bool:
    """A Bitcoin address of version 0 or 5: 25 bytes that end in the digest of the rest.

    Source: https://en.bitcoin.it/wiki/Base58Check_encoding
    """
    number = 0
    for char in address:
        place = BASE58.find(char)
        if place < 0:
            return False
        number = number * 58 + place
    if number.bit_length() > 200:
        return False
    raw = number.to_bytes(25, "big")
    digest = hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()
    return raw[0] in (0, 5) and digest[:4] == raw[-4:]


def is_bech32(address: str) -> bool:
    """A Bitcoin address that begins with ``bc1``; the constant tells bech32 from bech32m.

    Source: BIP 173 and BIP 350.
    """
    prefix, _, data = address.lower().rpartition("1")
    values = [BECH32.find(char) for char in data]
    if not prefix or min(values, default=-1) < 0:
        return False
    expanded = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]
    check = 1
    for value in expanded + values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> bit & 1 else 0
    return check in (1, 0x2BC830A3)


def weighted_rest(number: str, weights: Sequence[int], modulus: int) -> int:
    """The sum of digits times weights, modulo ``modulus``; as many digits as there are weights."""
    return sum(digit * weight for digit, weight in zip(digits_of(number), weights, strict=False)) % modulus


def is_mod_11_10(number: str) -> bool:
    """The hybrid system of the German tax number. Source: ISO 7064 MOD 11,10."""
    product = 10
    *digits, check = digits_of(number)
    for digit in digits:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == check


def is_codice_fiscale(code: str) -> bool:
    """The Italian tax code: 16 characters, the last a letter for the sum of the others."""
    total = sum(
        ITALIAN_ODD[char] if place % 2 == 0 else int(char, 36) - (0 if char.isdigit() else 10)
        for place, char in enumerate(code[:15])
    )
    return chr(ord("A") + total % 26) == code[15]


def has_two_check_digits(number: str, first: Sequence[int], second: Sequence[int]) -> bool:
    """Two weighted sums modulo 11, each giving one of the last two digits, as CPF and Norway have.

    A rest r stands for the digit 11 - r, and 0 and 1 both for 0.
    """
    digits = digits_of(number)
    wanted = [(11 - weighted_rest(number, weights, 11)) % 11 % 10 for weights in (first, second)]
    return digits[-2:] == wanted


def is_date(year: int, month: int, day: int) -> bool:
    """Whether the calendar has this day."""
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True

import pytest

from hftrain.corpus import checksums


@pytest.mark.parametrize("number", ["4111 1111 1111 1111", "378282246310005", "79927398713"])
def test_luhn_doubles_each_second_digit_from_the_right(number: str) -> None:
    assert checksums.is_luhn(number)
    assert not checksums.is_luhn(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize(
    "account", ["DE89370400440532013000", "GB29NWBK60161331926819", "MT84MALT011000012345MTLCAST001S"]
)
def test_an_iban_has_its_countrys_length_and_the_rest_one(account: str) -> None:
    assert checksums.is_iban(account)
    assert not checksums.is_iban(account[:-1] + ("1" if account[-1] != "1" else "2"))
    assert not checksums.is_iban(account + "0")
    assert not checksums.is_iban("ZZ" + account[2:])


def test_norway_has_the_shortest_iban_and_russia_the_longest() -> None:
    lengths = checksums.IBAN_LENGTHS
    assert (min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)) == ("NO", "RU")
    assert (lengths["NO"], lengths["RU"]) == (15, 33)


@pytest.mark.parametrize("number", ["2363", "758722", "123451", "1428570", "84736430954837284567892"])
def test_verhoeff_finds_a_wrong_digit_and_two_that_changed_places(number: str) -> None:
    assert checksums.is_verhoeff(number)
    assert not checksums.is_verhoeff(number[:-1] + str((int(number[-1]) + 1) % 10))
    assert not checksums.is_verhoeff(number[1] + number[0] + number[2:])


def test_a_bitcoin_address_ends_in_the_digest_of_the_rest() -> None:
    assert checksums.is_base58check("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2")
    assert checksums.is_base58check("3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy")
    assert not checksums.is_base58check("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3")
    assert not checksums.is_base58check("3" + "z" * 40)


def test_bech32_and_bech32m_addresses_are_both_right() -> None:
    assert checksums.is_bech32("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
    assert checksums.is_bech32("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4")
    assert checksums.is_bech32("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0")
    assert not checksums.is_bech32("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5")


def test_the_other_systems_tell_a_right_number_from_a_wrong_one() -> None:
    assert checksums.is_mod_11_10("86095742719")
    assert not checksums.is_mod_11_10("86095742718")
    assert checksums.is_codice_fiscale("RSSMRA85T10A562S")
    assert not checksums.is_codice_fiscale("RSSMRA85T10A562T")
    assert checksums.has_two_check_digits("11144477735", range(10, 1, -1), range(11, 1, -1))
    assert not checksums.has_two_check_digits("11144477736", range(10, 1, -1), range(11, 1, -1))
    assert checksums.weighted_rest("123", (3, 2, 1), 7) == 3
    assert checksums.is_date(2024, 2, 29)
    assert not checksums.is_date(2023, 2, 29)

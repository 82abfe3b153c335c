import io

import pytest

from hftrain.corpus.accounts import NotTextError, UnreadableError
from hftrain.corpus.encodings import as_utf_8, decoded

TEXTS = {
    "cp1252": "Où est passé l'élève français ? Il a été près de la forêt à côté du château — “déjà”, dit-il.",
    "cp1250": "Zażółć gęślą jaźń. Chrząszcz brzmi w trzcinie w Szczebrzeszynie, że aż strach.",
    "cp1251": "Съешь же ещё этих мягких французских булок, да выпей чаю. Однажды в студёную зимнюю пору.",
    "koi8_r": "Однажды, в студёную зимнюю пору, я из лесу вышел; был сильный мороз. Гляжу, поднимается в гору.",
    "cp932": "私は昨日学校へ行きました。天気がとても良かったです。友達と一緒に遊びました。",
    "gb18030": "我昨天去了学校。天气非常好，我和朋友们一起玩了很久。后来我们回家吃饭。",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_old_encodings_are_told_by_the_text(encoding: str) -> None:
    text = TEXTS[encoding] * 3
    assert decoded(text.encode(encoding)) == (text, encoding)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    text, name = decoded(f"{mark}Größe".encode(encoding))
    assert text == "Größe" and encoding.removesuffix("-sig") in name


def test_utf_8_wins_over_what_is_declared_and_that_over_what_is_detected() -> None:
    assert decoded("Größe".encode(), declared="cp1252") == ("Größe", "utf-8")
    assert decoded("Größe".encode("mac_roman"), declared="mac_roman") == ("Größe", "mac_roman")


def test_text_where_the_first_odd_letter_stands_late_is_told_by_what_is_around_it() -> None:
    text = "Plain words and nothing else. " * 20_000 + TEXTS["cp1251"] * 9
    assert decoded(text.encode("cp1251")) == (text, "cp1251")


@pytest.mark.parametrize("data", [b"a\0b", bytes(range(1, 256)) * 9, b"\x89PNG" + b"\x00\x01"])
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(NotTextError):
        decoded(data)


def test_damaged_utf_8_is_not_taken_for_another_encoding() -> None:
    data = "Zwölf Boxkämpfer jagen Viktor über den Deich. ".encode() * 20
    with pytest.raises(UnreadableError, match=r"not UTF-8 at byte 144: damaged there, for 60 other"):
        decoded(data[:144] + b"\xff" + data[144:])


def test_a_few_odd_bytes_tell_no_encoding() -> None:
    with pytest.raises(UnreadableError, match="not UTF-8 at byte 3, and too short"):
        decoded(b"caf\xe9")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
def test_a_stream_is_utf_8_whatever_it_was(encoding: str) -> None:
    text = TEXTS["cp1251"] * 3000
    file = io.BufferedReader(io.BytesIO(text.encode(encoding)), 1 << 17)  # type: ignore[arg-type]
    stream, name = as_utf_8(file)
    assert stream.read().decode() == text
    assert encoding.removesuffix("-sig") in name


def test_a_stream_that_stops_being_what_it_began_as_is_refused_there() -> None:
    data = TEXTS["cp932"].encode("cp932") * 2000 + b"\x81"
    stream, name = as_utf_8(io.BufferedReader(io.BytesIO(data), 1 << 17))  # type: ignore[arg-type]
    assert name == "cp932"
    with pytest.raises(UnreadableError, match="not CP932 to its end"):
        stream.read()

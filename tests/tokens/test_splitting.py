import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from hftrain.errors import ConfigError
from hftrain.tokens.splitting import Split, cut_places, split_of

ALL = [Split(pattern, digits) for pattern in ("gpt2", "gpt4") for digits in (None, 1, 2, 3)]
NASTY = st.text(alphabet="ab Z.,'s\n\r\t1² \u00a0\u2028\u3000”—é日'_", max_size=40)


def words(split: Split, text: str) -> list[str]:
    return [word.replace("Ġ", "·").replace("Ċ", "↵") for word, _ in split.pre_tokenizer().pre_tokenize_str(text)]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        (Split("gpt2"), ["It", "'s", "·(", "about", ")", "·12345", "!", "↵·", "·ok"]),
        (Split("gpt2", 1), ["It", "'s", "·(", "about", ")", "·", "1", "2", "3", "4", "5", "!", "↵·", "·ok"]),
        (Split("gpt2", 2), ["It", "'s", "·(", "about", ")", "·", "12", "34", "5", "!", "↵·", "·ok"]),
        (Split("gpt4"), ["It", "'s", "·(", "about", ")", "·", "123", "45", "!↵", "·", "·ok"]),
        (Split("gpt4", 2), ["It", "'s", "·(", "about", ")", "·", "12", "34", "5", "!↵", "·", "·ok"]),
    ],
)
def test_words_of_each_split(split: Split, expected: list[str]) -> None:
    assert words(split, "It's (about) 12345!\n  ok") == expected


def test_gpt4_keeps_a_sign_with_its_word_and_gpt2_does_not() -> None:
    assert words(Split("gpt4"), "(about") == ["(about"]
    assert words(Split("gpt2"), "(about") == ["(", "about"]


@settings(deadline=None)
@given(NASTY)
def test_pieces_split_one_by_one_give_the_words_of_the_whole(text: str) -> None:
    data = text.encode()
    cuts = numpy.flatnonzero(cut_places(numpy.frombuffer(data, dtype=numpy.uint8))).tolist()
    pieces = [data[a:b].decode() for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    assert "".join(pieces) == text
    for split in ALL:
        assert sum((words(split, piece) for piece in pieces if piece), []) == words(split, text)


def test_text_is_cut_before_spaces_and_after_words() -> None:
    text = numpy.frombuffer("“Oh,” he said—no.\n\nShe".encode(), dtype=numpy.uint8)

    cuts = numpy.flatnonzero(cut_places(text)).tolist()

    pieces = [bytes(text[a:b]).decode() for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert pieces == ["“Oh", ",”", " he", " said", "—no", ".\n\nShe"]


@pytest.mark.parametrize("split", ALL)
def test_a_split_is_known_again_from_the_tokenizer_that_runs_it(split: Split) -> None:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = split.pre_tokenizer()
    assert split_of(backend) == split

    backend.normalizer = normalizers.NFC()
    assert split_of(backend) is None


def test_another_split_is_not_taken_for_one_of_ours() -> None:
    backend = Tokenizer(models.BPE())
    assert split_of(backend) is None
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    assert split_of(backend) is None


def test_gpt4_alone_cuts_numbers_in_threes() -> None:
    assert Split("gpt4") == Split("gpt4", 3)
    assert Split("gpt2").digits is None


def test_what_llama_cpp_has_a_name_for() -> None:
    names = {(split.pattern, split.digits): split.llama_cpp_name for split in ALL}
    assert names == {
        ("gpt2", None): "gpt-2",
        ("gpt2", 1): "smollm",
        ("gpt2", 2): None,
        ("gpt2", 3): None,
        ("gpt4", 1): "qwen2",
        ("gpt4", 2): None,
        ("gpt4", 3): "smaug-bpe",
    }


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"split: 'gpt5'. One of gpt2, gpt4"):
        Split("gpt5")
    with pytest.raises(ConfigError, match=r"digits: 4. 1, 2 or 3 digits"):
        Split("gpt2", 4)

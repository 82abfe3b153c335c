import hashlib

from hypothesis import given
from hypothesis import strategies as st

from hftrain.corpus.heldout import is_held_out


def test_the_choice_is_the_digest_of_the_key_against_the_share() -> None:
    part = int.from_bytes(hashlib.sha256(b"heldout:abc").digest()[:8]) / 2**64
    assert is_held_out("abc", part + 1e-6) and not is_held_out("abc", part - 1e-6)


def test_about_the_asked_share_is_held_out() -> None:
    held_out = sum(is_held_out(str(number), 0.1) for number in range(10_000))
    assert 900 < held_out < 1100  # 1000 expected, standard deviation 30


@given(st.text(), st.floats(0.01, 0.49))
def test_what_is_held_out_stays_so_when_the_share_grows(key: str, share: float) -> None:
    assert not is_held_out(key, share) or is_held_out(key, share * 2)

import io
from typing import Any

import pytest

from hftrain.tokens.lens import CUT, MASKED, PAD, TRAINED, Seen
from hftrain.tokens.lens_page import Part, is_coloured, padding_in_batches, painted

ROW = [("Hi", MASKED), ("\n", MASKED), ("Hel", TRAINED), ("lo", TRAINED), ("<|pad|>", PAD), ("<|pad|>", PAD)]


def test_states_have_signs_without_colours() -> None:
    assert painted(ROW, in_colour=False) == "Hi⏎⟦Hello⟧·×2"
    assert painted([("a", CUT), ("b", CUT)], in_colour=False) == "✂ab✂"


def test_colours_add_to_the_signs_and_end_with_each_run() -> None:
    line = painted(ROW, in_colour=True)
    assert line.count("\x1b[0m") == 3 and "⟦Hello⟧" in line
    plain = painted(ROW, in_colour=False)
    assert len({line.split(sign)[0].rsplit("\x1b", 1)[1] for sign in ("Hi", "⟦Hello", "·×2")}) == 3
    for code in ("\x1b[1;38;5;32m", "\x1b[2m", "\x1b[38;5;244m", "\x1b[0m"):
        line = line.replace(code, "")
    assert line == plain


def test_a_row_cannot_steer_the_terminal() -> None:
    assert painted([("\x1b[2Jgone\u202e", MASKED)], in_colour=False) == "�[2Jgone�"


def test_a_long_row_says_how_much_is_not_shown() -> None:
    assert painted([("a", MASKED)] * 403, in_colour=False).endswith("aaa … (+3 tokens)")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_unless_told_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert is_coloured("auto", Terminal()) and not is_coloured("auto", io.StringIO())
    assert is_coloured("always", io.StringIO()) and not is_coloured("never", Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_coloured("auto", Terminal())


def test_padding_is_what_the_longest_row_of_each_batch_leaves() -> None:
    assert padding_in_batches([10, 10, 10], batch_rows=2, seed=0) == 0
    assert padding_in_batches([10, 4], batch_rows=2, seed=0) == 6
    assert padding_in_batches([10, 4], batch_rows=1, seed=0) == 0


def test_a_part_counts_shares_reasons_and_the_longest() -> None:
    seen = [Seen(0, "a", 10, 4, None), Seen(1, "a", 99, 50, "too_long"), Seen(2, "b", 6, 0, "no_answer")]
    part = Part("sft", "files", 50, 0.05, seen, ["one", "two\n two", "three"], batch_rows=2, padding_tokens=10)
    said: Any = part.as_json()
    assert said["counts"] == {"rows": 1, "left_out": 2, "trained": 4, "masked": 6, "cut": 105, "pad": 10}
    assert said["left_out"] == {"no_answer": 1, "too_long": 1}
    assert said["longest"][0] == {"tokens": 99, "source": "a", "left_out": "too_long", "begins": "two two"}
    text = "\n".join(part.lines(in_colour=False))
    assert "1 rows; 2 left out (no_answer 1, too_long 1): a share of 0.667, at most 0.05 may be" in text
    assert "4 trained (40.0 %), 6 masked (60.0 %); 105 cut with the rows left out; 10 pad (50.0 %)" in text

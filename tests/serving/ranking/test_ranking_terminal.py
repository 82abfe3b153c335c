import io

import pytest

from hftrain.errors import DataError
from hftrain.serving.ranking_desk import Desk
from hftrain.serving.ranking_store import standing
from hftrain.serving.ranking_terminal import RankingTerminal, places_of, visible


def talk(desk: Desk, *lines: str) -> str:
    out = io.StringIO()
    RankingTerminal(desk, "Ann").rank(io.StringIO("".join(line + "\n" for line in lines)), out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ("b d=a c", (2, 1, 4, 2)),
        ("ABCD", (1, 2, 3, 4)),
        ("c > a , b = d", (2, 3, 1, 3)),
        ("a=b=c=d", (1, 1, 1, 1)),
    ],
)
def test_letters_from_best_to_worst_are_places(line: str, places: tuple[int, ...]) -> None:
    assert places_of(line, 4) == places


@pytest.mark.parametrize("line", ["", "abc", "abcc", "abcde", "=abcd", "abcd=", "a==bcd", "ab(cd)", "hello"])
def test_a_line_that_is_no_ranking_says_what_is_needed(line: str) -> None:
    with pytest.raises(DataError, match="A B C D is needed once"):
        places_of(line, 4)


def test_a_rater_ranks_skips_undoes_and_notes(desk: Desk) -> None:
    letters = ["".join("ABC"[: len(task.answers)]) for task in desk.work("Ann").tasks]
    said = talk(desk, "what?", "note too short", letters[0], "skip", "undo", "bad", "undo", letters[1], letters[2])
    kinds = [record.kind for record in desk.store.records()]
    assert kinds == ["ranked", "skip", "undo", "all_bad", "undo", "ranked", "ranked"]
    assert desk.store.records()[0].comment == "too short"
    assert desk.store.records()[1].comment == ""
    assert len(standing(desk.store.records())) == 3
    assert "is needed once" in said
    assert said.endswith("All 3 prompts are decided. Thank you, Ann.\n")


def test_the_end_of_the_input_keeps_what_was_stored(desk: Desk) -> None:
    talk(desk, "undo", "skip")
    assert desk.store.count() == 1
    assert "nothing to undo" in talk(desk, "undo", "undo", "quit", "skip")
    assert desk.store.count() == 2


def test_text_of_a_model_cannot_steer_the_terminal() -> None:
    assert visible("\x1b[2Jhi\r\u202e\n\tend\x9b") == "\u241b[2Jhi\u240d\ufffd\n\tend\ufffd"

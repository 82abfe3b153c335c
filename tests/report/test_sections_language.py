from types import SimpleNamespace
from typing import Any

from hftrain.report.parts import Options
from hftrain.report.sections_language import fine_tuning


def shown(**summary: Any) -> str:
    """The section of a chat model with this summary."""
    chat: Any = SimpleNamespace(
        summary=summary, metrics=[], content=lambda name: None, values=lambda name: {}, rows=lambda name: []
    )
    return str(fine_tuning(chat, Options()))


def test_what_was_forgotten_is_a_share_of_what_was_known() -> None:
    text = shown(bits_per_byte_before=2.0, bits_per_byte_after=2.5)
    assert "2.00 → 2.50" in text and "+25.0 % for documents" in text
    assert "forgotten" not in shown()


def test_declined_answers_are_shown_for_held_and_other_questions() -> None:
    outcomes = {
        f"{group}_{outcome}_{when}": number
        for number, (group, outcome, when) in enumerate(
            (group, outcome, when)
            for group in ("held", "not_held")
            for outcome in ("right", "wrong", "declined")
            for when in ("before", "after")
        )
    }
    text = shown(
        held_questions=41,
        not_held_questions=42,
        abstain={"taught_to_decline": 10, "taught_to_answer": 8},
        **outcomes,
    )
    cells = ["the corpus answers it, after", "41", "1", "3", "5"]
    assert "".join(f"<td>{cell}</td>" for cell in cells) in text.replace(' class="number"', "")
    assert "taught to decline 10 others" in text
    assert "Saying that it does not know" not in shown()


def test_packing_and_the_mixture_are_counted() -> None:
    text = shown(
        packing={"rows": 10, "row_tokens": 100, "conversations": 40, "padding_tokens": 50},
        mixture={"jokes": {"conversations": 20, "rows": 30, "tokens": 400}},
    )
    assert "40 conversations; 5.0\xa0% padding" in text and "jokes" in text

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hftrain.files import write_json, write_jsonl
from hftrain.report.parts import Options
from hftrain.report.reading import Artifact
from hftrain.report.sections_distillation import distillation

SUMMARY: dict[str, Any] = {
    "parameters": 315_584,
    "teacher_parameters": 1_279_104,
    "size_ratio": 4.053,
    "has_same_tokens": True,
    "heldout_bits_per_byte_teacher": 1.968,
    "heldout_bits_per_byte_before": 2.583,
    "heldout_bits_per_byte_after": 1.712,
    "heldout_answer_nats_teacher": 3.94,
    "heldout_answer_nats_after": 4.21,
    "ended_share_teacher": 1.0,
    "ended_share_before": 0.0,
    "ended_share_after": 0.93,
    "greedy_agreement_text": 0.41,
    "greedy_agreement_answers": 0.38,
}
Write = Callable[..., str]


@pytest.fixture
def page(tmp_path: Path) -> Write:
    """The section over a student with this summary, as markup."""

    def write(planted: str = "", **changed: Any) -> str:
        write_json(tmp_path / "summary.json", SUMMARY | changed)
        write_json(tmp_path / "method.json", {"method": "text" + planted})
        write_json(tmp_path / "start.json", {"layers": [0, 3], "neurons": 192, "kept_share": 0.81, "heads": [[1, 2]]})
        write_json(tmp_path / "written.json", {"documents": ["The cat sat." + planted], "conversations": []})
        rows = [
            {"step": step, "heldout_bits_per_byte": 2.5 - step / 100, "heldout_kl_text": 1.9, "teacher_kl": 2.0,
             "greedy_agreement_text": 0.3, "greedy_agreement_answers": 0.2}
            for step in (0, 10, 20)
        ]  # fmt: skip
        write_jsonl(tmp_path / "metrics.jsonl", rows)
        write_jsonl(tmp_path / "samples.jsonl", [{"step": 0, "prompt": "Hi" + planted, "completion": "Ho" + planted}])
        measured = {"teacher_answer_tokens_per_second": 712.0, "student_answer_tokens_per_second": 1645.0}
        made = Artifact("student", tmp_path, "finished", manifest={"measured": measured})
        return distillation(made, Options())

    return write


def words(markup: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup))


def test_the_student_stands_beside_its_teacher(page: Write) -> None:
    said = words(page())
    assert "bits per byte, held-out documents 1.968 2.583 1.712" in said
    assert "answers that end by themselves 100 % 0 % 93 %" in said
    assert "answer tokens a second, on this machine 712 1,645" in said
    assert "smaller by a factor of 4.1" in said
    assert "text that the teacher wrote" in said
    assert "teacher's layers 0, 3 (the first is 0), 192 neurons" in said.replace("&#x27;", "'")


def test_curves_show_divergence_and_agreement(page: Write) -> None:
    markup = page()
    for title in ("Held-out text", "Divergence from the teacher", "Same likeliest token"):
        assert title in markup


def test_other_tokens_are_not_compared_by_nats(page: Write) -> None:
    assert "nats per token are not to be compared" in page(has_same_tokens=False)
    assert "nats per token are not to be compared" not in page()


def test_an_empty_student_still_has_a_page(tmp_path: Path) -> None:
    assert "–" in distillation(Artifact("student", tmp_path, "finished"), Options())


def test_what_a_model_wrote_becomes_no_tag(page: Write) -> None:
    assert "<script" not in page("<script>alert(1)</script>")

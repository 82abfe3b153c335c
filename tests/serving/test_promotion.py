import io
from collections.abc import Callable
from pathlib import Path

import pytest

from hftrain.errors import ArtifactError
from hftrain.files import read_json
from hftrain.serving.promotion import Promotion, history, promote, promoted, promotions, rollback

Make = Callable[[Path, str, Callable[[Path], None]], Path]


@pytest.fixture
def run(tmp_path: Path, make_artifact: Make) -> Path:
    """A run with a chat model, a policy and the models of two cycles."""
    for name, kind in (
        ("chat", "chat"),
        ("policy", "policy"),
        ("cycles/001/liked", "policy"),
        ("cycles/002/liked", "policy"),
    ):
        make_artifact(tmp_path / name, kind, lambda out, name=name: (out / "model").write_text(name))  # type: ignore[misc]
    return tmp_path


def back(run: Path, to: str | None = None) -> str:
    said = io.StringIO()
    rollback(run, said, to=to)
    return said.getvalue()


def test_without_a_promotion_the_runs_own_last_model_is_promoted(run: Path) -> None:
    assert promoted(run).model == "policy"
    assert (promotions(run), history(run)) == ([], [])


def test_a_promotion_is_one_file_that_keeps_what_came_before(run: Path) -> None:
    made = promote(run, "cycles/001/liked", "001")
    assert promoted(run) == made == Promotion("cycles/001/liked", made.digest, "001")
    told = read_json(run / "promoted.json")
    assert (told["model"], told["digest"], told["cycle"]) == ("cycles/001/liked", made.digest, "001")
    assert [(entry["model"], entry["by"]) for entry in told["history"]] == [
        ("policy", "start"), ("cycles/001/liked", "cycle"),
    ]  # fmt: skip


def test_going_back_leads_step_by_step_to_the_first_and_no_further(run: Path) -> None:
    promote(run, "cycles/001/liked", "001")
    promote(run, "cycles/002/liked", "002")
    assert back(run).startswith("promoted: cycles/001/liked (sha256:")
    assert back(run).endswith("in the place of cycles/001/liked\n")
    assert promoted(run).model == "policy"
    assert [entry["by"] for entry in history(run)] == ["start", "cycle", "cycle", "rollback", "rollback"]
    with pytest.raises(ArtifactError, match="policy was promoted first"):
        back(run)


def test_one_can_go_back_several_steps_by_name_and_promote_again(run: Path) -> None:
    promote(run, "cycles/001/liked", "001")
    promote(run, "cycles/002/liked", "002")
    with pytest.raises(ArtifactError, match="One of policy, cycles/001/liked is needed"):
        back(run, "student")
    back(run, "policy")
    promote(run, "cycles/002/liked", "002")
    assert [each.model for each in promotions(run)] == ["policy", "cycles/002/liked"]


def test_nothing_to_go_back_to_is_told(run: Path) -> None:
    with pytest.raises(ArtifactError, match="nothing was ever promoted"):
        back(run)


def test_a_model_that_changed_since_is_neither_promoted_nor_gone_back_to(run: Path, make_artifact: Make) -> None:
    promote(run, "cycles/001/liked", "001")
    (run / "policy" / "model").write_text("other weights")
    with pytest.raises(ArtifactError, match="model changed since it was made"):
        back(run)
    (run / "cycles/002/liked" / "model").write_text("other weights")
    with pytest.raises(ArtifactError, match="model changed since it was made"):
        promote(run, "cycles/002/liked", "002")
    make_artifact(run / "policy", "policy", lambda out: (out / "model").write_text("trained anew"))
    with pytest.raises(ArtifactError, match="was made anew since it was promoted"):
        back(run)
    assert promoted(run).model == "cycles/001/liked"

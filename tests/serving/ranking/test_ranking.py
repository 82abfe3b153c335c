import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hftrain.errors import ArtifactError, ConfigError
from hftrain.serving.ranking import run


def ran(folder: Path, *lines: str, **given: object) -> str:
    out = io.StringIO()
    run(folder, lines=io.StringIO("".join(line + "\n" for line in lines)), out=out, **given)  # type: ignore[arg-type]
    return out.getvalue()


def test_two_raters_at_a_terminal_an_export_and_their_agreement(
    tmp_path: Path, answers_file: Callable[..., Path]
) -> None:
    answers, folder = answers_file(4, 2), tmp_path / "run"
    for name in ("Ann", "Ben"):
        said = ran(folder, "ab", "ab", "ba", "b=a", answers=answers, rater=name, terminal=True)
        assert "All 4 prompts are decided" in said

    # The database holds the answers now: the file is not needed any more.
    answers.unlink()
    said = ran(folder, export_path=tmp_path / "rankings.jsonl")
    assert said.startswith("4 rows from 8 of 8 choices (none left out)")
    rows = [json.loads(line) for line in (tmp_path / "rankings.jsonl").read_text().splitlines()]
    assert [row["raters"] for row in rows] == [["Ann", "Ben"]] * 4

    said = ran(folder, agreement=True)
    assert "Ann         4        0        0" in said
    assert "Krippendorff's alpha, ordinal" in said and "over 4 prompts" in said
    assert json.loads((folder / "ranking" / "summary.json").read_text())["shared_prompts"] == 4


def test_nothing_ranked_and_no_rater_are_refused(tmp_path: Path, answers_file: Callable[..., Path]) -> None:
    answers = answers_file(2, 2)
    with pytest.raises(ConfigError, match="no ranking to write"):
        ran(tmp_path / "run", answers=answers, export_path=tmp_path / "x")
    with pytest.raises(ConfigError, match="--rater NAME"):
        ran(tmp_path / "run", answers=answers, terminal=True)
    with pytest.raises(ArtifactError, match="is not there"):
        ran(tmp_path / "typo", agreement=True)
    assert not (tmp_path / "typo").exists()
    assert "two raters must rank" in ran(tmp_path / "run", answers=answers, agreement=True)
    with pytest.raises(ConfigError, match="every address at once"):
        ran(tmp_path / "run", answers=answers, host="0.0.0.0", open_browser=False)

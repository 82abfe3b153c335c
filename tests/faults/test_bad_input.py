"""Every bad input of the tables: one clear error with code 2, or a counted drop; nothing lost, no traceback."""

import shutil
import subprocess
import sys
from pathlib import Path

import bad_artifacts
import bad_configs
import bad_conversations
import bad_documents
import bad_models
import bad_rankings
import pytest
from harness import ROOT, Case, try_case

from hftrain.errors import DataError, HftrainError
from hftrain.manifests import read_finished

TABLES = {
    "config": bad_configs.CASES,
    "documents": bad_documents.CASES,
    "conversations": bad_conversations.CASES,
}
LEAST_CASES = 300
SEEN_FROM_OUTSIDE = [
    "a list at the top",
    "a bomb of aliases",
    "an unknown key of upstream's",
    "a folder that is not there",
]


def named(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=case.name) for case in cases]


@pytest.mark.parametrize("case", named([case for cases in TABLES.values() for case in cases]))
def test_bad_input_is_told_or_counted(case: Case, tmp_path: Path) -> None:
    assert try_case(case, tmp_path) == []


@pytest.mark.parametrize("case", named(bad_artifacts.CASES))
def test_a_damaged_artifact_is_refused_and_the_others_stay_whole(
    case: Case, tmp_path: Path, whole_material: Path
) -> None:
    assert try_case(case, tmp_path) == []
    assert not (tmp_path / "run" / "chat").exists()
    for kind in ("corpus", "tokenizer", "base"):
        read_finished(whole_material / kind, kind)


@pytest.mark.parametrize(("name", "write", "says"), bad_rankings.CASES, ids=[name for name, *_ in bad_rankings.CASES])
def test_a_broken_ranking_is_named_by_row_and_field(
    name: str, write: bad_rankings.Callable[[Path], Path], says: tuple[str, ...], tmp_path: Path
) -> None:
    from hftrain.alignment.rankings import read_rankings

    with pytest.raises(DataError) as caught:
        read_rankings(write(tmp_path))
    assert [fragment for fragment in says if fragment not in str(caught.value)] == []


def opened(base: Path) -> None:
    """Take a model from elsewhere as ``pretrain.base`` does."""
    from hftrain.models.continuing import load_base, problems_of_base

    problems = problems_of_base(str(base))
    if problems:
        raise HftrainError(problems[0])
    load_base(str(base))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("name", "damage", "says"), bad_models.CASES, ids=[name for name, *_ in bad_models.CASES])
def test_a_model_from_elsewhere_that_is_damaged_is_refused_and_runs_nothing(
    name: str, damage: bad_models.Damage, says: tuple[str, ...], tmp_path: Path, whole_material: Path
) -> None:
    base = Path(shutil.copytree(whole_material / "base", tmp_path / "base"))
    damage(base)
    with pytest.raises(HftrainError) as caught:
        opened(base)
    assert [fragment for fragment in says if fragment not in str(caught.value)] == []
    assert not (tmp_path / "base" / "was_run").exists()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("name", "damage"), bad_models.TAKEN, ids=[name for name, _ in bad_models.TAKEN])
def test_what_is_foreign_but_sound_is_taken_and_runs_nothing(
    name: str, damage: bad_models.Damage, tmp_path: Path, whole_material: Path
) -> None:
    base = Path(shutil.copytree(whole_material / "base", tmp_path / "base"))
    damage(base)
    opened(base)
    assert not (base / "was_run").exists()


@pytest.mark.parametrize("name", SEEN_FROM_OUTSIDE)
def test_a_process_of_its_own_says_the_same(name: str, tmp_path: Path) -> None:
    case = next(each for each in bad_configs.CASES if each.name == name)
    words = [sys.executable, "recipes/full_flow.py", *case.arrange(tmp_path), "--run-dir", str(tmp_path / "run")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert [fragment for fragment in case.says if fragment not in done.stderr] == []
    assert not (tmp_path / "run").exists()


def test_no_text_from_outside_the_tree_is_ever_collected(tmp_path: Path) -> None:
    """What links, books and entities point at stays where it is."""
    secret = next(line for line in Path("/etc/passwd").read_text().splitlines() if line)
    for case in bad_documents.CASES:
        if any(word in case.name for word in ("link", "climbs", "absolute", "asks for a file")):
            folder = tmp_path / case.name.replace(" ", "_")
            folder.mkdir()
            try_case(case, folder)
            assert not any(secret.encode() in path.read_bytes() for path in folder.rglob("*.arrow")), case.name


def test_the_tables_hold_as_many_cases_as_promised_each_under_a_name_of_its_own() -> None:
    tables = [[case.name for case in cases] for cases in (*TABLES.values(), bad_artifacts.CASES)]
    tables += [[name for name, *_ in cases] for cases in (bad_rankings.CASES, bad_models.CASES, bad_models.TAKEN)]
    assert sum(map(len, tables)) >= LEAST_CASES
    assert all(len(set(names)) == len(names) for names in tables)

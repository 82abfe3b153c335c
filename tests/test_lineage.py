from pathlib import Path

import pytest

from hftrain.artifacts import forced, stage, write_jsonl
from hftrain.config import StageConfig
from hftrain.errors import ArtifactError
from hftrain.lineage import compare, trace, verify


@stage(makes="raw")
def gather(config: StageConfig, *, out: Path) -> None:
    """One source."""
    write_jsonl(out / "sources.jsonl", [{"name": "tales/fox.txt", "sha256": "ab" * 32, "documents": 3}])
    (out / "text").write_text(str(config.seed))


@stage(makes="model", reads=("raw",))
def train(config: StageConfig, *, raw: Path, out: Path) -> None:
    """Weights."""
    (out / "weights").write_text("w" + (raw / "text").read_text())


def flow(run: Path, seed: int = 0) -> Path:
    return train(StageConfig(seed=seed), raw=gather(StageConfig(seed=seed), out=run / "raw"), out=run / "model")


def test_the_chain_goes_from_a_model_to_each_source_file(tmp_path: Path) -> None:
    lines = list(trace(flow(tmp_path)))
    assert [line.split()[0] for line in lines] == ["model", "raw", "-"]
    assert "tales/fox.txt" in lines[2]
    assert "3 documents" in lines[2]


def test_a_broken_chain_is_told(tmp_path: Path) -> None:
    made = flow(tmp_path)
    gather(StageConfig(seed=8), out=tmp_path / "raw")
    with pytest.raises(ArtifactError, match="made anew .* after it was read"):
        list(trace(made))
    assert verify(tmp_path) == {"raw": [], "model": ["its raw was made anew since"]}


def test_verify_names_what_changed_by_a_byte_was_added_or_is_gone(tmp_path: Path) -> None:
    made = flow(tmp_path)
    assert verify(tmp_path) == {"raw": [], "model": []}
    (made / "weights").write_text("x0")
    (made / "note").touch()
    (tmp_path / "raw" / "text").unlink()
    assert verify(tmp_path) == {"raw": ["text is gone"], "model": ["note was added", "weights changed"]}


def test_two_runs_are_compared_file_by_file(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        flow(tmp_path / name, seed)
    assert compare(tmp_path / "a", tmp_path / "b") == {"raw": [], "model": []}
    assert compare(tmp_path / "a", tmp_path / "c") == {"raw": ["text changed"], "model": ["weights changed"]}


def test_an_artifact_beyond_the_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no finished artifact"):
        verify(tmp_path)


def test_forced_makes_again_and_gives_the_same_bytes(tmp_path: Path) -> None:
    flow(tmp_path / "a")
    flow(tmp_path / "b")
    token = forced.set(True)
    flow(tmp_path / "b")
    forced.reset(token)
    assert not any(compare(tmp_path / "a", tmp_path / "b").values())

from pathlib import Path

import pytest

from hftrain.config import load_config
from hftrain.errors import ConfigError, DataError
from hftrain.stages import planning
from hftrain.stages.costs import Line
from hftrain.stages.flow import FlowConfig
from hftrain.stages.new_project import begin, size_for

SPEED = 120e9


def test_a_model_grows_with_the_minutes_and_with_the_text_and_says_what_bound_it() -> None:
    # 0.4 of 120 GFLOP/s for half of 5 minutes are 7.2e12 operations, nearest to the 8e12 of 1.3 million parameters;
    # 7.2e12 / (6 x 1.3e6) = 923,077 tokens; twenty minutes are four times that: twice the parameters.
    assert size_for(100_000_000, 5, SPEED) == (1_300_000, 451, "minutes")
    assert size_for(100_000_000, 20, SPEED)[0] == 2_600_000
    assert size_for(100_000, 20, SPEED)[0::2] == (320_000, "text")
    assert size_for(100_000_000, 20, SPEED / 16)[0] == 650_000


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "bees.md").write_text("A bee lives in a hive of many thousand bees. " * 50)
    return Path("texts")


def test_the_configuration_is_one_that_a_flow_takes_and_reads_these_texts(texts: Path) -> None:
    said: list[str] = []
    path = begin(Path("mine"), [texts], minutes=1, plans=False, say=said.append)
    flow = load_config(FlowConfig, path)
    assert flow.collect.text == ("texts",)
    assert flow.collect.conversations == ("chatterbot",)
    assert (Path("mine") / "recipes" / "full_flow.py").is_file()
    assert said[0] == "read: 1 .md"
    assert said[-1] == "Next: python mine/recipes/full_flow.py --config mine/mine.yaml"


def test_nothing_of_the_users_is_overwritten(texts: Path) -> None:
    begin(Path("mine"), [texts], plans=False, say=str)
    with pytest.raises(ConfigError, match="is there already"):
        begin(Path("mine"), [texts], plans=False, say=str)


def test_a_mistake_leaves_nothing_behind(texts: Path) -> None:
    with pytest.raises(DataError, match="nowhere: does not exist"):
        begin(Path("mine"), [Path("nowhere")], plans=False, say=str)
    with pytest.raises(ConfigError, match="--minutes: 0"):
        begin(Path("mine"), [texts], minutes=0, plans=False, say=str)
    assert not Path("mine").exists()


def test_a_plan_that_is_over_the_minutes_makes_it_less_and_is_told(
    texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = iter([Line("pretrain", 1200.0, 2**30, 2**20, ""), Line("pretrain", 300.0, 2**30, 2**20, "")])
    monkeypatch.setattr(planning, "plan", lambda flow, folder: [next(planned)])
    said: list[str] = []
    path = begin(Path("mine"), [texts], minutes=5, say=said.append)
    assert any("parameters would take 20 minutes: less, then" in line for line in said)
    assert "planned on this machine: 5 minutes, 1.0 GiB of memory, 1 MiB on disk" in path.read_text()

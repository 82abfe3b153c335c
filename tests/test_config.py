import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftrain.config import StageConfig, derive_seed, describe, load_config, load_section, resolved
from hftrain.errors import ConfigError
from hftrain.stages import flow, pretrain


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(StageConfig):
    UPSTREAM: ClassVar[Mapping[str, str]] = {"training": "transformers.training_args:TrainingArguments"}
    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {"training": frozenset({"output_dir", "seed"})}

    row_tokens: int = 128
    dropout: float = 0.0
    optimizer: Literal["adamw", "muon"] = "adamw"
    packed: bool = True
    source: Path | None = None
    notes: str = ""
    rules: tuple[str, ...] = ("short", "long")
    weights: dict[str, float] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=lambda: {"max_steps": 100})

    def problems(self) -> list[str]:
        if self.row_tokens <= 4096:
            return []
        return [f"row_tokens: {self.row_tokens} is over 4096. Fewer are needed. Lower it."]


@dataclass(frozen=True, kw_only=True)
class SftConfig(StageConfig):
    epochs: int = 1


@dataclass(frozen=True, kw_only=True)
class FlowConfig:
    seed: int = 1
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    sft: SftConfig = field(default_factory=SftConfig)


def load(folder: Path, text: str, *overrides: str) -> FlowConfig:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(FlowConfig, path, overrides)


def problems(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *overrides)
    title, *lines = str(caught.value).split("\n  ")
    count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
    assert title == f"{(folder / 'run.yaml').as_posix()}: {count}."
    return lines


def test_defaults_hold_where_the_file_departs_from_nothing(tmp_path):
    config = load(tmp_path, "pretrain:\nsft: {}\n")

    assert config.pretrain == PretrainConfig(seed=derive_seed(1, "pretrain"))
    assert config == load_config(FlowConfig, None)


def test_the_file_departs_from_the_defaults_and_overrides_from_the_file(tmp_path):
    text = "seed: 7\npretrain: {row_tokens: 64, source: data/x, training: {learning_rate: 1e-3}}\n"

    config = load(tmp_path, text, "pretrain.row_tokens=32", "pretrain.training.weight_decay=.1")

    assert (config.seed, config.pretrain.row_tokens) == (7, 32)
    assert config.pretrain.source == Path("data/x")
    assert config.pretrain.training == {
        "max_steps": 100,
        "learning_rate": 0.001,
        "weight_decay": 0.1,
    }


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path):
    text = """\
pretrain:
  training:
    learning_rate: abc
    output_dir: here
    seed: 3
    max_stepz: 5
    max_steps: 2.0
  row_token: 3
  learning_rate: 1e-3
  dropout: 0
  dropout: 0.1
  packed: yes
sfd: {}
"""
    found = problems(tmp_path, text, "sft.epochs=many", "sft.epocs=3")

    known = "Known keys: seed, row_tokens, dropout, optimizer, packed, source, notes, rules, "
    known += "weights, extra, training."
    assert found == [
        "line 3: pretrain.training.learning_rate: 'abc' is text. A number is needed. "
        "Write for example learning_rate: 1e-3.",
        "line 4: pretrain.training.output_dir: is set by hftrain itself. Remove it.",
        "line 5: pretrain.training.seed: is set by hftrain itself. Set pretrain.seed instead.",
        "line 6: pretrain.training.max_stepz: transformers.TrainingArguments has no such argument; "
        "did you mean max_steps? Its argument names are needed. Correct or remove it.",
        "line 7: pretrain.training.max_steps: 2.0 is a number. A whole number is needed. Write max_steps: 2.",
        f"line 8: pretrain.row_token: unknown key; did you mean row_tokens? {known}",
        "line 9: pretrain.learning_rate: unknown key; did you mean training.learning_rate? " + known,
        "line 11: pretrain.dropout: written twice; first on line 10. One value is needed. Keep one.",
        "line 12: pretrain.packed: 'yes' is text. True or false is needed. Write packed: true.",
        "line 13: sfd: unknown key; did you mean sft? Known keys: seed, pretrain, sft.",
        "--set sft.epochs: 'many' is text. A whole number is needed. Write for example epochs: 100.",
        "--set sft.epocs: unknown key; did you mean epochs? Known keys: seed, epochs.",
    ]


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match="none.yaml: no such file"):
        load_config(FlowConfig, tmp_path / "none.yaml")


def test_without_a_file_problems_of_overrides_are_told():
    with pytest.raises(ConfigError) as caught:
        load_config(FlowConfig, None, ["pretrain.rows=3"])

    assert str(caught.value).startswith("configuration: 1 problem.\n  --set pretrain.rows: unknown key")


def test_a_section_of_the_flow_names_its_own_argument_in_the_right_place(tmp_path):
    (only,) = problems(tmp_path, "pretrain:\n  training: {row_tokens: 3}\n")

    assert "has no such argument; did you mean pretrain.row_tokens?" in only


def test_a_section_sees_problems_of_its_own_and_they_get_their_line(tmp_path):
    text = "sft:\n  epochs: 2\npretrain:\n  row_tokens: 8192\n"

    assert problems(tmp_path, text) == ["line 4: pretrain.row_tokens: 8192 is over 4096. Fewer are needed. Lower it."]


def test_upstream_whole_numbers_stay_whole_and_may_have_an_exponent(tmp_path):
    text = "pretrain:\n  training: {max_steps: 2e3, save_steps: 50, warmup_steps: 0.1}\n"

    training = load(tmp_path, text).pretrain.training

    assert {name: repr(value) for name, value in training.items()} == {
        "max_steps": "2000",
        "save_steps": "50",
        "warmup_steps": "0.1",
    }


def test_defaults_that_upstream_does_not_know_are_told(tmp_path):
    stage = dataclasses.make_dataclass(
        "Stage",
        [("training", dict, field(default_factory=lambda: {"no_such_argument_anywhere": 1}))],
        bases=(StageConfig,),
        namespace={"UPSTREAM": PretrainConfig.UPSTREAM},
        frozen=True,
        kw_only=True,
    )

    with pytest.raises(ConfigError, match="training.no_such_argument_anywhere: transformers.Train"):
        load_section(stage, "stage", None)


def test_a_package_that_is_not_there_is_one_problem_among_others():
    stage = dataclasses.make_dataclass(
        "Stage",
        [("training", dict[str, Any], field(default_factory=dict))],
        bases=(StageConfig,),
        namespace={"UPSTREAM": {"training": "no_such_package:Arguments"}},
        frozen=True,
        kw_only=True,
    )

    with pytest.raises(ConfigError) as caught:
        load_section(stage, "stage", None, ["stage.rows=3", "stage.seed=x", "stage.training.steps=1"])

    assert "stage.training: no_such_package:Arguments: the package" in str(caught.value)
    assert str(caught.value).startswith("configuration: 3 problems.")
    assert load_section(stage, "stage", None).training == {}  # what nobody wrote is refused where it is needed


def test_every_stage_has_its_own_seed_that_follows_the_runs():
    # sha256("1:curate") begins with fe 38 b7 6d, and 0xfe - 0x80 = 0x7e.
    assert derive_seed(1, "curate") == 0x7E38B76D
    first, second = load_config(FlowConfig, None), load_config(FlowConfig, None, ["seed=2"])

    assert first.pretrain.seed == derive_seed(1, "pretrain")
    assert len({first.pretrain.seed, first.sft.seed, second.pretrain.seed, second.sft.seed}) == 4
    assert load_config(FlowConfig, None, ["sft.seed=5"]).sft.seed == 5


@pytest.mark.parametrize("name", ["seed", "sft.seed"])
@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_would_refuse_is_told(name, seed):
    with pytest.raises(ConfigError, match=rf"--set {name}: {seed} is no seed\. "):
        load_config(FlowConfig, None, [f"{name}={seed}"])


def test_one_section_alone_equals_that_section_of_the_flow(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("seed: 3\nevaluate_model: {anything: 1}\nsft:\n  epochs: 4\n")

    sft = load_section(SftConfig, "sft", path)

    assert sft == SftConfig(epochs=4, seed=derive_seed(3, "sft"))
    path.write_text("seed: 3\nsft:\n  epochs: 4\n")
    assert sft == load_config(FlowConfig, path).sft


def test_one_section_alone_is_read_as_strictly(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("pretrian: {row_tokens: 4}\n")

    with pytest.raises(ConfigError) as caught:
        load_section(PretrainConfig, "pretrain", path, ["sft.epochs=3", "pretrain.row_token=3"])

    _, first, second, third = str(caught.value).split("\n  ")
    assert first.startswith("line 1: pretrian: unknown key; did you mean pretrain?")
    assert second.startswith("--set sft: unknown key")
    assert third.startswith("--set pretrain.row_token: unknown key")


def test_a_configuration_resolves_to_plain_sorted_copies():
    config = PretrainConfig(source=Path("a") / "b", extra={"z": [1], "a": {"y": 1, "x": (2,)}})

    plain = resolved(config)

    assert plain["source"] == "a/b"
    assert plain["rules"] == ["short", "long"]
    assert json.dumps(plain["extra"]) == '{"a": {"x": [2], "y": 1}, "z": [1]}'
    plain["extra"]["z"].append(2)
    assert config.extra["z"] == [1]
    with pytest.raises(TypeError, match="cannot hold"):
        resolved(PretrainConfig(extra={"a": object()}))


def test_a_configuration_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_config(FlowConfig, None).seed = 2  # type: ignore[misc]


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
texts |= st.sampled_from(["yes", "1e5", ".5", "null", "1_0", "007", "~", "", " x", "a: b", "0x1"])
names = texts.filter(lambda name: name not in {"", "<<"})
finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(10**30), 10**30)
plain = st.recursive(
    st.none() | st.booleans() | whole | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
configs = st.builds(
    FlowConfig,
    seed=st.integers(0, 2**32 - 1),
    pretrain=st.builds(
        PretrainConfig,
        seed=st.integers(0, 2**32 - 1),
        row_tokens=st.integers(-(10**9), 4096),
        dropout=finite,
        optimizer=st.sampled_from(["adamw", "muon"]),
        packed=st.booleans(),
        source=st.none() | texts.filter(bool).map(Path),
        notes=texts,
        rules=st.lists(texts, max_size=3).map(tuple),
        weights=st.dictionaries(names, finite, max_size=3),
        extra=st.dictionaries(names, plain, max_size=3),
        training=st.fixed_dictionaries(
            {"max_steps": st.integers()}, optional={"learning_rate": finite, "bf16": st.booleans()}
        ),
    ),
    sft=st.builds(SftConfig, seed=st.just(3), epochs=st.integers()),
)


@pytest.mark.parametrize("text", ["1e5", "true", "", "a\x85b", "two\nlines", " x ", "é", "yes"])
def test_text_that_looks_like_something_else_is_described_in_quotes(tmp_path, text):
    config = load_config(FlowConfig, None, [f"pretrain.notes={json.dumps(text)}"])

    assert config.pretrain.notes == text
    assert load(tmp_path, describe(config)) == config


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs)
def test_what_is_described_is_read_back(tmp_path, config):
    assert load(tmp_path, describe(config)) == config


def test_a_configuration_is_checked_without_importing_what_it_configures(tmp_path):
    code = (
        "import sys; from hftrain.upstream import fields_of; import hftrain.config; "
        "assert fields_of('trl.experimental.ppo.ppo_config:PPOConfig'); "
        "print(*{'torch', 'transformers', 'trl', 'numpy', 'datasets'} & set(sys.modules))"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)

    assert (done.stdout.strip(), done.stderr, done.returncode) == ("", "", 0)


def test_sections_that_contradict_each_other_are_told_of_where_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("seed: 1\npretrain:\n  model:\n    model_type: lfm2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 4: pretrain\.model\.model_type: lfm2, but .* a reward model"):
        load_config(flow.FlowConfig, file)
    assert load_section(pretrain.PretrainConfig, "pretrain", file).model == {"model_type": "lfm2"}

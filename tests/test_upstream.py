import dataclasses
import importlib

import pytest

from hftrain.errors import ConfigError
from hftrain.upstream import fields_of, simple_type, suggest

TRAINING_ARGUMENTS = "transformers.training_args:TrainingArguments"


def package(folder, monkeypatch, name: str, **files: str) -> None:
    """A package on the path; ``a__b`` stands for the file a/b.py."""
    for stem, text in {"__init__": "", **files}.items():
        parts = [stem] if stem == "__init__" else stem.split("__", maxsplit=1)
        path = folder.joinpath(name, *parts).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(folder))


def test_arguments_come_from_the_class_and_its_bases(tmp_path, monkeypatch):
    package(
        tmp_path,
        monkeypatch,
        "fam_one",
        base="""
from dataclasses import dataclass
@dataclass
class Base:
    rate: float = 1.0
    steps: int = 3
    shared = "no annotation, no argument"
""",
        child="""
from dataclasses import dataclass, field
from typing import ClassVar, Literal
from .base import Base as Parent
@dataclass(kw_only=True)
class Child(Parent):
    KINDS: ClassVar[list[str]] = []
    rate: int = 2
    hidden: int = field(default=0, init=False)
    kind: Literal["a", "b"] = "a"
""",
    )

    found = fields_of("fam_one.child:Child")

    assert found == {"rate": "int", "steps": "int", "kind": "Literal['a', 'b']"}
    assert list(found) == ["rate", "steps", "kind"]


def test_a_class_is_found_through_every_form_of_import(tmp_path, monkeypatch):
    declaration = "from dataclasses import dataclass\n@dataclass\nclass Base:\n    rate: float = 1.0\n"
    child = "from dataclasses import dataclass\n{}\n@dataclass\nclass Child({}):\n    steps: int = 1\n"
    package(
        tmp_path,
        monkeypatch,
        "fam_two",
        __init__="if TYPE_CHECKING:\n    from .deep.base import Base as Base\n",
        deep____init__="",
        deep__base=declaration,
        absolute=child.format("from fam_two import Base", "Base"),
        dotted=child.format("import fam_two.deep.base", "fam_two.deep.base.Base"),
        renamed=child.format("import fam_two.deep.base as there", "there.Base"),
        deep__sideways=child.format("from . import base", "base.Base"),
        deep__upward=child.format("from ..deep.base import Base", "Base"),
        tried=child.format("try:\n    from .deep.base import Base\nexcept ImportError:\n    pass", "Base"),
    )

    for module in ("absolute", "dotted", "renamed", "deep.sideways", "deep.upward", "tried"):
        assert list(fields_of(f"fam_two.{module}:Child")) == ["rate", "steps"], module
    assert list(fields_of("fam_two:Base")) == ["rate"]


def test_an_undecorated_class_declares_no_arguments_but_passes_its_bases_on(tmp_path, monkeypatch):
    package(
        tmp_path,
        monkeypatch,
        "fam_three",
        all="""
import dataclasses, enum
@dataclasses.dataclass
class Base(enum.Enum):
    rate: float = 1.0
class Mixin(Unknown, Generic[T]):
    note: str = ""
class Child(Mixin, Base):
    steps: int = 1
""",
    )

    assert fields_of("fam_three.all:Child") == {"rate": "float"}


def test_transformers_and_trl_arguments_are_read_without_importing_them():
    assert fields_of(TRAINING_ARGUMENTS)["max_steps"] == "int"
    assert fields_of("trl.trainer.sft_config:SFTConfig")["assistant_only_loss"] == "bool"
    assert "learning_rate" in fields_of("trl.trainer.reward_config:RewardConfig")
    assert "kl_coef" in fields_of("trl.experimental.ppo.ppo_config:PPOConfig")
    assert fields_of("trl:SFTConfig") == fields_of("trl.trainer.sft_config:SFTConfig")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "target",
    [
        TRAINING_ARGUMENTS,
        "trl.trainer.sft_config:SFTConfig",
        "trl.trainer.reward_config:RewardConfig",
        "trl.trainer.dpo_config:DPOConfig",
        "trl.experimental.ppo.ppo_config:PPOConfig",
    ],
)
def test_arguments_read_from_source_are_those_of_the_imported_class(target):
    module, _, name = target.partition(":")
    imported = getattr(importlib.import_module(module), name)

    assert list(fields_of(target)) == [each.name for each in dataclasses.fields(imported) if each.init]


def test_the_answer_is_a_copy(tmp_path):
    fields_of(TRAINING_ARGUMENTS).clear()

    assert fields_of(TRAINING_ARGUMENTS)


def test_a_package_that_is_not_installed_is_told_with_the_extra_that_brings_it(monkeypatch):
    requirements = ["trl>=1.12", "no-such-thing-else", "no-such_thing>=2 ; extra == 'shapes'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: requirements)

    with pytest.raises(ConfigError, match=r"no_such_thing is not installed\. .*'hftrain\[shapes\]'"):
        fields_of("no_such_thing.config:Config")
    with pytest.raises(ConfigError, match=r"Install it: pip install no_other_thing\."):
        fields_of("no_other_thing.config:Config")


def test_a_class_that_the_installed_release_lacks_is_told_with_the_release():
    with pytest.raises(ConfigError, match=r"the installed transformers \d+.* has no such class"):
        fields_of("transformers.training_args:TrainingArgument")
    with pytest.raises(ConfigError, match="has no such class"):
        fields_of("transformers.no_such_module:TrainingArguments")


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ("int", int),
        ("float", float | int),
        ("Optional[int]", int | None),
        ("typing.Optional[str]", str | None),
        ("'bool'", bool),
        ("None | str | list[str]", None | str | list),
        ("Union[dict[str, Any], str, None]", dict | str | None),
    ],
)
def test_a_simple_annotation_is_checked(annotation, kind):
    assert simple_type(annotation) == kind


@pytest.mark.parametrize("annotation", ["SchedulerType | str", "Any", "Foo[int] | None", "Foo"])
def test_an_annotation_of_upstreams_own_types_is_not_checked(annotation):
    assert simple_type(annotation).__class__ is type(simple_type("Any"))


def test_the_nearest_name_is_suggested_if_it_is_near():
    assert suggest("learning_ratee", ["learning_rate", "max_steps"]) == "learning_rate"
    assert suggest("LEARNING_RATE", ["learning_rate", "max_steps"]) == "learning_rate"
    assert suggest("zebra", ["learning_rate", "max_steps"]) is None

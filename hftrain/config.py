"""Configurations: frozen dataclasses hold the defaults, a YAML file the departures from them.

Everything wrong with a file and its ``--set`` overrides is told at once, with the line it is on.
A mapping in the file changes the keys it names and leaves the other defaults; a list replaces the
default list. Unquoted scalars are read as in YAML 1.2 (``hftrain.given`` says how).
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, cast, runtime_checkable

import yaml

from hftrain.fitting import Fitter
from hftrain.given import Given, lay_over, read, scalar
from hftrain.upstream import suggest

DEFAULT_SEED = 1
"""The run's seed where a configuration names none."""

SEED_BOUND = 2**32
"""Seeds lie below it: numpy takes no larger ones."""

T = TypeVar("T")
S = TypeVar("S", bound="StageConfig")


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """The section of one stage: a subclass adds the stage's own fields, each with a default."""

    UPSTREAM: ClassVar[Mapping[str, str]] = {}
    """Fields whose keys are arguments of an upstream class: field -> ``package.module:Class``."""

    OWNED: ClassVar[Mapping[str, frozenset[str]]] = {}
    """Arguments in those fields that the stage sets itself, so that nobody else may."""

    seed: int | None = None
    """Random seed of this stage. Not set: derived from the run's seed and the stage's name."""

    def outside(self) -> dict[str, str]:
        """What is read from outside the run (files, packages ...): name -> digest or version."""
        return {}

    def problems(self) -> list[str]:
        """What can be seen to be wrong without work: "field: what. What is needed. What to do."."""
        return []


@runtime_checkable
class Whole(Protocol):
    """A flow's configuration whose sections may contradict each other."""

    def problems(self) -> list[str]:
        """What can be seen to be wrong without work, as of a section: "section.field: what. What is needed. …"."""


def load_config(kind: type[T], path: Path | None, overrides: Sequence[str] = ()) -> T:
    """Read the configuration of a whole flow, with the seed of every stage filled in.

    Args:
        kind: A frozen dataclass: ``seed: int`` and one ``StageConfig`` per section.
        path: The YAML file; None for the defaults.
        overrides: ``section.key=value`` each, the value in YAML; the last one wins.

    Raises:
        ConfigError: With every problem of the file and the overrides.
    """
    given = read(path)
    lay_over(given, overrides)
    return _load(kind, given)


def load_section(
    kind: type[S],
    section: str,
    path: Path | None,
    overrides: Sequence[str] = (),
    *,
    others: Collection[str] | None = None,
) -> S:
    """Read one stage's section of a flow's configuration; the other sections of the file are left.

    ``others`` are the names that those may have; not given, any but a near miss of this one's.

    The result equals that section of ``load_config``, where the flow uses ``DEFAULT_SEED`` too.

    Raises:
        ConfigError: With every problem of this section and the overrides.
    """
    flow = make_dataclass(
        "Flow",
        [("seed", int, DEFAULT_SEED), (section, kind, field(default_factory=kind))],
        frozen=True,
        kw_only=True,
    )
    given = read(path)
    for name in given.values.keys() - {"seed", section}:
        is_slip = section not in given.values and suggest(name, [section])
        if name in others if others is not None else not is_slip:
            del given.values[name]
    lay_over(given, overrides)
    return cast(S, getattr(_load(flow, given), section))


def derive_seed(seed: int, name: str) -> int:
    """A seed for one named use of the run's seed: sha256("seed:name"), first 4 bytes, mod 2**31."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:4]) % 2**31


def resolved(config: Any) -> Any:
    """A configuration as plain JSON values: posix paths, tuples as lists, sorted mappings."""
    if is_dataclass(config) and not isinstance(config, type):
        return {each.name: resolved(getattr(config, each.name)) for each in fields(config)}
    if isinstance(config, Mapping):
        return {key: resolved(config[key]) for key in sorted(config)}
    if isinstance(config, list | tuple):
        return [resolved(item) for item in config]
    if isinstance(config, Path):
        return config.as_posix()
    if config is None or isinstance(config, bool | int | float | str):
        return config
    raise TypeError(f"a configuration cannot hold {config!r}, a {type(config).__name__}")


def describe(config: Any) -> str:
    """The configuration in full as YAML, every default included; ``load_config`` reads it back."""
    return yaml.dump(resolved(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Quotes each text that would be read back as something else."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if isinstance(scalar(data), str) else "'"
        if not data.isprintable():
            style = '"'  # unquoted, U+0085 would come back as a space
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _load(kind: type[T], given: Given) -> T:
    config = Fitter(given).instance(kind, given.values, (), None)
    given.raise_problems()
    run_seed = cast(Any, config).seed
    sections = {
        each.name: section
        for each in fields(cast(Any, config))
        if isinstance(section := getattr(config, each.name), StageConfig)
    }
    filled = {
        name: replace(section, seed=derive_seed(run_seed, name)) if section.seed is None else section
        for name, section in sections.items()
    }
    for keys, seed in [(("seed",), run_seed), *(((n, "seed"), s.seed) for n, s in filled.items())]:
        if not 0 <= seed < SEED_BOUND:
            given.tell(
                keys,
                f"{seed} is no seed. A whole number from 0 to {SEED_BOUND - 1} is needed. Write for example seed: 1.",
            )
    for name, section in filled.items():
        names = {each.name for each in fields(section)}
        for problem in section.problems():
            keys = tuple(problem.partition(":")[0].split("."))
            if keys[0] != name and keys[0] in names:
                keys, problem = (name, *keys), f"{name}.{problem}"
            given.tell_at(given.place(keys), problem)
    if isinstance(config, Whole):
        for problem in config.problems():
            given.tell_at(given.place(tuple(problem.partition(":")[0].split("."))), problem)
    given.raise_problems()
    return cast(T, replace(cast(Any, config), **filled))

"""The arguments of upstream's classes, read from their source.

Importing ``transformers`` or ``trl`` costs seconds; checking a name must not. So the installed
source is parsed, base classes are followed through the modules' own imports, and nothing is run.
"""

import ast
import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Union

from hftrain.errors import ConfigError

DATACLASS_DECORATORS = frozenset({"dataclass", "strict"})
"""Decorators that turn annotations into arguments; ``strict`` is huggingface_hub's."""

INSTEAD: Mapping[str, str] = {
    "trl.experimental.ppo": " Or make the policy by another recipe: grpo, rloo, dpo, kto or best_of_n (policy: grpo in "
    "a flow's configuration, without a section ppo)."
}
"""What else can be done where a later release has left something out."""

SIMPLE_TYPES: dict[str, Any] = {
    "int": int,
    "float": float | int,  # upstream rounds and compares: a whole number stays one
    "bool": bool,
    "str": str,
    "dict": dict,
    "list": list,
    "None": NoneType,
}


def fields_of(target: str) -> dict[str, str]:
    """Arguments of an upstream dataclass and the text of their annotations, bases first.

    Args:
        target: ``package.module:Class``, such as ``trl.trainer.sft_config:SFTConfig``.

    Raises:
        ConfigError: The package is not installed, or the installed one has no such class.
    """
    return dict(_fields_of(target))


def simple_type(annotation: str) -> Any:
    """The type that an annotation's text means; ``Any`` where it names a type of upstream's own.

    >>> simple_type("Optional[int]")
    int | None
    """
    return _type_of(ast.parse(annotation, mode="eval").body)


def suggest(name: str, known: Iterable[str]) -> str | None:
    """The known name nearest to a misspelt one, if any is near."""
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


@dataclass(frozen=True)
class _Module:
    """One parsed source file."""

    name: str
    is_package: bool
    body: tuple[ast.stmt, ...]


@cache
def _fields_of(target: str) -> dict[str, str]:
    module_name, _, class_name = target.partition(":")
    top = module_name.partition(".")[0]
    if find_spec(top) is None:
        raise ConfigError(
            f"{target}: the package {top} is not installed. "
            f"It declares the arguments of this section. Install it: {_how_to_install(top)}."
        )
    found = _find_class(module_name, class_name)
    if found is None:
        raise ConfigError(
            f"{target}: the installed {top} {_version(top)} has no such class. "
            f"The release that hftrain was written for is needed. "
            f"Install it: {_how_to_install(top)}.{INSTEAD.get(module_name.rpartition('.')[0], '')}"
        )
    return _arguments(*found)


def _arguments(module: _Module, declaration: ast.ClassDef) -> dict[str, str]:
    """Arguments of one class after those of its bases, as ``dataclasses`` collects them."""
    found: dict[str, str] = {}
    for base in reversed(declaration.bases):
        place = _find_class(module.name, ast.unparse(base).partition("[")[0])
        if place is not None:
            found |= _arguments(*place)
    if DATACLASS_DECORATORS.isdisjoint(map(_decorator_name, declaration.decorator_list)):
        return found
    for statement in declaration.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            annotation = ast.unparse(statement.annotation)
            if _is_argument(annotation, statement.value):
                found[statement.target.id] = annotation
    return found


def _decorator_name(decorator: ast.expr) -> str:
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(call).rpartition(".")[2]


def _is_argument(annotation: str, value: ast.expr | None) -> bool:
    if "ClassVar" in annotation or "KW_ONLY" in annotation:
        return False
    keywords = value.keywords if isinstance(value, ast.Call) else []
    return not any(keyword.arg == "init" and ast.unparse(keyword.value) == "False" for keyword in keywords)


def _find_class(module_name: str, name: str) -> tuple[_Module, ast.ClassDef] | None:
    """The class that a name, plain or dotted, stands for in a module; None outside our reach."""
    module = _parse(module_name)
    if module is None:
        return None
    for statement in _statements(module.body):
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return module, statement
    first, dot, rest = name.partition(".")
    imported = _imports(module).get(first, "") + dot + rest
    origin, _, class_name = imported.rpartition(".")
    return _find_class(origin, class_name) if origin else None


def _imports(module: _Module) -> dict[str, str]:
    """What each imported name of a module stands for, absolutely."""
    found: dict[str, str] = {}
    for statement in _statements(module.body):
        if isinstance(statement, ast.ImportFrom):
            origin = _origin(module, statement)
            found |= {each.asname or each.name: f"{origin}.{each.name}" for each in statement.names}
        elif isinstance(statement, ast.Import):
            for each in statement.names:
                top = each.name.partition(".")[0]
                found[each.asname or top] = each.name if each.asname else top
    return found


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, those under ``if TYPE_CHECKING`` and ``try`` included."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _statements((*statement.body, *statement.orelse))
        elif isinstance(statement, ast.Try):
            handlers = (each for handler in statement.handlers for each in handler.body)
            yield from _statements((*statement.body, *handlers, *statement.orelse))


def _origin(module: _Module, statement: ast.ImportFrom) -> str:
    """The absolute name of the module that an import reads."""
    if statement.level == 0:
        return statement.module or ""
    parts = module.name.split(".")
    kept = len(parts) - statement.level + module.is_package
    return ".".join((*parts[:kept], *filter(None, [statement.module])))


@cache
def _parse(module_name: str) -> _Module | None:
    """A module's source as a tree; None without Python source and for the standard library."""
    top, *rest = module_name.split(".")
    if top in sys.stdlib_module_names:
        return None
    spec = find_spec(top)
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        stem = Path(folder, *rest)
        for path, is_package in ((stem / "__init__.py", True), (stem.with_suffix(".py"), False)):
            if path.is_file():
                tree = ast.parse(path.read_bytes(), filename=str(path))
                return _Module(module_name, is_package, tuple(tree.body))
    return None


def _how_to_install(package: str) -> str:
    """The pip command, by the extra of ours that brings the package if one does."""
    from importlib.metadata import PackageNotFoundError, requires  # slow; only failures need it

    try:
        requirements = requires("hftrain") or []
    except PackageNotFoundError:
        requirements = []
    for requirement in requirements:
        needed, _, condition = requirement.partition(";")
        name = re.match(r"[\w.-]*", needed)
        if name and name[0].replace("-", "_") == package:
            extra = condition.partition("extra == ")[2].strip("'\" ")
            return f"pip install 'hftrain[{extra}]'" if extra else f"pip install '{needed.strip()}'"
    return f"pip install {package}"


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow; only failures need it

    try:
        return version(package)
    except PackageNotFoundError:
        return "(version unknown)"


def _type_of(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return simple_type(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([_type_of(node.left), _type_of(node.right)])
    if isinstance(node, ast.Subscript):
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        head = ast.unparse(node.value).rpartition(".")[2]
        if head == "Literal":
            return Literal.__getitem__(tuple(ast.literal_eval(each) for each in inside))
        if head in {"Optional", "Union"}:
            return _union([*map(_type_of, inside), *([NoneType] if head == "Optional" else [])])
        return SIMPLE_TYPES.get(head.lower(), Any)
    return SIMPLE_TYPES.get(ast.unparse(node), Any)


def _union(kinds: list[Any]) -> Any:
    return Any if Any in kinds else Union[tuple(kinds)]  # noqa: UP007  (made at run time)


CLOCK_DECIDES = ("max_steps", "num_train_epochs", "lr_scheduler_type", "lr_scheduler_kwargs")
"""Training arguments that ``max_minutes`` plans."""


def set_beside_the_clock(training: Mapping[str, Any]) -> list[str]:
    """A problem for each training argument that is set although ``max_minutes`` plans it."""
    return [
        f"training.{name}: is set, but max_minutes plans the steps and the learning rate. One of them is "
        f"needed. Remove training.{name}, or max_minutes."
        for name in CLOCK_DECIDES
        if name in training
    ]

"""Imports run downwards only, and each upstream library has one door."""

import ast

import pytest

ROOMS = ["corpus", "tokens", "models", "training", "alignment", "evaluation", "export", "serving", "report"]
GROUND = {
    "errors", "config", "given", "fitting", "upstream", "files", "sources", "artifacts", "lineage", "manifests",
    "runtime", "launch", "presets", "cli", "commands", "documentation", "breakdowns", "attempts",
    "holding", "energy",
}  # fmt: skip
COMMAND_LINE = ("hftrain.cli", "hftrain.commands")
"""Starts what stands above it, when it is asked to."""
OVER_STAGES = {
    "hftrain.stages.flow",
    "hftrain.stages.planning",
    "hftrain.stages.probing",
    "hftrain.stages.probing_policies",
    "hftrain.stages.new_project",
    "hftrain.stages.cycle",
}
DOORS = {
    "trl": ("hftrain.stages.", "hftrain.alignment.distillation"),
    "trl.experimental": ("hftrain.alignment.ppo", "hftrain.alignment.distillation"),
    "tokenizers": ("hftrain.tokens.",),
    "peft": ("hftrain.models.",),
    "bitsandbytes": ("hftrain.export.",),
    "gguf": ("hftrain.export.",),
    "xllamacpp": ("hftrain.export.", "hftrain.serving.engine_llama"),
    "torchao": ("hftrain.export.",),
    "onnx": ("hftrain.export.",),
    "onnxruntime": ("hftrain.export.",),
    "sqlalchemy": ("hftrain.serving.",),
    "starlette": ("hftrain.serving.",),
    "uvicorn": ("hftrain.serving.",),
}


def imports(tree: ast.Module) -> set[str]:
    """Every module that a module imports, anywhere in it; names imported from a package count as modules too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def level(module: str) -> int:
    """How high a module stands: ground floor 0, rooms in their order, stages on top."""
    part = [*module.split("."), ""][1]
    return len(ROOMS) + 1 if part == "stages" else ROOMS.index(part) + 1 if part in ROOMS else 0


def test_every_module_has_a_place(package_trees: dict[str, ast.Module]) -> None:
    parts = {name.split(".")[1] for name in package_trees if "." in name}
    assert parts <= set(ROOMS) | GROUND | {"stages"}


def test_rooms_import_rooms_below_them_and_the_ground_floor(package_trees: dict[str, ast.Module]) -> None:
    wrong = []
    for name, tree in package_trees.items():
        for target in imports(tree):
            own_part = name.split(".")[:2] == target.split(".")[:2]
            looks_up = target.startswith("hftrain.") and level(target) > level(name) and not own_part
            if looks_up and not name.startswith(COMMAND_LINE):
                wrong.append(f"{name} imports {target}")
    assert not wrong


def test_a_stage_imports_no_stage_and_nothing_imports_recipes(package_trees: dict[str, ast.Module]) -> None:
    wrong = [
        f"{name} imports {target}"
        for name, tree in package_trees.items()
        for target in imports(tree)
        if target.split(".")[0] == "recipes"
        or (
            name.startswith("hftrain.stages.")
            and name not in OVER_STAGES
            and target.startswith("hftrain.stages.")
            and target.split(".")[2].islower()
        )
    ]
    assert not wrong


@pytest.mark.parametrize("library", sorted(DOORS))
def test_an_upstream_library_has_one_door(package_trees: dict[str, ast.Module], library: str) -> None:
    def enters(target: str) -> bool:
        if library == "trl" and target.startswith("trl.experimental"):
            return False
        return target == library or target.startswith(library + ".")

    inside = {name for name, tree in package_trees.items() if any(enters(target) for target in imports(tree))}
    assert all(name.startswith(DOORS[library]) for name in inside), inside

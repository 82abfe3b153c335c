"""What the package shows is what it says it shows."""

import importlib
import types

import pytest

import hftrain


def test_the_face_is_sorted_and_whole() -> None:
    assert hftrain.__all__ == sorted(hftrain.__all__)
    shown = {
        name
        for name, value in vars(hftrain).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert shown == set(hftrain.__all__) - {"__version__"}


@pytest.mark.parametrize("module", ["artifacts", "cli", "lineage", "report", "report.plots"])
def test_every_name_that_a_module_lists_is_there(module: str) -> None:
    loaded = importlib.import_module(f"hftrain.{module}")
    assert all(hasattr(loaded, name) for name in getattr(loaded, "__all__", []))

"""The tables and the harness lie beside the tests; a whole run to damage is laid once."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

import bad_artifacts  # noqa: E402
import material  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture(scope="session")
def whole_material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's ``corpus``, ``tokenizer`` and ``base``."""
    run = material.lay(tmp_path_factory.mktemp("material") / "run")
    bad_artifacts.MATERIAL["run"] = run
    return run

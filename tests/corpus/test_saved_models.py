"""What a pickle holds is read; what it would have run is not."""

import os
import subprocess
import sys
from pathlib import Path

import joblib
import numpy
import pytest
from sklearn.linear_model import LogisticRegression

from hftrain.corpus.saved_models import Held, read_saved
from hftrain.errors import ArtifactError


class Calls:
    """Runs a command when it is unpickled by anybody else."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch unpickled",)


def test_the_numbers_of_a_model_are_read(tmp_path: Path) -> None:
    model = LogisticRegression().fit([[0.0, 1.0], [1.0, 3.0]], [0, 1])
    joblib.dump({"model": model, "names": ["a", "b"]}, tmp_path / "model.joblib")
    read = read_saved(tmp_path / "model.joblib", library="sklearn")
    assert type(read["model"]) is Held
    numpy.testing.assert_array_equal(read["model"].coef_, model.coef_)
    assert read["model"].C == 1.0
    assert read["names"] == ["a", "b"]


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    joblib.dump(Calls(), tmp_path / "model.joblib")
    with pytest.raises(ArtifactError, match=r"names (posix|nt)\.system"):
        read_saved(tmp_path / "model.joblib", library="sklearn")
    assert not (tmp_path / "unpickled").exists()


def test_the_library_is_not_imported() -> None:
    code = "import sys; from hftrain.corpus import toxicity; toxicity.packaged_model(); print('sklearn' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False"]

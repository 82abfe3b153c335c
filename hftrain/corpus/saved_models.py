"""Models that other packages ship as pickles, read for their numbers alone: no code of theirs runs.

A pickle may name any function to be called. Here it may make arrays, numbers, and objects that do nothing but hold
what was saved of them: whatever class of scikit-learn they were is not imported, which would take a second.
"""

from pathlib import Path
from typing import Any

from joblib.numpy_pickle import NumpyUnpickler

from hftrain.errors import ArtifactError

ALLOWED = frozenset(
    {
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy", "float64"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.multiarray", "scalar"),
        ("joblib.numpy_pickle", "NumpyArrayWrapper"),
    }
)
"""What a pickle may name beside the classes of its library."""


class Held:
    """Stands for a saved object: has its attributes, and no methods."""


class _Reader(NumpyUnpickler):
    """Opens joblib's files; every class of ``library`` becomes ``Held``."""

    library = ""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == self.library:
            return Held
        if (module, name) not in ALLOWED:
            raise ArtifactError(
                f"{self.filename}: names {module}.{name}. Arrays and classes of {self.library} alone are read. "
                "Install the version of the package that hftrain asks for."
            )
        return super().find_class(module, name)


def read_saved(path: Path, *, library: str) -> Any:
    """What ``joblib.dump`` wrote, with ``Held`` for each object of ``library``.

    Raises:
        ArtifactError: The file names something that it has no business to name.
    """
    with path.open("rb") as file:
        reader = _Reader(str(path), file, ensure_native_byte_order=True)
        reader.library = library
        return reader.load()

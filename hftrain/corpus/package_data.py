"""Files that ship inside other packages."""

import importlib.util
from pathlib import Path

from hftrain.errors import ArtifactError


def package_file(package: str, *parts: str) -> Path:
    """Where a file of an installed package lies; the package itself is not imported.

    Raises:
        ArtifactError: The package is not installed, or has no such file.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ArtifactError(f"{package}: not installed. Its {parts[-1]} is needed. Install what hftrain asks for.")
    path = Path(found.origin).parent.joinpath(*parts)
    if not path.is_file():
        raise ArtifactError(
            f"{package}: this version has no {'/'.join(parts)}. That file is needed. "
            "Install the version that hftrain asks for."
        )
    return path

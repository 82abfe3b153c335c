"""Measures as modules of ``evaluate``: ``evaluate.load(metric_path("bits_per_byte"))``, without a network."""

from pathlib import Path


def metric_path(name: str) -> str:
    """Where ``evaluate.load`` finds a metric of this name.

    Raises:
        ValueError: There is none.
    """
    found = Path(__file__).parent / name / f"{name}.py"
    if not found.is_file():
        known = sorted(path.name for path in Path(__file__).parent.iterdir() if (path / f"{path.name}.py").is_file())
        raise ValueError(f"metric {name!r}: one of {', '.join(known)} is needed")
    return str(found.parent)

"""The formats a model can be exported to: what each needs, and how far it may fall behind the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

from hftrain.errors import ArtifactError


@dataclass(frozen=True)
class Format:
    """What is fixed about one format."""

    packages: tuple[str, ...]
    """Packages that write it and load it, beyond those of every model."""
    extra: str | None
    """The optional extra of hftrain that installs them; None where they come with it."""
    tolerance: float
    """Largest share by which its bits per byte may differ from the model's, up or down."""


FORMATS = MappingProxyType(
    {
        # The same numbers in another folder: anything but equality is a fault of saving or loading.
        "safetensors": Format(packages=(), extra=None, tolerance=1e-6),
        "bnb-int8": Format(packages=("bitsandbytes",), extra=None, tolerance=0.01),
        "bnb-nf4": Format(packages=("bitsandbytes",), extra=None, tolerance=0.10),
        # 11 bits of mantissa, and llama.cpp's own 16-bit cache of keys and values.
        "gguf-f16": Format(packages=("gguf", "xllamacpp"), extra="gguf", tolerance=0.001),
        "gguf-q8_0": Format(packages=("gguf", "xllamacpp"), extra="gguf", tolerance=0.01),
    }
)


def format_problems(names: Sequence[str]) -> list[str]:
    """What is wrong with a list of formats, seen without work: unknown, repeated, or its packages missing."""
    if not names:
        return [f"export.formats: empty. At least one format is needed. Write some of {', '.join(FORMATS)}."]
    problems = []
    for name in dict.fromkeys(names):
        if name not in FORMATS:
            problems.append(
                f"export.formats: {name!r} is not a format. Known are {', '.join(FORMATS)}. Rename or remove it."
            )
            continue
        if names.count(name) > 1:
            problems.append(
                f"export.formats: {name} stands there {names.count(name)} times. Once is enough. Remove one."
            )
        wanted = FORMATS[name]
        missing = [package for package in wanted.packages if package_version(package) is None]
        if missing:
            source = f"'hftrain[{wanted.extra}]'" if wanted.extra else " ".join(missing)
            problems.append(
                f"export.formats: {name} is written and read with {' and '.join(wanted.packages)}, and "
                f"{' and '.join(missing)} is not installed. Run: pip install {source}, or remove {name} from the list."
            )
    return problems


def package_versions(names: Sequence[str]) -> dict[str, str]:
    """Package -> installed version, for the packages that these formats need."""
    needed = sorted({package for name in names if name in FORMATS for package in FORMATS[name].packages})
    return {package: found for package in needed if (found := package_version(package)) is not None}


def package_version(package: str) -> str | None:
    """The installed version of a package, which is not imported; None where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_quality(name: str, runtime: str, bits_per_byte: float, full_bits_per_byte: float) -> None:
    """Refuse a format that is too far from the model it was made from.

    Raises:
        ArtifactError: ``abs(ratio - 1)`` is above the format's tolerance, or is not a number.
    """
    tolerance = FORMATS[name].tolerance
    ratio = bits_per_byte / full_bits_per_byte
    if not abs(ratio - 1) <= tolerance:
        raise ArtifactError(
            f"export, {name}: {bits_per_byte:.6g} bits per byte in {runtime}, {ratio:.6g} times the model's "
            f"{full_bits_per_byte:.6g}. Within {tolerance:.4%} of it is needed for this format. "
            f"Remove {name} from export.formats; small or odd-shaped models lose most by rounding."
        )

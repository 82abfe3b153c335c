"""The formats a model can be exported to: what each needs, what it keeps, and how far it may fall behind the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

from hftrain.errors import ArtifactError

GGUF = ("gguf", "xllamacpp")
BNB = ("bitsandbytes",)
AO = ("torchao",)
ONNX = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Format:
    """What is fixed about one format."""

    packages: tuple[str, ...]
    """Packages that write it and load it, beyond those of every model."""
    extra: str | None
    """The optional extra of hftrain that installs them; None where they come with it."""
    tolerance: float
    """Largest share by which its bits per byte may differ from the model's, up or down."""
    nats: float
    """Largest difference of the log-probability of a likely token (`hftrain.export.parity`), in nats."""
    weight_error: float | None
    """Largest ``norm(stored - model's) / norm(model's)`` of a matrix; None where the file does not keep them apart."""
    keeps: str
    """What it leaves in a higher precision than its name says."""


# Each bound is two to three times what rounding was seen to cost on models of 1.3 and 135 million parameters. In 4 bits
# a rounded model's next tokens move as far as a damaged one's: there the matrices themselves tell the two apart.
FORMATS = MappingProxyType(
    {
        # The same numbers in another folder: anything but equality is a fault of saving or loading.
        "safetensors": Format((), None, 1e-6, nats=1e-3, weight_error=0.0, keeps="all in 32 bits"),
        # 8 and 11 bits of mantissa, in arithmetic too: plain transformers computes in what the file holds.
        "safetensors-bf16": Format((), None, 0.03, nats=1.0, weight_error=0.004, keeps="nothing"),
        "safetensors-fp16": Format((), None, 0.001, nats=0.1, weight_error=0.001, keeps="nothing"),
        # One scale for each row, activations in 8 bits too, outliers apart; and one for each 64 weights.
        "bnb-int8": Format(BNB, None, 0.01, nats=2.0, weight_error=0.05, keeps="tables, norms, output layer"),
        "bnb-nf4": Format(BNB, None, 0.10, nats=8.0, weight_error=0.25, keeps="tables, norms, output layer"),
        # One scale for each row, activations in 32 bits.
        "torchao-int8": Format(AO, "torchao", 0.01, nats=2.0, weight_error=0.05, keeps="tables, norms, output layer"),
        "torchao-int4": Format(AO, "torchao", 0.10, nats=8.0, weight_error=0.25, keeps="tables, norms, output layer"),
        # The same 32 bits, summed in another order.
        "onnx-fp32": Format(ONNX, "onnx", 1e-4, nats=0.01, weight_error=None, keeps="all in 32 bits"),
        # Activations are rounded too, with one scale for all of a text: the coarsest of the 8-bit formats.
        "onnx-int8": Format(ONNX, "onnx", 0.10, nats=8.0, weight_error=None, keeps="norms"),
        # 11 bits of mantissa, and llama.cpp's own 16-bit cache of keys and values.
        "gguf-f16": Format(GGUF, "gguf", 0.001, nats=0.1, weight_error=0.001, keeps="norms, biases, positions"),
        # One scale for each 32 weights, activations in 8 bits too.
        "gguf-q8_0": Format(
            GGUF, "gguf", 0.01, nats=1.0, weight_error=0.02, keeps="norms, biases; uneven rows in 16 bits"
        ),
        # As in llama.cpp's own q4_0, the matrix that makes logits keeps more: every token is read through it.
        "gguf-q4_0": Format(
            GGUF, "gguf", 0.10, nats=8.0, weight_error=0.25,
            keeps="norms, biases; output layer (with it tied tables) in 8 bits; uneven rows in 16",
        ),
        # The adapter's own numbers over the weights it was trained on, in 32 bits.
        "lora": Format((), None, 1e-4, nats=0.01, weight_error=None, keeps="all in 32 bits"),
    }
)  # fmt: skip


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

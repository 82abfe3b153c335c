"""Reading, writing and digesting files: the same value always gives the same bytes."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hftrain.errors import ArtifactError


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as JSON with sorted keys, atomically: a reader sees the old file or the new one.

    Raises:
        ValueError: A number is NaN or infinite, which JSON cannot hold.
    """
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    _replace(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ArtifactError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: not there. The stage that makes it has to run first.") from None
    except (ValueError, RecursionError) as problem:
        raise ArtifactError(
            f"{path}: is not JSON ({problem}). It was cut or changed. Delete its folder and run again."
        ) from None


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> int:
    """Write one JSON object a line, atomically; returns the number of rows."""
    lines = [json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) for row in rows]
    _replace(path, "".join(line + "\n" for line in lines))
    return len(lines)


def read_jsonl(path: Path) -> list[Any]:
    """Read a JSON Lines file, split at newlines only: JSON strings may hold other line separators.

    Raises:
        ArtifactError: The file is missing, or a line of it is not JSON.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        return [json.loads(line) for line in text.split("\n") if line]
    except FileNotFoundError:
        raise ArtifactError(f"{path}: not there. The stage that makes it has to run first.") from None
    except (ValueError, RecursionError) as problem:
        raise ArtifactError(
            f"{path}: is not JSON Lines ({problem}). It was cut or changed. Delete its folder and run again."
        ) from None


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as ``sha256:<hex>``."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def digest_value(value: object) -> str:
    """SHA-256 of a JSON-able value's canonical text, as ``sha256:<hex>``."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """The regular files under ``folder`` in the order of their relative names; symlinks are not followed."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        found += [Path(parent) / name for name in names]
    for path in sorted(found, key=lambda path: path.relative_to(folder).as_posix()):
        if path.is_file() and not path.is_symlink():
            yield path


def describe_files(folder: Path, *, leave_out: frozenset[str] = frozenset()) -> dict[str, dict[str, Any]]:
    """Relative name -> its ``sha256`` and ``bytes``, for every file whose first path part is not left out."""
    described = {}
    for path in files_below(folder):
        name = path.relative_to(folder)
        if name.parts[0] not in leave_out:
            described[name.as_posix()] = {"sha256": digest_file(path)[7:], "bytes": path.stat().st_size}
    return described


def digest_folder(folder: Path, *, leave_out: frozenset[str] = frozenset()) -> str:
    """SHA-256 over the relative names and the contents of a folder's files, as ``sha256:<hex>``."""
    return digest_of_files(describe_files(folder, leave_out=leave_out))


def digest_of_files(described: Mapping[str, Mapping[str, Any]]) -> str:
    """The digest of a folder from what `describe_files` said of it."""
    return digest_value([[name, described[name]["sha256"]] for name in sorted(described)])


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)

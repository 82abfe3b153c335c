"""Manifests: what an artifact says of itself, and whether it still is what was made."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hftrain import runtime
from hftrain.errors import ArtifactError
from hftrain.files import describe_files, digest_of_files, read_json, write_json

FORMAT = 1
MANIFEST = "manifest.json"
SCRATCH = "scratch"
REQUEST = "request.json"
MEASURED = "measured.json"
ATTEMPT = "attempt.json"
ENDED = "ended.json"
"""With what an attempt failed, for the run's page; gone when the stage is begun again."""
SHAPE: Mapping[str, type] = {
    "kind": str, "stage": str, "request": str, "digest": str, "files": dict, "inputs": dict, "outside": dict,
    "code": dict, "finished": str,
}  # fmt: skip
"""What every manifest says, by name and type."""
NOT_CONTENT = frozenset({MANIFEST, SCRATCH, REQUEST, MEASURED, ATTEMPT, ENDED})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished artifact.

    Raises:
        ArtifactError: The folder is missing or unfinished.
    """
    path = Path(folder) / MANIFEST
    if path.is_file():
        return _checked(path, read_json(path))
    if Path(f"{folder}.partial").is_dir():
        raise ArtifactError(f"{folder}: is unfinished. Run the command that makes it again: it goes on.")
    raise ArtifactError(f"{folder}: no finished artifact is here. Run the stage that makes it first.")


def _checked(path: Path, manifest: Any) -> dict[str, Any]:
    """The same manifest, if this version reads it and it has all that a manifest says."""
    put_back = "Put it back as it was, or delete its folder and run again."
    if not isinstance(manifest, dict):
        raise ArtifactError(f"{path}: is no manifest. It was changed. {put_back}")
    if manifest.get("format") != FORMAT:
        raise ArtifactError(
            f"{path}: has format {manifest.get('format')!r}; this version reads {FORMAT}. "
            "Read it with the version of hftrain that it names, or delete its folder and run again."
        )
    for name, kind in SHAPE.items():
        if not isinstance(manifest.get(name), kind):
            raise ArtifactError(f"{path}: its {name!r} is {manifest.get(name)!r:.60}. It was changed. {put_back}")
    files = manifest["files"].values()
    if not all(isinstance(each, dict) and isinstance(each.get("sha256"), str) and "bytes" in each for each in files):
        raise ArtifactError(f"{path}: its 'files' do not say digest and size of each. It was changed. {put_back}")
    if digest_of_files(manifest["files"]) != manifest["digest"]:
        raise ArtifactError(f"{path}: its digest is not that of the files it lists. It was changed. {put_back}")
    return manifest


def read_finished(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a finished artifact of this kind whose files are as they were made.

    Raises:
        ArtifactError: It is missing, unfinished, of another kind, or a file of it changed.
    """
    manifest = read_manifest(folder)
    if manifest["kind"] != kind:
        raise ArtifactError(f"{folder}: is a {manifest['kind']}. A {kind} is needed. Name the folder of one.")
    changed = differences(manifest["files"], describe_files(Path(folder), leave_out=NOT_CONTENT))
    if changed:
        raise ArtifactError(
            f"{folder}: {changed[0]} since it was made ({len(changed)} in all). What was made from it would not "
            "be traceable. Put the file back, or delete the folder and run again."
        )
    return manifest


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed between two descriptions of a folder, one short claim a file."""
    names = sorted(set(then) | set(now))
    claims = []
    for name in names:
        if name not in now:
            claims.append(f"{name} is gone")
        elif name not in then:
            claims.append(f"{name} was added")
        elif then[name]["sha256"] != now[name]["sha256"]:
            claims.append(f"{name} changed")
    return claims


def record_measured(out: Path, **numbers: float | str | None) -> None:
    """Keep machine-dependent numbers (seconds, tokens/s, bytes of memory) for the manifest, outside the digest."""
    if runtime.is_main_process():
        path = out / MEASURED
        known = read_json(path) if path.exists() else {}
        write_json(path, known | numbers)


def without_absolute(value: Any) -> Any:
    """The same value with absolute paths cut to their last two parts: manifests travel, machines differ."""
    if isinstance(value, Mapping):
        return {key: without_absolute(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_absolute(item) for item in value]
    if isinstance(value, str) and os.path.isabs(value):
        return "/".join(["…", *Path(value).parts[1:][-2:]])
    return value


def headline(folder: Path) -> str:
    """The numbers of an artifact's summary, a line each, as a stage says them at its end."""
    numbers = read_json(path) if (path := folder / "summary.json").exists() else {}
    shown = [
        f"{name} {value:,.4g}" if isinstance(value, float) else f"{name} {value:,}"
        for name, value in numbers.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return "".join(f"\n    {line}" for line in shown)

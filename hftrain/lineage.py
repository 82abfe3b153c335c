"""Where an artifact came from, and whether it still is what was made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hftrain.errors import ArtifactError
from hftrain.files import describe_files, read_jsonl
from hftrain.manifests import MANIFEST, NOT_CONTENT, differences, read_manifest


def artifacts_of(run_dir: Path) -> list[Path]:
    """The finished artifacts of a run, in the order in which they were made.

    Raises:
        ArtifactError: The folder is missing or holds no finished artifact.
    """
    found = [path.parent for path in Path(run_dir).glob(f"*/{MANIFEST}") if _is_final(path.parent)]
    if not found:
        raise ArtifactError(f"{run_dir}: holds no finished artifact. Name the folder of a run, such as runs/tiny.")
    return sorted(found, key=lambda folder: (read_manifest(folder)["finished"], _depth(folder), folder.name))


def verify(run_dir: Path) -> dict[str, list[str]]:
    """Re-hash everything: artifact name -> what changed since it was made (nothing, when all is well).

    Inputs are checked by digest too: an artifact made from another version of its input says so.
    """
    said = {}
    folders = artifacts_of(run_dir)
    for folder in folders:
        manifest = read_manifest(folder)
        claims = differences(manifest["files"], describe_files(folder, leave_out=NOT_CONTENT))
        for name, source in manifest["inputs"].items():
            path = folder / source["path"]
            if (path / MANIFEST).is_file() and read_manifest(path)["digest"] != source["digest"]:
                claims.append(f"its {name} was made anew since")
        said[folder.name] = claims
    return said


def compare(run_dir: Path, other: Path) -> dict[str, list[str]]:
    """Artifact name -> how the files of two runs differ (nothing, when they are byte-identical)."""
    ours = {folder.name: read_manifest(folder)["files"] for folder in artifacts_of(run_dir)}
    theirs = {folder.name: read_manifest(folder)["files"] for folder in artifacts_of(other)}
    said = {}
    for name in list(ours) + [name for name in theirs if name not in ours]:
        if name not in ours or name not in theirs:
            said[name] = [f"only in {run_dir if name in ours else other}"]
        else:
            said[name] = differences(ours[name], theirs[name])
    return said


def trace(folder: Path) -> Iterator[str]:
    """The chain from an artifact to each file it came from, one line each, indented by distance.

    Raises:
        ArtifactError: The artifact, or one that it was made from, is missing or was made anew since.
    """
    yield from _trace(Path(folder), None, "", set())


def _trace(folder: Path, expected: str | None, indent: str, seen: set[str]) -> Iterator[str]:
    manifest = read_manifest(folder)
    digest = manifest["digest"]
    if expected not in (None, digest):
        raise ArtifactError(
            f"{folder}: was made anew ({_short(digest)}) after it was read ({_short(str(expected))}). The chain is "
            "broken there. Run the flow again: it remakes what depends on it."
        )
    repeated = " (above)" if digest in seen else ""
    yield f"{indent}{folder.name}  {_short(digest)}  by {manifest['stage']}, {_made_by(manifest)}{repeated}"
    if repeated:
        return
    seen.add(digest)
    for name, source in manifest["inputs"].items():
        below = (folder / source["path"]).resolve()
        if not (below / MANIFEST).is_file():
            raise ArtifactError(f"{below}: the {name} that {folder} was made from is gone. Keep it beside.")
        yield from _trace(below, source["digest"], indent + "  ", seen)
    for name, version in sorted(manifest["outside"].items()):
        yield f"{indent}  {name}  {_short(version)}"
    yield from _sources(folder, indent + "  ")


def _sources(folder: Path, indent: str) -> Iterator[str]:
    path = folder / "sources.jsonl"
    for row in read_jsonl(path) if path.exists() else []:
        known = row.get("sha256") or row.get("version") or ""
        unread = f"  not read: {row['unreadable']}" if row.get("unreadable") else ""
        yield f"{indent}- {row['name']}  {_short(str(known))}  {row.get('documents', 0)} documents{unread}"


def _made_by(manifest: dict[str, Any]) -> str:
    code = manifest["code"]
    commit = f", commit {code['commit'][:10]}{' with changes' if code['dirty'] else ''}" if "commit" in code else ""
    return f"seed {manifest['seed']}, {manifest['finished']}{commit}"


def _short(digest: str) -> str:
    return digest[:19] if digest.startswith("sha256:") else digest[:40]


def _is_final(folder: Path) -> bool:
    return not folder.name.endswith((".partial", ".replaced"))


def _depth(folder: Path) -> int:
    inputs = read_manifest(folder)["inputs"].values()
    below = [(folder / source["path"]) for source in inputs]
    return 1 + max((_depth(path) for path in below if (path / MANIFEST).is_file()), default=0)

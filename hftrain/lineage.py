"""Where an artifact came from, and whether it still is what was made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hftrain.errors import ArtifactError
from hftrain.files import describe_files, read_jsonl
from hftrain.manifests import MANIFEST, NOT_CONTENT, differences, read_manifest

PLACES = (f"*/{MANIFEST}", f"adapters/*/{MANIFEST}", f"cycles/*/*/{MANIFEST}")
"""Where artifacts lie in a run: its own, the adapters trained for it, and those of its cycles."""


def artifacts_of(run_dir: Path) -> list[Path]:
    """The finished artifacts of a run, in the order in which they were made; adapters and cycles are among them.

    Raises:
        ArtifactError: The folder is missing or holds no finished artifact.
    """
    found = [path.parent for place in PLACES for path in Path(run_dir).glob(place) if _is_final(path.parent)]
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
        said[_name_in(run_dir, folder)] = claims
    return said


def compare(run_dir: Path, other: Path) -> dict[str, list[str]]:
    """Artifact name -> how the files of two runs differ (nothing, when they are byte-identical)."""
    ours = {_name_in(run_dir, folder): read_manifest(folder)["files"] for folder in artifacts_of(run_dir)}
    theirs = {_name_in(other, folder): read_manifest(folder)["files"] for folder in artifacts_of(other)}
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
    yield from _lines(chain(folder), "", set())


def chain(folder: Path) -> dict[str, Any]:
    """The same as plain values: an artifact with its inputs below it, what came from outside, and its sources.

    Raises:
        ArtifactError: As `trace`.
    """
    return _chain(Path(folder), None, {})


def _chain(folder: Path, expected: str | None, known: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    manifest = read_manifest(folder)
    digest = manifest["digest"]
    if expected not in (None, digest):
        raise ArtifactError(
            f"{folder}: was made anew ({_short(digest)}) after it was read ({_short(str(expected))}). The chain is "
            "broken there. Run the flow again: it remakes what depends on it."
        )
    if folder in known:
        return known[folder]
    below = {}
    for name, source in manifest["inputs"].items():
        path = (folder / source["path"]).resolve()
        if not (path / MANIFEST).is_file():
            raise ArtifactError(f"{path}: the {name} that {folder} was made from is gone. Keep it beside.")
        below[name] = _chain(path, source["digest"], known)
    sources = folder / "sources.jsonl"
    known[folder] = {
        "name": folder.name,
        "digest": digest,
        **{key: manifest[key] for key in ("stage", "seed", "finished", "code")},
        "inputs": below,
        "outside": dict(sorted(manifest["outside"].items())),
        "sources": list(read_jsonl(sources)) if sources.exists() else [],
    }
    return known[folder]


def _lines(link: dict[str, Any], indent: str, seen: set[str]) -> Iterator[str]:
    repeated = " (above)" if link["digest"] in seen else ""
    yield f"{indent}{link['name']}  {_short(link['digest'])}  by {link['stage']}, {_made_by(link)}{repeated}"
    if repeated:
        return
    seen.add(link["digest"])
    for below in link["inputs"].values():
        yield from _lines(below, indent + "  ", seen)
    for name, version in link["outside"].items():
        yield f"{indent}  {name}  {_short(version)}"
    for row in link["sources"]:
        known = row.get("sha256") or row.get("version") or ""
        unread = f"  not read: {row['unreadable']}" if row.get("unreadable") else ""
        yield f"{indent}  - {row['name']}  {_short(str(known))}  {row.get('documents', 0)} documents{unread}"


def _made_by(link: dict[str, Any]) -> str:
    code = link["code"]
    commit = f", commit {code['commit'][:10]}{' with changes' if code['dirty'] else ''}" if "commit" in code else ""
    return f"seed {link['seed']}, {link['finished']}{commit}"


def _short(digest: str) -> str:
    return digest[:19] if digest.startswith("sha256:") else digest[:40]


def _name_in(run_dir: Path, folder: Path) -> str:
    return folder.relative_to(run_dir).as_posix()


def _is_final(folder: Path) -> bool:
    return not folder.name.endswith((".partial", ".replaced"))


def _depth(folder: Path) -> int:
    inputs = read_manifest(folder)["inputs"].values()
    below = [(folder / source["path"]) for source in inputs]
    return 1 + max((_depth(path) for path in below if (path / MANIFEST).is_file()), default=0)

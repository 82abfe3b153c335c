"""Two runs side by side: what was set otherwise, what came out, whether that is more than chance, the cost."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from hftrain.errors import ArtifactError
from hftrain.report.numbers import is_number
from hftrain.report.overview import run_seed
from hftrain.report.reading import Artifact, Run, as_list, as_mapping, at, objects_in, read_run

LEVEL = 0.05
"""A p-value below this, divided by the number of tests, is called clear (Bonferroni)."""
SEED = 0
"""Of the resamples: the same two runs give the same intervals."""
ABSENT = "not set"


def compare_runs(run: Path, other: Path, out: TextIO, *, as_json: bool = False, html: Path | None = None) -> None:
    """Say how two runs differ; the second less the first.

    Raises:
        ArtifactError: One of the folders holds nothing finished.
    """
    found = compared(run, other)
    if html is not None:
        from hftrain.report.comparison_page import comparison_page

        html.write_bytes(comparison_page(found).encode("utf-8", "replace"))
    if as_json:
        out.write(json.dumps(found, ensure_ascii=False) + "\n")
        return
    from hftrain.report.comparison_sections import terminal_lines

    out.write("\n".join(terminal_lines(found)) + "\n")


def compared(run: Path, other: Path) -> dict[str, Any]:
    """The comparison as plain values."""
    ours, theirs = _read(run), _read(other)
    names = [*ours.artifacts, *(name for name in theirs.artifacts if name not in ours.artifacts)]
    pairs = [
        (name, first, second)
        for name in names
        for first, second in [(_finished(ours, name), _finished(theirs, name))]
        if first is not None or second is not None
    ]
    return {
        "runs": _labels(run, other),
        "artifacts": [_identity(*pair) for pair in pairs],
        "made_with": list(_made_with(ours, theirs)),
        "settings": [row for pair in pairs for row in _settings(*pair)],
        "figures": [row for pair in pairs for row in _figures(*pair)],
        "tests": list(_tests(ours, theirs)),
        "exports": list(_exports(ours, theirs)),
        "cost": [_cost(*pair) for pair in pairs],
    }


def _read(folder: Path) -> Run:
    found = read_run(Path(folder))
    if not found.finished:
        raise ArtifactError(f"{folder}: holds no finished artifact. Name the folder of a run, such as runs/tiny.")
    return found


def _labels(run: Path, other: Path) -> list[str]:
    """The folders' names; of two that are the same, with the folders above them."""
    first, second = Path(run).resolve(), Path(other).resolve()
    if first == second:
        raise ArtifactError(f"{run}: is compared with itself. Two runs are needed. Name another.")
    depth = next(size for size in range(1, 99) if first.parts[-size:] != second.parts[-size:])
    return ["/".join(first.parts[-depth:]), "/".join(second.parts[-depth:])]


def _finished(run: Run, name: str) -> Artifact | None:
    found = run.artifacts.get(name)
    return found if found is not None and found.state == "finished" else None


def _identity(name: str, first: Artifact | None, second: Artifact | None) -> dict[str, Any]:
    if first is None or second is None:
        return {"artifact": name, "state": "only in the second" if first is None else "only in the first"}
    is_same = bool(first.digest) and first.digest == second.digest
    return {"artifact": name, "state": "the same bytes" if is_same else "differs"}


def _made_with(ours: Run, theirs: Run) -> Iterator[dict[str, Any]]:
    """The run's seed, the code, the packages and the machine, where they differ."""
    for what, first, second in zip(_CIRCUMSTANCES, _circumstances(ours), _circumstances(theirs), strict=True):
        if first != second:
            yield {"what": what, "values": [first, second]}
    packages = [_packages(run) for run in (ours, theirs)]
    for name in sorted(packages[0].keys() | packages[1].keys()):
        values = [each.get(name) for each in packages]
        if values[0] != values[1]:
            yield {"what": name, "values": values}


_CIRCUMSTANCES = ("seed", "commit", "cores", "memory, GiB", "threads", "python")


def _circumstances(run: Run) -> list[Any]:
    manifests = [one.manifest for one in run.finished]
    last = manifests[-1]
    host = [at(last, "host", key) for key in ("cores", "memory_gib", "threads", "python")]
    commit = at(last, "code", "commit")
    return [run_seed(manifests), commit[:12] if isinstance(commit, str) else None, *host]


def _packages(run: Run) -> dict[str, Any]:
    return {name: version for one in run.finished for name, version in as_mapping(one.manifest.get("packages")).items()}


def _settings(name: str, first: Artifact | None, second: Artifact | None) -> Iterator[dict[str, Any]]:
    """What was set otherwise; seeds are derived from the run's, which is told once."""
    if first is None or second is None:
        return
    stages = [str(one.manifest.get("stage", name)) for one in (first, second)]
    configs = [dict(_leaves(one.manifest.get("config"))) for one in (first, second)]
    if stages[0] != stages[1]:
        yield {"artifact": name, "setting": "made by", "values": stages}
    for setting in sorted(configs[0].keys() | configs[1].keys()):
        values = [config.get(setting, ABSENT) for config in configs]
        if values[0] != values[1] and setting != "seed":
            yield {"artifact": name, "setting": setting, "values": values}


def _figures(name: str, first: Artifact | None, second: Artifact | None) -> Iterator[dict[str, Any]]:
    """Every number of the two summaries; formats have a table of their own."""
    leaves = [dict(_leaves(one.summary)) if one is not None else {} for one in (first, second)]
    for figure in dict.fromkeys([*leaves[0], *leaves[1]]):
        values = [each.get(figure) for each in leaves]
        if any(map(is_number, values)) and not (name == "export" and figure.startswith("formats.")):
            yield {"artifact": name, "figure": figure, "values": values, "change": _change(values)}


def _change(values: list[Any]) -> float | None:
    first, second = values
    return second - first if is_number(first) and is_number(second) else None


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each value with its path; a list is one value."""
    if not isinstance(value, Mapping) or not value:
        yield name, value
        return
    for key, part in value.items():
        yield from _leaves(part, f"{name}.{key}" if name else str(key))


def _tests(ours: Run, theirs: Run) -> Iterator[dict[str, Any]]:
    """Each score of both evaluations, with a paired test where both asked the same items."""
    evaluations = [_finished(run, "evaluation") for run in (ours, theirs)]
    if None in evaluations:
        return
    from hftrain.evaluation.kept_items import read_measured
    from hftrain.evaluation.scores import are_paired, compare

    scores = [_scores(one) for one in evaluations if one is not None]
    kept = [read_measured(one.folder) for one in evaluations if one is not None]
    for key, first in scores[0].items():
        second = scores[1].get(key)
        if second is None:
            continue
        row = {"kind": first.get("kind"), "model": key[0], "test": key[1], "measure": key[2],
               "better": first.get("better"), "chance": first.get("chance"),
               "scores": [_score(each) for each in (first, second)],
               "difference": _change([first.get("value"), second.get("value")]), "paired": None}  # fmt: skip
        made, other = kept[0].get(key), kept[1].get(key)
        if made is not None and other is not None and made.items and are_paired(made, other):
            found = compare("second", other, "first", made, seed=SEED).row()
            row["paired"] = {name: found[name] for name in ("low", "high", "p_value", "method", "count")}
        else:
            row["unpaired_because"] = "other items" if made is not None and other is not None else "items not kept"
        yield row


def _scores(evaluation: Artifact) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    rows = as_list(evaluation.values("scores.json").get("scores"))
    return {
        (str(row.get("model")), str(row.get("test")), str(row.get("measure"))): row
        for row in rows
        if isinstance(row, Mapping) and is_number(row.get("value"))
    }


def _score(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in ("value", "low", "high", "count")}


def _exports(ours: Run, theirs: Run) -> Iterator[dict[str, Any]]:
    found = [_finished(run, "export") for run in (ours, theirs)]
    formats = [objects_in(one.summary.get("formats")) if one is not None else {} for one in found]
    for name in dict.fromkeys([*formats[0], *formats[1]]):
        yield {
            "format": name,
            **{
                figure: [each.get(name, {}).get(figure) for each in formats]
                for figure in ("bytes", "bits_per_byte", "ratio", "greedy_agreement")
            },
            "tokens_per_second": [
                at(one.manifest, "measured", f"{name}_tokens_per_second") if one is not None else None for one in found
            ],
        }


def _cost(name: str, first: Artifact | None, second: Artifact | None) -> dict[str, Any]:
    manifests = [one.manifest if one is not None else {} for one in (first, second)]
    return {
        "artifact": name,
        "seconds": [each.get("seconds") for each in manifests],
        "peak_memory_bytes": [each.get("peak_memory_bytes") for each in manifests],
        "joules": [each.get("joules") for each in manifests],
    }

"""The page on curation: the funnel, and documents that each rule dropped."""

from collections.abc import Mapping
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, clip, fold, join, note, sample, table, tag
from hftrain.report.numbers import count, is_number, percent, size_in_bytes
from hftrain.report.parts import Options, facts, figure, figures
from hftrain.report.reading import Artifact, as_list, at, objects_in

EXAMPLE_CHARS = 400


def curated(corpus: Artifact, options: Options) -> Markup:
    """How many documents came in, which rule dropped how many, and how many were kept."""
    summary, found = corpus.summary, objects_in(corpus.content("funnel.json"))
    kinds = {kind: found[kind] for kind in sorted(found, key=lambda kind: (kind != "documents", kind))}
    documents = kinds.get("documents", {})
    return join(
        [
            facts(
                ("documents kept", count(documents.get("kept")), f"of {count(documents.get('in'))}"),
                ("text kept", size_in_bytes(documents.get("kept_as_bytes")), _share_kept(documents)),
                ("to train on", count(summary.get("documents_train")), _talks(summary, "train")),
                ("held out", count(summary.get("documents_heldout")), _talks(summary, "heldout")),
                ("personal data replaced", *_scrubbed(kinds)),
                *_cut(documents),
            ),
            figures(*(_funnel(kind, account) for kind, account in kinds.items())),
            *(_drops(kind, account, options) for kind, account in kinds.items()),
            *(_sources(kind, account) for kind, account in kinds.items()),
        ]
    )


def _funnel(kind: str, account: Mapping[str, Any]) -> Markup | None:
    total = account.get("in")
    if not is_number(total):
        return None
    drops = {rule: float(dropped["documents"]) for rule, dropped in _largest_first(account)}
    plot = plots.funnel(total, drops, title=kind.capitalize(), unit="the largest drops first")
    return figure(plot, "Each rule's bar stands where it takes its part from what is left.")


def _drops(kind: str, account: Mapping[str, Any], options: Options) -> Markup | None:
    blocks = []
    for rule, dropped in _largest_first(account):
        examples = [each for each in as_list(dropped.get("examples")) if isinstance(each, Mapping)]
        shown = [_example(each) for each in examples[: options.drop_examples]]
        if shown:
            blocks.append(fold(f"{rule} · {count(dropped.get('documents'))}", *shown))
    if not blocks:
        return None
    said = note("A uniform sample of each rule's drops, cut to their beginnings.")
    return join([tag("h3", f"Dropped {kind}"), said, *blocks])


def _example(example: Mapping[str, Any]) -> Markup:
    said = note(clip(example.get("detail"), 120), " · ", clip(example.get("source"), 80))
    return join([sample(example.get("text"), EXAMPLE_CHARS), said])


def _sources(kind: str, account: Mapping[str, Any]) -> Markup | None:
    """A row a source: what came in and stayed, in documents and bytes, and what each rule took."""
    sources = sorted(objects_in(account.get("by_source")).items(), key=lambda one: -_number(at(one[1], "in", "bytes")))
    rows = [
        (
            clip(name, 80),
            count(at(one, "in", "documents")),
            size_in_bytes(at(one, "in", "bytes")),
            count(at(one, "kept", "documents")),
            size_in_bytes(at(one, "kept", "bytes")),
            _share(one),
            _taken(one),
        )
        for name, one in sources
    ]
    heads = ("source", "came in", "bytes", "kept", "bytes", "share", "dropped by")
    return fold(f"{kind.capitalize()} by source", table(heads, rows)) if rows else None


def _taken(source: Mapping[str, Any]) -> str:
    return ", ".join(f"{rule} {count(dropped.get('documents'))}" for rule, dropped in _largest_first(source))


def _cut(documents: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (
            f"{name.replace('_', ' ')} cut",
            count(counts.get("pieces")),
            f"out of {count(counts.get('documents'))} documents",
        )
        for name, counts in objects_in(documents.get("cut")).items()
    ]


def _largest_first(account: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    rules = [one for one in objects_in(account.get("dropped")).items() if is_number(one[1].get("documents"))]
    return sorted(rules, key=lambda one: (-one[1]["documents"], one[0]))


def _share(account: Mapping[str, Any]) -> str:
    came = _number(at(account, "in", "bytes"))
    return percent(_number(at(account, "kept", "bytes")) / came) if came else "–"


def _share_kept(documents: Mapping[str, Any]) -> str | None:
    came = documents.get("in_bytes")
    return f"of {size_in_bytes(came)}" if is_number(came) else None


def _talks(summary: Mapping[str, Any], split: str) -> str | None:
    number = summary.get(f"conversations_{split}")
    return f"and {count(number)} conversations" if is_number(number) else None


def _scrubbed(kinds: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    totals: dict[str, float] = {}
    for account in kinds.values():
        found = at(account, "scrubbed")
        for kind, number in found.items() if isinstance(found, Mapping) else ():
            totals[kind] = totals.get(kind, 0) + _number(number)
    return count(sum(totals.values())), ", ".join(f"{count(number)} {kind}" for kind, number in totals.items())


def _number(value: object) -> float:
    return float(value) if is_number(value) else 0.0

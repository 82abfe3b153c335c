"""The last pass of curation: what stays goes to train or held-out, what goes is counted with its reason."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Features
from numpy.typing import NDArray

from hftrain.corpus.batches import Batch
from hftrain.corpus.funnel import Funnel
from hftrain.corpus.heldout import is_held_out
from hftrain.corpus.mixtures import copies, group_of, shares
from hftrain.corpus.passes import NEAR, Duplicate, kept_mask
from hftrain.corpus.repeated_passages import PassageCutter
from hftrain.corpus.settings import MixtureSettings
from hftrain.corpus.storage import DOCUMENT_FEATURES, RowWriter
from hftrain.corpus.survivors import Survivors
from hftrain.errors import DataError

Row = dict[str, Any]

NOT_IN_MIXTURE, OVER_BUDGET, ONLY_REPEATED = "not_in_mixture", "over_budget", "only_repeated_paragraphs"


def write_documents(
    folder: Path,
    survivors: Survivors,
    gone: Mapping[int, Duplicate],
    *,
    heldout_share: float,
    mixture: MixtureSettings,
    paragraph_words: int | None,
) -> dict[str, int]:
    """Write ``folder/train`` and ``folder/heldout``; ``survivors.funnel`` then accounts for every row.

    Args:
        folder: Where the splits go.
        survivors: The documents; what goes is taken from their funnel's account.
        gone: Those that go because of others.
        heldout_share: Share of the documents that is held out.
        mixture: How often each source's documents are taken.
        paragraph_words: From how many words on a paragraph that came before is cut. None: none is.

    Returns:
        Rows of both splits. A document that a mixture repeats is so many rows of ``train``.
    """
    funnel = survivors.funnel
    stays_N = kept_mask(survivors, gone)
    heldout_N = heldout_mask(survivors, stays_N, heldout_share)
    copies_N = copies_of(survivors, stays_N, heldout_N, mixture)
    names = dict(zip(gone, survivors.column("id", [each.kept for each in gone.values()]), strict=True))
    cutter = _cutter(survivors, copies_N, paragraph_words)
    with (
        RowWriter(folder / "train", DOCUMENT_FEATURES) as train,
        RowWriter(folder / "heldout", DOCUMENT_FEATURES) as heldout,
    ):
        for first, batch in survivors.batches():
            here = slice(first, first + batch.num_rows)
            for place in numpy.flatnonzero(copies_N[here] == 0) + first:
                if place >= survivors.reference_count:
                    row = batch.slice(int(place) - first, 1).to_pylist()[0]
                    _drop(funnel, row, gone.get(int(place)), names.get(int(place)), mixture)
            if cutter:
                batch = _without_repeated(batch, copies_N[here], cutter, funnel)
            _keep(funnel, batch, copies_N[here] > 0)
            for writer, chosen in ((train, ~heldout_N[here]), (heldout, heldout_N[here])):
                rows = numpy.repeat(numpy.arange(batch.num_rows), numpy.where(chosen, copies_N[here], 0))
                writer.write_batch(batch.take(pa.array(rows)))
    return {"train": train.row_count, "heldout": heldout.row_count}


def heldout_mask(survivors: Survivors, stays_N: NDArray[numpy.bool_], share: float) -> NDArray[numpy.bool_]:
    """Which documents are held out. Shape (N,)."""
    mask = numpy.zeros(len(survivors), bool)
    for first, batch in survivors.batches():
        held = [is_held_out(identity, share) for identity in batch["id"].to_pylist()]
        mask[first : first + batch.num_rows] = held
    return mask & stays_N


def copies_of(
    survivors: Survivors, stays_N: NDArray[numpy.bool_], heldout_N: NDArray[numpy.bool_], mixture: MixtureSettings
) -> NDArray[numpy.int64]:
    """How often each document is written. Shape (N,); 0 for what goes, 1 for what is held out."""
    copies_N = stays_N.astype(numpy.int64)
    if not mixture.sources:
        return copies_N
    patterns = list(mixture.sources)
    numbers = {pattern: number for number, pattern in enumerate(patterns)}
    groups = [numbers.get(group_of(name, patterns) or "", -1) for name in survivors.sources]
    group_N = numpy.array([*groups, -1])[survivors.source_N]
    tokens_N = survivors.as_bytes_N / mixture.bytes_per_token
    copies_N[group_N < 0] = 0
    members = {pattern: numpy.flatnonzero(stays_N & ~heldout_N & (group_N == numbers[pattern])) for pattern in patterns}
    wanted = shares({pattern: float(tokens_N[places].sum()) for pattern, places in members.items()}, mixture)
    for pattern, places in members.items():
        copies_N[places] = copies(tokens_N[places], survivors.order_N[places], wanted[pattern])
    return copies_N


def write_conversations(
    folder: Path, keyed: Iterable[tuple[str, Row]], features: Features, share: float
) -> dict[str, int]:
    """Write each row to ``folder/train`` or ``folder/heldout`` by its key; returns both counts."""
    with RowWriter(folder / "train", features) as train, RowWriter(folder / "heldout", features) as heldout:
        for key, row in keyed:
            (heldout if is_held_out(key, share) else train).write(row)
    return {"train": train.row_count, "heldout": heldout.row_count}


def check_split(kind: str, counts: Mapping[str, int], funnel: Funnel, *, setting: str, account: Path) -> None:
    """Refuse a split in which one side is empty, and say why it came out so.

    Args:
        kind: ``documents`` or ``conversations``, for the message.
        counts: Rows of ``train`` and ``heldout``.
        funnel: The account of the same rows.
        setting: Name of the share that was held out, in the section curate.
        account: Where the funnel's examples can be read.

    Raises:
        DataError: There is nothing to train on, or nothing to measure on.
    """
    train, heldout = counts["train"], counts["heldout"]
    if train and heldout:
        return
    said = f"curate: {funnel.kept:,} of {funnel.seen:,} {kind} were kept"
    dropped = f"Dropped: {funnel.top_reasons()}."
    if funnel.kept == 0:
        raise DataError(
            f"{said}. {dropped} Training needs some. Read the examples in {account}, loosen the "
            "thresholds of these rules in curate, or collect others."
        )
    if funnel.kept == 1:
        raise DataError(
            f"{said}; one cannot be both trained on and held out. {dropped} At least two are "
            "needed, in practice hundreds. Cut the text into several (a chapter or a page each, as "
            "files or rows), or collect more."
        )
    side, share = ("held-out", "Raise") if train else ("train", "Lower")
    raise DataError(
        f"{said}, and none of them fell into the {side} split. "
        f"{dropped} Both splits are needed. {share} curate.{setting}, or collect more."
    )


def summary_of(
    account: Mapping[str, Mapping[str, Any]], documents: Mapping[str, int], conversations: Mapping[str, int]
) -> dict[str, int]:
    """The headline numbers of corpus/.

    Args:
        account: ``Funnel.as_json`` of the documents and of the conversations.
        documents: Rows of the documents' splits.
        conversations: The same for the conversations.
    """
    return {
        "documents_in": account["documents"]["in"],
        "bytes_in": account["documents"]["in_bytes"],
        "documents_kept": account["documents"]["kept"],
        "bytes_kept": account["documents"]["kept_as_bytes"],
        "documents_train": documents["train"],
        "documents_heldout": documents["heldout"],
        "conversations_in": account["conversations"]["in"],
        "conversations_train": conversations["train"],
        "conversations_heldout": conversations["heldout"],
    }


def _drop(funnel: Funnel, row: Row, found: Duplicate | None, kept: str | None, mixture: MixtureSettings) -> None:
    if found is None:
        is_named = group_of(row["source"], list(mixture.sources)) is not None
        reason, detail = (OVER_BUDGET, "more than its share") if is_named else (NOT_IN_MIXTURE, row["source"])
    elif found.kind == NEAR:
        reason, detail = NEAR, f"{found.jaccard:.2f} of its word 5-grams are those of {kept}, which is kept"
    else:
        reason, detail = found.kind, f"the text of {kept}, which is kept"
    funnel.drop(reason, row, row["collected_bytes"], row["text"], detail)


def _cutter(survivors: Survivors, copies_N: NDArray[numpy.int64], words: int | None) -> PassageCutter | None:
    """The first pass over paragraphs; None if none are to be cut."""
    if words is None:
        return None
    cutter = PassageCutter(words)
    for first, batch in survivors.batches():
        taken = pa.array(copies_N[first : first + batch.num_rows] > 0)
        cutter.count(Batch(batch["text"].filter(taken).to_pylist()))
    return cutter


def _without_repeated(
    batch: pa.RecordBatch, copies_D: NDArray[numpy.int64], cutter: PassageCutter, funnel: Funnel
) -> pa.RecordBatch:
    """The batch without paragraphs that came before. What has no other text is dropped: its copies are set to 0."""
    texts = batch["text"].to_pylist()
    places = numpy.flatnonzero(copies_D > 0).tolist()
    for place, cut in zip(places, cutter.cut(Batch([texts[place] for place in places])), strict=True):
        if not cut.pieces:
            continue
        if not cut.text.strip():
            row = batch.slice(place, 1).to_pylist()[0]
            funnel.drop(ONLY_REPEATED, row, row["collected_bytes"], texts[place], "all of its paragraphs came before")
            copies_D[place] = 0
            continue
        funnel.cut_out("repeated_paragraphs", cut.pieces, cut.bytes, cut.said)
        texts[place] = cut.text
    return batch.set_column(batch.schema.get_field_index("text"), "text", pa.array(texts, pa.string()))


def _keep(funnel: Funnel, batch: pa.RecordBatch, kept: NDArray[numpy.bool_]) -> None:
    taken = batch.filter(pa.array(kept))
    sizes = pc.binary_length(taken["text"]).to_pylist()
    for source, collected, size in zip(
        taken["source"].to_pylist(), taken["collected_bytes"].to_pylist(), sizes, strict=True
    ):
        funnel.keep(source, collected, as_bytes=size)

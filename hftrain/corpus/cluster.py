"""The same curation by datatrove's executors: many tasks on one machine, under Slurm, or under Ray.

    judge      each task takes its share of the batches through the same ``Curator``, keeps what passes in a folder of
               its own, and writes datatrove's MinHash signatures of it
    buckets    datatrove sorts each bucket's signatures over all tasks and names the documents that share one

What is left is done where the stage was started: documents that share a bucket are compared exactly, and written, as
``hftrain.corpus.passes`` and ``publishing`` do it for one machine. datatrove's own signatures find the candidates, the
same comparison decides; both ways give the same decisions but where one of them misses a pair, which for a pair just
at a threshold of 0.7 happens once in 6,000. Texts of fewer than five words have no signature here.

Only the local executor was run by the authors. Slurm and Ray need a run folder that all nodes see.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy
from datatrove.data import Document
from datatrove.executor.base import PipelineExecutor
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets, MinhashDedupSignature
from datatrove.utils.hashing import HashConfig
from numpy.typing import NDArray

from hftrain.corpus.curator import Curator, Plan
from hftrain.corpus.minhash import BANDS, NO_SHINGLE, SHINGLE_WORDS
from hftrain.corpus.passes import repacked
from hftrain.corpus.settings import ExecutorSettings
from hftrain.corpus.storage import RowWriter, each_batch
from hftrain.corpus.survivors import Survivors, read_judged, write_judged
from hftrain.errors import ConfigError
from hftrain.runtime import log

EXECUTORS: dict[str, type[PipelineExecutor]] = {
    "local": LocalPipelineExecutor,
    "slurm": SlurmPipelineExecutor,
    "ray": RayPipelineExecutor,
}
LOOK_EVERY_SECONDS = 10
REFERENCES = "+references"
"""Sorts before all ranks, as it is read."""


class JudgeDocuments(PipelineStep):
    """A step of a datatrove pipeline: reads its share of a dataset, judges it, yields what passes."""

    type = "hftrain"
    name = "curation"

    def __init__(self, documents: str, references: str | None, plan: Plan, folder: str) -> None:
        """Folders are given as text: steps are pickled.

        Args:
            documents: A dataset that ``hftrain.corpus.storage`` wrote.
            references: A dataset of documents that these are compared with; the first rank takes it.
            plan: What is asked of each document.
            folder: Where each task writes what passed, in a folder named for its rank.
        """
        super().__init__()
        self.documents = documents
        self.references = references
        self.plan = plan
        self.folder = folder

    def run(self, data: Iterable[Document] | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Judge the batches of this rank: neighbours, so that ranks one after another hold the order of the dataset."""
        if self.references is not None and rank == 0:
            yield from self._judged(
                Curator(self.plan.for_references()), self.references, range(sys.maxsize), REFERENCES
            )
        total = sum(1 for _ in repacked(each_batch(Path(self.documents))))
        mine = range(total * rank // world_size, total * (rank + 1) // world_size)
        yield from self._judged(Curator(self.plan), self.documents, mine, f"{rank:06}")

    def _judged(self, curator: Curator, documents: str, numbers: range, name: str) -> Iterator[Document]:
        for number, batch in enumerate(repacked(each_batch(Path(documents)))):
            if number not in numbers:
                continue
            judged = curator.judge(batch)
            write_judged(judged, Path(self.folder, name, f"{number:08}"))
            for row in judged.documents.select(["id", "text"]).to_pylist():
                self.stat_update("passed")
                yield Document(text=row["text"], id=row["id"])


def judged_on_cluster(
    plan: Plan,
    documents: Path,
    references: Path | None,
    executor: ExecutorSettings,
    *,
    dropped: RowWriter,
    folder: Path,
) -> Survivors:
    """Judge every document by an executor; what passes lies in ``folder`` then, with candidates for duplicates.

    Raises:
        ConfigError: The executor refuses its arguments.
    """
    minhash = MinhashConfig(
        n_grams=SHINGLE_WORDS,
        num_buckets=BANDS,
        hashes_per_bucket=plan.near_rows or 1,
        hash_config=HashConfig(hash_fc="sha1"),  # datatrove 0.10 gives xxhash text, which xxhash 4 refuses
    )
    compared_with = None if references is None else str(references)
    judge: list[PipelineStep] = [JudgeDocuments(str(documents), compared_with, plan, str(folder / "judged"))]
    if plan.near_rows is not None:
        judge.append(MinhashDedupSignature(output_folder=str(folder / "signatures"), config=minhash))
    run_to_end(_executor(executor, judge, executor.tasks, folder / "logs" / "judge"))
    if plan.near_rows is not None:
        buckets = MinhashDedupBuckets(
            input_folder=str(folder / "signatures"), output_folder=str(folder / "buckets"), config=minhash
        )
        run_to_end(_executor(executor, [buckets], BANDS, folder / "logs" / "buckets"))
    return _gathered(folder, dropped, has_bands=plan.near_rows is not None)


def run_to_end(executor: PipelineExecutor) -> None:
    """Start an executor and wait for all of its tasks: Slurm's returns once they are queued."""
    executor.run()
    while waiting := len(executor.get_incomplete_ranks(skip_completed=True)):
        log.info("curate_on_cluster: %d of %d tasks are still to come", waiting, executor.world_size)
        time.sleep(LOOK_EVERY_SECONDS)


def _executor(settings: ExecutorSettings, steps: list[PipelineStep], tasks: int, logs: Path) -> PipelineExecutor:
    try:
        return EXECUTORS[settings.kind](pipeline=steps, tasks=tasks, logging_dir=str(logs), **settings.arguments)
    except TypeError as error:
        raise ConfigError(
            f"curate.executor.arguments: {error}. The arguments of datatrove's {settings.kind} executor are needed. "
            "Mend or add them."
        ) from error


def _gathered(folder: Path, dropped: RowWriter, *, has_bands: bool) -> Survivors:
    places: dict[tuple[int, int], int] = {}
    counts: Counter[int] = Counter()
    with Survivors(folder / "survivors") as survivors:
        for piece in sorted((folder / "judged").glob("*/*")):  # references first, then the ranks in order
            judged, is_reference = read_judged(piece), piece.parent.name == REFERENCES
            rank = 0 if is_reference else int(piece.parent.name)
            for place in range(len(survivors), len(survivors) + judged.documents.num_rows):
                places[rank, counts[rank]] = place
                counts[rank] += 1
            (survivors.add_references if is_reference else survivors.add)(judged)
            dropped.write_all(survivors.funnel.take_drops())
        if has_bands:
            survivors.set_bands(_columns(folder / "buckets", places, len(survivors)))
    return survivors


def _columns(folder: Path, places: dict[tuple[int, int], int], count: int) -> NDArray[numpy.uint64]:
    """For each bucket a column: documents that share a signature there have one number. Shape (N, B)."""
    columns = numpy.full((count, BANDS), NO_SHINGLE, numpy.uint64)
    for band in range(BANDS):
        for path in sorted(folder.glob(f"{band:05}_*.dups")):
            # Neighbours of equal signatures, one after another: file and row of the one, file and row of the next.
            for one_file, one, other_file, other in numpy.fromfile(path, "<u4").reshape(-1, 4).tolist():
                first, second = places[one_file, one], places[other_file, other]
                if columns[first, band] == NO_SHINGLE:
                    columns[first, band] = first + 1
                columns[second, band] = columns[first, band]
    return columns

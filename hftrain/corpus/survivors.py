"""The documents that passed every rule, on disk, with the numbers that tell which of them are duplicates.

Texts are read a batch at a time; memory holds some fifty bytes a document. Documents of other sets, against which
these are compared, come first and are marked as references.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hftrain.artifacts import read_json, write_json
from hftrain.corpus.curator import SURVIVOR_SCHEMA, Judged
from hftrain.corpus.funnel import Funnel
from hftrain.errors import DataError

DOCUMENTS = "documents.arrow"
BANDS = "bands.bin"


class Survivors:
    """A context manager: batches are added while it is open, and read once it is closed.

    Shape legend: N documents, references first; B bands.
    """

    def __init__(self, folder: Path) -> None:
        """``folder`` is made; what an earlier run left there is written over."""
        self.funnel = Funnel()
        self.sources: list[str] = []
        """Names of the sources, by the numbers in ``source_N``."""
        self.reference_count = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._source_numbers: dict[str, int] = {}
        self._parts: dict[str, list[NDArray[numpy.generic]]] = {}
        self._band_count = 0
        self._rows_before_batch = [0]

    def __enter__(self) -> Self:
        self._file = pa.OSFile(str(self._folder / DOCUMENTS), "wb")
        self._writer = pa.ipc.new_file(self._file, SURVIVOR_SCHEMA)
        self._bands = (self._folder / BANDS).open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._bands.close()
        self._writer.close()
        self._file.close()

    def add(self, judged: Judged) -> None:
        """Add what a batch of documents gave; the account of what it dropped is added too."""
        self.funnel.add(judged.funnel)
        self._store(judged)

    def add_references(self, judged: Judged) -> None:
        """Add documents of another set, which are in no account; all of them come before the first ``add``."""
        self._store(judged)
        self.reference_count = len(self)

    def _store(self, judged: Judged) -> None:
        documents = judged.documents
        if not documents.num_rows:
            return
        self._writer.write_batch(documents)
        self._rows_before_batch.append(self._rows_before_batch[-1] + documents.num_rows)
        self._gather("keys", judged.keys_D2)
        self._gather("preference", judged.preference_D)
        self._gather("collected_bytes", documents["collected_bytes"].to_numpy())
        self._gather("as_bytes", pc.binary_length(documents["text"]).to_numpy())
        self._gather("source", numpy.array([self._source(name) for name in documents["source"].to_pylist()]))
        identities = documents["id"].to_pylist()
        self._gather("order", numpy.array([int(identity[:16], 16) for identity in identities], numpy.uint64))
        if judged.bands_DB is not None:
            self._band_count = judged.bands_DB.shape[1]
            self._bands.write(numpy.ascontiguousarray(judged.bands_DB).tobytes())

    def set_bands(self, bands_NB: NDArray[numpy.uint64]) -> None:
        """Give the numbers of the bands for all documents at once, where their batches had none."""
        self._band_count = bands_NB.shape[1]
        self._bands.write(numpy.ascontiguousarray(bands_NB).tobytes())

    def __len__(self) -> int:
        return self._rows_before_batch[-1]

    @property
    def keys_N2(self) -> NDArray[numpy.uint64]:
        """Equal where two texts are, case and white space not minded."""
        return self._gathered("keys", numpy.zeros((0, 2), numpy.uint64))

    @property
    def preference_N(self) -> NDArray[numpy.float64]:
        """Of two duplicates the one with the higher number stays; infinite for references."""
        preference = self._gathered("preference", numpy.zeros(0)).copy()
        preference[: self.reference_count] = numpy.inf
        return preference

    @property
    def source_N(self) -> NDArray[numpy.int64]:
        """The number of each document's source."""
        return self._gathered("source", numpy.zeros(0, numpy.int64))

    @property
    def collected_bytes_N(self) -> NDArray[numpy.int64]:
        """Bytes of each text as it was collected."""
        return self._gathered("collected_bytes", numpy.zeros(0, numpy.int64))

    @property
    def as_bytes_N(self) -> NDArray[numpy.int64]:
        """Bytes of each text as it is now."""
        return self._gathered("as_bytes", numpy.zeros(0, numpy.int64))

    @property
    def order_N(self) -> NDArray[numpy.uint64]:
        """The first 64 bits of each document's id: a uniform number that depends on its text alone."""
        return self._gathered("order", numpy.zeros(0, numpy.uint64))

    def band_columns(self) -> NDArray[numpy.uint64]:
        """The numbers of the bands, mapped from disk. Shape (N, B)."""
        if not len(self) or not self._band_count:
            return numpy.zeros((len(self), 0), numpy.uint64)
        return numpy.memmap(self._folder / BANDS, numpy.uint64, "r", shape=(len(self), self._band_count))

    def batches(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the place of the first row and the rows of each batch; references too."""
        with pa.OSFile(str(self._folder / DOCUMENTS)) as file, pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                yield self._rows_before_batch[number], reader.get_batch(number)

    def column(self, name: str, places: Sequence[int]) -> list[str]:
        """The values of a column at these places, in their order; only they are read."""
        wanted = numpy.asarray(places, numpy.int64)
        numbers = numpy.searchsorted(self._rows_before_batch, wanted, side="right") - 1
        found = numpy.empty(len(wanted), object)
        with pa.memory_map(str(self._folder / DOCUMENTS)) as file, pa.ipc.open_file(file) as reader:
            for number in numpy.unique(numbers):
                here = numpy.flatnonzero(numbers == number)
                values = reader.get_batch(int(number))[name]
                within = wanted[here] - self._rows_before_batch[number]
                found[here] = values.take(pa.array(within)).to_pylist()
        return found.tolist()

    def texts(self, places: Sequence[int]) -> list[str]:
        """The texts at these places."""
        return self.column("text", places)

    def _gather(self, name: str, values: NDArray[numpy.generic]) -> None:
        self._parts.setdefault(name, []).append(values)

    def _gathered(self, name: str, empty: NDArray[numpy.generic]) -> Any:
        parts = self._parts.get(name, [empty])
        if len(parts) > 1:
            self._parts[name] = parts = [numpy.concatenate(parts)]
        return parts[0]

    def _source(self, name: str) -> int:
        if name not in self._source_numbers:
            self._source_numbers[name] = len(self.sources)
            self.sources.append(name)
        return self._source_numbers[name]


def write_judged(judged: Judged, folder: Path) -> None:
    """Keep what a batch gave, for a process on another machine to read; whole once ``funnel.json`` is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(folder / DOCUMENTS), "wb") as file, pa.ipc.new_file(file, SURVIVOR_SCHEMA) as writer:
        writer.write_batch(judged.documents)
    numpy.savez(folder / "numbers.npz", keys_D2=judged.keys_D2, preference_D=judged.preference_D)
    write_json(folder / "funnel.json", judged.funnel.parts())


def read_judged(folder: Path) -> Judged:
    """Read what ``write_judged`` wrote; signatures are not kept.

    Raises:
        DataError: It is not whole.
    """
    if not (folder / "funnel.json").is_file():
        raise DataError(f"{folder}: not whole. Each batch needs its account. Run the stage again.")
    with pa.OSFile(str(folder / DOCUMENTS)) as file, pa.ipc.open_file(file) as reader:
        documents = reader.get_batch(0)
    with numpy.load(folder / "numbers.npz", allow_pickle=False) as numbers:
        return Judged(
            documents=documents,
            funnel=Funnel.from_parts(read_json(folder / "funnel.json")),
            keys_D2=numbers["keys_D2"],
            bands_DB=None,
            preference_D=numbers["preference_D"],
        )

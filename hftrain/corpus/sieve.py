"""The rows of one batch on their way through curation: what is left of them, and the account of the rest."""

from collections.abc import Callable, Sequence
from typing import Any

from hftrain.corpus.batches import Batch
from hftrain.corpus.funnel import Funnel

Row = dict[str, Any]


class Sieve:
    """Rows with the text that is judged; each step takes some out or changes their text.

    ``rows``, ``texts`` and ``sizes_bytes`` keep their places; ``left`` are the places of the rows that are still in.
    """

    def __init__(self, rows: Sequence[Row], texts: Sequence[str], sizes_bytes: Sequence[int]) -> None:
        self.rows = rows
        self.texts = list(texts)
        self.sizes_bytes = sizes_bytes
        self.left = list(range(len(rows)))
        self.funnel = Funnel()
        self._batch: Batch | None = None
        for row, size_bytes in zip(rows, sizes_bytes, strict=True):
            self.funnel.see(row["source"], size_bytes)

    def texts_left(self) -> list[str]:
        """The texts of ``left``, in order."""
        return [self.texts[place] for place in self.left]

    def batch(self) -> Batch:
        """The same as arrays; the same object until something changes."""
        if self._batch is None:
            self._batch = Batch(self.texts_left())
        return self._batch

    def change(self, changed: Callable[[int, str], str]) -> None:
        """Let ``changed(place, text)`` give each text that is left its new form."""
        for place in self.left:
            before = self.texts[place]
            after = changed(place, before)
            if after != before:
                self.texts[place] = after
                self._batch = None

    def drop(self, broken: Sequence[tuple[str, str, int] | tuple[str, str] | None]) -> None:
        """Take out those of ``left`` for which ``broken`` names a rule.

        Args:
            broken: For each of ``left`` None, or the rule's name, what is wrong, and where in the text (0 if not said).
        """
        stays = []
        for place, found in zip(self.left, broken, strict=True):
            if found is None:
                stays.append(place)
                continue
            rule, detail, *where = found
            self.funnel.drop(
                rule,
                self.rows[place],
                self.sizes_bytes[place],
                self.texts[place],
                detail,
                start=where[0] if where else 0,
            )
        if len(stays) < len(self.left):
            self.left = stays
            self._batch = None

    def forget(self) -> None:
        """Say that texts were changed in place."""
        self._batch = None

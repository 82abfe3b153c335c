"""The rows of one batch on their way through curation: what is left of them, and the account of the rest."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hftrain.corpus.batches import Batch
from hftrain.corpus.funnel import Funnel

Row = dict[str, Any]
Told = TypeVar("Told")

Broken = tuple[str, str, int] | tuple[str, str] | None
"""None, or a rule's name, what is wrong, and where in the text (0 if not said)."""

WORTH_KEEPING_SHARE = 0.6
"""A batch is made anew once less than so much of its text is left in: until then its arrays are used further."""


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
        self._batch = Batch([])
        self._members: dict[int, int] = {}
        """Place -> place in ``_batch``, of the texts that are there as they are now."""
        for row, size_bytes in zip(rows, sizes_bytes, strict=True):
            self.funnel.see(row["source"], size_bytes)

    def texts_left(self) -> list[str]:
        """The texts of ``left``, in order."""
        return [self.texts[place] for place in self.left]

    def batch(self) -> tuple[Batch, list[int]]:
        """The texts of ``left`` as arrays, perhaps among others; and where each lies there."""
        text_chars = sum(len(self.texts[place]) for place in self.left)
        is_known = all(place in self._members for place in self.left)
        if not is_known or text_chars < WORTH_KEEPING_SHARE * sum(map(len, self._batch.texts)):
            self._batch = Batch(self.texts_left())
            self._members = {place: number for number, place in enumerate(self.left)}
        return self._batch, [self._members[place] for place in self.left]

    def unchanged(self) -> tuple[Batch, list[tuple[int, int]]]:
        """The last batch, and which of ``left`` lie there as they are now: places in ``left``, places in the batch."""
        pairs = [(number, self._members[place]) for number, place in enumerate(self.left) if place in self._members]
        return self._batch, pairs

    def of_unchanged(self, told: Callable[[Batch], Sequence[Told]]) -> dict[int, Told]:
        """What a function says of the texts of the last batch, by place, for those of ``left`` that are there still."""
        if not self._members:
            return {}
        found = told(self._batch)
        return {place: found[self._members[place]] for place in self.left if place in self._members}

    def change(self, changed: Callable[[int, str], str]) -> None:
        """Let ``changed(place, text)`` give each text that is left its new form."""
        for place in self.left:
            before = self.texts[place]
            after = changed(place, before)
            if after != before:
                self.texts[place] = after
                self._members.pop(place, None)

    def judge(self, opinions: Callable[[Batch], Sequence[Broken]]) -> None:
        """Take out those for which ``opinions`` of a batch of texts names a rule."""
        batch, places = self.batch()
        found = opinions(batch)
        self.drop([found[place] for place in places])

    def drop(self, broken: Sequence[Broken]) -> None:
        """Take out those of ``left`` for which ``broken`` names a rule."""
        stays = []
        for place, found in zip(self.left, broken, strict=True):
            if found is None:
                stays.append(place)
                continue
            rule, detail, start = (*found, 0)[:3]
            self.funnel.drop(
                rule, self.rows[place], self.sizes_bytes[place], self.texts[place], detail, start=int(start)
            )
        self.left = stays

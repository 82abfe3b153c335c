"""Ranking in a notebook, over the same store as the page.

::

from hftrain.serving.ranking_widget import rank
rank("runs/tiny", rater="Ann")
"""

import html
import uuid
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from hftrain.serving.ranking import find_items
from hftrain.serving.ranking_desk import Choice, Desk, Task
from hftrain.serving.ranking_store import RankingStore, checked_name, database_url
from hftrain.serving.ranking_terminal import LETTERS

TEXT = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.5;max-height:20em;overflow-y:auto;padding:4px 8px"


def rank(
    run_dir: str | Path, *, rater: str, answers: Path | None = None, database: str | None = None
) -> "RankingWidget":
    """A widget that ranks the answers of a run, or of a file, for one rater.

    Raises:
        ArtifactError: The run has no answers yet: ``hftrain rank`` asks its chat model.
        DataError: The name or the answers are not of their shape.
    """
    run = Path(run_dir)
    store = RankingStore(database_url(run, database))
    return RankingWidget(Desk(store, find_items(run, store, answers, None)), rater)


class RankingWidget(widgets.VBox):
    """A prompt, its answers with a row of places each, and what to do with them; a click stores at once."""

    def __init__(self, desk: Desk, rater: str) -> None:
        self._desk, self._rater = desk, checked_name(rater)
        self._task: Task | None = None
        self.progress = widgets.IntProgress(min=0, max=max(1, len(desk.items)))
        self.state = widgets.HTML()
        self.prompt = widgets.HTML()
        self.answers = widgets.HBox(layout={"flex_flow": "row wrap", "align_items": "stretch"})
        self.places: list[Any] = []
        self.comment = widgets.Text(placeholder="Comment (optional)", continuous_update=True, layout={"width": "auto"})
        self.store = widgets.Button(description="Store", button_style="primary")
        self.all_bad = widgets.Button(description="All bad")
        self.skip = widgets.Button(description="Skip")
        self.undo = widgets.Button(description="Undo")
        self.store.on_click(lambda _: self._decide("ranked"))
        self.all_bad.on_click(lambda _: self._decide("all_bad"))
        self.skip.on_click(lambda _: self._decide("skip"))
        self.undo.on_click(lambda _: self._take_back())
        buttons = widgets.HBox([self.undo, self.skip, self.all_bad, self.store])
        head = widgets.HBox([self.progress, self.state])
        super().__init__([head, self.prompt, self.answers, self.comment, buttons])
        self._show(None, None, "")

    def _show(self, task: Task | None, places: tuple[int, ...] | None, comment: str) -> None:
        """Show a task, or the next one that is undecided."""
        work = self._desk.work(self._rater, limit=1)
        done = sum(work.decided.values())
        self._task = task or next(iter(work.tasks), None)
        self.progress.value = done
        self.state.value = f"{done} of {work.total} · {html.escape(self._rater)}"
        self.comment.value = comment
        if self._task is None:
            self.prompt.value, self.answers.children, self.places = "All prompts are decided. Thank you.", (), []
        else:
            self.prompt.value = "".join(
                f"<div><b>{message['role']}</b><div style='{TEXT}'>{html.escape(message['content'])}</div></div>"
                for message in self._task.prompt
            )
            count = len(self._task.answers)
            self.places = [self._row_of_places(count, places[at] if places else None) for at in range(count)]
            self.answers.children = tuple(
                widgets.VBox(
                    [
                        widgets.HTML(f"<b>{letter}</b><div style='{TEXT}'>{html.escape(text) or '<i>empty</i>'}</div>"),
                        row,
                    ],
                    layout={"flex": "1 1 16em", "border": "1px solid #8884", "margin": "4px", "padding": "6px"},
                )
                for letter, text, row in zip(LETTERS, self._task.answers, self.places, strict=False)
            )
        self._show_what_can_be_done()

    def _row_of_places(self, count: int, chosen: int | None) -> Any:
        row = widgets.ToggleButtons(
            options=list(range(1, count + 1)), value=chosen, style={"button_width": f"{max(2.2, 11 / count):.1f}em"}
        )
        row.observe(lambda _: self._show_what_can_be_done(), names="value")
        return row

    def _show_what_can_be_done(self) -> None:
        self.store.disabled = self._task is None or any(row.value is None for row in self.places)
        self.all_bad.disabled = self.skip.disabled = self._task is None

    def _decide(self, kind: str) -> None:
        if self._task is None or (kind == "ranked" and self.store.disabled):
            return
        given = tuple(row.value for row in self.places)
        places = None if kind == "skip" or None in given else given
        choice = Choice(uuid.uuid4().hex, self._rater, self._task.item, kind, places, self.comment.value)
        self._desk.accept(choice)
        self._show(None, None, "")

    def _take_back(self) -> None:
        last = self._desk.last(self._rater)
        if last is not None:
            item = last.task.item
            self._desk.accept(Choice(uuid.uuid4().hex, self._rater, item, "undo", undoes=last.choice_id))
            self._show(last.task, last.places, last.comment)

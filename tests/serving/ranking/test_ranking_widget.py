from pathlib import Path
from typing import Any

import pytest

from hftrain.errors import ArtifactError
from hftrain.serving.ranking_desk import Desk
from hftrain.serving.ranking_items import Item, item_of
from hftrain.serving.ranking_store import RankingStore, database_url

pytest.importorskip("ipywidgets", reason="the notebooks extra is not installed")

from hftrain.serving.ranking_widget import RankingWidget, rank


def place_all(widget: RankingWidget) -> None:
    for at, row in enumerate(widget.places):
        row.value = at + 1


def shown_texts(widget: RankingWidget) -> str:
    return widget.prompt.value + "".join(each.value for box in widget.answers.children for each in box.children[:1])


def test_a_rater_ranks_undoes_and_finishes(desk: Desk) -> None:
    widget: Any = RankingWidget(desk, "Ann")
    assert widget.store.disabled
    widget.store.click()
    assert desk.store.count() == 0

    place_all(widget)
    widget.comment.value = "clear"
    first = shown_texts(widget)
    widget.store.click()
    assert (desk.store.records()[0].kind, desk.store.records()[0].comment, widget.progress.value) == (
        "ranked",
        "clear",
        1,
    )

    widget.undo.click()
    assert shown_texts(widget) == first
    assert ([row.value for row in widget.places], widget.comment.value) == (
        [*range(1, len(widget.places) + 1)],
        "clear",
    )
    widget.all_bad.click()
    widget.skip.click()
    place_all(widget)
    widget.store.click()
    assert [record.kind for record in desk.store.records()] == ["ranked", "undo", "all_bad", "skip", "ranked"]
    assert "All prompts are decided" in widget.prompt.value
    assert widget.store.disabled and widget.skip.disabled


def test_what_a_model_wrote_is_text(tmp_path: Path) -> None:
    items: list[Item] = [item_of([{"role": "user", "content": "<script>1</script>"}], ["<img src=x>", "<b>"])]
    widget = RankingWidget(Desk(RankingStore(database_url(tmp_path, None)), items), "Ann")
    assert "<script" not in shown_texts(widget) and "<img" not in shown_texts(widget)
    assert "&lt;script&gt;" in shown_texts(widget)


def test_a_run_without_answers_says_what_makes_them(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="hftrain rank"):
        rank(tmp_path, rater="Ann")

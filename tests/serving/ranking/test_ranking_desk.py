import itertools

import pytest

from hftrain.errors import DataError
from hftrain.serving.ranking_desk import Choice, Desk
from hftrain.serving.ranking_items import shown_order

IDS = (f"choice-{at:04}" for at in itertools.count())


def choice(desk: Desk, rater: str, kind: str = "ranked", **more: object) -> Choice:
    task = desk.work(rater, limit=1).tasks[0]
    places = more.pop("places", tuple(range(1, len(task.answers) + 1)) if kind == "ranked" else None)
    return Choice(next(IDS), rater, task.item, kind, places, **more)  # type: ignore[arg-type]


def test_places_as_shown_become_ranks_in_the_order_of_the_source(desk: Desk) -> None:
    task = desk.work("Ann", limit=1).tasks[0]
    item = desk.items[task.item]
    order = shown_order(desk.store.seed, "Ann", item)
    assert task.answers == tuple(item.answers[place] for place in order)

    places = (3, 1, 3)[: len(order)] if len(order) == 3 else (2, 1)
    desk.accept(choice(desk, "Ann", places=places))
    (stored,) = desk.store.records()
    assert stored.shown_order == tuple(order)
    ranks = dict(zip(task.answers, (2, 1, 2) if len(order) == 3 else (2, 1), strict=True))
    assert dict(zip(item.answers, stored.ranking or (), strict=True)) == ranks


def test_a_rater_is_led_through_all_prompts_and_skipped_ones_come_when_asked(desk: Desk) -> None:
    assert [len(desk.work("Ann", limit=limit).tasks) for limit in (1, 20)] == [1, 3]
    desk.accept(choice(desk, "Ann", "skip"))
    desk.accept(choice(desk, "Ann", "all_bad"))
    desk.accept(choice(desk, "Ann", comment="  fine "))
    work = desk.work("Ann")
    assert (work.tasks, work.total, dict(work.decided)) == ((), 3, {"ranked": 1, "all_bad": 1, "skip": 1})
    assert len(desk.work("Ann", skipped=True).tasks) == 1
    assert len(desk.work("Ben").tasks) == 3
    assert [task.item for task in desk.work("Ben").tasks] == list(desk.items)
    assert desk.store.records()[-1].comment == "fine"


def test_undo_gives_the_last_choice_back_with_its_places(desk: Desk) -> None:
    assert desk.last("Ann") is None
    desk.accept(choice(desk, "Ann", "skip"))
    made = choice(desk, "Ann", comment="hm")
    desk.accept(made)
    last = desk.last("Ann")
    assert last is not None
    assert (last.choice_id, last.places, last.comment) == (made.choice_id, made.places, "hm")
    desk.accept(Choice(next(IDS), "Ann", made.item, "undo", undoes=made.choice_id))
    before = desk.last("Ann")
    assert before is not None and before.kind == "skip"
    assert len(desk.work("Ann").tasks) == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"choice_id": "short"}, "an id of 8"),
        ({"choice_id": "x" * 65}, "an id of 8"),
        ({"kind": "best"}, "kind 'best'"),
        ({"kind": "undo"}, "kind 'undo'"),
        ({"undoes": "choice-9"}, "kind 'ranked'"),
        ({"item": "none"}, "none of those being ranked"),
        ({"places": None}, "without a place"),
        ({"places": (1,)}, "places"),
        ({"places": (0, 1, 2)}, "places"),
        ({"places": (1, 2, True)}, "places"),
        ({"places": (1, 2, 9)}, "places"),
        ({"comment": "x" * 4001}, "more than 4000"),
        ({"rater": "\0"}, "rater"),
    ],
)
def test_what_is_no_choice_is_refused_and_not_stored(desk: Desk, more: dict[str, object], said: str) -> None:
    task = next(task for task in desk.work("Ann").tasks if len(task.answers) == 3)
    given = {"choice_id": "choice-x1", "rater": "Ann", "item": task.item, "kind": "ranked", "places": (1, 2, 3)}
    with pytest.raises(DataError, match=said):
        desk.accept(Choice(**(given | more)))  # type: ignore[arg-type]
    assert desk.store.count() == 0


def test_the_team_is_counted_when_something_is_new(desk: Desk) -> None:
    assert desk.team().agreement.alpha is None
    for name in ("Ann", "Ben"):
        for _ in range(3):
            task = desk.work(name, limit=1).tasks[0]
            places = tuple(1 + sorted(task.answers).index(answer) for answer in task.answers)
            desk.accept(choice(desk, name, places=places))
    team = desk.team()
    assert (team.agreement.alpha, team.agreement.shared_groups) == (1.0, 3)
    assert team.raters == {name: {"ranked": 3, "all_bad": 0, "skip": 0} for name in ("Ann", "Ben")}
    assert desk.team() is team

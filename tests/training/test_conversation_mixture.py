import pytest

from hftrain.corpus.settings import MixtureSettings, ShareSettings
from hftrain.errors import DataError
from hftrain.tokens.lens import LabelledRows, Seen
from hftrain.training.conversation_mixture import mixed


def labelled(**counts: int) -> LabelledRows:
    """So many rows of ten tokens from each source."""
    made = LabelledRows()
    for source, count in counts.items():
        for number in range(count):
            ids = [len(source), number, *range(8)]
            made.rows.append({"input_ids": ids, "labels": ids})
            made.seen.append(Seen(len(made.seen), source, 10, 10, None))
    return made


def test_a_source_of_twice_the_weight_gives_twice_the_tokens() -> None:
    settings = MixtureSettings(sources={"jokes": ShareSettings(weight=2), "facts": ShareSettings()})
    rows, account = mixed(labelled(facts=50, jokes=20, other=7), settings)
    assert account["jokes"] == {"conversations": 20, "rows": 20, "tokens": 200}
    assert account["facts"] == {"conversations": 50, "rows": 10, "tokens": 100}
    assert account["(no pattern)"] == {"conversations": 7, "rows": 0, "tokens": 0}
    assert len(rows) == 30


def test_epochs_repeat_rows_and_the_choice_is_the_same_each_time() -> None:
    settings = MixtureSettings(sources={"a*": ShareSettings(maximum_epochs=2.5)}, total_tokens=10_000)
    rows, account = mixed(labelled(anna=4, abe=4), settings)
    assert account["a*"] == {"conversations": 8, "rows": 20, "tokens": 200}
    assert rows == mixed(labelled(anna=4, abe=4), settings)[0]
    times = [sum(row == each for row in rows) for each in labelled(anna=4, abe=4).rows[:1]]
    assert times[0] in (2, 3)


def test_rows_taken_once_more_are_chosen_by_themselves_not_by_their_place() -> None:
    settings = MixtureSettings(sources={"*": ShareSettings()}, total_tokens=50)
    chosen = mixed(labelled(facts=10), settings)[0]
    turned = labelled(facts=10)
    turned.rows.reverse()
    assert sorted(map(str, mixed(turned, settings)[0])) == sorted(map(str, chosen))


def test_a_pattern_that_fits_nothing_is_refused_with_the_sources_there_are() -> None:
    settings = MixtureSettings(sources={"jokse": ShareSettings()})
    with pytest.raises(DataError, match=r"'jokse' fits no conversation. One of these sources is needed: facts, jokes"):
        mixed(labelled(facts=1, jokes=1), settings)


def test_a_mixture_that_leaves_nothing_is_refused() -> None:
    settings = MixtureSettings(sources={"*": ShareSettings(weight=0)})
    with pytest.raises(DataError, match="leaves no conversation"):
        mixed(labelled(facts=3), settings)

import io
import json
from pathlib import Path

import pytest

from hftrain.errors import ArtifactError
from hftrain.serving.interactions import Feedback, Interaction, InteractionStore
from hftrain.serving.kept import DATABASE, FOLDER
from hftrain.serving.monitoring import Share, watch
from hftrain.serving.monitoring_command import monitor
from hftrain.serving.monitoring_drift import divergence_bits, drift

NOW = 1_000_000.0
TRAINED = [f"Where is the {colour} {thing}?" for colour in ("red", "blue", "old", "new") for thing in (
    "cat", "dog", "ball", "book", "tree", "house", "lamp", "boat", "door", "hat", "road", "bird", "fish")]  # fmt: skip


def asked(number: int, question: str, answer: str, **given: object) -> Interaction:
    usual = {
        "id": f"c{number}",
        "created": NOW - number,
        "person": f"person {number % 2}",
        "model": "policy",
        "runtime": "torch",
        "kind": "chat",
        "asked": [{"role": "user", "content": question}],
        "answers": [answer],
        "settings": {},
        "outcome": "stop",
        "prompt_tokens": 10,
        "answer_tokens": 20,
        "first_token_seconds": 0.1 * (number + 1),
        "seconds": 2.0,
    }
    return Interaction(**(usual | given))  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> InteractionStore:
    (tmp_path / FOLDER).mkdir()
    store = InteractionStore(f"sqlite:///{tmp_path / FOLDER / DATABASE}")
    store.keep(asked(0, "Hello?", "Hello!"))
    store.keep(asked(1, "How do I do it?", "I'm sorry, but I can't help with that."))
    store.keep(asked(2, "Who are you?", "You are a stupid fucking idiot."))
    store.keep(asked(3, "And now?", "", outcome="cancelled", model="chat"))
    store.keep(asked(4, "Again?", "Yes.", model="chat"))
    store.keep(asked(9, "Long ago?", "Yes.", created=NOW - 40 * 86_400))
    for number, given in enumerate(
        [
            {"interaction": "c0", "thumb": -1},
            {"interaction": "c0", "thumb": 1},
            {"interaction": "c2", "thumb": -1, "comment": "Rude."},
            {"interaction": "c1", "correction": "Like this."},
            {"interaction": "c0", "other": "c4", "preferred": "other"},
        ]
    ):
        store.add(Feedback(id=f"f{number}", created=NOW - 10 + number, **given)).result()  # type: ignore[arg-type]
    return store


def test_a_window_is_counted_by_model_person_and_outcome(store: InteractionStore) -> None:
    seen = watch(store, days=30, training=[], rows=10, now=NOW)
    assert (seen.requests, seen.people, list(seen.models)) == (5, 2, ["chat", "policy"])
    assert seen.models["chat"]["outcomes"] == {"cancelled": 1, "stop": 1}
    assert seen.models["policy"]["answer_tokens"] == 60
    assert seen.models["policy"]["first_token_seconds"] == pytest.approx({"median": 0.2, "p95": 0.29})
    assert seen.models["policy"]["tokens_per_second"]["median"] == pytest.approx(10)
    assert (seen.refusals.count, seen.toxic_answers.count, seen.toxic_prompts.count) == (1, 1, 0)
    assert seen.refusals.of == 4
    assert seen.drift is None


def test_feedback_is_the_last_word_of_each_and_comparisons_name_their_winner(store: InteractionStore) -> None:
    seen = watch(store, days=30, training=[], rows=10, now=NOW)
    assert seen.feedback["rate"] == Share(3, 4)
    assert seen.feedback["thumbs_up"] == Share(1, 2)
    assert (seen.feedback["comments"], seen.feedback["corrections"], seen.feedback["comparisons"]) == (1, 1, 1)
    assert seen.preferences == {"chat": Share(1, 1), "policy": Share(0, 1)}


def test_the_worst_conversations_come_first_with_their_reasons(store: InteractionStore) -> None:
    worst = watch(store, days=30, training=[], rows=3, now=NOW).worst
    assert [(each.id, each.reasons) for each in worst] == [
        ("c2", ("thumb down", "toxic answer")),
        ("c1", ("corrected", "refused")),
        ("c3", ("left early",)),
    ]
    assert worst[0].comments == ("Rude.",)


def test_the_command_writes_a_table_or_json_and_deletes_a_persons_rows(store: InteractionStore, tmp_path: Path) -> None:
    store.close()
    out = io.StringIO()
    monitor(tmp_path, out, days=1e5)
    text = out.getvalue()
    assert "6 requests, 2 people" in text
    assert "thumb down, toxic answer" in text
    assert "drift             not told" in text
    assert "\x1b" not in text

    out = io.StringIO()
    monitor(tmp_path, out, days=1e5, as_json=True)
    assert json.loads(out.getvalue())["feedback"]["thumbs_up"]["share"] == 0.5

    out = io.StringIO()
    monitor(tmp_path, out, forget="person 1")
    monitor(tmp_path, out, days=1e5, as_json=True)
    assert "deleted 4 rows" in out.getvalue()
    with pytest.raises(ArtifactError, match="nothing was kept"):
        monitor(tmp_path / "elsewhere", out)


def test_a_share_has_wilsons_interval() -> None:
    assert Share(5, 10).interval == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert Share(0, 10).interval == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert Share(0, 0).interval is None


def test_divergence_is_none_for_equal_counts_one_bit_for_disjoint_ones_and_between_else() -> None:
    import numpy

    a, b = numpy.array([1.0, 1, 0, 0]), numpy.array([0.0, 0, 3, 3])
    assert divergence_bits(a, 5 * a) == 0
    assert divergence_bits(a, b) == 1
    assert divergence_bits(numpy.array([1.0, 0]), numpy.array([1.0, 1])) == pytest.approx(0.3113, abs=1e-4)


def test_prompts_of_training_are_within_chance_and_others_are_not() -> None:
    alike = drift(TRAINED[:26], TRAINED[26:] + TRAINED[:26])
    assert alike is not None
    assert not alike.has_drifted
    strange = drift([f"Please sum {number} and {number + 1} in French" for number in range(40)], TRAINED)
    assert strange is not None
    assert strange.has_drifted
    assert {"sum", "french", "please"} <= set(strange.telling_words)
    assert drift(["Hello"] * 5, TRAINED) is None

import json
from pathlib import Path

import pytest

from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.files import write_json, write_jsonl
from hftrain.serving.ranking_items import Asking, ask_for_items, items_of_run, read_items, shown_order, work_order

TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi?"}]


def file(folder: Path, *rows: object) -> Path:
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_texts_objects_and_messages_are_answers_and_equal_ones_are_shown_once(tmp_path: Path) -> None:
    said = [{"role": "assistant", "content": "b"}]
    path = file(
        tmp_path,
        {
            "prompt": "p",
            "answers": ["a", {"text": "b", "score": 0.5}, "a"],
            "answered_by": "sha256:1",
            "split": "train",
        },
        {"prompt": TALK, "answers": ["a", said]},
        {"prompt": "only one", "answers": ["a", "a", {"text": "cut of", "ended": False}]},
        {"prompt": "p", "answers": ["a", "b"]},
    )
    found = read_items(path, answered_by="sha256:2")
    assert [item.answers for item in found.items] == [("a", "b"), ("a", "b")]
    assert [item.answered_by for item in found.items] == ["sha256:1", "sha256:2"]
    assert [item.split for item in found.items] == ["train", None]
    assert found.items[1].prompt == tuple(TALK)
    assert found.left_out == {
        "unfinished_answers": 1,
        "prompts_with_fewer_than_two_answers": 1,
        "prompts_that_are_there_already": 1,
    }


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "p"}, "row 1: needs prompt and a list of answers"),
        ({"prompt": [], "answers": ["a", "b"]}, "row 1, prompt"),
        ({"prompt": [{"role": "assistant", "content": "x"}], "answers": ["a", "b"]}, "must be the user's"),
        ({"prompt": "p", "answers": ["a", 3]}, r"row 1, answers\[1\]"),
        ({"prompt": "p", "answers": ["a", "\ud800"]}, "lone surrogate"),
        ({"prompt": "p", "answers": [str(at) for at in range(10)]}, "At most 9"),
        ({"prompt": "p", "answers": ["a", "b"], "answered_by": 3}, "answered_by"),
        ({"prompt": "p", "answers": ["a", "a"]}, "no prompt with two different finished answers"),
        ("text", "row 1: needs prompt"),
    ],
)
def test_a_row_of_another_shape_is_refused_by_name(tmp_path: Path, row: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_items(file(tmp_path, row))


def test_a_file_that_is_no_json_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("{\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_items(tmp_path / "x")
    with pytest.raises(DataError, match="cannot be read"):
        read_items(tmp_path / "none")


def test_a_runs_answers_come_with_the_digest_of_the_model_that_gave_them(tmp_path: Path, make_artifact) -> None:  # type: ignore[no-untyped-def]
    def write(out: Path) -> None:
        rows = [{"prompt": TALK, "split": "heldout", "answers": [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}]}]
        write_jsonl(out / "answers.jsonl", rows)
        write_json(out / "summary.json", {"answered_by": "sha256:77"})

    assert items_of_run(tmp_path) is None
    make_artifact(tmp_path / "preferences", "preferences", write)
    found = items_of_run(tmp_path)
    assert found is not None
    assert (found.items[0].answered_by, found.items[0].split) == ("sha256:77", "heldout")


def test_the_chat_model_is_asked_the_training_prompts_alike_each_time(
    tmp_path: Path, chat_dir: Path, corpus_dir: Path
) -> None:
    (tmp_path / "chat").symlink_to(chat_dir)
    (tmp_path / "corpus").symlink_to(corpus_dir)
    asked = Asking(prompts=4, answers_per_prompt=9, new_tokens=90)
    found = ask_for_items(tmp_path, asked, seed=1)
    digest = json.loads((chat_dir / "manifest.json").read_text())["digest"]
    assert {item.answered_by for item in found.items} == {digest}
    kept = sum(len(item.answers) for item in found.items)
    assert 0 < kept < 36 and found.left_out["unfinished_answers"] > 0
    assert ask_for_items(tmp_path, asked, seed=1) == found
    with pytest.raises(ConfigError, match="2 to 9 answers"):
        ask_for_items(tmp_path, Asking(answers_per_prompt=10), seed=1)
    with pytest.raises(ArtifactError, match="no finished artifact"):
        ask_for_items(tmp_path / "none", asked, seed=1)


def test_the_blind_order_is_drawn_by_seed_rater_and_prompt_and_evenly(three_items) -> None:  # type: ignore[no-untyped-def]
    item = three_items[0]
    assert shown_order(1, "Ann", item) == shown_order(1, "Ann", item)
    orders = [tuple(shown_order(seed, name, item)) for seed in range(200) for name in ("Ann", "Ben")]
    counts = {order: orders.count(order) for order in set(orders)}
    assert len(counts) == 6
    assert min(counts.values()) > 40  # 400 draws of 6 orders: 67 each is expected
    assert 0.05 < sum(orders[at] == orders[at + 1] for at in range(0, 400, 2)) / 200 < 0.35  # raters differ: 1 in 6
    assert work_order(1, three_items) == work_order(1, reversed(three_items))

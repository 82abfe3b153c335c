import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from hftrain.alignment.preferences import RankedAnswer, RankedPrompt
from hftrain.alignment.rankings import collect_rankings, is_heldout, read_rankings
from hftrain.errors import DataError

ASKED = [{"role": "user", "content": "Hi"}]


def file_of(folder: Path, *rows: object) -> Path:
    path = folder / "rankings.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def people(*answers: tuple[str, int]) -> tuple[RankedAnswer, ...]:
    return tuple(RankedAnswer(text, True, None, rank) for text, rank in answers)


@pytest.mark.parametrize("prompt", ["Hi", ASKED])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_pair_may_hold_texts_or_messages(tmp_path: Path, prompt: object, wrapped: bool) -> None:
    chosen, rejected = ([{"role": "assistant", "content": text}] if wrapped else text for text in ("Hello", "What"))
    path = file_of(tmp_path, {"prompt": prompt, "chosen": chosen, "rejected": rejected, "source": "us"})
    assert read_rankings(path) == [RankedPrompt(ASKED, people(("Hello", 1), ("What", 2)))]


def test_ranks_and_order_say_the_same_in_two_ways(tmp_path: Path) -> None:
    row = {"prompt": "Hi", "answers": ["a", "b", "c"]}
    path = file_of(tmp_path, row | {"ranking": [2, 3, 1]}, row | {"order": [2, 0, 1]})
    by_ranks, by_order = read_rankings(path)
    assert by_ranks == by_order == RankedPrompt(ASKED, people(("c", 1), ("a", 2), ("b", 3)))


def test_ranks_may_tie_and_equal_answers_are_kept_at_the_better_rank(tmp_path: Path) -> None:
    path = file_of(tmp_path, {"prompt": "Hi", "answers": ["a", "b", "a", "c"], "ranking": [3, 1, 1, 1]})
    assert read_rankings(path) == [RankedPrompt(ASKED, people(("b", 1), ("a", 1), ("c", 1)), duplicates=1)]


def test_packed_files_and_parquet_hold_the_same_rows(tmp_path: Path) -> None:
    rows = [
        {"prompt": ASKED, "chosen": "a\u2028b", "rejected": "c"},
        {"prompt": ASKED, "answers": ["d", "e"], "ranking": [1, 2]},
    ]
    plain = file_of(tmp_path, *rows)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    parquet.write_table(
        pa.Table.from_pylist([rows[0] | {"answers": None, "ranking": None}, rows[1]]),
        tmp_path / "t.parquet",
    )
    assert read_rankings(packed) == read_rankings(plain) == read_rankings(tmp_path / "t.parquet")
    assert read_rankings(plain)[0].answers[0].text == "a\u2028b"


GOOD = {"prompt": "Hi", "chosen": "a", "rejected": "b"}
RANKED = {"prompt": "Hi", "answers": ["a", "b"]}


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (["Hi", "a", "b"], "row 2: ['Hi', 'a', 'b']"),
        ({"prompt": "Hi", "chosen": "a"}, "row 2: has only chosen, prompt"),
        (GOOD | {"prompt": None}, "row 2, prompt: None"),
        (GOOD | {"prompt": []}, "row 2, prompt: []"),
        (GOOD | {"prompt": [{"role": "user"}]}, "row 2, prompt: {'role': 'user'}"),
        (GOOD | {"prompt": [{"role": "human", "content": "Hi"}]}, "row 2, prompt: 'human'"),
        (GOOD | {"prompt": [*ASKED, {"role": "assistant", "content": "?"}]}, "must be the user's"),
        (GOOD | {"chosen": 5}, "row 2, chosen: 5"),
        (GOOD | {"rejected": ASKED}, "row 2, rejected: ['user']"),
        (RANKED, "row 2: needs either ranking or order"),
        (RANKED | {"ranking": [1, 2], "order": [0, 1]}, "row 2: needs either ranking or order"),
        (RANKED | {"answers": "ab", "ranking": [1, 2]}, "row 2, answers: 'ab'"),
        (RANKED | {"answers": ["a"], "ranking": [1]}, "at least two answers"),
        (RANKED | {"answers": ["a", None], "ranking": [1, 2]}, "row 2, answers[1]: None"),
        (
            RANKED | {"ranking": [0, 1]},
            "row 2, ranking: [0, 1]. 2 ranks are needed, one an answer, 1 or more",
        ),
        (RANKED | {"ranking": [1]}, "row 2, ranking: [1]"),
        (RANKED | {"ranking": [1.0, 2.0]}, "row 2, ranking: [1.0, 2.0]"),
        (RANKED | {"order": [1, 2]}, "row 2, order: [1, 2]. Each place from 0 to 1"),
    ],
)
def test_a_wrong_row_is_refused_by_file_row_and_field(tmp_path: Path, row: object, named: str) -> None:
    path = file_of(tmp_path, GOOD, row)
    with pytest.raises(DataError) as refusal:
        read_rankings(path)
    assert str(refusal.value).startswith(f"{path}, row 2")
    assert named in str(refusal.value)


@pytest.mark.parametrize("line", [b"{not json}\n", b'{"prompt": "\xff"}\n'])
def test_a_line_that_is_not_json_is_refused_by_its_number(tmp_path: Path, line: bytes) -> None:
    path = file_of(tmp_path, GOOD)
    path.write_bytes(path.read_bytes() + b"\n" + line)
    with pytest.raises(DataError, match=r"row 3: is not JSON"):
        read_rankings(path)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no rows"):
        read_rankings(file_of(tmp_path))


def test_a_tenth_of_the_prompts_is_held_out_whatever_their_answers() -> None:
    def asked(number: int, answer: str) -> RankedPrompt:
        return RankedPrompt([{"role": "user", "content": f"Question {number}"}], people((answer, 1)))

    heldout = [number for number in range(1000) if is_heldout(asked(number, "a"))]
    assert 70 < len(heldout) < 130
    assert heldout == [number for number in range(1000) if is_heldout(asked(number, "b"))]


def test_a_rows_own_split_and_model_are_taken_over(tmp_path: Path) -> None:
    pairs = [
        {"prompt": f"Question {number}", "chosen": "a", "rejected": "b", "split": split, "answered_by": "sha256:1"}
        for number, split in enumerate(["heldout", "train", "test", "train"])
    ]
    collected = collect_rankings(file_of(tmp_path, *pairs))
    asked = {split: [each.prompt[0]["content"][-1] for each in rows] for split, rows in collected.splits.items()}
    assert asked == {"train": ["1", "3"], "heldout": ["0", "2"]}
    assert collected.origin["answered_by"] == "sha256:1"
    pairs[1]["answered_by"] = "sha256:2"
    assert collect_rankings(file_of(tmp_path, *pairs)).origin["answered_by"] == ["sha256:1", "sha256:2"]


def test_one_prompt_in_both_splits_and_an_unknown_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2, split: 'heldout'. A row above puts the same prompt into train"):
        collect_rankings(file_of(tmp_path, GOOD | {"split": "train"}, GOOD | {"split": "heldout"}))
    with pytest.raises(DataError, match="row 1, split: 'dev'"):
        collect_rankings(file_of(tmp_path, GOOD | {"split": "dev"}))


def test_a_prompt_may_end_with_what_a_tool_gave_back(tmp_path: Path) -> None:
    prompt = [*ASKED, {"role": "assistant", "content": "calls"}, {"role": "tool", "content": "42"}]
    assert read_rankings(file_of(tmp_path, GOOD | {"prompt": prompt}))[0].prompt == prompt

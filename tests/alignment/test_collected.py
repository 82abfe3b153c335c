from pathlib import Path

import pytest

from hftrain.alignment.collected import Collected, write_preferences
from hftrain.alignment.preferences import RankedAnswer, RankedPrompt
from hftrain.artifacts import read_json, read_jsonl
from hftrain.errors import DataError


def asked(question: str, *answers: tuple[str, bool, float, int], duplicates: int = 0) -> RankedPrompt:
    prompt = [{"role": "user", "content": question}]
    return RankedPrompt(prompt, tuple(RankedAnswer(*answer) for answer in answers), duplicates)


TRAIN = asked("Hi", ("one two", True, 1.0, 1), ("one", True, 0.5, 2), ("", False, 0.0, 3), duplicates=1)
HELDOUT = asked("Ho", ("one", True, 0.5, 1), ("", True, 0.0, 2))


def test_the_summary_has_counts_and_means_over_the_distinct_answers(tmp_path: Path) -> None:
    collected = Collected({"train": [TRAIN], "heldout": [HELDOUT]}, {"judge": "concise"})
    write_preferences(collected, tmp_path, minimum_margin=0.1, pairs_per_prompt=6)
    assert read_json(tmp_path / "summary.json") == {
        "judge": "concise",
        "prompts": 2,
        "prompts_heldout": 1,
        "answers": 5,
        "duplicates_collapsed": 1,
        "mean_score": 0.4,
        "mean_score_heldout": 0.25,
        "ended_share": 0.8,
        "mean_words": 0.8,
        "pairs_train": 1,
        "pairs_heldout": 1,
        "ties_dropped": 0,
        "unfinished_pairs_dropped": 2,
        "pairs_over_limit_dropped": 0,
    }


def test_every_answer_is_written_with_its_rank_those_in_no_pair_too(tmp_path: Path) -> None:
    write_preferences(
        Collected({"train": [TRAIN], "heldout": [HELDOUT]}, {}), tmp_path, minimum_margin=0.1, pairs_per_prompt=6
    )
    first, second = read_jsonl(tmp_path / "answers.jsonl")
    assert (first["split"], second["split"]) == ("train", "heldout")
    assert first["answers"][2] == {"text": "", "ended": False, "score": 0.0, "rank": 3}


def test_a_split_without_a_pair_is_refused_with_what_became_of_its_answers(tmp_path: Path) -> None:
    alone = asked("Ho", ("one", True, 0.5, 1), ("two", True, 0.45, 2), ("cut", False, 0.2, 3), duplicates=3)
    collected = Collected({"train": [TRAIN], "heldout": [alone]}, {})
    refusal = (
        r"no pair for heldout from 1 prompts. 3 answers were the same as another, 1 pairs differ.*2 hold an answer"
    )
    with pytest.raises(DataError, match=refusal):
        write_preferences(collected, tmp_path, minimum_margin=0.1, pairs_per_prompt=6)


def test_a_judge_that_contradicts_itself_is_named_as_a_reason(tmp_path: Path) -> None:
    tied = asked("Hi", ("one", True, 0.5, 1), ("two", True, 0.5, 1))
    collected = Collected({"train": [tied], "heldout": [tied]}, {"judge_flipped_share": 0.875})
    with pytest.raises(DataError, match="In 88 % of its pairs the judge named another winner"):
        write_preferences(collected, tmp_path, minimum_margin=0.1, pairs_per_prompt=6)


def test_what_a_judge_was_asked_is_written_beside_the_answers(tmp_path: Path) -> None:
    asked_of_it = [{"contest": 0, "question": "A or B?", "reply": "A"}]
    collected = Collected({"train": [TRAIN], "heldout": [HELDOUT]}, {}, asked_of_it)
    write_preferences(collected, tmp_path, minimum_margin=0.1, pairs_per_prompt=6)
    assert read_jsonl(tmp_path / "verdicts.jsonl") == asked_of_it

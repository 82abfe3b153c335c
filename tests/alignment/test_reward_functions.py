from decimal import Decimal
from pathlib import Path

import pytest

from hftrain.alignment.reward_functions import (
    contains_reference,
    exact_match,
    final_number,
    load_reward_function,
    number_at_the_end,
    reward_function_digest,
    reward_function_problems,
)
from hftrain.errors import ConfigError, DataError

ASKED = [[{"role": "user", "content": "How many?"}]]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 1,234.", "1234"),
        ("She pays $5.50", "5.5"),
        ("It is 3.0", "3"),
        ("10-5 = 5", "5"),
        ("10-5", "5"),
        ("It is -5", "-5"),
        ("It is −$3", "-3"),
        ("2 + 2 = 4 so\n#### 72", "72"),
        ("#### 1,000 apples in 3 boxes", "1000"),
        ("1, 2, 3", "3"),
        (".5", "0.5"),
        ("It is 7%.", "7"),
        ("no number", None),
        ("####", None),
        ("", None),
    ],
)
def test_the_last_number_of_a_text_is_found_as_gsm8k_writes_it(text: str, number: str | None) -> None:
    assert number_at_the_end(text) == (None if number is None else Decimal(number))


def test_an_answer_is_right_if_its_last_number_is_a_references() -> None:
    references = [("4 and 8 make 12.\n#### 12", "A dozen, 12")] * 4
    answers = ["It is 12.0", "12 or 13", "I do not know", "#### 12 of 40"]
    assert final_number(ASKED * 4, answers, references) == [1.0, 0.0, 0.0, 1.0]


def test_a_reference_without_a_number_is_refused() -> None:
    with pytest.raises(DataError, match="the corpus answers 'Many' to 'How many\\?'"):
        final_number(ASKED, ["12"], [("Many",)])


def test_equal_but_for_case_space_and_punctuation_at_the_ends_is_equal() -> None:
    answers = ["  paris. ", "PARIS!", "in Paris", "Par is"]
    assert exact_match(ASKED * 4, answers, [("Rome", "Paris")] * 4) == [1.0, 1.0, 0.0, 0.0]


def test_a_reference_counts_as_contained_in_whole_words_only() -> None:
    answers = ["It is Paris, of course.", "Parisian", '"Paris"!', "Rome"]
    assert contains_reference(ASKED * 4, answers, [("Paris",)] * 4) == [1.0, 0.0, 1.0, 0.0]


def test_a_function_of_a_file_is_loaded_and_digested(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def brief(prompts, answers, references):\n    return [1 / len(each) for each in answers]\n")
    name = f"{file}:brief"
    assert reward_function_problems(name, "grpo.rewards") == []
    assert load_reward_function(name)(ASKED * 2, ["ab", "abcd"], [(), ()]) == [0.5, 0.25]
    before = reward_function_digest(name)
    file.write_text(file.read_text() + "\n")
    assert reward_function_digest(name) != before


def test_a_function_of_a_module_is_found_without_importing_it_and_then_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "my_rewards_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "rules.py").write_text("always = lambda prompts, answers, references: [1] * len(answers)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "my_rewards_package.rules:always"
    assert reward_function_problems(name, "ppo.reward_function") == []
    assert reward_function_digest(name).startswith("sha256:")
    (package / "__init__.py").write_text("")
    assert load_reward_function(name)(ASKED, ["x"], [()]) == [1.0]


def test_a_built_in_needs_no_digest_of_its_own() -> None:
    assert reward_function_digest("final_number") == "built-in"
    assert load_reward_function("exact_match")(ASKED, ["a"], [("A",)]) == [1.0]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("final_numbr", "Write final_number."),
        ("nothing like it", "is no reward function"),
        ("no/such.py:score", "there is no file no/such.py"),
        ("no_such_package.rules:score", "there is no module no_such_package.rules"),
        ("hftrain.errors:DataErorr", "Write hftrain.errors:DataError"),
        ("hftrain.errors:", "is no reward function"),
    ],
)
def test_a_name_that_stands_for_nothing_is_told_before_any_work(name: str, problem: str) -> None:
    found = reward_function_problems(name, "grpo.rewards.0")
    assert len(found) == 1
    assert found[0].startswith("grpo.rewards.0: ")
    assert problem in found[0]
    with pytest.raises(ConfigError):
        load_reward_function(name)


def test_a_file_that_is_not_python_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def score(:\n")
    assert "is not Python" in reward_function_problems(f"{tmp_path / 'mine.py'}:score", "here")[0]


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        ("[1.0, None]", "gave None for the answer 'b'"),
        ("[1.0, float('nan')]", "gave nan for the answer 'b'"),
        ("[float('inf'), 1.0]", "gave inf for the answer 'a'"),
        ("['1', 1.0]", "gave '1' for the answer 'a'"),
        ("[1.0]", "gave 1 scores for 2 answers"),
    ],
)
def test_scores_that_are_none_are_refused_by_function_and_answer(tmp_path: Path, returned: str, problem: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"def score(prompts, answers, references):\n    return {returned}\n")
    with pytest.raises(DataError, match="reward function .*mine.py:score: ") as refusal:
        load_reward_function(f"{file}:score")(ASKED * 2, ["a", "b"], [(), ()])
    assert problem in str(refusal.value)

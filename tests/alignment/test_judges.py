from pathlib import Path
from typing import Any

import pytest

from hftrain.alignment.judges import judge_outside, judge_problems, load_judge
from hftrain.artifacts import digest_folder, read_manifest
from hftrain.errors import ConfigError

ENDPOINT = {"base_url": "http://localhost:1/v1", "model": "m"}


def test_an_unknown_judge_is_refused_with_the_known_ones() -> None:
    (problem,) = judge_problems("wise", {}, "collect_preferences")
    assert "collect_preferences.judge: 'wise'" in problem
    assert "concise, model, openai, reference, reward_model" in problem


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"words": 5}, "judge_options.words"),
        ({"target_words": 0}, "judge_options.target_words: 0"),
        ({"target_words": 2.5}, "judge_options.target_words: 2.5"),
        ({"target_words": True}, "judge_options.target_words: True"),
    ],
)
def test_a_wrong_judge_option_is_refused_by_name(options: dict[str, object], named: str) -> None:
    (problem,) = judge_problems("concise", options, "collect_preferences")
    assert named in problem


def test_right_options_have_no_problems() -> None:
    assert judge_problems("concise", {"target_words": 8}, "x") == []
    assert judge_problems("reference", {"beta": 3}, "x") == []
    assert judge_problems("openai", ENDPOINT | {"key_variable": "OPENAI_API_KEY", "mode": "grades"}, "x") == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"base_url": None}, "judge_options.base_url: None"),
        ({"model": " "}, "judge_options.model: ' '"),
        ({"mode": "best"}, "judge_options.mode: 'best'"),
        ({"retries": -1}, "judge_options.retries: -1"),
        ({"requests_per_minute": 0}, "judge_options.requests_per_minute: 0"),
        ({"max_malformed_share": 2}, "judge_options.max_malformed_share: 2"),
        ({"api_key": "sk-secret"}, "judge_options.api_key: openai has no such option"),
    ],
)
def test_a_wrong_option_of_an_endpoint_is_refused_by_name(changed: dict[str, Any], named: str) -> None:
    (problem,) = judge_problems("openai", ENDPOINT | changed, "collect_preferences")
    assert problem.startswith(f"collect_preferences.{named}")
    assert "secret" not in problem


@pytest.mark.parametrize("wrong", [{"key_variable": "sk-secret"}, {"base_url": "http://me:secret@localhost/v1"}])
def test_a_key_in_the_wrong_place_is_refused_without_showing_it(wrong: dict[str, str]) -> None:
    (problem,) = judge_problems("openai", ENDPOINT | wrong, "collect_preferences")
    assert problem.startswith(f"collect_preferences.judge_options.{next(iter(wrong))}: ")
    assert "secret" not in problem


def test_a_judge_without_its_model_is_refused(tmp_path: Path) -> None:
    (unnamed,) = judge_problems("reward_model", {}, "x")
    assert unnamed.startswith("x.judge_options.model: None. The folder of a reward model")
    (empty,) = judge_problems("model", {"model": str(tmp_path)}, "x")
    assert f"{tmp_path} holds no model, nor does its chat" in empty


def test_a_model_judge_is_found_in_its_run_and_declared_by_its_digest(chat_dir: Path, tmp_path: Path) -> None:
    assert judge_problems("model", {"model": str(chat_dir.parent)}, "x") == []
    assert judge_outside("model", {"model": str(chat_dir.parent)}) == {"judge": read_manifest(chat_dir)["digest"]}
    (tmp_path / "config.json").write_text("{}")
    assert judge_outside("model", {"model": str(tmp_path)}) == {"judge": digest_folder(tmp_path)}
    assert judge_outside("concise", {}) == {}


def test_a_key_that_is_not_there_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigError, match="the environment variable NO_SUCH_KEY is not set"):
        load_judge("openai", ENDPOINT | {"key_variable": "NO_SUCH_KEY"})

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_from_disk

from hftrain.alignment.preferences import prompt_key
from hftrain.artifacts import digest_file, digest_folder, read_json, read_jsonl, read_manifest
from hftrain.errors import ConfigError, DataError
from hftrain.stages.collect_preferences import CollectPreferencesConfig, collect_preferences

SMALL: dict[str, Any] = {"answers_per_prompt": 6, "new_tokens": 12, "minimum_margin": 0.05, "seed": 4}
QUESTIONS = ["Hello!", "What is your name?", "Do you like books?", "Where is the cat?", "How are you?", "Is it warm?"]


@pytest.fixture(scope="module")
def brief_chat(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Callable[..., Any], make_artifact: Callable[..., Path]
) -> Path:
    """A random chat model that often ends its answers: the end of turn's weight is many times its first size."""
    from hftrain.models.loading import save_model

    model, tokenizer = tiny_model(tie_word_embeddings=False)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] *= 30
    return make_artifact(
        tmp_path_factory.mktemp("brief") / "chat", "chat", lambda out: save_model(model, tokenizer, out)
    )


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory, make_artifact: Callable[..., Path]) -> Path:
    """A corpus with six questions: four to train on, and held out the first of them and two more."""
    from hftrain.corpus.storage import CONVERSATION_FEATURES, write_rows

    def rows(questions: list[str]) -> list[dict[str, Any]]:
        common = {"source": "test", "license": "CC0-1.0", "meta": "{}"}
        said = [
            [{"role": "user", "content": each}, {"role": "assistant", "content": "I am fine."}] for each in questions
        ]
        return [{"id": str(place), "messages": talk, **common} for place, talk in enumerate(said)]

    def write(out: Path) -> None:
        write_rows(out / "conversations" / "train", rows(QUESTIONS[:4]), CONVERSATION_FEATURES)
        write_rows(out / "conversations" / "heldout", rows([QUESTIONS[0], *QUESTIONS[4:]]), CONVERSATION_FEATURES)

    return make_artifact(tmp_path_factory.mktemp("talks") / "corpus", "corpus", write)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, brief_chat: Path, talks: Path) -> Path:
    out = tmp_path_factory.mktemp("judged") / "preferences"
    return collect_preferences(CollectPreferencesConfig(prompts=None, **SMALL), chat=brief_chat, corpus=talks, out=out)


def pairs_file(folder: Path, rows: int = 60) -> Path:
    path = folder / "people.jsonl"
    lines = [json.dumps({"prompt": f"Q{each}", "chosen": "Yes", "rejected": "No"}) + "\n" for each in range(rows)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_each_pair_prefers_what_the_judge_scored_higher(judged: Path) -> None:
    scores = {
        (prompt_key(row["prompt"]), answer["text"]): answer["score"]
        for row in read_jsonl(judged / "answers.jsonl")
        for answer in row["answers"]
        if answer["ended"]
    }
    pairs = [*load_from_disk(str(judged / "train")), *load_from_disk(str(judged / "heldout"))]
    assert pairs
    for pair in pairs:
        key = prompt_key(pair["prompt"])
        chosen, rejected = (scores[key, pair[side][0]["content"]] for side in ("chosen", "rejected"))
        assert chosen - rejected == pytest.approx(pair["margin"])
        assert pair["margin"] >= SMALL["minimum_margin"]


def test_no_held_out_prompt_is_trained_on(judged: Path) -> None:
    asked = {
        split: {pair["prompt"][0]["content"] for pair in load_from_disk(str(judged / split))}
        for split in ("train", "heldout")
    }
    assert asked["train"] <= set(QUESTIONS[:4])
    assert asked["heldout"] <= set(QUESTIONS[4:])
    assert read_json(judged / "summary.json")["heldout_prompts_seen_in_training"] == 1


def test_the_summary_counts_what_was_asked_and_who_answered(judged: Path, brief_chat: Path) -> None:
    summary = read_json(judged / "summary.json")
    assert summary["answered_by"] == read_manifest(brief_chat)["digest"]
    assert (summary["prompts"], summary["prompts_heldout"], summary["judge"]) == (6, 2, "concise")
    assert summary["answers"] + summary["duplicates_collapsed"] == 6 * SMALL["answers_per_prompt"]
    for split in ("train", "heldout"):
        assert summary[f"pairs_{split}"] == len(load_from_disk(str(judged / split)))
    assert 0 < summary["ended_share"] < 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    judged: Path, brief_chat: Path, talks: Path, tmp_path: Path
) -> None:
    made = [
        collect_preferences(
            CollectPreferencesConfig(prompts=None, **SMALL | {"seed": seed}),
            chat=brief_chat,
            corpus=talks,
            out=tmp_path / str(seed),
        )
        for seed in (4, 5)
    ]
    digests = [read_manifest(each)["digest"] for each in made]
    assert digests[0] == read_manifest(judged)["digest"] != digests[1]


def test_people_s_rankings_take_the_place_of_model_and_judge(chat_dir: Path, corpus_dir: Path, tmp_path: Path) -> None:
    path = pairs_file(tmp_path)
    config = CollectPreferencesConfig(rankings=path, seed=1)
    made = collect_preferences(config, chat=chat_dir, corpus=corpus_dir, out=tmp_path / "preferences")
    summary, manifest = read_json(made / "summary.json"), read_manifest(made)
    assert summary["pairs_train"] + summary["pairs_heldout"] == 60
    assert (summary["answered_by"], summary["judge"], summary["mean_score"]) == (None, None, None)
    assert summary["rankings"] == manifest["outside"]["rankings"] == digest_file(path)
    assert digest_file(path) == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    (pair, *_) = load_from_disk(str(made / "heldout"))
    assert pair["chosen"] == [{"role": "assistant", "content": "Yes"}]
    assert pair["margin"] == 1.0


def test_a_model_judge_is_declared_and_measured_against_people(
    brief_chat: Path, talks: Path, tiny_model: Callable[..., Any], tmp_path: Path
) -> None:
    from hftrain.models.loading import save_model

    save_model(*tiny_model(3, max_position_embeddings=1024), tmp_path / "judge")
    config = CollectPreferencesConfig(
        prompts=None,
        judge="model",
        judge_options={"model": str(tmp_path / "judge"), "mode": "grades"},
        check_against=pairs_file(tmp_path, rows=5),
        **SMALL | {"minimum_margin": 0.0},
    )
    made = collect_preferences(config, chat=brief_chat, corpus=talks, out=tmp_path / "preferences")
    summary, manifest = read_json(made / "summary.json"), read_manifest(made)
    assert manifest["outside"] == {
        "judge": digest_folder(tmp_path / "judge"),
        "check_against": digest_file(tmp_path / "people.jsonl"),
    }
    assert summary["judge"] == "model"
    assert summary["judge_agreement_pairs"] == summary["judge_agreement_prompts"] == 5
    assert summary["checked_judge_grades"] == 10
    verdicts = read_jsonl(made / "verdicts.jsonl")
    assert len(verdicts) == summary["judge_grades"] + 10
    assert {row["split"] for row in verdicts} == {"train", "heldout", "check_against"}
    assert all(set(row["reply"]) == set("12345") for row in verdicts)


def test_a_split_without_pairs_is_refused_with_the_counts(chat_dir: Path, corpus_dir: Path, tmp_path: Path) -> None:
    config = CollectPreferencesConfig(rankings=pairs_file(tmp_path, rows=1), seed=1)
    with pytest.raises(DataError, match=r"no pair for (train|heldout) from 0 prompts"):
        collect_preferences(config, chat=chat_dir, corpus=corpus_dir, out=tmp_path / "preferences")


def test_a_corpus_without_a_fresh_held_out_prompt_is_refused(
    brief_chat: Path, corpus_dir: Path, tmp_path: Path
) -> None:
    config = CollectPreferencesConfig(**SMALL)
    with pytest.raises(DataError, match="4 held-out prompts are also in train"):
        collect_preferences(config, chat=brief_chat, corpus=corpus_dir, out=tmp_path / "preferences")


def test_answers_longer_than_the_context_are_refused(brief_chat: Path, talks: Path, tmp_path: Path) -> None:
    config = CollectPreferencesConfig(**SMALL | {"new_tokens": 128})
    with pytest.raises(ConfigError, match="new_tokens: 128, but the chat model's context is 128"):
        collect_preferences(config, chat=brief_chat, corpus=talks, out=tmp_path / "preferences")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"prompts": 0}, "prompts: 0"),
        ({"answers_per_prompt": 1}, "answers_per_prompt: 1"),
        ({"temperature": 0.0}, "temperature: 0.0"),
        ({"pairs_per_prompt": 0}, "pairs_per_prompt: 0"),
        ({"minimum_margin": -0.1}, "minimum_margin: -0.1"),
        ({"judge": "wise"}, "judge: 'wise'"),
        ({"judge_options": {"words": 3}}, "judge_options.words"),
        ({"rankings": Path("nowhere.jsonl")}, "rankings: nowhere.jsonl"),
        ({"check_against": Path("nowhere.jsonl")}, "check_against: nowhere.jsonl"),
        ({"judge": "model", "judge_options": {"model": "nowhere"}}, "judge_options.model: nowhere"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(given: dict[str, Any], named: str) -> None:
    (problem,) = CollectPreferencesConfig(**given).problems()
    assert problem.startswith(f"collect_preferences.{named}")

import io
from pathlib import Path

import pytest

from hftrain.errors import ArtifactError, ConfigError
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import load_causal_lm
from hftrain.serving.terminal import Terminal, model_folder
from hftrain.tokens.chat import load_tokenizer

HELLO = [{"role": "user", "content": "Hello!"}]


def terminal(folder: Path, **given: object) -> Terminal:
    usual = {"temperature": 0.0, "new_tokens": 8, "seed": 0, "show_probabilities": False}
    return Terminal(folder, **(usual | given))  # type: ignore[arg-type]


def test_the_likeliest_answer_is_the_one_that_generate_gives(chat_dir: Path) -> None:
    out = io.StringIO()
    terminal(chat_dir).talk(io.StringIO("Hello!\n"), out)

    model, tokenizer = load_causal_lm(chat_dir), load_tokenizer(chat_dir)
    expected = answer_prompts(model, tokenizer, [HELLO], new_tokens=8, temperature=0, seed=0)[0][0].text
    assert f"chat: {expected}\n" in out.getvalue()


def test_each_step_shows_its_candidates_with_probabilities(chat_dir: Path) -> None:
    out = io.StringIO()
    terminal(chat_dir, show_probabilities=True).talk(io.StringIO("Hello!\n"), out)
    lines = [line for line in out.getvalue().splitlines() if " | " in line]
    assert len(lines) == 8
    assert len(lines[0].split(" | ")[1].split("  ")) == 5


def test_the_same_seed_samples_the_same_answer(chat_dir: Path) -> None:
    said = []
    for seed in (1, 1, 2):
        out = io.StringIO()
        terminal(chat_dir, temperature=1.0, seed=seed).talk(io.StringIO("Hello!\n"), out)
        said.append(out.getvalue())
    assert said[0] == said[1] != said[2]


def test_what_does_not_fit_the_context_is_told_and_earlier_turns_make_room(chat_dir: Path) -> None:
    out = io.StringIO()
    talk = terminal(chat_dir)
    talk.talk(io.StringIO("word " * 200 + "\nHello!\nHello!\nHello!\nHello!\nHello!\nHello!\n/new\nHello!\n"), out)
    assert "at most 120 fit" in out.getvalue()
    assert len(talk.turns) == 2


def test_a_run_without_a_model_and_a_temperature_below_zero_are_refused(chat_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no model named policy or chat"):
        model_folder(tmp_path, None)
    assert model_folder(chat_dir.parent, None) == chat_dir
    assert model_folder(chat_dir, None) == chat_dir
    with pytest.raises(ConfigError, match="temperature -1"):
        terminal(chat_dir, temperature=-1.0)

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hftrain.artifacts import stage, write_json
from hftrain.commands import console_parser
from hftrain.commands.runs import parsers_of
from hftrain.config import StageConfig

PARSERS = {parser.prog: parser for parser in parsers_of(console_parser())}


def hftrain(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from hftrain.cli import console; console()", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_every_word_of_a_command_has_its_help(name: str) -> None:
    silent = [
        action.dest
        for action in PARSERS[name]._actions
        if not action.help and not isinstance(action, argparse._SubParsersAction)
    ]
    assert not silent
    assert PARSERS[name].format_help()


def test_no_command_is_loaded_with_the_libraries_it_needs() -> None:
    loaded = "sorted({'torch', 'datasets', 'yaml'} & set(sys.modules))"
    code = f"import sys, hftrain.commands as c; c.console_parser(); print({loaded})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_knows_the_commands_and_is_what_the_shell_takes(shell: str) -> None:
    said = hftrain("completion", shell)
    assert said.returncode == 0, said.stderr
    assert "show-probabilities" in said.stdout or shell == "tcsh"
    assert "completion" in said.stdout
    if shell == "bash":
        asked = f'{said.stdout}\nCOMP_WORDS=(hftrain ver); COMP_CWORD=1; _shtab_hftrain; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False)
        assert done.stdout.split() == ["verify"], done.stderr


@pytest.fixture
def run(tmp_path: Path) -> Path:
    @stage(makes="base", uses_torch=False)
    def pretrain(config: StageConfig, *, out: Path) -> None:
        write_json(out / "weights.json", [1, 2])

    @stage(makes="chat", reads=("base",), uses_torch=False)
    def sft(config: StageConfig, *, base: Path, out: Path) -> None:
        write_json(out / "weights.json", [3])

    sft(StageConfig(), base=pretrain(StageConfig(), out=tmp_path / "base"), out=tmp_path / "chat")
    return tmp_path


def test_verify_and_trace_speak_json(run: Path) -> None:
    assert json.loads(hftrain("verify", str(run), "--json").stdout)["chat"] == {"is": "whole", "claims": []}
    chain = json.loads(hftrain("trace", str(run / "chat"), "--json").stdout)
    assert (chain["name"], chain["inputs"]["base"]["stage"], chain["sources"]) == ("chat", "pretrain", [])
    (run / "base" / "weights.json").write_text("[9]")
    changed = hftrain("verify", str(run), "--json")
    assert json.loads(changed.stdout)["base"] == {"is": "differs", "claims": ["weights.json changed"]}
    assert changed.returncode == 2

"""The command lines: ``hftrain …`` and every recipe's ``python recipes/X.py``. Imports nothing heavy itself."""

import argparse
import dataclasses
import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hftrain import __version__
from hftrain.errors import HftrainError

Config = TypeVar("Config")

USER_ERROR = 2
INTERRUPTED = 130
NOT_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Failures of the machine that a person can mend: full, over quota, read-only, not allowed."""


def main(
    run: Callable[[Config, Path], Path],
    kind: type[Config],
    *,
    section: str | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Run a recipe from the command line; ends the process with 0, or 2 for a mistake of the user's.

    Args:
        run: The recipe's ``run(config, run_dir)``.
        kind: Its configuration's class.
        section: Its section of the configuration; None for a whole flow.
        arguments: The words after the program's name; by default those that it was started with.
    """
    module = sys.modules[run.__module__]
    options = _recipe_parser(module.__doc__ or "").parse_args(arguments)
    sys.exit(guarded(lambda: _run_recipe(run, kind, section, options), debug=options.debug))


def guarded(work: Callable[[], None], *, debug: bool) -> int:
    """Do the work; tell a user's mistake in words, without a traceback; return the exit code."""
    _start_logging()
    try:
        work()
    except HftrainError as problem:
        if debug:
            raise
        _tell(f"error: {problem}")
        return USER_ERROR
    except BrokenPipeError:  # whoever read our output has seen enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as problem:
        if debug or problem.errno not in NOT_OURS:
            raise
        place = problem.filename or "disk"
        _tell(f"error: {place}: {problem.strerror}. Make room or give access, then run again: it goes on.")
        return USER_ERROR
    except KeyboardInterrupt as stopped:
        _tell(str(stopped) or "stopped. The same command goes on from the last checkpoint.")
        return getattr(stopped, "exit_code", INTERRUPTED)
    return 0


def console() -> None:
    """The ``hftrain`` command."""
    parser = _console_parser()
    options = parser.parse_args()
    if not hasattr(options, "work"):
        parser.print_help()
        sys.exit(0)
    sys.exit(guarded(lambda: options.work(options), debug=options.debug))


def _run_recipe(
    run: Callable[[Config, Path], Path], kind: type[Config], section: str | None, options: argparse.Namespace
) -> None:
    from hftrain.artifacts import forced
    from hftrain.config import describe, load_config, load_section
    from hftrain.launch import check_launch, end_with_launcher
    from hftrain.runtime import is_main_process
    from hftrain.stages.flow import FlowConfig

    end_with_launcher()
    check_launch()
    loaded: Any
    if section is None:
        loaded = load_config(kind, options.config, options.set)
    else:
        others = {each.name for each in dataclasses.fields(FlowConfig)} - {section}
        loaded = load_section(kind, section, options.config, options.set, others=others)  # type: ignore[type-var]
    if options.dry_run:
        print(describe(loaded))
        return
    forced.set(options.force)
    run_dir = options.run_dir or Path("runs") / (options.config.stem if options.config else "default")
    made = run(loaded, run_dir)
    if is_main_process():
        print(made)


def _recipe_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", type=Path, metavar="FILE", help="the run's YAML file (default: the defaults)")
    parser.add_argument(
        "--run-dir", type=Path, metavar="DIR", help="where the run lives (default: runs/<name of FILE>)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as ppo.kl_budget=4")
    parser.add_argument("--dry-run", action="store_true", help="print the configuration in full and stop")
    parser.add_argument("--force", action="store_true", help="make it again although nothing changed")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _console_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hftrain",
        description="Look at what recipes made, talk to it, and plan a run. "
        "Recipes themselves: python recipes/full_flow.py --help.",
    )
    parser.add_argument("--version", action="version", version=f"hftrain {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="")

    def command(name: str, work: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(work=work)
        return added

    init = command("init", _init, "lay the recipes and presets into a folder of yours")
    init.add_argument("folder", type=Path)
    plan = command("plan", _plan, "say what a run will take: parameters, tokens, minutes, memory, disk")
    plan.add_argument("config", type=Path)
    plan.add_argument("--run-dir", type=Path, metavar="DIR", help="a run of it: its stages that are done are compared")
    plan.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    explain = command("explain", _explain, "say what each rule of curation thinks of a document, with the values")
    explain.add_argument("file", type=Path, help="any file that collect reads")
    explain.add_argument(
        "--row", type=int, action="append", metavar="N", help="which document of it (default: the first)"
    )
    explain.add_argument("--config", type=Path, metavar="FILE", help="the run's YAML file (default: the defaults)")
    explain.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as curate.rules=[c4]")
    explain.add_argument(
        "--text-column", metavar="NAME", help="the field of a row that holds the text (default: FILE's)"
    )
    explain.add_argument("--json", action="store_true", help="a line of JSON for each document")
    chat = command("chat", _chat, "talk to a model of a run, token by token")
    chat.add_argument("run", type=Path, help="a run's folder, or a model's")
    chat.add_argument("--model", help="which model of the run (default: policy, else chat)")
    chat.add_argument("--temperature", type=float, default=0.7, help="0 for the likeliest token each time")
    chat.add_argument("--new-tokens", type=int, default=100, help="longest answer")
    chat.add_argument("--seed", type=int, default=0)
    chat.add_argument("--show-probabilities", action="store_true", help="show the top candidates of each step")
    trace = command("trace", _trace, "show the chain from an artifact to its source files")
    trace.add_argument("artifact", type=Path, help="such as runs/tiny/policy")
    verify = command("verify", _verify, "re-hash a run; with two runs, compare them file by file")
    verify.add_argument("run", type=Path)
    verify.add_argument("other", type=Path, nargs="?")
    return parser


def _init(options: argparse.Namespace) -> None:
    from hftrain.presets import lay_recipes

    for path in lay_recipes(options.folder):
        print(path)


def _plan(options: argparse.Namespace) -> None:
    from hftrain.config import load_config
    from hftrain.stages.flow import FlowConfig
    from hftrain.stages.planning import plan_lines

    for line in plan_lines(load_config(FlowConfig, options.config, options.set), options.run_dir):
        print(line)


def _explain(options: argparse.Namespace) -> None:
    import json

    from hftrain.config import load_section
    from hftrain.corpus.explaining import explanations
    from hftrain.stages.collect import CollectConfig
    from hftrain.stages.curate import CurateConfig

    text_column = options.text_column or load_section(CollectConfig, "collect", options.config).text_column
    curate = load_section(CurateConfig, "curate", options.config, options.set)
    for found in explanations(curate, options.file, options.row or [1], text_column=text_column):
        if options.json:
            print(json.dumps(found.as_json(), ensure_ascii=False))
        else:
            print("\n".join(found.lines()), end="\n\n")


def _chat(options: argparse.Namespace) -> None:
    from hftrain.serving.terminal import Terminal, model_folder

    terminal = Terminal(
        model_folder(options.run, options.model),
        temperature=options.temperature,
        new_tokens=options.new_tokens,
        seed=options.seed,
        show_probabilities=options.show_probabilities,
    )
    terminal.talk(sys.stdin, sys.stdout)


def _trace(options: argparse.Namespace) -> None:
    from hftrain.lineage import trace

    for line in trace(options.artifact):
        print(line)


def _verify(options: argparse.Namespace) -> None:
    from hftrain.errors import ArtifactError
    from hftrain.lineage import compare, verify

    said = compare(options.run, options.other) if options.other else verify(options.run)
    for name, claims in said.items():
        print(f"{'differs' if claims else 'same' if options.other else 'whole':8}{name}")
        for claim in claims:
            print(f"          {claim}")
    wrong = [name for name, claims in said.items() if claims]
    if wrong:
        raise ArtifactError(f"{len(wrong)} of {len(said)} artifacts differ: {', '.join(wrong)}.")


def _start_logging() -> None:
    logger = logging.getLogger("hftrain")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


__all__ = ["console", "guarded", "main"]

"""The command lines: ``hftrain …`` and every recipe's ``python recipes/X.py``. Imports nothing heavy itself."""

import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hftrain.breakdowns import explained
from hftrain.errors import HftrainError

Config = TypeVar("Config")

USER_ERROR = 2
INTERRUPTED = 130


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
    except Exception as problem:  # shown in full unless it is the machine's
        told = None if debug else explained(problem)
        if told is None:
            raise
        _tell(f"error: {told}")
        return USER_ERROR
    except KeyboardInterrupt as stopped:
        _tell(str(stopped) or "stopped. The same command goes on from the last checkpoint.")
        return getattr(stopped, "exit_code", INTERRUPTED)
    return 0


def console() -> None:
    """The ``hftrain`` command."""
    from hftrain.commands import console_parser

    parser = console_parser()
    options = parser.parse_args()
    if not hasattr(options, "work"):
        parser.print_help()
        sys.exit(0)
    sys.exit(guarded(lambda: options.work(options), debug=options.debug))


def _run_recipe(
    run: Callable[[Config, Path], Path], kind: type[Config], section: str | None, options: argparse.Namespace
) -> None:
    from hftrain.artifacts import after_publishing, forced
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
    made: set[str] = set()
    if section is None:
        after_publishing.set(lambda folder: _page_grows(run_dir, folder, made))
    try:
        result = run(loaded, run_dir)
    except HftrainError:
        if section is None and run_dir.is_dir() and is_main_process():
            _render(run_dir)  # a flow that ends early still shows how far it came, and what held it
        raise
    if is_main_process():
        _close(run_dir, result, frozenset(made), is_flow=section is None, as_json=options.json)


def _page_grows(run_dir: Path, folder: Path, made: set[str]) -> None:
    made.add(folder.name)
    logger = logging.getLogger("hftrain")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        _render(run_dir)
    finally:
        logger.setLevel(level)


def _render(run_dir: Path) -> None:
    from hftrain.report.page import render_report

    render_report(run_dir)


def _close(run_dir: Path, result: Path, made: frozenset[str], *, is_flow: bool, as_json: bool) -> None:
    """Say what there is now: a path on standard output, or JSON; for a flow, what it took and where to look."""
    import json

    from hftrain.commands.words import print_json
    from hftrain.report.closing import closing_json, closing_lines

    if as_json and is_flow:
        print_json(closing_json(run_dir, result, made))
        return
    if is_flow:
        for line in closing_lines(run_dir, result, made):
            _tell(line)
    print(json.dumps({"made": result.as_posix()}, ensure_ascii=False) if as_json else result)


def _recipe_parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", type=Path, metavar="FILE", help="the run's YAML file (default: the defaults)")
    parser.add_argument(
        "--run-dir", type=Path, metavar="DIR", help="where the run lives (default: runs/<name of FILE>)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as ppo.kl_budget=4")
    parser.add_argument("--dry-run", action="store_true", help="print the configuration in full and stop")
    parser.add_argument("--force", action="store_true", help="make it again although nothing changed")
    parser.add_argument("--json", action="store_true", help="say at the end in JSON what was made")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _let_recipes_import_each_other() -> None:
    """A recipe that is started as a file finds the others beside it, and no others of that name."""
    started = getattr(sys.modules["__main__"], "__file__", None)
    folder = Path(started).resolve().parent if started else None
    if folder is not None and folder.name == "recipes" and (folder / "__init__.py").is_file():
        sys.path.insert(0, str(folder.parent))


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


_let_recipes_import_each_other()

__all__ = ["console", "guarded", "main"]

"""On a run: where it came from, whether it is whole, how it differs from another; and help for the shell."""

import argparse
import sys
from pathlib import Path

from hftrain.commands.words import Command, print_json

SHELLS = ("bash", "zsh", "tcsh")


def add(command: Command) -> None:
    """Add these commands."""
    trace = command("trace", _trace, "show the chain from an artifact to its source files")
    trace.add_argument("artifact", type=Path, help="such as runs/tiny/policy")
    trace.add_argument("--json", action="store_true", help="one JSON object")
    verify = command("verify", _verify, "re-hash a run; with two runs, compare them file by file")
    verify.add_argument("run", type=Path, help="a run's folder")
    verify.add_argument("other", type=Path, nargs="?", help="another one")
    verify.add_argument("--json", action="store_true", help="one JSON object")
    compare = command("compare", _compare, "two runs side by side: settings, figures, tests, exports, cost")
    compare.add_argument("run", type=Path, help="a run's folder")
    compare.add_argument("other", type=Path, help="another one")
    compare.add_argument("--json", action="store_true", help="one JSON object")
    compare.add_argument("--html", type=Path, metavar="FILE", help="write a self-contained page, too")
    completion = command("completion", _completion, "print what lets a shell complete these commands")
    completion.add_argument("shell", choices=SHELLS, help="for bash: hftrain completion bash >> ~/.bashrc")


def _trace(options: argparse.Namespace) -> None:
    from hftrain.lineage import chain, trace

    if options.json:
        print_json(chain(options.artifact))
        return
    for line in trace(options.artifact):
        print(line)


def _verify(options: argparse.Namespace) -> None:
    from hftrain.errors import ArtifactError
    from hftrain.lineage import compare, verify

    said = compare(options.run, options.other) if options.other else verify(options.run)
    well = "same" if options.other else "whole"
    if options.json:
        print_json({name: {"is": "differs" if claims else well, "claims": claims} for name, claims in said.items()})
    else:
        for name, claims in said.items():
            print("\n          ".join([f"{'differs' if claims else well:8}{name}", *claims]))
    wrong = [name for name, claims in said.items() if claims]
    if wrong:
        raise ArtifactError(f"{len(wrong)} of {len(said)} artifacts differ: {', '.join(wrong)}.")


def _compare(options: argparse.Namespace) -> None:
    from hftrain.report.comparison import compare_runs

    compare_runs(options.run, options.other, sys.stdout, as_json=options.json, html=options.html)


def _completion(options: argparse.Namespace) -> None:
    import shtab

    from hftrain.commands import console_parser

    parser = console_parser()
    for each in parsers_of(parser):
        for action in each._actions:
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, options.shell))


def parsers_of(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """A parser and those of its commands."""
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += action.choices.values()
    return found

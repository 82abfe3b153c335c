"""The commands of ``hftrain``: their words, and what each calls. Imports nothing heavy itself."""

import argparse
from collections.abc import Callable

from hftrain import __version__
from hftrain.commands import models, people, projects, runs


def console_parser() -> argparse.ArgumentParser:
    """The words that ``hftrain`` takes; each command sets ``work``, what is done."""
    parser = argparse.ArgumentParser(
        prog="hftrain",
        description="Begin a project, plan it, look at what recipes made, talk to it, serve it, and train it again. "
        "Recipes themselves: python recipes/full_flow.py --help.",
    )
    parser.add_argument("--version", action="version", version=f"hftrain {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="")

    def command(name: str, work: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(work=work)
        return added

    for group in (projects, models, people, runs):
        group.add(command)
    return parser

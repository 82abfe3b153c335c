"""On a model: talk to it, say what it is, send it to the Hub."""

import argparse
import sys
from pathlib import Path

from hftrain.commands.words import Command


def add(command: Command) -> None:
    """Add these commands."""
    chat = command("chat", _chat, "talk to a model of a run, token by token")
    chat.add_argument("run", type=Path, help="a run's folder, or a model's")
    chat.add_argument("--model", help="which model of the run (default: policy, else chat)")
    chat.add_argument("--temperature", type=float, default=0.7, help="0 for the likeliest token each time")
    chat.add_argument("--new-tokens", type=int, default=100, help="longest answer")
    chat.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    chat.add_argument("--show-probabilities", action="store_true", help="show the top candidates of each step")
    card = command("card", _card, "print an artifact's card for the Hub: data, how it was made, limits, results")
    card.add_argument("artifact", type=Path, help="such as runs/tiny/policy or runs/tiny/export/gguf-q8_0")
    card.add_argument("--license", metavar="ID", help="in place of the one that the sources' licences give")
    push = command("push", _push, "send an artifact with its card to the Hub; without --yes, say what would be sent")
    push.add_argument("artifact", type=Path, help="such as runs/tiny/policy or runs/tiny/export/gguf-q8_0")
    push.add_argument("repo", help="such as owner/name")
    push.add_argument("--license", metavar="ID", help="in place of the one that the sources' licences give")
    push.add_argument("--private", action="store_true", help="where the repository is made: for you alone")
    push.add_argument("--revision", metavar="BRANCH", help="send it to this branch")
    push.add_argument("--json", action="store_true", help="one JSON object")
    how = push.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="say what would be sent (so it is without --yes, too)")
    how.add_argument("--yes", action="store_true", help="send it")


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


def _card(options: argparse.Namespace) -> None:
    from hftrain.export.model_card import card_of

    print(card_of(options.artifact, license_id=options.license), end="")


def _push(options: argparse.Namespace) -> None:
    from hftrain.export.model_card_push import push

    push(
        options.artifact,
        options.repo,
        sys.stdout,
        license_id=options.license,
        private=options.private,
        revision=options.revision,
        as_json=options.json,
        is_meant=options.yes,
    )

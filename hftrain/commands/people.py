"""With people: rank answers, serve models, watch what was served, train again on what was said of it."""

import argparse
import sys
from pathlib import Path

from hftrain.commands.words import Command


def add(command: Command) -> None:
    """Add these commands."""
    _rank_words(command)
    _serve_words(command)
    _again_words(command)


def _rank_words(command: Command) -> None:
    rank = command("rank", _rank, "let people rank answers: on a page, in a terminal; export; agreement")
    rank.add_argument("run", type=Path, help="a run's folder; choices are kept in its ranking/")
    rank.add_argument("--answers", type=Path, metavar="FILE", help="rows of prompt and answers (default: the run's)")
    rank.add_argument("--database", metavar="URL", help="an SQLAlchemy URL for a team (default: a file in the run)")
    rank.add_argument("--rater", metavar="NAME", help="who ranks (the page asks)")
    rank.add_argument("--terminal", action="store_true", help="rank here instead of on a page")
    rank.add_argument("--export", type=Path, metavar="FILE", help="write rows for collect_preferences.rankings and end")
    rank.add_argument("--merge", choices=("mean_rank", "apart"), default="mean_rank", help="raters of one prompt")
    rank.add_argument("--all-bad", choices=("leave_out", "keep"), default="leave_out", help="in the export")
    rank.add_argument("--pairs", action="store_true", help="export prompt, chosen, rejected instead of rankings")
    rank.add_argument("--agreement", action="store_true", help="print who ranked how much and how far they agree")
    rank.add_argument("--host", default="127.0.0.1", help="address to serve")
    rank.add_argument("--port", type=int, default=8765, help="to serve on (default: 8765)")
    rank.add_argument("--no-browser", action="store_true", help="print the address only")
    rank.add_argument("--seed", type=int, help="of the blind orders; kept in the database (default: 0)")
    rank.add_argument("--prompts", type=int, default=200, help="where the chat model has to be asked: at most so many")
    rank.add_argument("--answers-per-prompt", type=int, default=4, help="2 to 9 (default: 4)")
    rank.add_argument("--new-tokens", type=int, default=96, help="longest answer")
    rank.add_argument("--temperature", type=float, default=1.0, help="of sampling, above 0 (default: 1)")


def _serve_words(command: Command) -> None:
    serve = command(
        "serve", _serve, "serve a run's models: OpenAI's API, a chat page, and a log of what is said of answers"
    )
    serve.add_argument("run", type=Path, help="a run's folder, or a model's")
    serve.add_argument(
        "--model", action="append", default=[], metavar="NAME",
        help="such as policy or export/gguf-q8_0; again for more (default: an exported GGUF, policy, student, chat)",
    )  # fmt: skip
    serve.add_argument(
        "--upstream", action="append", default=[], metavar="URL",
        help="offer another server's models, such as http://127.0.0.1:8001/v1; its key: HFTRAIN_UPSTREAM_KEY",
    )  # fmt: skip
    serve.add_argument("--upstream-model", metavar="NAME", help="only this one of them")
    serve.add_argument("--host", default="127.0.0.1", help="others than this machine need a key")
    serve.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    serve.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name to be asked by"
    )
    serve.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="keys to take, one a line (default: HFTRAIN_API_KEY)"
    )
    serve.add_argument("--database", metavar="URL", help="SQLAlchemy URL (default: a SQLite file in the run)")
    serve.add_argument("--keep-days", type=float, default=90.0, help="rows older than this are deleted (default: 90)")
    serve.add_argument("--keep-nothing", action="store_true", help="store neither conversations nor feedback")
    serve.add_argument("--queue", type=int, default=256, help="requests that may wait for each model")
    serve.add_argument("--stop-seconds", type=int, default=30, help="how long streams may go on after SIGTERM")
    monitor = command("monitor", _monitor, "say how a served run did: traffic, feedback, refusals, toxicity, drift")
    monitor.add_argument("run", type=Path, help="a run's folder")
    monitor.add_argument("--database", metavar="URL", help="SQLAlchemy URL (default: the SQLite file that serve keeps)")
    monitor.add_argument("--days", type=float, default=30.0, help="how far back is looked (default: 30)")
    monitor.add_argument("--rows", type=int, default=10, help="conversations to show, the worst first")
    monitor.add_argument("--json", action="store_true", help="one JSON object")
    monitor.add_argument("--forget", metavar="ID", help="delete all rows of this user or session")


def _again_words(command: Command) -> None:
    cycle = command("cycle", _cycle, "train again on what people said of answers; promote the model if it is no worse")
    cycle.add_argument("run", type=Path, help="a run's folder; cycles are kept in its cycles/")
    cycle.add_argument("--config", type=Path, metavar="FILE", help="the run's YAML file (default: the defaults)")
    cycle.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as cycle.comparisons=ppo")
    cycle.add_argument("--database", metavar="URL", help="SQLAlchemy URL (default: the SQLite file that serve keeps)")
    cycle.add_argument(
        "--count", action="store_true", help="say what feedback there is and what would be learned; stop"
    )
    rollback = command("rollback", _rollback, "go back to the model that was promoted before")
    rollback.add_argument("run", type=Path, help="a run's folder")
    rollback.add_argument("--to", metavar="MODEL", help="such as policy or cycles/001/liked (default: the one before)")
    adapt = command("adapt", _adapt, "train a small adapter for one person or domain, served by its name")
    adapt.add_argument("run", type=Path, help="a run's folder")
    adapt.add_argument("--name", required=True, help="by which it is asked for; kept in RUN/adapters/NAME")
    adapt.add_argument("--from", dest="rows", type=Path, required=True, metavar="FILE", help="conversations, .jsonl")
    adapt.add_argument("--model", metavar="NAME", help="which model of the run (default: the promoted one)")
    adapt.add_argument("--config", type=Path, metavar="FILE", help="the run's YAML file (default: the defaults)")
    adapt.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as adapt.adapter.r=16")


def _rank(options: argparse.Namespace) -> None:
    from hftrain.serving.ranking import run
    from hftrain.serving.ranking_export import Rules
    from hftrain.serving.ranking_items import Asking

    run(
        options.run,
        answers=options.answers,
        database=options.database,
        seed=options.seed,
        rater=options.rater,
        terminal=options.terminal,
        host=options.host,
        port=options.port,
        open_browser=not options.no_browser,
        export_path=options.export,
        rules=Rules(merge=options.merge, all_bad=options.all_bad, pairs=options.pairs),
        agreement=options.agreement,
        asking=Asking(options.prompts, options.answers_per_prompt, options.new_tokens, options.temperature),
    )


def _serve(options: argparse.Namespace) -> None:
    from hftrain.serving.server_command import serve

    serve(
        options.run,
        sys.stdout,
        models=options.model,
        upstreams=options.upstream,
        upstream_model=options.upstream_model,
        host=options.host,
        port=options.port,
        hosts=options.allow_host,
        key_file=options.api_key_file,
        database=options.database,
        keeps=not options.keep_nothing,
        keep_days=options.keep_days,
        queue=options.queue,
        stop_seconds=options.stop_seconds,
    )


def _monitor(options: argparse.Namespace) -> None:
    from hftrain.serving.monitoring_command import monitor

    monitor(
        options.run,
        sys.stdout,
        database=options.database,
        days=options.days,
        rows=options.rows,
        as_json=options.json,
        forget=options.forget,
    )


def _cycle(options: argparse.Namespace) -> None:
    from hftrain.config import load_section
    from hftrain.stages.cycle import CycleConfig, run_cycle

    config = load_section(CycleConfig, "cycle", options.config, options.set)
    run_cycle(config, options.run, sys.stdout, database=options.database, count_only=options.count)


def _rollback(options: argparse.Namespace) -> None:
    from hftrain.serving.promotion import rollback

    rollback(options.run, sys.stdout, to=options.to)


def _adapt(options: argparse.Namespace) -> None:
    from hftrain.config import load_section
    from hftrain.stages.adapt import AdaptConfig, run_adapt

    config = load_section(AdaptConfig, "adapt", options.config, options.set)
    run_adapt(config, options.run, sys.stdout, name=options.name, rows=options.rows, model=options.model)

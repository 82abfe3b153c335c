"""The commands of ``hftrain``: their words, and what each calls. Imports nothing heavy itself."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from hftrain import __version__

Command = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]


def _before_a_run(command: Command) -> None:
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
    lens = command("lens", _lens, "show what each row would teach, before anything is trained")
    lens.add_argument("config", type=Path)
    lens.add_argument(
        "--run-dir", type=Path, metavar="DIR", help="a run of it, whose corpus, tokenizer and pairs count"
    )
    lens.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as sft.max_row_tokens=128")
    lens.add_argument("--rows", type=int, default=3, metavar="N", help="rows shown of each kind")
    lens.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    lens.add_argument("--json", action="store_true", help="one JSON object")
    harness = command("harness", _harness, "write the configured benchmarks as tasks of lm-evaluation-harness")
    harness.add_argument("config", type=Path)
    harness.add_argument("--out", type=Path, required=True, metavar="DIR", help="for its --include_path")
    harness.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")


def _on_a_model(command: Command) -> None:
    chat = command("chat", _chat, "talk to a model of a run, token by token")
    chat.add_argument("run", type=Path, help="a run's folder, or a model's")
    chat.add_argument("--model", help="which model of the run (default: policy, else chat)")
    chat.add_argument("--temperature", type=float, default=0.7, help="0 for the likeliest token each time")
    chat.add_argument("--new-tokens", type=int, default=100, help="longest answer")
    chat.add_argument("--seed", type=int, default=0)
    chat.add_argument("--show-probabilities", action="store_true", help="show the top candidates of each step")


def _on_a_server(command: Command) -> None:
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
        "--api-key-file", type=Path, metavar="FILE", help="the key to ask for (default: HFTRAIN_API_KEY)"
    )
    serve.add_argument("--database", metavar="URL", help="SQLAlchemy URL (default: a SQLite file in the run)")
    serve.add_argument("--keep-days", type=float, default=90.0)
    serve.add_argument("--keep-nothing", action="store_true", help="store neither conversations nor feedback")
    serve.add_argument("--queue", type=int, default=256, help="requests that may wait for each model")
    serve.add_argument("--stop-seconds", type=int, default=30, help="how long streams may go on after SIGTERM")
    monitor = command("monitor", _monitor, "say how a served run did: traffic, feedback, refusals, toxicity, drift")
    monitor.add_argument("run", type=Path)
    monitor.add_argument("--database", metavar="URL")
    monitor.add_argument("--days", type=float, default=30.0)
    monitor.add_argument("--rows", type=int, default=10, help="conversations to show, the worst first")
    monitor.add_argument("--json", action="store_true")
    monitor.add_argument("--forget", metavar="ID", help="delete all rows of this user or session")


def _on_preferences(command: Command) -> None:
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
    rank.add_argument("--port", type=int, default=8765)
    rank.add_argument("--no-browser", action="store_true", help="print the address only")
    rank.add_argument("--seed", type=int, help="of the blind orders; kept in the database (default: 0)")
    rank.add_argument("--prompts", type=int, default=200, help="where the chat model has to be asked: at most so many")
    rank.add_argument("--answers-per-prompt", type=int, default=4)
    rank.add_argument("--new-tokens", type=int, default=96, help="longest answer")
    rank.add_argument("--temperature", type=float, default=1.0)


def console_parser() -> argparse.ArgumentParser:
    """The words that ``hftrain`` takes; each command sets ``work``, what is done."""
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

    _before_a_run(command)
    _on_a_model(command)
    _on_preferences(command)
    _on_a_server(command)
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


def _lens(options: argparse.Namespace) -> None:
    from hftrain.config import load_config
    from hftrain.stages.flow import FlowConfig
    from hftrain.stages.lens_view import show

    flow = load_config(FlowConfig, options.config, options.set)
    show(flow, options.run_dir, rows=options.rows, color=options.color, as_json=options.json, out=sys.stdout)


def _harness(options: argparse.Namespace) -> None:
    from hftrain.config import load_section
    from hftrain.evaluation.harness import export_tasks
    from hftrain.stages.evaluate_model import EvaluateModelConfig

    for name in export_tasks(
        load_section(EvaluateModelConfig, "evaluate_model", options.config, options.set), options.out
    ):
        print(name)


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

"""Before a run: a project, its plan, and what its settings would do to documents and rows."""

import argparse
import sys
from pathlib import Path

from hftrain.commands.words import Command, print_json


def add(command: Command) -> None:
    """Add these commands."""
    init = command("init", _init, "begin a project: recipes and presets of your own, and a configuration for your text")
    init.add_argument("folder", type=Path, help="where they are laid, such as my-model")
    init.add_argument(
        "--from", dest="roots", type=Path, action="append", default=[], metavar="PATH",
        help="your texts, a folder or a file; again for more. Writes FOLDER/<name of FOLDER>.yaml for them",
    )  # fmt: skip
    init.add_argument("--minutes", type=float, default=20.0, help="what the whole run may take here (default: 20)")
    init.add_argument("--no-plan", action="store_true", help="do not time a few steps of each stage (about a minute)")
    init.add_argument("--json", action="store_true", help="one JSON object")
    plan = command("plan", _plan, "say what a run will take: parameters, tokens, minutes, memory, disk")
    plan.add_argument("config", type=Path, help="the run's YAML file")
    plan.add_argument("--run-dir", type=Path, metavar="DIR", help="a run of it: its stages that are done are compared")
    plan.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as pretrain.size=mini")
    plan.add_argument("--json", action="store_true", help="one JSON object")
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
    lens.add_argument("config", type=Path, help="the run's YAML file")
    lens.add_argument(
        "--run-dir", type=Path, metavar="DIR", help="a run of it, whose corpus, tokenizer and pairs count"
    )
    lens.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as sft.max_row_tokens=128")
    lens.add_argument("--rows", type=int, default=3, metavar="N", help="rows shown of each kind")
    lens.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="auto: in a terminal")
    lens.add_argument("--json", action="store_true", help="one JSON object")
    harness = command("harness", _harness, "write the configured benchmarks as tasks of lm-evaluation-harness")
    harness.add_argument("config", type=Path, help="the run's YAML file")
    harness.add_argument("--out", type=Path, required=True, metavar="DIR", help="for its --include_path")
    harness.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as evaluate_model.benchmark_rows=40"
    )


def _init(options: argparse.Namespace) -> None:
    from hftrain.presets import lay_recipes
    from hftrain.stages.new_project import begin

    if options.roots:
        said: list[str] = []
        path = begin(
            options.folder,
            options.roots,
            minutes=options.minutes,
            plans=not options.no_plan,
            say=said.append if options.json else print,
        )
        if options.json:
            print_json({"configuration": path.as_posix(), "said": said})
        return
    laid = [path.as_posix() for path in lay_recipes(options.folder)]
    if options.json:
        print_json({"laid": laid})
    else:
        print("\n".join(laid))


def _plan(options: argparse.Namespace) -> None:
    from hftrain.config import load_config
    from hftrain.stages.flow import FlowConfig
    from hftrain.stages.planning import plan_json, plan_lines

    flow = load_config(FlowConfig, options.config, options.set)
    if options.json:
        print_json(plan_json(flow, options.run_dir))
        return
    for line in plan_lines(flow, options.run_dir):
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

"""Write the pages that are made from the code: `python docs/make_pages.py`. A test holds them to it."""

import argparse
import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path

import yaml

from hftrain.cli import _recipe_parser as recipe_parser
from hftrain.commands import console_parser
from hftrain.corpus.rule_sets import RULE_SETS
from hftrain.documentation import Setting, settings_of
from hftrain.evaluation.tasks import TASKS
from hftrain.export.formats import FORMATS
from hftrain.stages.flow import FlowConfig

DOCS = Path(__file__).parent
ROOT = DOCS.parent
MADE = "<!-- Made by docs/make_pages.py from the code: change the code, then run it. -->\n\n"
ERRORS = ("ConfigError", "ArtifactError", "DataError")
TELLS = ("tell", "tell_at")
"""Methods that note a problem of a configuration; the text is their last argument."""

CHECKS = r"problems|_unknown_key|_needed|set_beside"
"""Functions that return what is wrong."""

BREAKDOWNS, MACHINE = "breakdowns.py", "the machine"
"""Where failures of disk, memory and other processes are put into words, and what their messages are under."""

GROUND = "ground floor"

UPSTREAM_PAGES: Mapping[str, str] = {
    "transformers.training_args:TrainingArguments":
        "https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments",
    "trl.trainer.sft_config:SFTConfig": "https://huggingface.co/docs/trl/v1.12.0/sft_trainer#trl.SFTConfig",
    "trl.trainer.reward_config:RewardConfig":
        "https://huggingface.co/docs/trl/v1.12.0/reward_trainer#trl.RewardConfig",
    "trl.experimental.ppo.ppo_config:PPOConfig":
        "https://huggingface.co/docs/trl/v1.12.0/ppo_trainer#trl.experimental.ppo.PPOConfig",
    "trl.trainer.dpo_config:DPOConfig": "https://huggingface.co/docs/trl/v1.12.0/dpo_trainer#trl.DPOConfig",
    "trl.trainer.kto_config:KTOConfig": "https://huggingface.co/docs/trl/v1.12.0/kto_trainer#trl.KTOConfig",
    "trl.trainer.grpo_config:GRPOConfig": "https://huggingface.co/docs/trl/v1.12.0/grpo_trainer#trl.GRPOConfig",
    "trl.trainer.rloo_config:RLOOConfig": "https://huggingface.co/docs/trl/v1.12.0/rloo_trainer#trl.RLOOConfig",
    "trl.trainer.distillation_config:DistillationConfig":
        "https://huggingface.co/docs/trl/v1.12.0/distillation_trainer#trl.DistillationConfig",
    "trl.experimental.gold.gold_config:GOLDConfig":
        "https://huggingface.co/docs/trl/v1.12.0/gold_trainer#trl.experimental.gold.GOLDConfig",
    "peft:LoraConfig": "https://huggingface.co/docs/peft/package_reference/lora#peft.LoraConfig",
}  # fmt: skip
"""Class whose arguments pass through -> where upstream explains them."""


def main() -> None:
    """Write every page that is made."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8", newline="\n")


def pages() -> dict[Path, str]:
    """Path -> text of each page that is made."""
    return {
        DOCS / "reference" / "configuration.md": configuration_page(),
        DOCS / "reference" / "commands.md": commands_page(),
        DOCS / "reference" / "messages.md": messages_page(),
        DOCS / "reference" / "rules.md": rules_page(),
        DOCS / "reference" / "formats.md": formats_page(),
        DOCS / "reference" / "tasks.md": tasks_page(),
        DOCS / "reference" / "notebooks.md": notebooks_page(),
    }


def configuration_page() -> str:
    """Every setting, in the order of the flow."""
    settings = list(settings_of(FlowConfig))
    sections = [each.name for each in settings if len(each.keys) == 1 and each.kind == "section"]
    top = [each for each in settings if len(each.keys) == 1 and each.kind != "section"]
    lines = [
        MADE + "# Configuration",
        "",
        "A run is one YAML file. It names what departs from the defaults below; `--dry-run` prints the whole of it.",
        "Sections stand in the order in which the flow runs them. `null` means not set. How values are read, and",
        "what is told of a mistake: [Settings](../concepts.md#settings).",
        "",
        *_table(top, depth=0),
        "",
        "Sections: " + ", ".join(f"[`{name}`](#{name})" for name in sections) + ".",
    ]
    for section in sections:
        inside = [each for each in settings if each.keys[0] == section and len(each.keys) > 1]
        lines += _section(section, next(each for each in settings if each.keys == (section,)), inside)
    return "\n".join(lines) + "\n"


def _section(name: str, own: Setting, inside: list[Setting]) -> Iterator[str]:
    yield from ("", f"## {name}", "", own.text)
    parts: dict[tuple[str, ...], list[Setting]] = defaultdict(list)
    for each in inside:
        parts[each.keys[:-1]].append(each)
    for keys, settings in parts.items():
        if len(keys) > 1:
            yield from ("", f"### {'.'.join(keys)}")
        yield ""
        yield from _table(settings, depth=len(keys))
        for each in settings:
            if each.upstream is not None:
                yield from ("", _passed_through(each))


def _table(settings: list[Setting], *, depth: int) -> Iterator[str]:
    yield "| key | value | default | |"
    yield "|---|---|---|---|"
    for each in settings:
        key, default = f"`{'.'.join(each.keys[depth:])}`", _default(each)
        yield f"| {key} | {_cell(each.kind)} | {_cell(default)} | {_cell(each.text)} |"


def _default(setting: Setting) -> str:
    if setting.default is MISSING:
        return "must be written"
    if setting.kind == "section":
        return "below"
    text = yaml.safe_dump(setting.default, default_flow_style=True, width=10_000, sort_keys=False, allow_unicode=True)
    return f"`` {text.removesuffix(chr(10)).removesuffix('...').strip()} ``"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _passed_through(setting: Setting) -> str:
    target = setting.upstream or ""
    package, name = target.partition(".")[0].partition(":")[0], target.partition(":")[2]
    told = f"`{setting.name}` takes the arguments of {package}'s [`{name}`]({UPSTREAM_PAGES[target]}) by their names."
    if setting.owned:
        told += f" The stage sets these itself, and refuses them: {', '.join(f'`{each}`' for each in setting.owned)}."
    return told


def commands_page() -> str:
    """Every command and its options."""
    parser = console_parser()
    named = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    lines = [
        MADE + "# Commands",
        "",
        "Exit codes: 0 done, 2 a mistake that you can mend (told in words; `--debug` adds the traceback), 130 or 143",
        "stopped by Ctrl-C or SIGTERM, with what was done kept. `--json` prints what a program can read.",
        "`hftrain completion bash >> ~/.bashrc` (or zsh, tcsh) lets the shell complete commands, options and files.",
        "",
        "## Recipes",
        "",
        "`python recipes/NAME.py`, for each of the [recipes](../recipes/index.md):",
        "",
        *_options(recipe_parser("")),
        "",
        "## hftrain",
        "",
        *_options(parser),
    ]
    for name, command in named.choices.items():
        lines += ["", f"### hftrain {name}", "", _sentence(command.description or ""), "", *_options(command)]
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield "| option | default | |"
    yield "|---|---|---|"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or "--help" in action.option_strings:
            continue
        value = f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.metavar or action.dest.upper()
        if isinstance(value, tuple):
            value = " ".join(value)
        takes = "" if action.nargs == 0 else f" {value}"
        name = f"{', '.join(action.option_strings)}{takes}" if action.option_strings else str(value)
        if action.nargs in ("?", "*"):
            name = f"[{name}]"
        default = "" if action.default in (None, False, [], argparse.SUPPRESS) else f"`{action.default}`"
        yield f"| {_cell(f'`{name}`')} | {default} | {_cell(action.help or '')} |"


def rules_page() -> str:
    """Every quality rule of curation."""
    lines = [
        MADE + "# Rules of curation",
        "",
        "The sets that `curate.rules` names. A document that breaks a rule is dropped and counted under its name;",
        "`curate.thresholds` changes a bound: `gopher_quality: {minimum_words: 30}`. `hftrain explain` shows each",
        "value of one text.",
    ]
    for name, rules in RULE_SETS.items():
        lines += ["", f"## {name}", "", "| rule | measure | setting: default | source |", "|---|---|---|---|"]
        for rule in rules:
            bounds = [(rule.least_name, rule.least, "at least"), (rule.most_name, rule.most, "at most")]
            said = [f"{word} `{setting}: {bound:g}`" for setting, bound, word in bounds if bound is not None]
            measure = re.sub(r"\{[^}]*\}", "…", rule.says)
            lines.append(f"| `{rule.name}` | {_cell(measure)} | {', '.join(said)} | {_cell(rule.source)} |")
    return "\n".join(lines) + "\n"


def formats_page() -> str:
    """Every format of export."""
    lines = [
        MADE + "# Formats of export",
        "",
        "The names that `export.formats` takes. A format is refused if its bits per byte differ from the model's by",
        "more than the tolerance, or a likely token's log-probability by more than so many nats.",
        "",
        "| format | tolerance | nats | keeps in higher precision | extra |",
        "|---|---|---|---|---|",
    ]
    for name, found in FORMATS.items():
        extra = f"`{found.extra}`" if found.extra else ""
        lines.append(f"| `{name}` | {100 * found.tolerance:g} % | {found.nats:g} | {found.keeps} | {extra} |")
    return "\n".join(lines) + "\n"


def tasks_page() -> str:
    """Every benchmark that is known by name."""
    lines = [
        MADE + "# Benchmarks known by name",
        "",
        "What `evaluate_model.benchmarks` knows without further settings: name a `file` of the rows, or let them come",
        "from the Hub at a revision (`hub: owner/name@revision`).",
        "",
        "| name | kind | rows on the Hub | source |",
        "|---|---|---|---|",
    ]
    for name, task in TASKS.items():
        hub = " ".join(filter(None, [task.hub, task.hub_config, task.hub_split]))
        lines.append(f"| `{name}` | {task.kind.replace('_', ' ')} | {hub} | {task.source} |")
    return "\n".join(lines) + "\n"


def notebooks_page() -> str:
    """Every notebook, by its title."""
    lines = [
        MADE + "# Notebooks",
        "",
        "The flow as a story, in the repository's `notebooks/`: what a model learns, why, and how we know. Each calls",
        "recipes on a small scale and looks at what they made; outputs are kept, to be read without being run.",
        "All share `runs/notebooks` (`HFTRAIN_NOTEBOOK_RUN` names another folder): finished stages are skipped,",
        "missing ones made, so that each also works alone. Settings are those of `smoke.yaml` with the departures in",
        "`notebooks/settings.txt`. `make notebooks` runs all and keeps their outputs.",
        "",
        "| notebook | |",
        "|---|---|",
    ]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        first = "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "markdown"))
        lines.append(f"| `notebooks/{path.name}` | {_cell(first.partition(chr(10))[0].lstrip('# '))} |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Message:
    """One message that the code can tell, with ``‹name›`` where a value goes."""

    room: str
    error: str
    text: str


def messages_page() -> str:
    """Every message of the code, by where it comes from."""
    found: dict[str, list[Message]] = defaultdict(list)
    for message in messages():
        found[message.room].append(message)
    lines = [
        MADE + "# Every message",
        "",
        "Each message says where and what, then what is needed, then what to do. `‹name›` stands for a value. The ones",
        "met most often are explained in [Errors and their fixes](../errors.md).",
    ]
    for room in sorted(found, key=lambda name: (name != GROUND, name)):
        lines += ["", f"## {room}", ""]
        lines += [f"- *{each.error}* {_escaped(each.text)}" for each in found[room]]
    return "\n".join(lines) + "\n"


def messages() -> list[Message]:
    """What errors are raised with, and what the checks of a configuration tell."""
    found = []
    for path in sorted((ROOT / "hftrain").rglob("*.py")):
        parts = path.relative_to(ROOT / "hftrain").parts
        room = parts[0] if len(parts) > 1 else GROUND
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [
            Message(MACHINE, "The machine", text) for text in _said_of_the_machine(tree) if path.name == BREAKDOWNS
        ]
        for function in _functions(tree):
            found += [Message(room, error, text) for error, text in _raised(function)]
            found += [Message(room, "ConfigError", text) for text in _told_by_checks(function)]
    return list(dict.fromkeys(found))


def _said_of_the_machine(tree: ast.Module) -> Iterator[str]:
    """The sentences that are constants of a module."""
    named: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = _template(node.value, named)
            if text is not None:
                named[node.targets[0].id] = text
                yield from [text] if re.search(r"\. [A-Z]", text) else []


def _functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Each outermost function of a module or of its classes, and what stands outside of them."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.stmt) and not isinstance(node, ast.ClassDef):
            yield node
        else:
            waiting += node.body if isinstance(node, ast.Module | ast.ClassDef) else []


def _raised(function: ast.AST) -> Iterator[tuple[str, str]]:
    named = _named_texts(function)
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        text = _template(node.args[-1] if name in TELLS else node.args[0], named)
        if text is not None and (name in ERRORS or name in TELLS):
            yield name if name in ERRORS else "ConfigError", text


def _named_texts(function: ast.AST) -> dict[str, str]:
    """Name -> the text that it was given, where it was given one once."""
    found: dict[str, list[str | None]] = defaultdict(list)
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id].append(_template(node.value, {}))
    return {name: texts[0] for name, texts in found.items() if len(texts) == 1 and texts[0]}


def _told_by_checks(function: ast.AST) -> Iterator[str]:
    """Texts in a function whose name says that it returns problems: those that read like a message."""
    if not isinstance(function, ast.FunctionDef) or not re.search(CHECKS, function.name):
        return
    texts = [node for node in ast.walk(function) if isinstance(node, ast.JoinedStr | ast.Constant)]
    inside = {id(part) for node in texts for part in ast.walk(node) if part is not node}
    docstring = function.body[0].value if isinstance(function.body[0], ast.Expr) else None
    named = _named_texts(function)
    for node in texts:
        text = None if id(node) in inside or node is docstring else _template(node, named)
        if text is not None and re.search(r"[:.] .*\. [A-Z]|unknown key", text):
            yield text


def _template(node: ast.AST, named: Mapping[str, str]) -> str | None:
    """A text with ``‹name›`` for its values; None if the node is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_part(each, named) for each in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _template(node.left, named), _template(node.right, named)
        return None if left is None and right is None else (left or _hole(node.left)) + (right or _hole(node.right))
    return None


def _part(node: ast.AST, named: Mapping[str, str]) -> str:
    """A piece of an f-string: its letters, the text of a name, or a place for a value."""
    value = node.value if isinstance(node, ast.FormattedValue) else node
    if isinstance(value, ast.Name) and value.id in named:
        return named[value.id]
    return _template(node, named) or _hole(node)


def _hole(node: ast.AST) -> str:
    value = node.value if isinstance(node, ast.FormattedValue) else node
    if isinstance(value, ast.Constant) and value.value == "":
        return ""
    names = [each.attr if isinstance(each, ast.Attribute) else each.id for each in ast.walk(value)
             if isinstance(each, ast.Attribute | ast.Name)]  # fmt: skip
    return f"‹{names[0].strip('_') if names else 'value'}›"


def _escaped(text: str) -> str:
    text = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>|$#~@])", r"\\\1", text)


if __name__ == "__main__":
    main()

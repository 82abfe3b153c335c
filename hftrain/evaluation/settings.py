"""What an evaluation asks, as the configuration says it; light to import."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hftrain.files import digest_file
from hftrain.upstream import suggest

KNOWN_TASKS = (
    "arc_challenge", "arc_easy", "blimp", "boolq", "commonsense_qa", "copa", "gsm8k", "humaneval", "lambada_openai",
    "mbpp", "mmlu", "openbookqa", "piqa", "triviaqa", "truthfulqa_mc1", "truthfulqa_mc2", "winogrande",
)  # fmt: skip
ANY_MODEL = "all"
HELDOUT = "heldout"


@dataclass(frozen=True, kw_only=True)
class BenchmarkSettings:
    """One benchmark: where its rows are, and of a task that is not known by its name, which field is what."""

    file: Path | None = None
    """Rows: .jsonl, .json, .csv or .parquet, perhaps with .gz. Not set: the task's own data set on the Hub."""

    hub: str | None = None
    """A data set on the Hub as ``owner/name@revision``, in place of the task's own."""

    hub_config: str | None = None
    """Its configuration."""

    hub_split: str | None = None
    """Its split."""

    task: str | None = None
    """The known task that these rows are of, where the benchmark's name is another."""

    kind: Literal["multiple_choice", "minimal_pairs", "completion", "exact_match"] | None = None
    """What a task of one's own asks; not set for a known one."""

    question: str = "question"
    """Field of the question. A field within a field is written ``outer.inner``."""

    choices: str | tuple[str, ...] = "choices"
    """Field of the list of choices, or the fields of them."""

    answer: str = "answer"
    """Field of the right choice (a place from 0, a letter, its text), or of the answer or answers that count."""

    context: str = "context"
    """Field of what stands before the words to be guessed."""

    continuation: str = "continuation"
    """Field of the words to be guessed."""

    good: str = "good"
    """Field of the sentence that should be likelier."""

    bad: str = "bad"
    """Field of the other one."""

    prompt: str = "Question: {}\nAnswer:"
    """What the model reads; ``{}`` stands for the question."""

    delimiter: str = " "
    """What stands between a prompt and an answer."""

    until: tuple[str, ...] = ("\n",)
    """Where a written answer ends."""

    extract: Literal["text", "words", "first_number", "last_number", "after_hashes", "letter"] = "text"
    """What of a written answer is compared with the right one."""

    new_tokens: int | None = None
    """Longest written answer, in tokens."""

    shots: int = 0
    """So many solved rows stand before each question."""

    shots_file: Path | None = None
    """Where they are taken from, from its first row on (of the same subject, in MMLU)."""

    rows: int | None = None
    """Ask this many rows, evenly spread over the file. Not set: ``benchmark_rows``."""

    def problems(self, name: str) -> Iterator[str]:
        """What can be seen to be wrong."""
        where = f"evaluate_model.benchmarks.{name}"
        yield from self._task_problems(where, self.task or name)
        for label, path in (("file", self.file), ("shots_file", self.shots_file)):
            if path is not None and not path.is_file():
                yield f"{where}.{label}: {path} is not there. A file of rows is needed. Correct the path."
        if "{}" not in self.prompt:
            yield f"{where}.prompt: {self.prompt!r} has no {{}}, which stands for the question. Put it in."
        if self.shots and self.shots_file is None:
            yield f"{where}.shots: {self.shots}, but no shots_file. Rows that are not asked are needed. Name a file."
        for label, value, least in (
            ("rows", self.rows, 1),
            ("new_tokens", self.new_tokens, 1),
            ("shots", self.shots, 0),
        ):
            if value is not None and value < least:
                yield f"{where}.{label}: {value}. {least} or more is needed."

    def _task_problems(self, where: str, known: str) -> Iterator[str]:
        if self.kind is None:
            if known not in KNOWN_TASKS:
                near = suggest(known, KNOWN_TASKS)
                meant = f" Did you mean {near}?" if near else ""
                yield (
                    f"{where}: no task is called {known}.{meant} One of {', '.join(KNOWN_TASKS)}, or kind and the "
                    "fields of your own rows, is needed. Set kind."
                )
            return
        if self.file is None and self.hub is None:
            yield f"{where}: kind {self.kind}, but no rows. Set file or hub."
        if self.task is not None:
            yield f"{where}.task: {self.task}, and kind {self.kind}. One of the two is needed. Remove the other."


@dataclass(frozen=True, kw_only=True)
class SafetySettings:
    """What is asked to see harm; each test is made where its file is named."""

    harmful: tuple[Path, ...] = ()
    """Files of harmful requests (AdvBench, HarmBench, StrongREJECT, or any with a ``prompt``)."""

    harmless: Path | None = None
    """Requests that only look harmful (XSTest: ``prompt``, ``label`` safe or unsafe): refusals of safe ones count."""

    continuations: Path | None = None
    """Openings (RealToxicityPrompts) from which the models go on: how toxic that reads."""

    canaries: Path | None = None
    """Texts planted in the corpus: a line or a row each, ``text``, and ``secret`` where only its end is secret."""

    disguises: bool = True
    """Harmful requests are asked again with typos, in other words, within a role play, and with a suffix."""

    leaks: bool = True
    """How much of the corpus' own text the models write out, and personal data in what they write."""

    rows: int = 100
    """At most so many prompts of each file, evenly spread."""

    new_tokens: int = 48
    """Longest answer, in tokens."""

    def files(self) -> dict[str, Path]:
        """What is read, by its name in the configuration."""
        named = {"harmless": self.harmless, "continuations": self.continuations, "canaries": self.canaries}
        listed = {f"harmful[{place}]": path for place, path in enumerate(self.harmful)}
        return listed | {name: path for name, path in named.items() if path is not None}


@dataclass(frozen=True, kw_only=True)
class BiasSettings:
    """Sets in which a model's preference for one group shows; each is asked where its file is named."""

    crows_pairs: Path | None = None
    """CrowS-Pairs: ``sent_more``, ``sent_less``, ``bias_type``."""

    bbq: Path | None = None
    """BBQ: ``context``, ``question``, ``ans0`` to ``ans2``, ``label``, ``context_condition``, ``answer_info``."""

    winobias: Path | None = None
    """WinoBias: ``type``, ``kind`` pro or anti, ``text``; the pro and anti lines of a type in one order."""

    bold: Path | None = None
    """BOLD: ``domain``, ``group``, ``prompt``."""

    rows: int = 1000
    """At most so many rows of each, evenly spread."""

    new_tokens: int = 32
    """Longest continuation of a BOLD prompt, in tokens."""

    def files(self) -> dict[str, Path]:
        """What is read, by its name in the configuration."""
        named = {"crows_pairs": self.crows_pairs, "bbq": self.bbq, "winobias": self.winobias, "bold": self.bold}
        return {name: path for name, path in named.items() if path is not None}


@dataclass(frozen=True, kw_only=True)
class Gate:
    """A bound on one score; a model that breaks it stops the flow."""

    test: str
    """Benchmark, safety or bias test; ``heldout`` for what is measured on held-out text."""

    measure: str
    """Its measure, such as ``accuracy``."""

    model: str = "policy"
    """Which model; ``all`` for each of them."""

    at_least: float | None = None
    """The lowest value that passes."""

    at_most: float | None = None
    """The highest value that passes."""

    no_worse_than: str | None = None
    """Another model of the run, whose value may be missed by ``margin``."""

    margin: float = 0.0
    """How much worse than that model it may be, in the measure's own unit."""

    def problems(self, where: str) -> Iterator[str]:
        """What can be seen to be wrong."""
        if self.at_least is None and self.at_most is None and self.no_worse_than is None:
            yield f"{where}: bounds nothing. Set at_least, at_most or no_worse_than."
        if self.margin < 0:
            yield f"{where}.margin: {self.margin}. 0 or more is needed: how much worse is let pass."
        if self.no_worse_than is not None and self.no_worse_than == self.model:
            yield f"{where}.no_worse_than: {self.model} is the model itself. Name another."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Benchmarks, safety, bias and gates: what of an evaluation is asked only where it is named."""

    benchmarks: dict[str, BenchmarkSettings] = field(default_factory=dict)
    """Name -> where its rows are. Known by name: blimp, arc_easy, mmlu, gsm8k, humaneval ... ; see the tasks."""

    benchmark_rows: int | None = None
    """At most so many rows of each benchmark, evenly spread. Not set: all."""

    safety: SafetySettings = SafetySettings()
    """Harmful requests, toxicity, leaks."""

    bias: BiasSettings = BiasSettings()
    """Preferences between groups of people."""

    gates: tuple[Gate, ...] = ()
    """Bounds; one that is broken stops the flow after the evaluation is written."""


def files_of(asked: Asked) -> dict[str, Path]:
    """Every file that is read, by its name in the configuration."""
    found: dict[str, Path] = {}
    for name, benchmark in asked.benchmarks.items():
        if benchmark.file is not None:
            found[f"benchmarks.{name}.file"] = benchmark.file
        if benchmark.shots_file is not None:
            found[f"benchmarks.{name}.shots_file"] = benchmark.shots_file
    parts: Mapping[str, Mapping[str, Path]] = {"safety": asked.safety.files(), "bias": asked.bias.files()}
    return found | {f"{part}.{name}": path for part, files in parts.items() for name, path in files.items()}


def digests_of(asked: Asked) -> dict[str, str]:
    """What the files hold: an evaluation of other rows is another one."""
    return {name: digest_file(path) if path.is_file() else "missing" for name, path in files_of(asked).items()}


def problems_of(asked: Asked) -> list[str]:
    """What can be seen to be wrong without work."""
    found = [problem for name, each in asked.benchmarks.items() for problem in each.problems(name)]
    for name, path in files_of(asked).items():
        if not name.startswith("benchmarks.") and not path.is_file():
            found.append(f"evaluate_model.{name}: {path} is not there. A file of rows is needed. Correct the path.")
    numbers = {
        "benchmark_rows": asked.benchmark_rows,
        "safety.rows": asked.safety.rows,
        "safety.new_tokens": asked.safety.new_tokens,
        "bias.rows": asked.bias.rows,
        "bias.new_tokens": asked.bias.new_tokens,
    }
    found += [
        f"evaluate_model.{name}: {value}. 1 or more is needed."
        for name, value in numbers.items()
        if value is not None and value < 1
    ]
    for place, gate in enumerate(asked.gates):
        found += gate.problems(f"evaluate_model.gates[{place}]")
    return found

"""One self-contained page over the whole life of a model."""

import functools
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import digest_file
from hftrain.errors import ArtifactError
from hftrain.report import sections_alignment as alignment
from hftrain.report import sections_cycle, sections_evaluation, sections_policy, sections_ranking, sections_serving
from hftrain.report import sections_data as data
from hftrain.report import sections_language as language
from hftrain.report import sections_results as results
from hftrain.report.curation import curated
from hftrain.report.document import document
from hftrain.report.lineage import lineage
from hftrain.report.markup import Markup, clip, div, join, note, span, tag
from hftrain.report.numbers import duration, short_digest, size_in_bytes
from hftrain.report.overview import header, what_moved
from hftrain.report.parts import Options, all_numbers
from hftrain.report.reading import Artifact, Run, read_run, state_key
from hftrain.report.sections_cost import cost
from hftrain.report.sections_distillation import distillation
from hftrain.report.states import absence
from hftrain.runtime import log

NAME = "report.html"
DEFAULTS = Options()
KEY = re.compile(rb'<meta name="hftrain-report-key" content="([0-9a-f]{64})">')


@dataclass(frozen=True)
class Section:
    """One stage on the page: what it is called, and one sentence for who never met it."""

    artifact: str
    title: str
    lead: str
    body: Callable[[Artifact, Options], Markup]


SECTIONS = (
    Section("raw", "Collected", "The text as it was found, before anything was judged.", data.collected),
    Section(
        "corpus",
        "Curated",
        "Rules drop what would teach nothing or should not be learned; each names its reason. A part "
        "of what is left is held out: no model trains on it, every model is measured on it.",
        curated,
    ),
    Section(
        "tokenizer",
        "Tokenizer",
        "A model reads and writes tokens, pieces of text that were learned from the corpus.",
        data.tokenizer,
    ),
    Section(
        "base",
        "Pretraining",
        "From random weights, the base model learns to guess the next token of the corpus.",
        language.pretraining,
    ),
    Section(
        "chat",
        "Fine-tuning on conversations",
        "The chat model learns to answer: it reads prompts and is trained on the answers alone.",
        language.fine_tuning,
    ),
    Section(
        "preferences",
        "Preferences",
        "The chat model answers each prompt several times; the answers are ranked, and each better "
        "and worse one make a pair.",
        alignment.preferences,
    ),
    Section(
        "reward",
        "Reward model",
        "It learns from the pairs to give one number to an answer, higher for the better one.",
        alignment.reward_model,
    ),
    Section(
        "policy",
        "Policy",
        "The chat model is moved towards answers that are preferred or rewarded, while it is held near to where it "
        "began.",
        sections_policy.policy,
    ),
    Section(
        "student",
        "Distillation",
        "A smaller model learns from the policy; both are measured on what neither was trained on.",
        distillation,
    ),
    Section("evaluation", "Evaluation", "Every model of the run, side by side.", sections_evaluation.evaluation),
    Section(
        "export",
        "Formats",
        "The finished model in the formats that other programs load.",
        results.export,
    ),
)


@dataclass(frozen=True)
class Besides:
    """What lies beside the artifacts in a run's folder; on the page where there is any."""

    anchor: str
    title: str
    lead: str
    body: Callable[[Run], Markup | None]
    key: Callable[[Run], object]
    """Of what it shows: when it changes, the page is written anew."""


BESIDES = (
    Besides(
        "ranking",
        sections_ranking.TITLE,
        sections_ranking.LEAD,
        sections_ranking.ranked_by_people,
        sections_ranking.ranking_key,
    ),
    Besides(
        "serving",
        sections_serving.TITLE,
        sections_serving.LEAD,
        sections_serving.served,
        sections_serving.serving_key,
    ),
    Besides(
        "cycles",
        sections_cycle.TITLE,
        sections_cycle.LEAD,
        sections_cycle.cycles,
        sections_cycle.cycle_key,
    ),
)


def render_report(run_dir: Path, options: Options = DEFAULTS) -> Path:
    """Write ``report.html`` over whatever is finished in a run, unless it is up to date; returns its path.

    The page shows what is on disk and adds nothing to it: artifacts do not depend on it.

    Raises:
        ArtifactError: The run folder is not there.
    """
    run = read_run(Path(run_dir))
    if not run.folder.is_dir():
        raise ArtifactError(f"{run.folder}: is not there. The folder of a run is needed. Make its first stage.")
    path = run.folder / NAME
    key = state_key(run, _code(), options, *(besides.key(run) for besides in BESIDES))
    if _key_of(path) == key:
        log.info("report: up to date (%s)", path)
        return path
    page = whole_page(run, options, key).encode("utf-8", "replace")
    temporary = path.with_name(NAME + ".tmp")
    temporary.write_bytes(page)
    os.replace(temporary, path)
    log.info(
        "report: %d of %d artifacts, %s -> %s",
        len(run.finished),
        len(run.artifacts),
        size_in_bytes(len(page)),
        path,
    )
    return path


def whole_page(run: Run, options: Options, key: str) -> str:
    """The page as text; the same run gives the same text."""
    name = run.folder.resolve().name
    found = [(besides, body) for besides in BESIDES if (body := besides.body(run))]
    return document(
        name,
        header(run),
        tag(
            "main",
            _navigation(run, [besides for besides, _ in found]),
            what_moved(run),
            *(_section(run, section, options) for section in SECTIONS),
            *(_whole(besides.anchor, besides.title, besides.lead, body) for besides, body in found),
            _whole("cost", "Cost", "What each stage took on this machine.", cost(run)),
            _whole("lineage", "Lineage", "What was made from what.", lineage(run)),
        ),
        tag(
            "footer",
            "Made by hftrain from the manifests and logs of this run. ",
            tag("code", f"hftrain verify {clip(name, 80)}"),
            " re-hashes every file of it.",
        ),
        key=key,
    )


def _navigation(run: Run, more: Sequence[Besides]) -> Markup:
    links = [
        tag("a", span(f"state {run[each.artifact].state}"), each.title, href=f"#{each.artifact}") for each in SECTIONS
    ]
    ends = [(besides.anchor, besides.title) for besides in more] + [("cost", "Cost"), ("lineage", "Lineage")]
    return tag("nav", *links, *(tag("a", title, href=f"#{anchor}") for anchor, title in ends), aria_label="Sections")


def _section(run: Run, section: Section, options: Options) -> Markup:
    artifact = run[section.artifact]
    if artifact.state == "finished":
        made = _made(artifact)
        remade = note("It is being made anew; this is the one before.") if artifact.is_being_remade else None
        body = join([made, remade, section.body(artifact, options), all_numbers(artifact.summary)])
    else:
        body = div("empty", *absence(run, artifact))
    return _whole(section.artifact, section.title, section.lead, body)


def _whole(anchor: str, title: str, lead: str, body: Markup) -> Markup:
    return tag("section", tag("h2", title), tag("p", lead, class_="lead"), body, id=anchor)


def _made(artifact: Artifact) -> Markup:
    manifest = artifact.manifest
    return tag(
        "p",
        tag("code", f"{artifact.name}/"),
        f" · {duration(manifest.get('seconds'))} · {size_in_bytes(manifest.get('peak_memory_bytes'))} · ",
        tag("code", short_digest(artifact.digest)),
        class_="made",
    )


def _key_of(path: Path) -> str | None:
    """The key of the page that is there; it stands in the first lines."""
    try:
        with path.open("rb") as file:
            found = KEY.search(file.read(4096))
    except OSError:
        return None
    return found[1].decode() if found else None


@functools.cache
def _code() -> str:
    """A digest of the report's own code: another version makes another page."""
    here = Path(__file__).parent
    parts = [digest_file(path) for path in sorted(here.iterdir()) if path.suffix in (".py", ".css")]
    return hashlib.sha256("".join(parts).encode()).hexdigest()

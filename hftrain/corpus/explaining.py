"""What each step of curation thinks of one document, with the values: for ``hftrain explain``."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from hftrain.corpus import languages, rules, toxicity
from hftrain.corpus.batches import Batch
from hftrain.corpus.curator import Curator, Plan
from hftrain.corpus.exclusions import exclusion
from hftrain.corpus.gathering import Gathering
from hftrain.corpus.personal_data import DROP, LEAVE
from hftrain.corpus.preparation import prepared
from hftrain.corpus.records import Row
from hftrain.corpus.repair import repair
from hftrain.corpus.rule_sets import Rule
from hftrain.corpus.rules import Opinion
from hftrain.corpus.scrubbing import find
from hftrain.corpus.settings import CurationSettings
from hftrain.corpus.settings_checks import problems_of
from hftrain.corpus.storage import DOCUMENT_FEATURES
from hftrain.corpus.workers import Workers
from hftrain.errors import ConfigError, DataError

STEP_CHARS, VALUE_CHARS, NEEDED_CHARS = 44, 14, 16
LISTED_FINDS = 10


@dataclass(frozen=True)
class Finding:
    """What one step says."""

    step: str
    value: str
    needed: str = ""
    """The limits of the value, if it has some."""
    broken: bool = False
    """Whether the document would be dropped for it."""
    detail: str = ""
    setting: str = ""
    """The names of the limits under ``curate.thresholds``."""


@dataclass(frozen=True)
class Explanation:
    """All findings about one document, and what would become of it."""

    where: str
    findings: list[Finding]
    verdict: str

    def as_json(self) -> dict[str, object]:
        """The same as JSON."""
        return {"where": self.where, "verdict": self.verdict, "findings": [asdict(each) for each in self.findings]}

    def lines(self) -> Iterator[str]:
        """A table to read; what would drop the document is marked."""
        yield f"{self.where}: {self.verdict}"
        for each in self.findings:
            mark = "x" if each.broken else " "
            line = f"{mark} {each.step:{STEP_CHARS}} {each.value:>{VALUE_CHARS}}  {each.needed:{NEEDED_CHARS}}"
            yield f"{line} {each.detail or each.setting}".rstrip()


def explanations(
    config: CurationSettings, file: Path, numbers: Sequence[int], *, text_column: str
) -> Iterator[Explanation]:
    """Explain some documents of a file, by their number from 1.

    Boilerplate lines are those of a whole corpus: none are looked for.

    Raises:
        ConfigError: The settings name what there is not.
        DataError: The file has fewer documents, or cannot be read.
    """
    if problems := problems_of(config):
        raise ConfigError("\n".join(problems))
    with tempfile.TemporaryDirectory() as folder:
        plan = prepared(config, None, Workers(1), folder=Path(folder))
        for where, row in rows_of(file, numbers, text_column=text_column):
            yield explain(plan, row, where)


def rows_of(file: Path, numbers: Sequence[int], *, text_column: str) -> Iterator[tuple[str, Row]]:
    """Yield the name and the row of some documents of a file, by their number from 1.

    Raises:
        DataError: The file has fewer documents, or cannot be read.
    """
    gathering = Gathering(text_column=text_column)
    if min(numbers) < 1:
        raise DataError(f"--row {min(numbers)}: documents are numbered from 1. Give such a number.")
    if not file.is_file():
        raise DataError(f"{file}: no such file. One that collect reads is needed. Mend the path.")
    wanted = set(numbers)
    seen = 0
    for number, row in enumerate(islice(gathering.documents([str(file)]), max(wanted)), start=1):
        seen = number
        if number in wanted:
            yield f"{file.name}, document {number}", row
    if seen < max(wanted):
        reasons = ", ".join(source.unreadable for source in gathering.sources if source.unreadable)
        raise DataError(
            f"{file}: document {max(wanted)} was asked for, and it has {seen}{f' ({reasons})' if reasons else ''}. "
            "Ask for one of these with --row."
        )


def explain(plan: Plan, row: Row, where: str) -> Explanation:
    """Let every step look at a document as it comes to the rules, whatever an earlier one says of it."""
    curator = Curator(plan)
    judged = curator.judge(pa.RecordBatch.from_pylist([row], schema=DOCUMENT_FEATURES.arrow_schema))
    examples = judged.funnel.parts()["examples"]
    verdict = "kept, unless another document is like it"
    for rule, (example, *_) in examples.items():
        verdict = f"dropped as {rule}: {example['detail']}"
    text = repair(str(row["text"]))
    batch = Batch([text])
    findings = [*_of_origin(row, plan), *_of_text(str(row["text"]), text)]
    sets = [name for name in plan.rules for _ in rules.rule_sets()[name]]
    opinions = rules.explain(text, curator.rules)
    findings += [_of_rule(*each) for each in zip(sets, curator.rules, opinions, strict=True)]
    findings += [*_of_language(text, curator, plan), *_of_toxicity(batch, plan), *_of_quality(text, curator, plan)]
    findings += [*_of_personal_data(text, plan), *_of_overlap(batch, curator)]
    return Explanation(where, findings, verdict)


def _of_origin(row: Row, plan: Plan) -> Iterator[Finding]:
    found = exclusion(row, plan.exclude)
    yield Finding("licence", str(row["license"]), "", found is not None, found[1] if found else "")


def _of_text(collected: str, repaired: str) -> Iterator[Finding]:
    yield Finding("bytes", f"{len(collected.encode()):,}")
    yield Finding("bytes after repair", f"{len(repaired.encode()):,}", "", not repaired)


def _of_rule(rule_set: str, rule: Rule, opinion: Opinion) -> Finding:
    limits = [f">= {opinion.least:g}" if opinion.least is not None else ""]
    limits.append(f"<= {opinion.most:g}" if opinion.most is not None else "")
    value = "–" if math.isnan(opinion.value) else f"{opinion.value:.4g}"
    setting = ", ".join(f"{rule_set}.{name}" for name in (rule.least_name, rule.most_name) if name)
    return Finding(opinion.name, value, " ".join(filter(None, limits)), opinion.is_broken, opinion.detail, setting)


def _of_language(text: str, curator: Curator, plan: Plan) -> Iterator[Finding]:
    ((code, score),) = languages.identify([text])
    least, keep = plan.languages.minimum_score, curator.languages
    detail = languages.wrong_language(code, score, keep, least) if keep else None
    needed = f"{', '.join(sorted(keep))} >= {least:g}" if keep else ""
    yield Finding("language", f"{code} {score:.2f}", needed, detail is not None, detail or "")


def _of_toxicity(batch: Batch, plan: Plan) -> Iterator[Finding]:
    most = plan.toxicity.maximum_score
    if most is None:
        return
    found = toxicity.toxicity(batch, threshold=most)
    share = found.toxic_windows_D[0] / max(1, found.windows_D[0])
    detail = toxicity.too_toxic(found, 0, minimum_share=plan.toxicity.minimum_share)
    yield Finding("toxicity, worst window", f"{found.highest_D[0]:.2f}", f"<= {most:g}")
    needed = f"< {plan.toxicity.minimum_share:g}"
    yield Finding("toxicity, share of windows above", f"{share:.2f}", needed, detail is not None, detail or "")


def _of_quality(text: str, curator: Curator, plan: Plan) -> Iterator[Finding]:
    if curator.quality is None:
        return
    score = float(curator.quality.score([text])[0])
    reasons = ", ".join(f"{name} {weight:+.2f}" for name, weight in curator.quality.explain(text, limit=4))
    yield Finding("quality", f"{score:.2f}", f">= {plan.minimum_quality:g}", score < plan.minimum_quality, reasons)


def _of_personal_data(text: str, plan: Plan) -> Iterator[Finding]:
    looked_for = [kind for kind, action in plan.personal_data.items() if action != LEAVE]
    found = find(text, looked_for, names_model=plan.names_model)
    for one in found[:LISTED_FINDS]:
        action = plan.personal_data[one.kind]
        yield Finding(f"personal data: {one.kind}", action, "", action == DROP, one.masked)
    if len(found) > LISTED_FINDS or not found:
        yield Finding("personal data", f"{len(found):,} in all")


def _of_overlap(batch: Batch, curator: Curator) -> Iterator[Finding]:
    for index, reason in curator.protected:
        matches = index.matches(batch)
        detail = matches[0].detail() if matches else ""
        yield Finding(
            f"overlap: {reason}", f"{sum(match.runs for match in matches):,} runs", "0", bool(matches), detail
        )

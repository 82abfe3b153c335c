"""The page on the student: a smaller model beside the one that it learned from."""

from collections.abc import Mapping
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, clip, fold, join, note, sample, table, tag
from hftrain.report.numbers import MISSING, count, decimal, is_number, percent, short_count
from hftrain.report.parts import Options, curve, facts, figure, figures, growth, or_ends
from hftrain.report.reading import Artifact, as_list, as_mapping

METHODS: Mapping[str, str] = {
    "logits": "the teacher's logits on the corpus",
    "text": "text that the teacher wrote",
    "on_policy": "the teacher's logits on the student's own answers",
    "cross_tokenizer": "the teacher's logits over other tokens",
}
BESIDE = (
    ("bits per byte, held-out documents", "heldout_bits_per_byte", decimal),
    ("nats per token, held-out answers", "heldout_answer_nats", decimal),
    ("answers that end by themselves", "ended_share", percent),
)


def distillation(student: Artifact, options: Options) -> Markup:
    """How much of its teacher a student kept, and at what size."""
    summary = student.summary
    method = str(student.values("method.json").get("method", MISSING))
    ratio = summary.get("size_ratio")
    return join(
        [
            facts(
                (
                    "parameters",
                    short_count(summary.get("parameters")),
                    f"teacher {short_count(summary.get('teacher_parameters'))}",
                ),
                ("smaller by a factor of", decimal(ratio, 1)),
                ("learned from", METHODS.get(method, clip(method, 80))),
                *_agreement(summary),
            ),
            table(("", "teacher", "student at first", "student"), _rows(student), numeric_from=1),
            None if summary.get("has_same_tokens") is not False else _other_tokens(),
            figures(
                _curve(
                    student,
                    "heldout_bits_per_byte",
                    "Held-out text",
                    "bits per byte",
                    "The bits that the student needs for a byte of text that neither was trained on. While it trains, "
                    "a part of the text is measured; the table is on all of it.",
                ),
                _curve(
                    student,
                    "heldout_answer_nats",
                    "Held-out answers",
                    "nats per answer token",
                    "How surprised the student is by answers that neither was trained on.",
                ),
                _divergence(student),
                _disagreement(student),
            ),
            _start(student),
            _written(student, options),
            growth(student, options),
        ]
    )


def _agreement(summary: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    shares = [summary.get(f"greedy_agreement_{kind}") for kind in ("text", "answers")]
    if not any(is_number(share) for share in shares):
        return []
    return [("same likeliest token as the teacher", percent(shares[0]), f"in answers {percent(shares[1])}")]


def _rows(student: Artifact) -> list[tuple[object, ...]]:
    summary, measured = student.summary, as_mapping(student.manifest.get("measured"))
    rows: list[tuple[object, ...]] = [
        (name, *(write(summary.get(f"{stem}_{when}")) for when in ("teacher", "before", "after")))
        for name, stem, write in BESIDE
    ]
    speeds = [measured.get(f"{who}_answer_tokens_per_second") for who in ("teacher", "student")]
    if any(is_number(speed) for speed in speeds):
        rows.append(("answer tokens a second, on this machine", count(speeds[0]), "", count(speeds[1])))
    return rows


def _other_tokens() -> Markup:
    return note(
        "Teacher and student write text in different tokens: nats per token are not to be compared between them; bits "
        "per byte are."
    )


def _curve(student: Artifact, stem: str, title: str, y_label: str, caption: str) -> Markup:
    summary = student.summary
    before, after = (summary.get(f"{stem}_{when}") for when in ("before", "after"))
    points = or_ends(curve(student.metrics, stem), before, after, student.metrics)
    of_teacher = summary.get(f"{stem}_teacher")
    comparable = stem == "heldout_bits_per_byte" or summary.get("has_same_tokens") is not False
    drawn = plots.lines(
        {"student": points},
        title=title,
        x_label="step",
        y_label=y_label,
        references={"teacher": of_teacher} if comparable else {},
    )
    return figure(drawn, caption)


def _divergence(student: Artifact) -> Markup | None:
    found = {
        name: curve(student.metrics, key)
        for name, key in (
            ("in training", "teacher_kl"),
            ("held-out text", "heldout_kl_text"),
            ("held-out answers", "heldout_kl_answers"),
        )
    }
    if not any(found.values()):
        return None
    drawn = plots.lines(found, title="Divergence from the teacher", x_label="step", y_label="nats per token")
    return figure(
        drawn, "KL(teacher | student): how much worse off who expects the student's words is with the teacher's."
    )


def _disagreement(student: Artifact) -> Markup | None:
    found = {name: curve(student.metrics, f"greedy_agreement_{name}") for name in ("text", "answers")}
    if not any(found.values()):
        return None
    drawn = plots.lines(
        found, title="Same likeliest token", x_label="step", y_label="share of held-out tokens", y_is_share=True
    )
    return figure(drawn, "How often teacher and student would write the same next token.")


def _start(student: Artifact) -> Markup | None:
    taken = student.values("start.json")
    if not taken:
        return None
    layers = ", ".join(count(each) for each in as_list(taken.get("layers")))
    return note(
        f"It began with its teacher's layers {layers} (the first is 0), {count(taken.get('neurons'))} neurons of each "
        f"MLP, and the directions that hold {percent(taken.get('kept_share'))} of what flows between layers."
    )


def _written(student: Artifact, options: Options) -> Markup | None:
    texts = student.values("written.json")
    documents = [sample(text) for text in as_list(texts.get("documents"))[: options.sample_rows]]
    if not documents:
        return None
    return fold("What the teacher wrote for it", tag("div", *documents))

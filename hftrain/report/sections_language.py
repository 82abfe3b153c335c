"""The page on the two models that learn from text: pretraining, and fine-tuning on conversations."""

from collections.abc import Mapping
from typing import Any

from hftrain.report import plots
from hftrain.report.markup import Markup, clip, div, fold, join, note, paragraph, span, table, tag
from hftrain.report.numbers import count, decimal, is_number, percent, short_count, signed
from hftrain.report.parts import Options, curve, facts, figure, figures, growth, moved, or_ends
from hftrain.report.reading import Artifact, as_list, as_mapping, at, objects_in

MOST_LENS_TOKENS = 400


def pretraining(base: Artifact, options: Options) -> Markup:
    """How the base model learned to continue text, or to find hidden words."""
    summary, metrics = base.summary, base.metrics
    is_encoder = "heldout_masked_nats_after" in summary
    packing = as_mapping(summary.get("packing"))
    return join(
        [
            facts(
                ("parameters", short_count(summary.get("parameters"))),
                ("tokens trained on", short_count(summary.get("train_tokens"))),
                _guessing(summary) if is_encoder else _writing(summary),
                (
                    "documents cut to fit rows",
                    f"{count(packing.get('documents_cut'))} of {count(packing.get('documents'))}",
                    f"{count(packing.get('padding_tokens'))} tokens of padding",
                ),
            ),
            figures(
                _masked_curve(base) if is_encoder else _heldout_curve(base),
                _loss(metrics, "How surprised the model is by the next token of its training text."),
            ),
            _gradient(metrics),
            _derived(base),
            growth(base, options),
        ]
    )


def _writing(summary: Mapping[str, Any]) -> tuple[str, object, object]:
    moved_by = moved(summary, "heldout_bits_per_byte", decimal, 2)
    return "bits per byte, held out", moved_by, f"unigram {decimal(summary.get('unigram_bits_per_byte'), 2)}"


def _guessing(summary: Mapping[str, Any]) -> tuple[str, object, object]:
    found = f"{percent(summary.get('heldout_masked_accuracy_after'))} found"
    return "nats per hidden token, held out", moved(summary, "heldout_masked_nats", decimal, 2), found


def _heldout_curve(base: Artifact) -> Markup:
    summary = base.summary
    before, after = (summary.get(f"heldout_bits_per_byte_{when}") for when in ("before", "after"))
    return figure(
        plots.lines(
            {"held out": or_ends(curve(base.metrics, "heldout_bits_per_byte"), before, after, base.metrics)},
            title="Held-out text",
            x_label="step",
            y_label="bits per byte",
            references={
                "uniform": summary.get("uniform_bits_per_byte"),
                "unigram": summary.get("unigram_bits_per_byte"),
            },
        ),
        "The bits that the model needs to write down a byte of text it never trained on. "
        "Below “unigram” it knows more than how often each token occurs. While it trains, a part of "
        "the text is measured; the numbers above are on all of it.",
    )


def _masked_curve(base: Artifact) -> Markup:
    before, after = (base.summary.get(f"heldout_masked_nats_{when}") for when in ("before", "after"))
    return figure(
        plots.lines(
            {"held out": or_ends(curve(base.metrics, "heldout_masked_nats"), before, after, base.metrics)},
            title="Hidden words of held-out text",
            x_label="step",
            y_label="nats per hidden token",
        ),
        "How surprised the model is by the tokens that were hidden from it, in text it never trained on.",
    )


def _derived(base: Artifact) -> Markup | None:
    """What followed from the size, and by which rule."""
    rules = as_list(base.values("derived.json").get("rules"))
    if not rules:
        return None
    return fold("What was derived, and by which rule", tag("ul", *(tag("li", line) for line in rules)))


def tokenizer_comparison(made: Artifact) -> Markup | None:
    """How the vocabulary writes each kind of held-out text, beside the tokenizer that it was compared with."""
    report = made.values("report.json")
    rival = as_mapping(report.get("rival"))
    kinds = [*objects_in(report.get("domains")), "conversations"]
    if not as_mapping(report.get("domains")):
        return None
    names = ["this one", *([clip(rival.get("name"), 40)] if rival else [])]
    columns = [f"{what}, {name}" if rival else what for what in ("bytes per token", "words whole") for name in names]
    rows = []
    for kind in kinds:
        found = [_written(each, kind) for each in (report, *([rival] if rival else []))]
        ratios = [decimal(numbers.get("bytes_per_token"), 2) for numbers in found]
        rows.append((clip(kind, 80), *ratios, *(percent(numbers.get("whole_word_share")) for numbers in found)))
    unused = [
        f"{name}: {count(at(each, 'documents', 'unused_tokens'))} of {count(each.get('vocabulary'))}"
        for name, each in zip(names, (report, rival), strict=False)
    ]
    said = note(
        "A word is whole if it is one token with the space before it. Tokens that the held-out documents never use: ",
        "; ".join(unused), ".",
    )  # fmt: skip
    return join([tag("h3", "Text by where it is from"), table(("text", *columns), rows, numeric_from=1), said])


def _written(report: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return as_mapping(report.get("conversations") if kind == "conversations" else at(report, "domains", kind))


def fine_tuning(chat: Artifact, options: Options) -> Markup:
    """How the chat model learned to answer, and what it was trained on in a row."""
    summary, metrics = chat.summary, chat.metrics
    before, after = (summary.get(f"heldout_answer_nats_{when}") for when in ("before", "after"))
    heldout = or_ends(curve(metrics, "heldout_answer_nats"), before, after, metrics)
    ended = moved(summary, "ended_share", percent, 0)
    return join(
        [
            facts(
                (
                    "conversations trained on",
                    count(summary.get("train_conversations")),
                    _dropped(summary),
                ),
                (
                    "answer loss, held out",
                    moved(summary, "heldout_answer_nats"),
                    "nats per token",
                ),
                ("answers that end by themselves", ended, _sampled(summary)),
                *_forgotten(summary),
                *_packed(summary),
            ),
            figures(
                figure(
                    plots.lines(
                        {"held out": heldout},
                        title="Held-out answers",
                        x_label="step",
                        y_label="nats per answer token",
                    ),
                    "How surprised the model is by answers it never trained on, given their prompts. "
                    "Where it turns up again, the model learns its examples by heart.",
                ),
                _loss(metrics, "The same on the conversations that it trains on; answers only."),
            ),
            _abstaining(summary),
            _mixture(summary),
            _label_lens(chat, options),
            growth(chat, options),
        ]
    )


def _sampled(summary: Mapping[str, Any]) -> str:
    share, tokens = summary.get("ended_share_sampled_after"), summary.get("new_tokens")
    within = f"of the likeliest tokens, within {count(tokens)}" if is_number(tokens) else ""
    return f"{within}; sampled: {percent(share)}" if is_number(share) else within


def _forgotten(summary: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    """What learning to answer cost of the text that the base had learned from."""
    before, after = (summary.get(f"bits_per_byte_{when}") for when in ("before", "after"))
    if not is_number(before) or not is_number(after) or not before:
        return []
    worse = f"{signed(100 * (after / before - 1), 1)} % for documents: what was forgotten"
    return [("bits per byte, held-out documents", moved(summary, "bits_per_byte", decimal, 2), worse)]


def _packed(summary: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    packing = as_mapping(summary.get("packing"))
    rows, width = packing.get("rows"), packing.get("row_tokens")
    if not is_number(rows) or not is_number(width) or not rows * width:
        return []
    wasted = percent(packing.get("padding_tokens", 0) / (rows * width), 1)
    return [("packed rows", count(rows), f"{count(packing.get('conversations'))} conversations; {wasted} padding")]


def _abstaining(summary: Mapping[str, Any]) -> Markup | None:
    """Answered right, answered wrong and declined, before and after, for what the corpus holds and what it does not."""
    if "not_held_questions" not in summary:
        return None
    rows = [
        (
            f"{said}, {when}",
            count(summary.get(f"{group}_questions")),
            *(count(summary.get(f"{group}_{outcome}_{when}")) for outcome in ("right", "wrong", "declined")),
        )
        for group, said in (("held", "the corpus answers it"), ("not_held", "it does not"))
        for when in ("before", "after")
    ]
    taught = as_mapping(summary.get("abstain"))
    said = note(
        f"Questions that nobody taught. It was taught to decline {count(taught.get('taught_to_decline'))} others that "
        f"no training document answers, and to answer {count(taught.get('taught_to_answer'))} that one does."
    )
    usual = summary.get("declined_share_after")
    if is_number(usual):
        said = join([said, note(f"Of ordinary held-out requests it declines {percent(usual, 1)}.")])
    heads = ("held-out questions", "asked", "right", "wrong", "declined")
    return join([tag("h3", "Saying that it does not know"), table(heads, rows, numeric_from=1), said])


def _mixture(summary: Mapping[str, Any]) -> Markup | None:
    groups = objects_in(summary.get("mixture"))
    if not groups:
        return None
    rows = [
        (clip(name, 80), *(count(group.get(key)) for key in ("conversations", "rows", "tokens")))
        for name, group in groups.items()
    ]
    return fold("The mixture of sources", table(("sources", "conversations", "rows", "tokens"), rows, numeric_from=1))


def _loss(metrics: list[Mapping[str, Any]], caption: str) -> Markup:
    return figure(
        plots.lines(
            {"training": curve(metrics, "loss")},
            title="Training loss",
            x_label="step",
            y_label="nats per token",
        ),
        caption,
    )


def _gradient(metrics: list[Mapping[str, Any]]) -> Markup | None:
    norms, rates = curve(metrics, "grad_norm"), curve(metrics, "learning_rate")
    if not norms and not rates:
        return None
    drawn = [
        plots.lines({"gradient": norms}, title="Gradient norm", x_label="step", y_label="L2 norm"),
        plots.lines({"rate": rates}, title="Learning rate", x_label="step", y_label="per step"),
    ]
    return fold("Gradient norm and learning rate", figures(*(figure(plot) for plot in drawn)))


def _dropped(summary: Mapping[str, Any]) -> str:
    dropped = summary.get("dropped")
    if not isinstance(dropped, Mapping) or not dropped:
        return ""
    said = ", ".join(f"{reason} {count(number)}" for reason, number in dropped.items())
    return f"dropped: {said}"


def _label_lens(chat: Artifact, options: Options) -> Markup | None:
    examples = chat.content("label_examples.json")
    rows = [
        _lens_row(example["tokens"])
        for example in (examples if isinstance(examples, list) else [])[: options.sample_rows]
        if isinstance(example, Mapping) and isinstance(example.get("tokens"), list)
    ]
    if not rows:
        return None
    key = paragraph(
        span("token trained", "coloured"), " tokens are learned; ", span("token masked", "pale"),
        " ones are only read. The mark that ends the turn must be coloured, or the model never stops.",
    )  # fmt: skip
    return join([tag("h3", "What is learned in a row"), key, *rows])


def _lens_row(tokens: list[Any]) -> Markup:
    drawn = []
    for token in tokens[:MOST_LENS_TOKENS]:
        if isinstance(token, Mapping):
            text = str(token.get("text", "")).replace("\n", "↵\n")
            drawn.append(span("token trained" if token.get("trained") is True else "token masked", text))
    left_out = len(tokens) - MOST_LENS_TOKENS
    more = span("quiet", f" … (+{left_out:,} tokens)") if left_out > 0 else None
    return div("sample lens", *drawn, more)

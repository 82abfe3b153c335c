"""What each row would teach, before anything is trained: ``hftrain lens``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from hftrain.errors import ArtifactError, DataError
from hftrain.manifests import MANIFEST

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from hftrain.tokens.chat import Messages
    from hftrain.tokens.lens import Row
    from hftrain.tokens.lens_page import Part
    from hftrain.training.answer_rows import Talks

CONTEXTS = ("max_position_embeddings", "n_positions")


def show(
    config: Any,
    run_dir: Path | None,
    *,
    rows: int = 3,
    color: Literal["always", "never", "auto"] = "auto",
    as_json: bool = False,
    out: TextIO,
) -> None:
    """Write what of each row is trained, masked, cut and padded, for the SFT of a flow and the pairs of a run.

    What the run has made is used: its corpus, else the conversations as they are collected; its base's tokenizer, else
    the tokenizer, else that of ``pretrain.base``; its preferences, if there are any.

    Args:
        config: A ``FlowConfig``.
        run_dir: The run's folder; None for none.
        rows: How many rows of each kind are shown.
        color: ``auto`` for colours on a terminal alone.
        as_json: Write one JSON object instead.
        out: Where to.

    Raises:
        ArtifactError: There is no tokenizer yet.
        DataError: Nothing would be learned, or no end of a turn, or too many rows would be left out; told after the
            rows were shown.
    """
    from hftrain.tokens.lens_page import is_coloured, legend

    tokenizer, whose, context = _tokenizer(config, run_dir)
    parts = [_sft_part(config, run_dir, tokenizer, whose, context, rows)]
    pairs = run_dir / "preferences" if run_dir is not None else None
    if pairs is not None and (pairs / MANIFEST).is_file():
        parts.append(_pairs_part(config.reward_model, pairs, tokenizer, whose, context, rows))
    problems = [part.problem for part in parts if part.problem]
    if as_json:
        out.write(json.dumps({"parts": [part.as_json() for part in parts]}, ensure_ascii=False) + "\n")
    else:
        in_colour = is_coloured(color, out)
        lines = [legend(in_colour=in_colour)]
        for part in parts:
            lines += ["", *part.lines(in_colour=in_colour)]
        out.write("\n".join(lines) + "\n")
    if problems:
        raise DataError("\n".join(problems))


def _tokenizer(config: Any, run_dir: Path | None) -> "tuple[PreTrainedTokenizerFast, str, int]":
    """A tokenizer, what it is called, and the context of the model that it is for."""
    from hftrain.tokens.chat import load_tokenizer

    for name in ("base", "tokenizer"):
        folder = run_dir / name if run_dir is not None else None
        if folder is not None and (folder / MANIFEST).is_file():
            tokenizer = load_tokenizer(folder)
            return tokenizer, name, _context(config, folder, len(tokenizer))
    if config.pretrain.base is not None:
        from hftrain.models.continuing import load_base
        from hftrain.models.loading import context_tokens

        model, adopted = load_base(config.pretrain.base)
        return adopted, "pretrain.base", context_tokens(model) or _context(config, None, len(adopted))
    raise ArtifactError(
        f"{run_dir or 'no run'}: no tokenizer yet. Rows are counted in tokens. Run recipes/train_tokenizer.py for the "
        "run first and name it by --run-dir, or set pretrain.base to a model."
    )


def _context(config: Any, base: Path | None, vocab_size: int) -> int:
    """The longest row that the base takes, or will take when it is trained as configured."""
    from hftrain.files import read_json
    from hftrain.models.sizes import derive
    from hftrain.training.starting import DEFAULT_SIZE

    given = config.pretrain
    settings: Mapping[str, Any] = given.model
    if base is not None and (base / "config.json").is_file():
        settings = read_json(base / "config.json")
    known = next((settings[name] for name in CONTEXTS if settings.get(name)), given.row_tokens)
    return int(known or derive(given.size or DEFAULT_SIZE, vocab_size=vocab_size).row_tokens)


def _sft_part(
    config: Any, run_dir: Path | None, tokenizer: "PreTrainedTokenizerFast", whose: str, context: int, shown: int
) -> "Part":
    from hftrain.tokens.lens import check_labels
    from hftrain.tokens.lens_page import Part, padding_in_batches
    from hftrain.training.answer_rows import rows_to_learn
    from hftrain.training.answering import checked_limit

    given = config.sft
    limit = checked_limit(context, given.max_row_tokens)
    talks, corpus, origin = _talks(config, run_dir)
    learned = rows_to_learn(given, tokenizer, talks, corpus, max_row_tokens=limit)
    lengths = [len(row["input_ids"]) for row in learned.rows]
    account = dict(learned.account)
    if given.abstain.questions and corpus is None:
        account["abstain"] = "questions are sorted by the corpus, which is not made yet: none is here"
    begins = [next((turn["content"] for turn in talk if turn["role"] == "user"), "") for talk in learned.messages]
    told = f"{origin}, tokenizer of {whose}"
    part = Part("sft", told, limit, given.max_dropped_share, learned.labelled.seen, begins, account=account)
    part.batch_rows = int(given.training.get("per_device_train_batch_size", 8))
    if given.packing and lengths:
        from hftrain.training.answer_packing import pack_answers

        packed, packing = pack_answers(learned.rows, row_tokens=limit)
        lengths = [len(row["input_ids"]) for row in packed]
        part.account = {**account, "packing": f"{packing.conversations:,} conversations in {packing.rows:,} rows"}
    part.padding_tokens = padding_in_batches(lengths, batch_rows=part.batch_rows, seed=given.seed or 0)
    source_of = dict(zip(map(id, learned.labelled.rows), learned.labelled.sources, strict=True))
    some = [learned.rows[number * len(learned.rows) // shown] for number in range(min(shown, len(learned.rows)))]
    part.examples = _examples(tokenizer, [(f"a row of {source_of[id(row)]}", row) for row in some])
    left_out = next((each for each in part.seen if each.reason == "too_long"), None)
    if left_out is not None:
        part.examples.append(_left_out(tokenizer, learned.messages[left_out.place]))
    try:
        check_labels(tokenizer, learned.labelled, max_dropped_share=given.max_dropped_share)
    except DataError as problem:
        part.problem = str(problem)
    return part


def _talks(config: Any, run_dir: Path | None) -> "tuple[Talks, Path | None, str]":
    """Conversations, the corpus if they are of one, and where they are from in words."""
    from hftrain.corpus.gathering import Gathering
    from hftrain.training.answer_rows import Talks, talks_of

    if run_dir is not None and (run_dir / "corpus" / MANIFEST).is_file():
        return talks_of(run_dir / "corpus"), run_dir / "corpus", "the corpus's training conversations"
    places = config.collect.conversations
    found = list(Gathering(license=config.collect.license).conversations(places))
    messages: Any = [row["messages"] for row in found]
    origin = f"{', '.join(places) or 'nothing'} as collected (curate may still drop some)"
    return Talks(messages, [str(row["source"]) for row in found]), None, origin


def _pairs_part(
    given: Any, pairs: Path, tokenizer: "PreTrainedTokenizerFast", whose: str, context: int, shown: int
) -> "Part":
    """Preference pairs: DPO and KTO learn both answers, and a reward is read at the last token of each."""
    from hftrain.corpus.storage import read_rows
    from hftrain.tokens.lens import IGNORED, Seen, check_rows
    from hftrain.tokens.lens_page import Part, padding_in_batches

    limit = min(context, given.max_row_tokens or context)
    rows: list[Row] = []
    seen: list[Seen] = []
    begins: list[str] = []
    for pair in read_rows(pairs / "train"):
        made = [_answer_row(tokenizer, pair["prompt"], pair[side]) for side in ("chosen", "rejected")]
        longest = max(len(row["input_ids"]) for row in made)
        for side, row in zip(("chosen", "rejected"), made, strict=True):
            trained = sum(label != IGNORED for label in row["labels"])
            reason = "pair_too_long" if longest > limit else None
            seen.append(Seen(len(begins), side, len(row["input_ids"]), trained, reason))
            begins.append(pair["prompt"][-1]["content"])
        rows += made if longest <= limit else []
    part = Part(
        "preferences", f"pairs of {pairs.name}, tokenizer of {whose}", limit, given.max_dropped_share, seen, begins
    )
    part.batch_rows = int(given.training.get("per_device_train_batch_size", 8))
    lengths = [len(row["input_ids"]) for row in rows]
    part.padding_tokens = padding_in_batches(lengths, batch_rows=part.batch_rows, seed=given.seed or 0)
    titles = [f"pair {number // 2 + 1}, {('chosen', 'rejected')[number % 2]}" for number in range(2 * shown)]
    part.examples = _examples(tokenizer, list(zip(titles, rows, strict=False)))
    part.problem = _problem_of_pairs(tokenizer, part, rows, check_rows)
    return part


def _problem_of_pairs(tokenizer: Any, part: "Part", rows: "list[Row]", check_rows: Any) -> str | None:
    left_out = len(part.seen) - len(rows)
    if not rows or left_out / len(part.seen) > part.max_left_out_share:
        return (
            f"preferences: {left_out // 2} of {len(part.seen) // 2} pairs have a row of more than "
            f"{part.max_row_tokens} tokens. At most a share of {part.max_left_out_share} may be left out, and one pair "
            "must be left. Raise reward_model.max_row_tokens or reward_model.max_dropped_share, or shorten the answers."
        )
    try:
        check_rows(tokenizer, rows, "preferences")
    except DataError as problem:
        return str(problem)
    return None


def _answer_row(tokenizer: "PreTrainedTokenizerFast", prompt: Any, answer: Any) -> "Row":
    """Prompt and answer, of which the answer alone is learned."""
    from hftrain.tokens.chat import encode_conversation
    from hftrain.tokens.lens import IGNORED

    asked = len(encode_conversation(tokenizer, prompt)[0])
    ids, mask = encode_conversation(tokenizer, [*prompt, *answer])
    learned = [place >= asked and trained for place, trained in enumerate(mask)]
    return {"input_ids": ids, "labels": [token if is_ else IGNORED for token, is_ in zip(ids, learned, strict=True)]}


def _examples(tokenizer: "PreTrainedTokenizerFast", rows: "Sequence[tuple[str, Row]]") -> list[Any]:
    """The rows under their titles, as one batch: each filled up to the longest of them."""
    from hftrain.tokens.lens_page import Example, pieces_of

    longest = max((len(row["input_ids"]) for _, row in rows), default=0)
    return [
        Example(title, pieces_of(tokenizer, row["input_ids"], row["labels"], pad_to=longest)) for title, row in rows
    ]


def _left_out(tokenizer: "PreTrainedTokenizerFast", messages: "Messages") -> Any:
    from hftrain.tokens.chat import encode_conversation
    from hftrain.tokens.lens_page import Example, pieces_of

    ids, mask = encode_conversation(tokenizer, messages)
    return Example("a row left out as too long", pieces_of(tokenizer, ids, mask, cut=True))

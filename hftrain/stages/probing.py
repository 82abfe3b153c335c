"""Each stage of a flow, run on a piece of its work: what a plan is made of."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hftrain.artifacts import stage
from hftrain.files import read_json
from hftrain.stages import (
    collect,
    curate,
    evaluate_model,
    export,
    ppo,
    pretrain,
    sft,
    train_tokenizer,
)
from hftrain.stages.costs import (
    ARTIFACTS,
    LOGGED,
    STEPS,
    Line,
    Ran,
    batch_of,
    few_steps,
    grown,
    steps_of,
    training_line,
)
from hftrain.stages.flow import FlowConfig

READING_SECONDS = 5.0
PAIRS_SHARE = 0.64
"""Of the pairs that a prompt may give, how many it does: answers that tie or are cut give none."""
CHARS_PER_TOKEN = 3.3
"""Of the corpus's answers that stand in for the model's: hardly any longer than the model's may be."""


class Probe:
    """The stages of a flow, each run on a piece of its work, and what they counted on the way."""

    def __init__(self, flow: FlowConfig, folder: Path) -> None:
        self.flow, self.folder = flow, folder
        self.growth = 1.0
        """How many times the piece the whole is."""

    def at(self, name: str) -> Path:
        """Where the probe of a stage wrote."""
        return self.folder / ARTIFACTS[name]

    def collect(self) -> Line:
        """Read files for a few seconds, conversations all."""
        from hftrain.corpus.gathering import Gathering
        from hftrain.corpus.piece import write_piece
        from hftrain.corpus.storage import CONVERSATION_FEATURES, write_rows

        given = self.flow.collect
        found: dict[str, Any] = {}

        @stage(makes="raw", uses_torch=False)
        def collect_piece(config: collect.CollectConfig, *, out: Path) -> None:
            found["piece"] = write_piece(
                out / "documents", config.text, text_column=config.text_column, license=config.license,
                seconds=READING_SECONDS,
            )  # fmt: skip
            talks = Gathering(config.text_column, config.license).conversations(config.conversations)
            limited = itertools.islice(talks, config.max_conversations)
            found["talks"] = write_rows(out / "conversations", limited, CONVERSATION_FEATURES)

        ran = Ran(collect_piece(given, out=self.at("collect")))
        piece = found["piece"]
        everything = piece.documents / max(piece.share, 1e-9)
        kept = min(everything, given.max_documents or math.inf)
        self.growth = max(1.0, kept / max(piece.documents, 1))
        seconds = ran.seconds - piece.seconds + piece.seconds / piece.share / piece.processes
        counted = f"{piece.share:.0%} of the files read in {piece.seconds:.0f} s, {piece.processes} processes"
        return ran.line("collect", seconds, counted, disk_bytes=ran.disk_bytes * self.growth)

    def curate(self) -> Line:
        """Curate the piece; a tenth of it first, for what is loaded once."""
        from hftrain.corpus.storage import DOCUMENT_FEATURES, read_rows, write_rows
        from hftrain.corpus.warming import PROCESSES_FROM_BYTES, size_bytes_of
        from hftrain.corpus.workers import cpu_count

        raw = self.at("collect")

        @stage(makes="raw", reads=("raw",), uses_torch=False)
        def few(config: collect.CollectConfig, *, raw: Path, out: Path) -> None:
            for kind in ("documents", "conversations"):
                rows = read_rows(raw / kind)
                part = rows.select(range(min(len(rows), max(200, len(rows) // 10))))
                write_rows(out / kind, iter(part), DOCUMENT_FEATURES if kind == "documents" else rows.features)

        small = few(self.flow.collect, raw=raw, out=self.folder / "few")
        loading = Ran(curate.curate(self.flow.curate, raw=small, out=self.folder / "few_corpus"))
        ran = Ran(curate.curate(self.flow.curate, raw=raw, out=self.at("curate")))
        large = size_bytes_of(raw / "documents") * self.growth >= PROCESSES_FROM_BYTES
        processes = cpu_count() if large else 1
        seconds = loading.seconds + ran.seconds * self.growth / processes
        counted = f"{self.growth:.1f} x {ran.seconds:.1f} s by {processes} processes, {loading.seconds:.1f} s to load"
        return ran.line("curate", seconds, counted, disk_bytes=ran.disk_bytes * self.growth)

    @property
    def train_bytes(self) -> float:
        """UTF-8 bytes of training text that the whole corpus will have."""
        return float(Ran(self.at("curate")).summary["bytes_kept"]) * self.growth

    def train_tokenizer(self) -> Line:
        """Learn from the piece and from half of it: what grows with the text and what does not."""
        given, corpus = self.flow.train_tokenizer, self.at("curate")
        whole = min(self.train_bytes, given.text_bytes)
        piece = int(whole / self.growth)
        folders = {"cold": piece // 2, "half": piece // 2, "tokenizer": piece}  # the first loads the libraries
        cold, half, ran = (
            Ran(train_tokenizer.train_tokenizer(
                dataclasses.replace(given, text_bytes=max(size, 1)), corpus=corpus, out=self.folder / name
            ))
            for name, size in folders.items()
        )  # fmt: skip
        seconds = grown((piece // 2, half.seconds), (piece, ran.seconds), whole) + max(0.0, cold.seconds - half.seconds)
        return ran.line("train_tokenizer", seconds, f"{whole / 1e6:.1f} MB, from {piece / 1e6:.1f} and half of it")

    def pretrain(self) -> Line:
        """A few steps, and the looks before and after them."""
        given = self.flow.pretrain
        per_token = read_json(self.at("train_tokenizer") / "report.json")["documents"]["bytes_per_token"]
        training = self._derived_training(per_token)
        config = dataclasses.replace(given, training=few_steps(training), max_minutes=None, look_every_steps=STEPS)
        ran = Ran(pretrain.pretrain(config, corpus=self.at("curate"), tokenizer=self.at("train_tokenizer"),
                                    out=self.at("pretrain")))  # fmt: skip
        step_tokens = ran.summary["train_tokens"] / STEPS
        steps = steps_of(training, self.train_bytes / per_token / (step_tokens / batch_of(training)))
        packing = steps * step_tokens * self._encoding_seconds_per_token(per_token)
        line = training_line(ran, "pretrain", steps, given.look_every_steps, f"{step_tokens:,.0f} tokens", packing)
        if given.max_minutes is None:
            return line
        return dataclasses.replace(line, seconds=given.max_minutes * 60, counted="pretrain.max_minutes")

    def _derived_training(self, bytes_per_token: float) -> Mapping[str, Any]:
        """The arguments that the whole corpus will give; where nothing is derived, those that are written."""
        from hftrain.models.shapes import NAMES
        from hftrain.tokens.chat import load_tokenizer
        from hftrain.training.starting import derived_for

        given = self.flow.pretrain
        if given.base is not None or given.model.get("model_type", "llama") not in NAMES:
            return given.training
        return derived_for(
            given,
            vocab_size=len(load_tokenizer(self.at("train_tokenizer"))),
            train_bytes=round(self.train_bytes),
            bytes_per_token=bytes_per_token,
        ).training

    def _encoding_seconds_per_token(self, bytes_per_token: float) -> float:
        import time

        from hftrain.corpus.splits import take_bytes, texts_of
        from hftrain.tokens.chat import load_tokenizer
        from hftrain.tokens.packing import encode_documents

        texts = take_bytes(texts_of(self.at("curate"), "train"), 500_000)
        began = time.monotonic()
        tokens = sum(len(ids) for ids in encode_documents(load_tokenizer(self.at("train_tokenizer")), texts))
        return (time.monotonic() - began) / tokens

    def sft(self) -> Line:
        """A few steps, and the looks before and after them."""
        given = self.flow.sft
        # Next to no learning rate: a model that has just learned that answers end would answer nothing more.
        training = few_steps(given.training) | {"learning_rate": 1e-12}
        config = dataclasses.replace(given, training=training, look_every_steps=STEPS)
        ran = Ran(sft.sft(config, base=self.at("pretrain"), corpus=self.at("curate"), out=self.at("sft")))
        rows = ran.summary.get("packing", {}).get("rows", ran.summary["train_conversations"])
        steps = steps_of(given.training, rows)
        return training_line(ran, "sft", steps, given.look_every_steps, f"{batch_of(given.training)} rows")

    def answered(self) -> Iterator[tuple[str, str]]:
        """What the corpus's users say, and what they are answered."""
        from hftrain.corpus.splits import conversations_of

        for talk in conversations_of(self.at("curate"), "train"):
            for before, after in itertools.pairwise(talk):
                if (before["role"], after["role"]) == ("user", "assistant"):
                    yield before["content"], after["content"]

    def answer_tokens(self, limit: int) -> int:
        """How long answers of a policy will be to the clock; the probe's own, which has learned nothing, never end.

        They are as long as the corpus's where they are trained on, while sampling lasts until a batch's last has ended,
        mostly by the limit: the mean of both.
        """
        known = [min(limit, len(said) / CHARS_PER_TOKEN) for _, said in self.answered()]
        return math.ceil((sum(known) / len(known) + limit) / 2) if known else limit

    def known(self, name: str) -> float:
        """A number of the whole corpus's account; conversations are not cut for a piece."""
        return float(Ran(self.at("curate")).summary[name])

    def expected_pairs(self) -> float:
        """How many training pairs the run will have."""
        asked, known = self.flow.collect_preferences, self.known("conversations_train")
        return min(known, asked.prompts or known) * asked.pairs_per_prompt * PAIRS_SHARE

    def ppo(self) -> Line:
        """Two updates of a whole batch, and some held-out answers."""
        given = self.flow.ppo
        batch = batch_of(given.training)
        training = {**given.training, "total_episodes": LOGGED * batch, "save_steps": LOGGED}
        prompts = max(2, 64 // given.heldout_answers)
        config = dataclasses.replace(
            given,
            training=training,
            heldout_prompts=prompts,
            look_every_updates=LOGGED,
            new_tokens=self.answer_tokens(given.new_tokens),
        )
        ran = Ran(ppo.ppo(config, chat=self.at("sft"), reward=self.at("reward_model"), corpus=self.at("curate"),
                          out=self.at("ppo")))  # fmt: skip
        known = Ran(self.at("curate")).summary["conversations_heldout"]
        asked = min(known, given.heldout_prompts) / ran.summary["heldout_prompts"]
        updates = math.ceil(given.training.get("total_episodes", known) / batch)
        measured = ran.manifest["measured"]
        seconds = updates * measured["seconds_per_step"] + (ran.seconds - measured["train_seconds"]) * asked
        return ran.line("ppo", seconds, f"{updates:,} updates of {measured['seconds_per_step']:.2f} s")

    def export(self) -> Line:
        """All of it."""
        ran = Ran(
            export.export(self.flow.export, policy=self.at("ppo"), corpus=self.at("curate"), out=self.at("export"))
        )
        return ran.line("export", ran.seconds, "all of it, on a model of the same size")

    def evaluate_model(self) -> Line:
        """A quarter and a sixteenth of it."""
        from hftrain.evaluation.suite import a_part

        given = self.flow.evaluate_model
        known = Ran(self.at("curate")).summary["conversations_heldout"]
        talks = min(known, given.heldout_conversations)
        parts = (16, 4)
        ran = []
        for part in parts:
            config = dataclasses.replace(
                a_part(given, part),
                heldout_bytes=given.heldout_bytes // part,
                heldout_conversations=max(1, talks // part),
            )
            inputs = {name: self.at(made) for name, made in MODELS.items()}
            ran.append(Ran(evaluate_model.evaluate_model(config, **inputs, out=self.folder / f"evaluation_{part}")))
        few, many = ran  # a sixteenth of it, and four
        seconds = grown((1, few.seconds), (4, many.seconds), 16)
        disk = grown((1, few.disk_bytes), (4, many.disk_bytes), 16)
        counted = f"from a {parts[1]}th and a {parts[0]}th of it"
        return many.line("evaluate_model", seconds, counted, disk_bytes=disk)


MODELS = {
    "corpus": "curate", "base": "pretrain", "chat": "sft", "reward": "reward_model", "policy": "ppo",
    "student": "distill", "export": "export",
}  # fmt: skip

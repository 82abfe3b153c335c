"""How near a student comes to its teacher, and how both do on what neither was trained on."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Trainer

from hftrain.artifacts import record_measured, write_json
from hftrain.corpus.splits import conversations_of, take_bytes, texts_of
from hftrain.errors import DataError
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import parameter_count, save_model
from hftrain.models.scoring import score_answers, score_texts
from hftrain.runtime import is_main_process
from hftrain.tokens.chat import END_OF_TEXT, Messages, prompt_of, that_fit
from hftrain.tokens.encoding import encode_documents
from hftrain.tokens.lens import label_conversations
from hftrain.training.distillation_loss import CHUNK_LOGITS, Target, divergence, learned_positions, scores_of
from hftrain.training.distillation_models import Begun

SHOWN_PROMPTS = 3
COMPARED_WINDOWS = 64
"""Windows of held-out text that teacher and student are compared on, token by token; and as many conversations."""

Row = tuple[list[int], list[int]]


class StudentWatch:
    """Held-out text and conversations, and what teacher and student make of them."""

    def __init__(
        self, begun: Begun, corpus: Path, *, heldout_bytes: int, look_bytes: int, conversations: int, new_tokens: int
    ) -> None:
        """Read what all looks of this run share.

        Raises:
            DataError: No held-out conversation leaves room for an answer.
        """
        self.begun, self.new_tokens = begun, new_tokens
        self.texts = take_bytes(texts_of(corpus, "heldout"), heldout_bytes)
        self.part = take_bytes(self.texts, look_bytes)
        found: Sequence[Messages] = conversations_of(corpus, "heldout", needed=False)
        for tokenizer in (begun.tokenizer, begun.teacher_tokenizer):
            found = that_fit(tokenizer, found, max_tokens=begun.row_tokens - new_tokens)
        self.talks = found[:conversations]
        if not self.talks:
            raise DataError(
                f"{corpus / 'conversations' / 'heldout'}: no conversation leaves room for an answer of {new_tokens} "
                f"tokens in {begun.row_tokens}. One is needed. Lower distill.new_tokens, or raise distill.row_tokens."
            )
        self.first: Mapping[str, float] = {}
        self.of_teacher: Mapping[str, float] = {}
        self.speeds: dict[str, float] = {}

    def before(self, student: PreTrainedModel) -> None:
        """Measure both as the student begins."""
        self.of_teacher = self._measure(self.begun.teacher, self.begun.teacher_tokenizer, "teacher")
        self.first = self._measure(student, self.begun.tokenizer, "student")

    def look(self, student: PreTrainedModel) -> tuple[Mapping[str, float], Sequence[Mapping[str, str]]]:
        """The student on a part of the text, its divergence from the teacher, and its answers to some prompts."""
        begun = self.begun
        numbers = {
            "heldout_bits_per_byte": score_texts(
                student, begun.tokenizer, self.part, row_tokens=begun.row_tokens
            ).bits_per_byte,
            "heldout_answer_nats": score_answers(student, begun.tokenizer, self.talks).nats_per_token,
            **self._compared(student),
        }
        some = list({prompt_of(talk)[-1]["content"]: prompt_of(talk) for talk in reversed(self.talks)}.values())
        some = some[-SHOWN_PROMPTS:]
        made = answer_prompts(student, begun.tokenizer, some, new_tokens=self.new_tokens, temperature=0, seed=0)
        samples = [
            {"prompt": prompt[-1]["content"], "completion": answers[0].text}
            for prompt, answers in zip(some, made, strict=True)
        ]
        return numbers, samples

    def summary(self, student: PreTrainedModel) -> Mapping[str, Any]:
        """Both beside each other, on all of the held-out text."""
        after = self._measure(student, self.begun.tokenizer, "student")
        sizes = {
            "parameters": parameter_count(student),
            "teacher_parameters": parameter_count(self.begun.teacher),
        }
        return {
            **sizes,
            "size_ratio": sizes["teacher_parameters"] / sizes["parameters"],
            "has_same_tokens": self.begun.has_same_tokens,
            "starts_from_teacher": self.begun.starts_from_teacher,
            "heldout_bytes": sum(len(text.encode()) for text in self.texts),
            "heldout_conversations": len(self.talks),
            **{f"{name}_teacher": value for name, value in self.of_teacher.items()},
            **{f"{name}_before": value for name, value in self.first.items()},
            **{f"{name}_after": value for name, value in after.items()},
            **self._compared(student),
        }

    def _measure(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, who: str) -> Mapping[str, float]:
        began = time.perf_counter()
        prompts = [prompt_of(talk) for talk in self.talks]
        answers = answer_prompts(model, tokenizer, prompts, new_tokens=self.new_tokens, temperature=0, seed=0)
        seconds = time.perf_counter() - began
        self.speeds[f"{who}_answer_tokens_per_second"] = sum(len(made[0].tokens) for made in answers) / seconds
        row_tokens = self.begun.row_tokens
        return {
            "heldout_bits_per_byte": score_texts(model, tokenizer, self.texts, row_tokens=row_tokens).bits_per_byte,
            "heldout_answer_nats": score_answers(model, tokenizer, self.talks).nats_per_token,
            "ended_share": sum(made[0].ended for made in answers) / len(answers),
        }

    def _compared(self, student: PreTrainedModel) -> Mapping[str, float]:
        """KL(teacher | student) in nats a token, and how often both find the same token likeliest."""
        if not self.begun.has_same_tokens or self.begun.teacher.config.vocab_size != student.config.vocab_size:
            return {}
        talks = label_conversations(self.begun.tokenizer, self.talks, max_row_tokens=self.begun.row_tokens).rows
        of_talks = [(row["input_ids"], row["labels"]) for row in talks[:COMPARED_WINDOWS]]
        found: dict[str, float] = {}
        for name, rows in (("text", self._windows()), ("answers", of_talks)):
            nats, agreed, count = compare_tokens(student, self.begun.teacher, rows)
            found |= {f"heldout_kl_{name}": nats / count, f"greedy_agreement_{name}": agreed / count}
        return found

    def _windows(self) -> list[Row]:
        """Of the held-out texts, each from its beginning."""
        start = int(self.begun.tokenizer.convert_tokens_to_ids(END_OF_TEXT))
        some = self.texts[:COMPARED_WINDOWS]
        rows = [[start, *ids][: self.begun.row_tokens] for ids in encode_documents(self.begun.tokenizer, some)]
        return [(row, row) for row in rows]


@torch.no_grad()
def compare_tokens(student: PreTrainedModel, teacher: PreTrainedModel, rows: Sequence[Row]) -> tuple[float, float, int]:
    """Sums over the labels that are not ignored: KL(teacher | student), same likeliest token, and one.

    Args:
        student: Gives logits over the same tokens as the other.
        teacher: The other.
        rows: Ids and labels of one length each.
    """
    was_training = student.training
    student.eval()
    nats, agreed, count = 0.0, 0.0, 0
    for ids, labels in rows:
        inputs = torch.tensor([ids], device=student.device)
        where, wanted = learned_positions(torch.tensor([labels], device=student.device))
        ours, theirs = (scores_of(model, where, input_ids=inputs) for model in (student, teacher))
        step = max(1, math.ceil(CHUNK_LOGITS / ours.words()))
        for first in range(0, len(wanted), step):
            part = slice(first, first + step)
            of_student, of_teacher = ours.logits(part), theirs.logits(part)
            nats += divergence(of_student, of_teacher, Target())[0].sum().item()
            agreed += (of_student.argmax(-1) == of_teacher.argmax(-1)).sum().item()
        count += len(wanted)
    student.train(was_training)
    return nats, agreed, count


def publish_student(
    config: Any, begun: Begun, trainer: Trainer, watch: StudentWatch, counts: Mapping[str, int], out: Path
) -> None:
    """Write the student, and how it does beside its teacher."""
    if not is_main_process():
        return
    student: Any = trainer.accelerator.unwrap_model(trainer.model)
    save_model(student, begun.tokenizer, out)
    write_json(out / "method.json", {"method": config.method})
    write_json(out / "summary.json", {"steps": trainer.state.global_step, **counts, **watch.summary(student)})
    record_measured(out, **watch.speeds)

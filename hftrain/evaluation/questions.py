"""The same questions to every model: what it expects of held-out text, and what its own answers are like."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hftrain.alignment.reward import load_reward_model, score_conversations
from hftrain.corpus.splits import conversations_of, take_bytes, texts_of
from hftrain.errors import DataError
from hftrain.models.generation import Answer, answer_prompts
from hftrain.models.loading import context_tokens, load_causal_lm, parameter_count
from hftrain.models.scoring import score_answers, score_texts
from hftrain.tokens.chat import Messages, load_tokenizer, prompt_of, that_fit


@dataclass(frozen=True)
class Answered:
    """One model's numbers, and its answers to the fixed prompts."""

    numbers: dict[str, float | None]
    samples: list[str]


class Questions:
    """Held-out text and conversations, fixed prompts, and the reward model that judges answers."""

    def __init__(
        self,
        corpus: Path,
        reward: Path,
        *,
        heldout_bytes: int,
        heldout_conversations: int,
        new_tokens: int,
        prompts: Sequence[str],
    ) -> None:
        """Read what all models are asked."""
        self.texts = take_bytes(texts_of(corpus, "heldout"), heldout_bytes)
        self.talks = conversations_of(corpus, "heldout")
        self.talk_limit = heldout_conversations
        self.new_tokens = new_tokens
        self.prompts = [[{"role": "user", "content": prompt}] for prompt in prompts]
        self.reward, self.reward_tokenizer = load_reward_model(reward), load_tokenizer(reward)

    def ask(self, folder: Path) -> Answered:
        """Ask the model in ``folder``; its answers are the likeliest, so that nothing depends on chance.

        Raises:
            DataError: No held-out conversation fits the model's context.
        """
        model, tokenizer = load_causal_lm(folder), load_tokenizer(folder)
        context = context_tokens(model) or 1024
        text = score_texts(model, tokenizer, self.texts, row_tokens=context)
        talks = that_fit(tokenizer, self.talks, max_tokens=context - self.new_tokens)[: self.talk_limit]
        if not talks:
            raise DataError(
                f"{folder}: no held-out conversation leaves room for {self.new_tokens} tokens in its context of "
                f"{context}. One is needed. Lower evaluate_model.new_tokens."
            )
        prompts = [prompt_of(talk) for talk in talks]
        answers = [
            made[0]
            for made in answer_prompts(
                model, tokenizer, [*prompts, *self.prompts], new_tokens=self.new_tokens, temperature=0, seed=0
            )
        ]
        own, samples = answers[: len(talks)], answers[len(talks) :]
        numbers = {
            "parameters": parameter_count(model),
            "bits_per_byte": text.bits_per_byte,
            "answer_nats": score_answers(model, tokenizer, talks).nats_per_token,
            "reward": self._reward(prompts, own),
            **_habits(own),
        }
        return Answered(numbers=numbers, samples=[answer.text for answer in samples])

    def _reward(self, prompts: Sequence[Messages], answers: Sequence[Answer]) -> float | None:
        """The mean reward of the answers that ended by themselves; None where none did.

        The reward is read at the end of a turn, and has seen no answer without one: of an unfinished answer it says
        nothing.
        """
        judged = [
            [*prompt, {"role": "assistant", "content": answer.text}]
            for prompt, answer in zip(prompts, answers, strict=True)
            if answer.ended
        ]
        if not judged:
            return None
        return float(score_conversations(self.reward, self.reward_tokenizer, judged).double().mean())


def _habits(answers: Sequence[Answer]) -> dict[str, float]:
    """Whether answers end, how long they are, and how varied: distinct pairs of words over all pairs of words."""
    words = [answer.text.split() for answer in answers]
    pairs = [pair for said in words for pair in zip(said, said[1:], strict=False)]
    return {
        "ended_share": sum(answer.ended for answer in answers) / len(answers),
        "answer_tokens": sum(len(answer.tokens) for answer in answers) / len(answers),
        "distinct_2": len(set(pairs)) / len(pairs) if pairs else 0.0,
        "distinct_answers_share": len({answer.text for answer in answers}) / len(answers),
    }

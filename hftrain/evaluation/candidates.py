"""Two models' drawn answers to the same requests: how long, how toxic, how repetitive, how often refused."""

from collections.abc import Sequence

from hftrain.alignment.answer_habits import repeated_share
from hftrain.errors import DataError
from hftrain.evaluation.benchmarks import Asked
from hftrain.evaluation.candidate_settings import SAMPLED
from hftrain.evaluation.refusals import is_refusal
from hftrain.evaluation.safety import TOXIC, toxicity_scores
from hftrain.evaluation.scores import Measured, measured
from hftrain.models.generation import Answer, answer_prompts
from hftrain.models.loading import context_tokens
from hftrain.tokens.chat import Messages, encode_prompt


def drawn_measures(
    asked: Asked,
    prompts: Sequence[Messages],
    *,
    answers_per_prompt: int,
    new_tokens: int,
    temperature: float,
    seed: int,
) -> tuple[list[Measured], list[list[Answer]]]:
    """What a model's drawn answers are like, and the answers.

    Toxic is what reads so to the model that curation uses: a reason to look, not a finding.

    Raises:
        DataError: No request leaves room for an answer.
    """
    room = (context_tokens(asked.model) or 8192) - new_tokens
    fitting = [prompt for prompt in prompts if len(encode_prompt(asked.tokenizer, prompt)) <= room]
    if not fitting:
        raise DataError(
            f"{asked.name}: none of {len(prompts)} requests leaves room for {new_tokens} tokens. One is needed. Lower "
            "examine.new_tokens."
        )
    made = answer_prompts(
        asked.model,
        asked.tokenizer,
        fitting,
        answers_per_prompt=answers_per_prompt,
        new_tokens=new_tokens,
        temperature=temperature,
        seed=seed,
    )
    answers = [answer for each in made for answer in each]
    texts = [answer.text for answer in answers]
    toxic = toxicity_scores(texts)
    found = [
        measured(SAMPLED, "toxic_share", [float(score > TOXIC) for score in toxic], better="lower"),
        measured(SAMPLED, "toxicity", toxic, better="lower"),
        measured(SAMPLED, "refused_share", [float(is_refusal(text)) for text in texts], better="lower"),
        measured(SAMPLED, "repetition", [repeated_share([text.split()]) for text in texts], better="lower"),
        measured(SAMPLED, "ended_share", [float(answer.ended) for answer in answers]),
        measured(SAMPLED, "answer_tokens", [float(len(answer.tokens)) for answer in answers], better="neither"),
    ]
    return found, made

"""What a trained policy is published with: the numbers that every method reports alike."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hftrain.alignment.group_rewards import short_name
from hftrain.alignment.heldout import compare
from hftrain.alignment.policy_settings import PolicyConfig
from hftrain.alignment.ppo_rollout import Models
from hftrain.alignment.ppo_sampling import Sampling
from hftrain.alignment.prompts import Prompts, check_models, read_prompts
from hftrain.alignment.reward import load_reward_model
from hftrain.alignment.reward_functions import load_reward_function
from hftrain.artifacts import write_json
from hftrain.models.generation import answer_prompts
from hftrain.models.loading import load_causal_lm, save_model
from hftrain.tokens.chat import load_tokenizer

SHOWN_PROMPTS = 4
"""Held-out prompts answered again and again while a policy trains."""
BATCH_ROWS = 64


def asked_of(
    config: PolicyConfig, chat: Path, reward: Path | None, corpus: Path
) -> tuple[PreTrainedTokenizerFast, Prompts]:
    """The models' tokenizer, and the corpus's prompts that leave room for an answer.

    Raises:
        ArtifactError: The reward model has another tokenizer.
        ConfigError: A prompt and its answer may be longer than a model's context.
        DataError: There are too few prompts.
    """
    section, longest = config.SECTION, config.max_prompt_tokens
    check_models(chat, reward, max_prompt_tokens=longest, new_tokens=config.new_tokens, section=section)
    tokenizer = load_tokenizer(chat)
    limits = {"max_prompt_tokens": longest, "heldout_limit": config.heldout_prompts, "seed": config.seed or 0}
    return tokenizer, read_prompts(corpus, tokenizer, **limits, section=section)


def sampling(tokenizer: PreTrainedTokenizerFast, config: PolicyConfig) -> Sampling:
    """How a policy answers while it is measured: as it is trained."""
    return Sampling(
        new_tokens=config.new_tokens,
        temperature=config.sampling_temperature,
        end_token=tokenizer.eos_token_id,
        pad_token=tokenizer.pad_token_id,
        batch_rows=BATCH_ROWS,
    )


def shown_answers(
    tokenizer: PreTrainedTokenizerFast, prompts: Prompts, *, new_tokens: int
) -> Callable[[PreTrainedModel], Sequence[Mapping[str, str]]]:
    """The likeliest answers of a model to the first held-out prompts, as samples to keep."""
    shown = prompts.heldout_messages[:SHOWN_PROMPTS]

    def answer(model: PreTrainedModel) -> Sequence[Mapping[str, str]]:
        answers = answer_prompts(model, tokenizer, shown, new_tokens=new_tokens, temperature=0, seed=0)
        pairs = zip(shown, answers, strict=True)
        return [{"prompt": prompt[-1]["content"], "completion": made[0].text} for prompt, made in pairs]

    return answer


def publish_policy(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    config: PolicyConfig,
    *,
    chat: Path,
    reward: Path | None,
    prompts: Prompts,
    told: Mapping[str, object],
    functions: Sequence[str] = (),
    out: Path,
) -> None:
    """Write the policy, its method, and what it is worth on held-out prompts against the model it came from.

    Args:
        policy: The trained model.
        tokenizer: The models' own.
        config: The method's section.
        chat: The model that the policy came from.
        reward: A reward model to measure by, if there is one.
        prompts: Those that it was trained and is measured on.
        told: The method's own numbers.
        functions: Names of reward functions to measure by.
        out: Where the policy goes.
    """
    save_model(policy, tokenizer, out)
    reference = load_causal_lm(chat)
    models = Models(policy, reference, load_reward_model(reward) if reward else None)
    seed = config.seed or 0
    measured = compare(
        models, prompts.heldout, sampling(tokenizer, config), answers_per_prompt=config.heldout_answers, seed=seed
    )
    for name in functions:
        for when, model in (("before", reference), ("after", policy)):
            measured[f"heldout_{short_name(name)}_{when}"] = _mean_score(name, model, tokenizer, config, prompts)
    counts = {"train_prompts": len(prompts.train), "too_long_prompts": prompts.too_long}
    write_json(out / "summary.json", {**counts, **measured, **told})
    write_json(out / "method.json", {"method": config.SECTION})


def _mean_score(
    name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, config: PolicyConfig, prompts: Prompts
) -> float:
    """The mean score of a model's answers to the held-out prompts, sampled as in training."""
    made = answer_prompts(
        model,
        tokenizer,
        prompts.heldout_messages,
        answers_per_prompt=config.heldout_answers,
        new_tokens=config.new_tokens,
        temperature=config.sampling_temperature,
        seed=config.seed or 0,
    )
    each = [(place, answer.text) for place, answers in enumerate(made) for answer in answers]
    asked = [prompts.heldout_messages[place] for place, _ in each]
    known = [prompts.heldout_references[place] for place, _ in each]
    scores = load_reward_function(name)(asked, [text for _, text in each], known)
    return sum(scores) / len(scores)

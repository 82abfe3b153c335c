"""Collect preferences: answers to the corpus's prompts, ranked, as pairs of chosen and rejected."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftrain.artifacts import digest_file, read_manifest, stage, write_json, write_jsonl
from hftrain.config import StageConfig
from hftrain.errors import DataError

if TYPE_CHECKING:
    from hftrain.alignment.preferences import PairCounts, QuestionCounts, RankedPrompt

HELDOUT_PROMPTS_SHARE = 0.25
"""Held-out prompts asked for each training prompt asked."""


@dataclass(frozen=True, kw_only=True)
class CollectPreferencesConfig(StageConfig):
    """How answers are asked for and ranked."""

    prompts: int | None = 400
    """At most so many training prompts are asked, and a quarter as many held-out ones; None asks all."""
    answers_per_prompt: int = 4
    """Answers sampled for each prompt, 2 or more."""
    new_tokens: int = 48
    """An answer is stopped here; stopped answers are in no pair."""
    temperature: float = 1.0
    """Of sampling, above 0; higher gives answers that differ more."""
    judge: str = "concise"
    """The declared rule that ranks: concise or reference, see ``hftrain.alignment.judges``."""
    judge_options: dict[str, Any] = field(default_factory=dict)
    """The judge's own settings by name, such as ``target_words`` of concise."""
    minimum_margin: float = 0.1
    """Two answers make a pair if their scores (0 to 1; ranks in a file) differ by at least this."""
    pairs_per_prompt: int = 6
    """At most so many pairs of a prompt, those with the largest margins."""
    rankings: Path | None = None
    """File of people's rankings (.jsonl, .jsonl.gz, .parquet), used instead of asking and judging."""

    def outside(self) -> dict[str, str]:
        """The digest of the rankings, if they come from a file."""
        return {"rankings": digest_file(self.rankings)} if self.rankings else {}

    def problems(self) -> list[str]:
        """Values that cannot be, and a rankings file that is not there."""
        from hftrain.alignment.judges import judge_problems

        where = "collect_preferences"
        floors = {
            "prompts": (
                self.prompts is None or self.prompts >= 1,
                "1 or more, or null for all, is needed",
            ),
            "answers_per_prompt": (self.answers_per_prompt >= 2, "A pair needs at least 2 answers"),
            "new_tokens": (self.new_tokens >= 1, "1 or more is needed"),
            "temperature": (
                self.temperature > 0,
                "At 0 all answers to a prompt are one; more than 0 is needed",
            ),
            "minimum_margin": (self.minimum_margin >= 0, "0 or more is needed"),
            "pairs_per_prompt": (self.pairs_per_prompt >= 1, "1 or more is needed"),
        }
        found = [
            f"{where}.{name}: {getattr(self, name)}. {needed}. Change it or remove it to get the default."
            for name, (holds, needed) in floors.items()
            if not holds
        ]
        if self.rankings is not None:
            suffixes = (".jsonl", ".jsonl.gz", ".parquet")
            if not self.rankings.is_file() or not self.rankings.name.endswith(suffixes):
                found.append(
                    f"{where}.rankings: {self.rankings} is not a file ending in {', '.join(suffixes)}. "
                    "A file of rankings is needed. Mend the path, or remove the key to ask the chat model."
                )
        return found + judge_problems(self.judge, self.judge_options, where)


@stage(makes="preferences", reads=("chat", "corpus"))
def collect_preferences(config: CollectPreferencesConfig, *, chat: Path, corpus: Path, out: Path) -> None:
    """Write ranked answers and the pairs that come of them, held-out prompts apart."""
    from hftrain.alignment.preferences import PREFERENCE_FEATURES, PairCounts, pairs_of
    from hftrain.corpus.storage import write_rows

    if config.rankings is not None:
        ranked, summary = _read_people(config.rankings)
    else:
        ranked, summary = _ask_model(config, chat, corpus)
    counts = {split: PairCounts() for split in ranked}
    for split, prompts in ranked.items():
        made = (
            pairs_of(each, counts[split], minimum_margin=config.minimum_margin, limit=config.pairs_per_prompt)
            for each in prompts
        )
        summary[f"pairs_{split}"] = write_rows(out / split, chain.from_iterable(made), PREFERENCE_FEATURES)
        if not summary[f"pairs_{split}"]:
            raise _no_pairs(split, prompts, counts[split])
    summary |= _numbers(ranked) | {
        "ties_dropped": sum(each.ties for each in counts.values()),
        "unfinished_pairs_dropped": sum(each.unfinished for each in counts.values()),
        "pairs_over_limit_dropped": sum(each.over_limit for each in counts.values()),
    }
    write_jsonl(out / "answers.jsonl", [_as_row(split, each) for split in ranked for each in ranked[split]])
    write_json(out / "summary.json", summary)


def _ask_model(
    config: CollectPreferencesConfig, chat: Path, corpus: Path
) -> "tuple[dict[str, list[RankedPrompt]], dict[str, Any]]":
    from hftrain.alignment.asking import ask, prompt_room
    from hftrain.alignment.preferences import draw, read_questions
    from hftrain.corpus.splits import conversations_of
    from hftrain.models.loading import load_causal_lm
    from hftrain.tokens.chat import encode_prompt, load_tokenizer

    model, tokenizer = load_causal_lm(chat), load_tokenizer(chat)
    room = prompt_room(model, new_tokens=config.new_tokens)
    questions = read_questions(conversations_of(corpus, "train"), conversations_of(corpus, "heldout"))
    asked, ranked, too_long = {"train": questions.train, "heldout": questions.heldout}, {}, 0
    for place, (split, known) in enumerate(asked.items()):
        seed = (config.seed or 0) + place
        drawn, unfit = draw(
            known,
            _limit(config.prompts, split),
            seed=seed,
            fits=lambda question: len(encode_prompt(tokenizer, question.prompt)) <= room,
        )
        too_long += unfit
        if not drawn:
            raise _no_prompts(split, questions.counts, too_long)
        ranked[split] = ask(
            model,
            tokenizer,
            drawn,
            answers_per_prompt=config.answers_per_prompt,
            new_tokens=config.new_tokens,
            temperature=config.temperature,
            judge=config.judge,
            options=config.judge_options,
            seed=seed,
        )
    return ranked, {
        "answered_by": read_manifest(chat)["digest"],
        "judge": config.judge,
        "conversations_without_prompt": questions.counts.without_prompt,
        "conversations_with_same_prompt": questions.counts.same_prompt,
        "heldout_prompts_seen_in_training": questions.counts.seen_in_training,
        "prompts_too_long": too_long,
    }


def _read_people(path: Path) -> "tuple[dict[str, list[RankedPrompt]], dict[str, Any]]":
    from hftrain.alignment.rankings import is_heldout, read_rankings

    rows = read_rankings(path)
    splits = {
        "train": [row for row in rows if not is_heldout(row)],
        "heldout": [row for row in rows if is_heldout(row)],
    }
    return splits, {"answered_by": None, "judge": None, "rankings": digest_file(path)}


def _limit(prompts: int | None, split: str) -> int | None:
    return prompts if prompts is None or split == "train" else max(1, round(prompts * HELDOUT_PROMPTS_SHARE))


def _no_prompts(split: str, counts: "QuestionCounts", too_long: int) -> DataError:
    return DataError(
        f"corpus/conversations/{split}: gives no prompt. Of both splits, {counts.without_prompt} conversations have no "
        f"answer to a user, {counts.seen_in_training} held-out prompts are also in train, and {too_long} prompts leave "
        "no room for new_tokens in the chat model's context. Both splits need a prompt. Add conversations, or lower "
        "collect_preferences.new_tokens."
    )


def _no_pairs(split: str, prompts: "list[RankedPrompt]", counts: "PairCounts") -> DataError:
    same = sum(each.duplicates for each in prompts)
    return DataError(
        f"collect_preferences: no pair for {split} from {len(prompts)} prompts. {same} answers were the same as "
        f"another, {counts.ties} pairs differ by less than minimum_margin, {counts.unfinished} hold an answer that did "
        "not end by itself. Training and measuring need pairs. Raise prompts, new_tokens or temperature, lower "
        "minimum_margin, or train the chat model longer; if they are people's, give more rows."
    )


def _numbers(ranked: "Mapping[str, list[RankedPrompt]]") -> dict[str, Any]:
    """Counts and means over the distinct answers; null where people gave no scores."""
    answers = {split: [answer for each in prompts for answer in each.answers] for split, prompts in ranked.items()}
    both = [*answers["train"], *answers["heldout"]]
    return {
        "prompts": sum(map(len, ranked.values())),
        "prompts_heldout": len(ranked["heldout"]),
        "answers": len(both),
        "duplicates_collapsed": sum(each.duplicates for prompts in ranked.values() for each in prompts),
        "mean_score": _mean([each.score for each in both]),
        "mean_score_heldout": _mean([each.score for each in answers["heldout"]]),
        "ended_share": _mean([float(each.ended) for each in both]),
        "mean_words": _mean([float(len(each.text.split())) for each in both]),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _as_row(split: str, ranked: "RankedPrompt") -> dict[str, object]:
    return {
        "split": split,
        "prompt": list(ranked.prompt),
        "answers": [
            {"text": each.text, "ended": each.ended, "score": each.score, "rank": each.rank} for each in ranked.answers
        ],
    }

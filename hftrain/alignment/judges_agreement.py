"""How often a judge decides as people did, on rankings that people made."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from hftrain.alignment.judges import Candidate, Contest, Judge, Judged, Verdict
from hftrain.alignment.preferences import RankedPrompt, prompt_key
from hftrain.alignment.reward import wilson_interval
from hftrain.errors import DataError


def judge_agreement(judge: Judge, rankings: Sequence[RankedPrompt]) -> tuple[dict[str, Any], Judged]:
    """Let a judge see the answers that people ranked, and count the pairs that it decides as they did.

    A pair that people ranked as equal does not count; one that the judge leaves undecided counts half. The interval
    is for as many trials as there are prompts, since the pairs of a prompt are not independent of each other.

    Returns:
        ``judge_agreement``, ``judge_agreement_interval`` (95 %), ``judge_agreement_pairs``,
        ``judge_agreement_prompts`` and ``judge_agreement_decided_share``, the pairs of which it took a side; and
        what the judge said.

    Raises:
        DataError: People preferred no answer to another.
    """
    contests = [
        Contest(each.prompt, tuple(Candidate(answer.text, True) for answer in each.answers)) for each in rankings
    ]
    pairs = [
        (at, i, j)
        for at, each in enumerate(rankings)
        for i, j in combinations(range(len(each.answers)), 2)
        if each.answers[i].rank != each.answers[j].rank
    ]
    if not pairs:
        raise DataError(
            f"collect_preferences.check_against: {len(rankings)} rankings, and all answers tie. Agreement needs pairs "
            "of which people preferred one. Give more rankings."
        )
    judged = judge(contests)
    hits = [_hit(judged.verdicts[at], rankings[at], i, j) for at, i, j in pairs]
    prompts = len({prompt_key(rankings[at].prompt) for at, _, _ in pairs})
    share = sum(hits) / len(hits)
    numbers = {
        "judge_agreement": share,
        "judge_agreement_interval": list(wilson_interval(share, prompts)),
        "judge_agreement_pairs": len(pairs),
        "judge_agreement_prompts": prompts,
        "judge_agreement_decided_share": sum(hit != 0.5 for hit in hits) / len(hits),
    }
    return numbers, judged


def _hit(verdict: Verdict, ranked: RankedPrompt, i: int, j: int) -> float:
    gap = verdict.scores[i] - verdict.scores[j]
    if gap == 0 or (i, j) in verdict.undecided:
        return 0.5
    return float((gap > 0) == (ranked.answers[i].rank < ranked.answers[j].rank))

"""A Python function as the reward, in place of a reward model's scores or beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedTokenizerFast

from hftrain.alignment.ppo_rollout import Rollout
from hftrain.alignment.reward_functions import RewardFunction
from hftrain.tokens.chat import Messages


@dataclass(frozen=True)
class FunctionReward:
    """Scores answers to known prompts, given as token ids."""

    function: RewardFunction
    tokenizer: PreTrainedTokenizerFast
    prompts: Sequence[Messages]
    references: Sequence[tuple[str, ...]]
    """What the corpus answers to each prompt."""
    reward_model_weight: float = 0.0
    """What the reward model's score counts for beside the function's."""

    def scores(self, rows: Sequence[int], answers: Sequence[Sequence[int]]) -> list[float]:
        """The function's score of each answer; ``rows`` says which prompt each one answers."""
        texts = [self.tokenizer.decode(list(ids), skip_special_tokens=True) for ids in answers]
        asked, known = [self.prompts[row] for row in rows], [self.references[row] for row in rows]
        return [float(score) for score in self.function(asked, texts, known)]

    def score(self, rollout: Rollout, rows: Sequence[int]) -> Rollout:
        """A rollout with the function's scores, and the weighted scores that it had."""
        found = torch.tensor(self.scores(rows, rollout.texts()), device=rollout.scores.device)
        return replace(rollout, scores=found + self.reward_model_weight * rollout.scores)

"""Rewards that can be checked, in GSM8K's way: a small model that can add a little learns to add by GRPO on right sums.

    python tests/bench/arithmetic.py [--seeds 1,2,3] [--methods grpo,rloo,best_of_n]

Sums of two digits are asked for in five phrases; a fifth of the questions is held out. SFT is stopped early, so that
the chat model is often wrong; then ``final_number`` is the one reward, no reward model, no preference. The table holds
the share of right answers to held-out questions, sampled as in training, before and after, and the divergence in nats.
"""

import argparse
import importlib
import random
import tempfile
import time
from pathlib import Path
from typing import Any

PHRASES = ("{a} + {b}?", "What is {a} plus {b}?", "Add {a} and {b}.", "How much are {a} and {b}?", "{a} plus {b} is?")
CONFIGS = {"grpo": "GRPOStageConfig", "rloo": "RLOOStageConfig", "best_of_n": "BestOfNConfig"}
GROUPS = {
    "max_steps": 150, "per_device_train_batch_size": 128, "steps_per_generation": 1, "num_generations": 8,
    "learning_rate": 6e-4, "warmup_steps": 0.1, "beta": 0.001,
}  # fmt: skip
TRAINING: dict[str, dict[str, Any]] = {"grpo": GROUPS, "rloo": GROUPS, "best_of_n": {"num_train_epochs": 3}}


def main() -> None:
    """Train and print one line a seed and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--methods", default="grpo,rloo,best_of_n")
    parser.add_argument("--sft-steps", type=int, default=220)
    given = parser.parse_args()
    print("seed  method      right before  right after     KL  ended  tokens  CPU s")
    for seed in map(int, given.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder)
            make_chat(run, seed, given.sft_steps)
            for method in given.methods.split(","):
                began = time.process_time()
                found = train(run, method, seed)
                print(
                    f"{seed:4}  {method:10}  {found['heldout_final_number_before']:12.0%}  "
                    f"{found['heldout_final_number_after']:11.0%}  {found['heldout_kl']:5.2f}  "
                    f"{found['ended_share_after']:5.0%}  {found['answer_tokens_after']:6.1f}  "
                    f"{time.process_time() - began:5.0f}",
                    flush=True,
                )


def make_chat(run: Path, seed: int, steps: int) -> None:
    """A corpus of sums, and a model of 0.15 million parameters that was taught them for a while."""
    from hftrain.artifacts import stage
    from hftrain.config import StageConfig
    from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, write_rows
    from hftrain.models.loading import new_causal_lm, save_model
    from hftrain.stages.sft import SFTStageConfig, sft
    from hftrain.tokens.vocabulary import learn_vocabulary

    sums = [(phrase.format(a=a, b=b), str(a + b)) for phrase in PHRASES for a in range(10) for b in range(10)]
    random.Random(seed).shuffle(sums)
    splits = {"heldout": sums[: len(sums) // 5], "train": sums[len(sums) // 5 :]}
    common = {"source": "sums", "license": "CC0-1.0", "meta": "{}"}

    @stage(makes="corpus")
    def corpus(config: StageConfig, *, out: Path) -> None:
        for split, asked in splits.items():
            talks = [
                {
                    "id": f"{split}{place}",
                    "messages": [
                        {"role": "user", "content": question},
                        {"role": "assistant", "content": f"It is {n}."},
                    ],
                    **common,
                }
                for place, (question, n) in enumerate(asked)
            ]
            documents = [{"id": f"{split}{n}", "text": " ".join(asked[n]), **common} for n in range(len(asked))]
            write_rows(out / "conversations" / split, talks, CONVERSATION_FEATURES)
            write_rows(out / split, documents, DOCUMENT_FEATURES)

    @stage(makes="base")
    def base(config: StageConfig, *, out: Path) -> None:
        tokenizer = learn_vocabulary([question for question, _ in sums] + ["It is 0."], vocab_size=290)
        shape = {
            "model_type": "llama", "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 4, "tie_word_embeddings": True,
        }  # fmt: skip
        save_model(new_causal_lm(shape, tokenizer, context_tokens=64), tokenizer, out)

    corpus(StageConfig(seed=seed), out=run / "corpus")
    base(StageConfig(seed=seed), out=run / "base")
    training = {"max_steps": steps, "per_device_train_batch_size": 32, "learning_rate": 3e-3}
    config = SFTStageConfig(seed=seed, training=training, new_tokens=16, look_every_steps=1000)
    sft(config, base=run / "base", corpus=run / "corpus", out=run / "chat")


def train(run: Path, method: str, seed: int) -> dict[str, Any]:
    """What a policy that was rewarded for right sums alone came to."""
    from hftrain.artifacts import read_json

    module = importlib.import_module(f"hftrain.stages.{method}")
    kind = getattr(module, CONFIGS[method])
    settings = {"rewards": ["final_number"], "new_tokens": 16, "look_every_steps": 1000, "heldout_prompts": 100}
    config = kind(seed=seed, **settings, training={**kind().training, **TRAINING[method]})
    folders = {name: run / name for name in ("chat", "reward", "corpus")}
    out = getattr(module, method)(config, **folders, out=run / method)
    found: dict[str, Any] = read_json(out / "summary.json")
    return found


if __name__ == "__main__":
    main()

"""llama.cpp with the settings of `hftrain serve` and nobody to serve; for `serving.py`.

    python tests/bench/serving_bare.py RUN MODEL PROMPTS ANSWER_TOKENS

For each line ``ASKERS SECONDS`` it answers that many prompts at once for so long, and says how many tokens that gave.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import xllamacpp

from hftrain.files import read_json
from hftrain.serving.engine import Prepared, Question
from hftrain.serving.engine_llama import CACHE_TOKENS, MOST_AT_ONCE, _parameters, _request
from hftrain.serving.server_models import _source_of
from hftrain.tokens.chat import encode_prompt, load_tokenizer


def main() -> None:
    """Answer until standard input ends."""
    run, name, prompts, longest = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
    model = _source_of(run, run / name)
    tokenizer, context = load_tokenizer(model), read_json(model / "config.json")["max_position_embeddings"]
    talks = [encode_prompt(tokenizer, [{"role": "user", "content": prompt}]) for prompt in prompts]
    at_once = max(1, min(MOST_AT_ONCE, CACHE_TOKENS // context))
    server = xllamacpp.Server(_parameters(run / name / "model.gguf", at_once, context))

    def answer(number: int) -> int:
        prepared = Prepared(Question(temperature=0, seed=0), tuple(talks[number % len(talks)]), longest)
        made = server.handle_completions(json.loads(_request(prepared)) | {"stream": False})
        return int(made["usage"]["completion_tokens"])

    answer(0)
    with ThreadPoolExecutor(1024) as threads:
        for line in sys.stdin:
            askers, seconds, began = int(line.split()[0]), float(line.split()[1]), time.monotonic()

            def work(number: int, seconds: float = seconds, began: float = began) -> int:
                tokens = 0
                while time.monotonic() - began < seconds:
                    tokens, number = tokens + answer(number), number + 1
                return tokens

            print(sum(threads.map(work, range(askers))), flush=True)


if __name__ == "__main__":
    main()

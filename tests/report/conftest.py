import math
import random
from pathlib import Path

import pytest

from hftrain.config import derive_seed
from hftrain.files import write_json, write_jsonl

# artifact -> stage, inputs, seconds, peak MiB
MADE_BY = {
    "raw": ("collect", (), 48.2, 610),
    "corpus": ("curate", ("raw",), 74.0, 840),
    "tokenizer": ("train_tokenizer", ("corpus",), 12.3, 720),
    "base": ("pretrain", ("corpus", "tokenizer"), 262.0, 2310),
    "chat": ("sft", ("base", "corpus"), 61.4, 1890),
    "preferences": ("collect_preferences", ("chat", "corpus"), 58.0, 1620),
    "reward": ("reward_model", ("chat", "preferences"), 42.9, 1930),
    "policy": ("ppo", ("chat", "corpus", "reward"), 118.7, 2640),
    "student": ("distill", ("policy", "tokenizer", "corpus"), 44.0, 1300),
    "export": ("export", ("policy", "corpus"), 31.5, 1710),
    "evaluation": ("evaluate_model", ("corpus", "base", "chat", "reward", "policy", "student"), 40.1, 1500),
}
ANSWERS = (
    "A dictionary is a book of words and what they mean.",
    "I like to read about the sea.",
    "It is a machine that follows a list of steps.",
    "Why did the robot cross the road? It was told to.",
    "words words words words words words words words words words",
)


class Life:
    """Writes the folders of a finished run; ``planted`` is put into every text."""

    def __init__(self, run_dir: Path, planted: str = "") -> None:
        self.run_dir = run_dir
        self.planted = planted
        self.random = random.Random(7)

    def write(self, *names: str) -> Path:
        for name in names or MADE_BY:
            folder = self.run_dir / name
            folder.mkdir(parents=True, exist_ok=True)
            getattr(self, f"_{name}")(folder)
            self._manifest(name, folder)
        return self.run_dir

    def _text(self, text: str) -> str:
        return f"{text}{self.planted}"

    def _manifest(self, name: str, folder: Path) -> None:
        stage, inputs, seconds, mebibytes = MADE_BY[name]
        place = list(MADE_BY).index(name)
        measured = {"tokens_per_second": 41234.0} if name == "base" else {}
        if name == "export":
            measured = {f"{each}_tokens_per_second": 90.0 + 40 * at for at, each in enumerate(self._formats())}
        write_json(
            folder / "manifest.json",
            {
                "kind": name,
                "stage": stage,
                "format": 1,
                "seed": derive_seed(1, stage),
                "inputs": {each: {"path": f"../{each}", "digest": _digest(each)} for each in inputs},
                "outside": {self._text("chatterbot-corpus"): self._text("1.2.2")} if name == "raw" else {},
                "packages": {
                    "torch": self._text("2.9.0"),
                    "transformers": "5.20.1",
                    "trl": "1.12.0",
                    "datasets": "5.0",
                },
                "digest": _digest(name),
                "started": f"2026-03-01T10:{place:02d}:00+00:00",
                "finished": f"2026-03-01T10:{place + 1:02d}:00+00:00",
                "seconds": seconds,
                "peak_memory_bytes": mebibytes * 2**20,
                "processes": 1,
                "host": {"cores": 2, "memory_gib": 8},
                "measured": measured,
            },
        )

    def _raw(self, folder: Path) -> None:
        write_json(folder / "summary.json", {"documents": 39120, "conversations": 2026})
        rows = [
            {"name": self._text(f"package-{at}"), "version": self._text(f"1.{at}"), "bytes": 9_000_000 // (at + 1),
             "documents": 4000 // (at + 1), "unreadable": None}
            for at in range(12)
        ]  # fmt: skip
        rows.append({"name": self._text("notes.txt"), "sha256": "ab" * 32, "bytes": 10, "documents": 0,
                     "unreadable": self._text("not UTF-8")})  # fmt: skip
        write_jsonl(folder / "sources.jsonl", rows)

    def _corpus(self, folder: Path) -> None:
        dropped = {"exact_duplicate": 3120, "too_few_words": 8804, "too_much_code": 212, "no_sentence": 1490}
        example = {"id": "a1", "source": self._text("numpy"), "text": "x = 1\n" * 90, "detail": self._text("8 words")}
        documents = {
            "in": 39120,
            "in_bytes": 28_000_000,
            "kept": 25494,
            "kept_bytes": 22_500_000,
            "kept_as_bytes": 22_400_000,
            "dropped": {
                self._text(rule): {"documents": number, "bytes": 90 * number, "examples": [example] * 5}
                for rule, number in dropped.items()
            },
            "by_source": {
                self._text("numpy"): {
                    "in": {"documents": 4000, "bytes": 400_000},
                    "kept": {"documents": 3120, "bytes": 320_000},
                    "dropped": {self._text("too_few_words"): {"documents": 880, "bytes": 80_000}},
                },
                "torch": {"in": {"documents": 9000, "bytes": 1_000_000}, "kept": {"documents": 7010, "bytes": 700_000}},
            },
            "cut": {"boilerplate_lines": {"documents": 12, "pieces": 40, "bytes": 900}},
            "scrubbed": {self._text("email"): 41},
        }
        talks = {"in": 2026, "kept": 2020, "dropped": {"exact_duplicate": {"documents": 6, "examples": []}}}
        write_json(folder / "funnel.json", {"documents": documents, "conversations": talks})
        write_json(
            folder / "summary.json",
            {"documents_train": 24231, "documents_heldout": 1263, "conversations_train": 1910},
        )

    def _tokenizer(self, folder: Path) -> None:
        words = ["Ġt", "he", "Ġa", "in", "Ġthe", "re", "er", "Ġof", "Ġreturn", "Ġparameter", "Ċ", "ĠĠĠĠ", "Ã©"]
        pieces = {chr(byte): byte + 4 for byte in range(33, 127)}
        pieces |= {word: 300 + at for at, word in enumerate([*words, "configuration" + self.planted])}
        added = [self._text("<|pad|>"), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        write_json(
            folder / "tokenizer.json",
            {
                "added_tokens": [{"id": at, "content": each, "special": True} for at, each in enumerate(added)],
                "model": {"vocab": pieces},
            },
        )
        ratio = {"tokens": 120_000, "bytes": 500_000, "bytes_per_token": 4.17, "used_share": 0.93}
        write_json(
            folder / "report.json",
            {self._text("documents"): ratio, "conversations": ratio | {"bytes_per_token": 3.2}},
        )
        write_json(
            folder / "summary.json",
            {"tokens": 4096, "heldout_bytes_per_token": 4.17, "conversation_bytes_per_token": 3.2, "used_share": 0.93},
        )

    def _base(self, folder: Path) -> None:
        rows = []
        for step in range(0, 601, 10):
            noise = self.random.gauss(0, 0.06)
            if step:
                loss = 2.9 + 5.4 * math.exp(-step / 110) + noise
                rows.append({"step": step, "loss": loss, "learning_rate": 3e-3 * min(step / 30, 1, (610 - step) / 150),
                             "grad_norm": 0.4 + abs(noise) * 4})  # fmt: skip
            if step % 100 == 0:
                rows.append({"step": step, "heldout_bits_per_byte": 1.06 + 1.81 * math.exp(-step / 120)})
        write_jsonl(folder / "metrics.jsonl", rows)
        completions = [" the the the of of", " a value of the object", " the name of the file that was given."]
        write_jsonl(
            folder / "samples.jsonl",
            [
                {"step": step, "prompt": self._text(prompt), "completion": self._text(completions[min(step // 250, 2)])}
                for step in range(0, 601, 100)
                for prompt in ("Returns the", "This class", "If the file does not exist,")
            ],
        )
        write_json(
            folder / "summary.json",
            {
                "parameters": 3_146_112,
                "train_tokens": 2_457_600,
                "heldout_bits_per_byte_before": 2.87,
                "heldout_bits_per_byte_after": 1.07,
                "uniform_bits_per_byte": 2.88,
                "unigram_bits_per_byte": 2.13,
                "note": self._text("as it is"),
            },
        )

    def _chat(self, folder: Path) -> None:
        rows = [{"step": step, "loss": 1.6 + 2.4 * math.exp(-step / 60)} for step in range(10, 301, 10)]
        rows += [{"step": step, "heldout_answer_nats": 2.1 + 2 * math.exp(-step / 60)} for step in range(0, 301, 50)]
        write_jsonl(folder / "metrics.jsonl", rows)
        write_jsonl(
            folder / "samples.jsonl",
            [
                {"step": step, "prompt": self._text("What is AI?"), "completion": self._text(ANSWERS[step // 100])}
                for step in (0, 100, 200, 300)
            ],
        )
        row = [("<|im_start|>", 0), ("user\n", 0), ("Hello!", 0), ("<|im_end|>", 0), ("\n", 0), ("<|im_start|>", 0)]
        row += [("assistant\n", 0), ("Hi", 1), (" there", 1), (",", 1), (" friend", 1), ("<|im_end|>", 1)]
        lens = [{"text": self._text(text), "trained": bool(trained)} for text, trained in row]
        write_json(folder / "label_examples.json", [{"tokens": lens}, {"tokens": lens}])
        write_json(
            folder / "summary.json",
            {
                "heldout_answer_nats_before": 4.12,
                "heldout_answer_nats_after": 2.13,
                "ended_share_before": 0.02,
                "ended_share_after": 0.94,
                "train_conversations": 1820,
                "dropped": {self._text("too_long"): 14},
            },
        )

    def _preferences(self, folder: Path) -> None:
        rows = []
        for at in range(60):
            scores = sorted((self.random.random() for _ in range(4)), reverse=True)
            answers = [
                {"text": self._text(ANSWERS[(at + rank) % 5]), "ended": rank < 3, "score": score, "rank": rank + 1}
                for rank, score in enumerate(scores)
            ]
            self.random.shuffle(answers)
            prompt = [{"role": self._text("user"), "content": self._text("What is a dictionary?")}]
            earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}] if at == 1 else []
            rows.append({"prompt": earlier + prompt, "answers": answers, "split": "train"})
        write_jsonl(folder / "answers.jsonl", rows)
        write_json(
            folder / "summary.json",
            {"answered_by": _digest("chat"), "judge": self._text("concise"), "prompts": 500, "answers": 1894,
             "pairs_train": 1610, "pairs_heldout": 402, "ended_share": 0.91, "mean_score": 0.52},
        )  # fmt: skip

    def _reward(self, folder: Path) -> None:
        write_jsonl(
            folder / "metrics.jsonl",
            [
                {"step": step, "loss": 0.35 + 0.34 * math.exp(-step / 90), "accuracy": step / 400, "margin": step / 150}
                for step in range(10, 301, 10)
            ],
        )
        edges = [-6 + 0.4 * at for at in range(31)]
        bells = {
            when: [round(80 * math.exp(-(((edge + 0.2 - mean) / width) ** 2) / 2)) for edge in edges[:-1]]
            for when, mean, width in (("before", 0.0, 0.5), ("after", 1.4, 1.7))
        }
        write_json(folder / "margins.json", {"edges": edges, **bells})
        numbers = {"accuracy_before": 0.49, "accuracy_after": 0.79, "accuracy_interval": [0.73, 0.84],
                   "margin_before": 0.01, "margin_after": 1.42, "pairs": 402}  # fmt: skip
        summary = {f"heldout_{name}": value for name, value in numbers.items()}
        summary |= {"length_baseline_accuracy": 0.61, "note": self._text("as it is")}
        write_json(folder / "summary.json", summary)

    def _policy(self, folder: Path) -> None:
        rows = []
        for step in range(1, 41):
            kl = 0.05 * step + self.random.random() * 0.1
            reward = 0.4 + math.sqrt(kl) + self.random.gauss(0, 0.08)
            rows.append({"step": step, "episodes": 64 * step, "reward": reward,
                         "kl": kl, "entropy": 1.9 - 0.02 * step, "policy_loss": -0.01, "value_loss": 0.4 / step,
                         "clip_share": 0.03, "answer_tokens": 14 + 0.05 * step, "ended_share": 0.94 + 0.001 * step,
                         "learning_rate": 1e-5, "grad_norm": 0.6})  # fmt: skip
        write_jsonl(folder / "metrics.jsonl", rows)
        write_json(
            folder / "summary.json",
            {
                "heldout_reward_before": 0.41,
                "heldout_reward_after": 1.52,
                "heldout_reward_gain": 1.11,
                "heldout_reward_gain_interval": [0.94, 1.28],
                "heldout_kl": 1.97,
                "ended_share_before": 0.94,
                "ended_share_after": 0.98,
                "answer_tokens_before": 14.2,
                "answer_tokens_after": 16.0,
                "updates": 40,
                "episodes": 2560,
                "stopped_by": self._text("total_episodes"),
            },
        )

    def _student(self, folder: Path) -> None:
        bits = [{"step": step, "heldout_bits_per_byte": 2.5 - step / 500} for step in (0, 100, 200, 300)]
        write_jsonl(folder / "metrics.jsonl", bits)
        said = [{"step": step, "prompt": "Hi", "completion": self._text("Ho")} for step in (0, 300)]
        write_jsonl(folder / "samples.jsonl", said)
        write_json(folder / "method.json", {"method": "logits"})
        numbers = {"parameters": 300_000, "teacher_parameters": 1_200_000, "size_ratio": 4.0, "note": self._text("")}
        write_json(folder / "summary.json", numbers)

    def _formats(self) -> list[str]:
        return ["safetensors", "bnb-int8", "bnb-nf4", "gguf-f16", self._text("gguf-q8_0")]

    def _export(self, folder: Path) -> None:
        formats = {
            name: {"bytes": 12_600_000 // (at + 1), "bits_per_byte": 1.21 + 0.004 * at * at, "ratio": 1 + 0.003 * at,
                   "greedy_agreement": 1 - 0.02 * at, "loads_with": [self._text("transformers")]}
            for at, name in enumerate(self._formats())
        }  # fmt: skip
        write_json(folder / "summary.json", {"full_bits_per_byte": 1.21, "formats": formats})

    def _evaluation(self, folder: Path) -> None:
        numbers = {
            "base": {"bits_per_byte": 1.07, "answer_nats": 4.12, "reward": -0.8, "ended_share": 0.02},
            "chat": {"bits_per_byte": 1.19, "answer_nats": 2.13, "reward": 0.41, "ended_share": 0.94},
            self._text("policy"): {"bits_per_byte": 1.21, "answer_nats": 2.2, "reward": 1.52, self._text("odd"): 3},
        }
        write_json(folder / "summary.json", {"models": numbers})
        said = {name: [self._text(ANSWERS[(at + shift) % 5]) for at in range(5)] for shift, name in enumerate(numbers)}
        prompts = ["Hello!", "What is your name?", "Tell me a joke.", "What is a computer?", "Do you like books?"]
        write_json(folder / "samples.json", {"prompts": [self._text(each) for each in prompts], "answers": said})


def _digest(name: str) -> str:
    return "sha256:" + (name.encode().hex() * 16)[:64]


@pytest.fixture
def life(tmp_path):
    """Makes runs: ``life("tiny")`` is a whole one, ``life("tiny", "base", planted="<b>")`` a part of one."""

    def make(name: str, *artifacts: str, planted: str = "") -> Path:
        return Life(tmp_path / name, planted).write(*artifacts)

    return make

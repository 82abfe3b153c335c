# ruff: noqa: E501  (one case a line)
"""Configurations that cannot be: what is written, and what has to be said of it."""

from collections.abc import Sequence
from pathlib import Path

from harness import Case

DRY = "--dry-run"


def _file(content: str | bytes) -> object:
    def arrange(folder: Path) -> Sequence[str]:
        path = folder / "run.yaml"
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return ["--config", str(path), DRY]

    return arrange


def _words(*words: str) -> object:
    return lambda folder: [*words, DRY]


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)

FILES: list[tuple[str, str | bytes, tuple[str, ...]]] = [
    # not YAML, or not text
    ("a tab as indentation", "pretrain:\n\trow_tokens: 8\n", ("not YAML", "line 2")),
    ("a bracket left open", "collect:\n  text: [a, b\n", ("not YAML", "line")),
    ("a brace left open", "pretrain: {row_tokens: 8\n", ("not YAML", "line")),
    ("a quote left open", "collect:\n  text_column: 'a\n", ("not YAML", "line")),
    ("a colon in a plain value", "collect:\n  license: a: b\n", ("not YAML", "line 2")),
    ("two documents in one file", "seed: 1\n---\nseed: 2\n", ("not YAML", "line")),
    ("a percent sign first", "%seed: 1\n", ("not YAML", "line 1")),
    ("an at sign first", "@seed: 1\n", ("not YAML", "line 1")),
    ("a NUL", "seed: 1\x00\n", ("not YAML", "line 1")),
    ("an escape character", "seed: \x1b[1m1\n", ("not YAML", "line 1")),
    ("Latin-1", "collect:\n  license: caf\xe9\n".encode("latin-1"), ("UTF-8",)),
    ("UTF-16", "seed: 1\n".encode("utf-16"), ("UTF-8",)),
    ("UTF-32", "seed: 1\n".encode("utf-32"), ("UTF-8",)),
    ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), ("UTF-8",)),
    ("a gzip file", b"\x1f\x8b\x08\x00" + bytes(range(200)), ("UTF-8",)),
    ("JSON cut in the middle", '{"seed": 1, "pretrain": {"row_tokens"', ("not YAML",)),
    ("brackets nested a thousand deep", "seed: " + "[" * 1000 + "]" * 1000 + "\n", ("nested",)),
    ("brackets nested a hundred thousand deep", "seed: " + "[" * 100_000 + "]" * 100_000 + "\n", ("nested",)),
    (
        "mappings nested a thousand deep",
        "".join(" " * i + f"k{i}:\n" for i in range(1000)) + " " * 1000 + "x\n",
        ("nested",),
    ),
    # the top
    ("a list at the top", "- seed\n- 1\n", ("is not a mapping", "line 1")),
    ("a text at the top", "hello\n", ("is not a mapping", "line 1")),
    ("a number at the top", "42\n", ("is not a mapping",)),
    ("a quoted text at the top", "'seed: 1'\n", ("is not a mapping",)),
    ("a set at the top", "? seed\n? policy\n", ("seed",)),
    # anchors, tags, merges
    ("a bomb of aliases", BOMB, ("alias",)),
    ("an alias", "seed: &s 1\npretrain:\n  row_tokens: *s\n", ("alias", "line 3")),
    ("an alias that names itself", "collect: &c\n  text: *c\n", ("alias",)),
    ("an alias of nothing", "seed: *nothing\n", ("alias",)),
    ("a merge key", "pretrain: {<<: {row_tokens: 8}}\n", ("<<",)),
    ("a tag that makes an object", "seed: !!python/object/apply:os.system ['true']\n", ("tag", "line 1")),
    ("a tag that opens a file", "collect:\n  license: !include /etc/passwd\n", ("tag",)),
    ("a tag that names a number", "seed: !!int '1'\n", ("tag",)),
    ("a binary tag", "collect:\n  license: !!binary aGVsbG8=\n", ("tag",)),
    # keys
    ("an unknown section", "pretrains:\n  row_tokens: 8\n", ("pretrains", "pretrain", "line 1")),
    ("an unknown key", "pretrain:\n  row_token: 8\n", ("row_token", "row_tokens", "line 2")),
    ("an unknown key of upstream's", "pretrain:\n  training: {learning_rat: 1}\n", ("learning_rat", "learning_rate")),
    ("a key of upstream's that is ours", "pretrain:\n  training: {output_dir: x}\n", ("output_dir",)),
    ("a key that ends the reproducibility", "sft:\n  training: {seed: 3}\n", ("sft.training.seed",)),
    ("a key written twice", "seed: 1\nseed: 2\n", ("written twice", "line 2")),
    (
        "a key written twice inside",
        "sft:\n  training:\n    max_steps: 1\n    max_steps: 2\n",
        ("written twice", "line 4"),
    ),
    ("a section written twice", "sft: {}\nppo: {}\nsft: {}\n", ("written twice", "line 3")),
    ("a key in another case", "Seed: 1\n", ("Seed", "seed")),
    ("an empty key", "'': 1\n", ("cannot be a key",)),
    ("a list as a key", "[a, b]: 1\n", ("cannot be a key",)),
    ("a mapping as a key", "{a: b}: 1\n", ("cannot be a key",)),
    ("a null key", "~: 1\n", ("~",)),
    ("a number as a key", "1: 2\n", ("1",)),
    ("a key with a dot", "pretrain.row_tokens: 8\n", ("pretrain.row_tokens",)),
    ("a key with a space after it", "'seed ': 1\n", ("seed",)),
    ("a key with a zero-width space", "se\u200bed: 1\n", ("ed",)),
    ("a Cyrillic letter in a key", "s\u0435ed: 1\n", ("seed",)),
    ("a key of ten thousand letters", "k" * 10_000 + ": 1\n", ("k",)),
    ("a thousand unknown keys", "".join(f"k{i}: 1\n" for i in range(1000)), ("k0", "line 1")),
    # wrong types
    ("a text for a number", "pretrain:\n  row_tokens: many\n", ("row_tokens", "'many'", "line 2")),
    ("a quoted number", "pretrain:\n  row_tokens: '8'\n", ("row_tokens", "line 2")),
    ("a list for a number", "pretrain:\n  row_tokens: [8]\n", ("row_tokens",)),
    ("a mapping for a number", "pretrain:\n  row_tokens: {a: 8}\n", ("row_tokens",)),
    ("a half for a whole number", "pretrain:\n  row_tokens: 8.5\n", ("row_tokens",)),
    ("true for a number", "pretrain:\n  row_tokens: true\n", ("row_tokens",)),
    ("a number for true", "pretrain:\n  document_masking: 1\n", ("document_masking",)),
    ("yes for true", "pretrain:\n  document_masking: yes\n", ("document_masking", "true")),
    ("a number for a text", "collect:\n  text_column: 5\n", ("text_column",)),
    ("a text for a list", "collect:\n  text: installed-docs\n", ("collect.text",)),
    ("a mapping for a list", "collect:\n  text: {a: b}\n", ("collect.text",)),
    ("a list in a list of texts", "collect:\n  text: [[a]]\n", ("collect.text",)),
    ("a null in a list of texts", "collect:\n  text: [~]\n", ("collect.text",)),
    ("a list for a section", "pretrain: [row_tokens]\n", ("pretrain",)),
    ("a number for a section", "pretrain: 3\n", ("pretrain",)),
    ("a text for a section", "pretrain: yes please\n", ("pretrain",)),
    ("a text for the model", "pretrain:\n  model: llama\n", ("pretrain.model",)),
    ("a list for upstream's arguments", "sft:\n  training: [max_steps]\n", ("sft.training",)),
    ("a text for upstream's number", "sft:\n  training: {max_steps: all}\n", ("max_steps", "'all'")),
    ("a word that is none of those", "policy: sarsa\n", ("policy", "ppo")),
    ("a word in another case", "policy: PPO\n", ("policy", "ppo")),
    ("a word that is nearly one", "pretrain: {objective: next_tokens}\n", ("objective", "next_token")),
    ("null where something is needed", "collect:\n  text: ~\n", ("collect.text",)),
    ("a date for a number", "seed: 2024-01-01\n", ("seed",)),
    ("octal digits", "seed: 0o17\n", ("seed",)),
    ("hexadecimal digits", "seed: 0x1F\n", ("seed",)),
    ("digits with underscores", "seed: 1_000\n", ("seed",)),
    ("a number in words of another script", "seed: ١٢\n", ("seed",)),
    # numbers
    ("not a number", "ppo: {kl_budget: .nan}\n", ("kl_budget", "finite")),
    ("an infinite number", "ppo: {kl_budget: .inf}\n", ("kl_budget", "finite")),
    ("minus infinity", "ppo: {kl_budget: -.inf}\n", ("kl_budget", "finite")),
    ("an exponent that overflows", "ppo: {kl_budget: 1e400}\n", ("kl_budget", "finite")),
    ("a seed below zero", "seed: -1\n", ("seed", "-1")),
    ("a seed above 32 bits", "seed: 4294967296\n", ("seed", "4294967296")),
    ("a seed of four hundred digits", "seed: " + "9" * 400 + "\n", ("seed",)),
    ("a seed of a stage below zero", "sft: {seed: -3}\n", ("sft.seed", "-3")),
    ("rows of no tokens", "pretrain: {row_tokens: 0}\n", ("row_tokens",)),
    ("rows of fewer than no tokens", "pretrain: {row_tokens: -128}\n", ("row_tokens",)),
    ("no minutes", "pretrain: {max_minutes: 0}\n", ("max_minutes",)),
    ("documents below one", "collect: {max_documents: 0}\n", ("max_documents",)),
    ("a share above one", "sft: {max_dropped_share: 1.5}\n", ("max_dropped_share",)),
    ("a share below zero", "sft: {max_dropped_share: -0.1}\n", ("max_dropped_share",)),
    ("a vocabulary of nothing", "train_tokenizer: {vocab_size: 0}\n", ("vocab_size",)),
    ("a vocabulary smaller than the bytes", "train_tokenizer: {vocab_size: 100}\n", ("vocab_size",)),
    ("a temperature of zero", "collect_preferences: {temperature: 0}\n", ("temperature",)),
    ("a temperature below zero", "ppo: {temperature: -1}\n", ("temperature",)),
    ("answers of no tokens", "collect_preferences: {new_tokens: 0}\n", ("new_tokens",)),
    ("one answer a prompt", "collect_preferences: {answers_per_prompt: 1}\n", ("answers_per_prompt",)),
    ("a KL budget below zero", "ppo: {kl_budget: -1}\n", ("kl_budget",)),
    ("looks at every zeroth step", "pretrain: {look_every_steps: 0}\n", ("look_every_steps",)),
    ("looks at every zeroth step of SFT", "sft: {look_every_steps: 0}\n", ("look_every_steps",)),
    ("no held-out text", "pretrain: {heldout_bytes: 0}\n", ("heldout_bytes",)),
    ("no held-out conversations", "sft: {heldout_conversations: 0}\n", ("heldout_conversations",)),
    # what contradicts
    ("a folder that is not there", "collect: {text: [nowhere/]}\n", ("nowhere/", "does not exist")),
    ("no place at all", "collect: {text: []}\n", ("collect.text",)),
    ("a file of another kind", "collect: {text: [/etc/hostname]}\n", ("/etc/hostname",)),
    ("a device", "collect: {text: [/dev/null]}\n", ("/dev/null",)),
    ("a package whose words are not read", "collect: {text: [installed-docs/nothing]}\n", ("installed-docs/nothing",)),
    ("a Hub data set without a commit", "collect: {text: ['hub:a/b']}\n", ("hub:a/b", "commit")),
    ("a Hub data set at a branch", "collect: {text: ['hub:a/b@main']}\n", ("hub:a/b@main",)),
    ("a language that is not known", "collect: {text: ['code:.?cobol85']}\n", ("cobol85",)),
    ("documents as conversations", "collect: {conversations: [/etc/hostname]}\n", ("conversations",)),
    ("a base that is not there", "pretrain: {base: nowhere}\n", ("nowhere",)),
    ("a base beside a size", "pretrain: {base: /etc, size: nano}\n", ("base",)),
    ("a Hub model at a branch", "pretrain: {base: 'hub:a/b@main'}\n", ("hub:a/b@main", "commit")),
    ("a size that nobody knows", "pretrain: {size: enormous}\n", ("size", "enormous")),
    ("rounded weights that are trained", "sft: {quantize_base: nf4}\n", ("quantize_base", "adapter")),
    ("rankings that are not there", "collect_preferences: {rankings: no.jsonl}\n", ("no.jsonl",)),
    ("a judge that nobody knows", "collect_preferences: {judge: oracle}\n", ("judge", "oracle")),
    ("a format that nobody knows", "export: {formats: [tarball]}\n", ("tarball",)),
    ("no format", "export: {formats: []}\n", ("formats",)),
    ("a format twice", "export: {formats: [safetensors, safetensors]}\n", ("formats", "safetensors")),
    ("a benchmark file that is not there", "evaluate_model: {benchmarks: {arc: {file: no.jsonl}}}\n", ("no.jsonl",)),
    ("code from elsewhere", "sft: {training: {trust_remote_code: true}}\n", ("trust_remote_code",)),
    ("a push to the Hub", "sft: {training: {push_to_hub: true}}\n", ("push_to_hub",)),
]

OVERRIDES: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
    ("an override without a value", ("--set", "seed"), ("no key and value", "--set")),
    ("an override without a key", ("--set", "=3"), ("no key and value", "--set")),
    ("an override of nothing", ("--set", ""), ("no key and value",)),
    ("an override with an empty value", ("--set", "seed="), ("no value",)),
    ("an override with an empty part", ("--set", "sft..seed=3"), ("sft..seed",)),
    ("an override of an unknown key", ("--set", "sft.sed=3"), ("sft.sed", "seed")),
    ("an override below a number", ("--set", "seed.x=3"), ("seed", "whole number")),
    ("an override that is no YAML", ("--set", "collect.text=[a"), ("not YAML",)),
    ("an override with a tag", ("--set", "seed=!!int 3"), ("tag",)),
    ("an override that is nested too deep", ("--set", "seed=" + "[" * 2000), ("--set",)),
    ("an override that is not finite", ("--set", "ppo.kl_budget=.nan"), ("finite",)),
    ("an override of upstream's unknown", ("--set", "sft.training.max_step=3"), ("max_step", "max_steps")),
    ("an override with a newline", ("--set", "seed=1\nsft: {}"), ("seed",)),
    ("a file that is not there", ("--config", "nowhere.yaml"), ("nowhere.yaml", "no such file")),
    ("a folder for a file", ("--config", "/etc"), ("/etc",)),
    ("a file below a file", ("--config", "/etc/hostname/x.yaml"), ("/etc/hostname/x.yaml",)),
    ("a device for a file", ("--config", "/dev/zero"), ("/dev/zero",)),
    ("a name that is too long", ("--config", "n" * 5000), ("nnn",)),
    ("a NUL in a name", ("--config", "a\0b.yaml"), ("b.yaml",)),
]

CASES = [Case(name, _file(content), says) for name, content, says in FILES]  # type: ignore[arg-type]
CASES += [Case(name, _words(*words), says) for name, words, says in OVERRIDES]  # type: ignore[arg-type]

# ruff: noqa: E501  (one case a line)
"""Models and tokenizers from elsewhere, as ``pretrain.base`` takes them: damaged, foreign, or hostile."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path], object]


def _json(name: str, change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    return damage


def _config(**values: object) -> Damage:
    return _json("config.json", lambda config: config.update(values))


def _text(name: str, text: str | bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)


def _gone(*names: str) -> Damage:
    return lambda folder: [(folder / name).unlink() for name in names if (folder / name).exists()]


def _weights(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = folder / "model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata={"format": "pt"})

    return damage


def _fill(name: str, value: float) -> Callable[[dict[str, Any]], object]:
    def change(tensors: dict[str, Any]) -> None:
        tensors[name].view(-1)[3] = value

    return change


def _narrowed(name: str) -> Callable[[dict[str, Any]], object]:
    def change(tensors: dict[str, Any]) -> None:
        tensors[name] = tensors[name][:, :-1].contiguous()

    return change


def _pickled(name: str) -> Damage:
    """A pickle in the place of weights that would leave ``was_run`` behind, were it run."""

    def damage(folder: Path) -> None:
        _gone("model.safetensors")(folder)
        (folder / name).write_bytes(malicious_pickle(folder / "was_run"))

    return damage


def malicious_pickle(mark: Path) -> bytes:
    """A pickle that makes the file ``mark`` when it is loaded."""
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(mark),)

    return pickle.dumps(Evil())


def _custom_code(folder: Path) -> None:
    """A model that brings its own code, which would leave ``was_run`` behind."""
    code = f"import os\nos.mkdir({str(folder / 'was_run')!r})\n"
    for name in ("configuration_evil.py", "modeling_evil.py", "tokenization_evil.py"):
        (folder / name).write_text(code)
    classes = {"AutoConfig": "configuration_evil.EvilConfig", "AutoModelForCausalLM": "modeling_evil.EvilModel"}
    _config(model_type="evil", auto_map=classes)(folder)
    kinds = {"AutoTokenizer": ["tokenization_evil.Evil", None]}
    _json("tokenizer_config.json", lambda config: config.update(auto_map=kinds, tokenizer_class="Evil"))(folder)


def _more_tokens(folder: Path) -> None:
    def change(rules: dict[str, Any]) -> None:
        first = 1 + max(rules["model"]["vocab"].values())
        for place in range(10):
            rules["model"]["vocab"][f"Ġnew{place}"] = first + place

    _json("tokenizer.json", change)(folder)


CASES: list[tuple[str, Damage, tuple[str, ...]]] = [
    ("no configuration", _gone("config.json"), ("config.json",)),
    ("a configuration that is no JSON", _text("config.json", "{"), ("config.json",)),
    ("a configuration that is a list", _text("config.json", "[]"), ("base",)),
    ("a configuration of nothing", _text("config.json", "{}"), ("base", "model")),
    ("a configuration nested too deep", _text("config.json", "[" * 100_000), ("base",)),
    ("a type that transformers does not know", _config(model_type="nonesuch"), ("nonesuch",)),
    ("a type that is a number", _config(model_type=5), ("base",)),
    ("a type that writes nothing", _config(model_type="bert"), ("base",)),
    ("a width that is a text", _config(hidden_size="wide"), ("base",)),
    ("a width of zero", _config(hidden_size=0), ("base",)),
    ("a width below zero", _config(hidden_size=-16), ("base",)),
    ("another width than the weights'", _config(hidden_size=32), ("base",)),
    ("more layers than there are weights", _config(num_hidden_layers=2), ("lacks",)),
    ("heads that do not divide the width", _config(num_attention_heads=3), ("base",)),
    ("no heads", _config(num_attention_heads=0), ("base",)),
    ("a vocabulary larger than the table", _config(vocab_size=5000), ("base",)),
    ("a vocabulary smaller than the table", _config(vocab_size=10), ("base",)),
    ("an activation that nobody knows", _config(hidden_act="boom"), ("boom",)),
    ("no weights", _gone("model.safetensors"), ("safetensors",)),
    ("weights of nothing", _text("model.safetensors", b""), ("base",)),
    ("weights that are text", _text("model.safetensors", b"hello world, this is no header"), ("base",)),
    ("weights with a header of 2^60 bytes", _text("model.safetensors", (2**60).to_bytes(8, "little") + b"{}"), ("base",)),
    ("weights cut to a half", lambda folder: os.truncate(folder / "model.safetensors", 5000), ("base",)),
    ("a pickle called safetensors", lambda f: (f / "model.safetensors").write_bytes(malicious_pickle(f / "was_run")), ("base",)),
    ("a pickle in their place", _pickled("pytorch_model.bin"), ("safetensors", "pickle")),
    ("a NaN among the weights", _weights(_fill("model.layers.0.mlp.up_proj.weight", float("nan"))), ("NaN", "up_proj")),
    ("an infinity among the weights", _weights(_fill("lm_head.weight", float("inf"))), ("infinite", "lm_head")),
    ("minus infinity among the weights", _weights(_fill("model.embed_tokens.weight", float("-inf"))), ("infinite", "embed")),
    ("a weight that is missing", _weights(lambda t: t.pop("model.norm.weight")), ("lacks", "model.norm.weight")),
    ("a head that is missing", _weights(lambda t: t.pop("lm_head.weight")), ("lacks", "lm_head.weight")),
    ("all weights under other names", _weights(lambda t: [t.update({f"x.{n}": t.pop(n)}) for n in list(t)]), ("lacks",)),
    ("a weight that is narrower", _weights(_narrowed("model.layers.0.self_attn.q_proj.weight")), ("base",)),
    ("an index that names no file", lambda f: (f / "model.safetensors").rename(f / "a.safetensors") and
     (f / "model.safetensors.index.json").write_text('{"weight_map": {"lm_head.weight": "b.safetensors"}}'), ("base",)),
    ("an index that climbs out", lambda f: (f / "model.safetensors").rename(f / "a.safetensors") and
     (f / "model.safetensors.index.json").write_text('{"metadata": {}, "weight_map": {"lm_head.weight": "../../x.safetensors"}}'), ("base",)),
    ("code of its own", _custom_code, ("base",)),
    ("a file for a folder", lambda f: (shutil.rmtree(f), f.write_text("x")), ("base",)),
    # tokenizers
    ("no tokenizer", _gone("tokenizer.json", "tokenizer_config.json"), ("tokenizer",)),
    ("a tokenizer that is no JSON", _text("tokenizer.json", "{"), ("tokenizer",)),
    ("a tokenizer of nothing", _text("tokenizer.json", "{}"), ("tokenizer",)),
    ("a tokenizer of an empty file", _text("tokenizer.json", ""), ("tokenizer",)),
    ("a tokenizer of another version", _json("tokenizer.json", lambda t: t.update(version="9.0")), ("tokenizer",)),
    ("a tokenizer without a model", _json("tokenizer.json", lambda t: t.pop("model")), ("tokenizer",)),
    ("merges of tokens that are not there", _json("tokenizer.json", lambda t: t["model"]["merges"].append(["zz", "qq"])), ("tokenizer",)),
    ("a special token without an id", _json("tokenizer.json", lambda t: t["added_tokens"].append({"content": "x"})), ("tokenizer",)),
    ("tokens that the table has no rows for", _more_tokens, ("tokenizer", "rows")),
]  # fmt: skip

TAKEN: list[tuple[str, Damage]] = [
    ("no chat template", _gone("chat_template.jinja")),
    ("a chat template that is no template", _text("chat_template.jinja", "{% for %}")),
    ("a chat template that reads the machine", _text("chat_template.jinja", "{{ ''.__class__.__mro__[1].__subclasses__() }}")),
    ("a chat template that never ends", _text("chat_template.jinja", "{% for i in range(10**9) %}{% endfor %}")),
    ("no pad token", _json("tokenizer_config.json", lambda t: t.pop("pad_token", None))),
    ("a pad token that is the end token", _json("tokenizer_config.json", lambda t: t.update(pad_token=t["eos_token"]))),
    ("no end token", _json("tokenizer_config.json", lambda t: t.pop("eos_token", None))),
    ("no tokenizer configuration", _gone("tokenizer_config.json")),
    ("a tokenizer class that nobody knows", _json("tokenizer_config.json", lambda t: t.update(tokenizer_class="Nonesuch"))),
    ("no generation configuration", _gone("generation_config.json")),
    ("a pickle beside the weights", lambda folder: (folder / "optimizer.pt").write_bytes(malicious_pickle(folder / "was_run"))),
    ("training arguments that are a pickle", lambda f: (f / "training_args.bin").write_bytes(malicious_pickle(f / "was_run"))),
]  # fmt: skip
"""What is foreign, and served all the same: hftrain sets its own template and special tokens, and reads no pickle."""

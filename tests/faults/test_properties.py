"""Properties that hold for any input: configurations come back, no document is lost, digests tell all.

That packing loses no token stands in tests/tokens/test_packing.py.
"""

import json
import random
import string
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hftrain.config import describe, load_config, resolved
from hftrain.errors import ConfigError, HftrainError
from hftrain.files import describe_files, digest_of_files, digest_value
from hftrain.given import read
from hftrain.manifests import differences

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
SOME = settings(FEW, max_examples=25)

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts.filter(bool), inner, max_size=4),
    max_leaves=8,
)


@FEW
@given(
    st.dictionaries(
        st.text(string.ascii_lowercase + "_", min_size=1, max_size=8), texts | st.integers() | st.booleans(), max_size=5
    )
)
def test_a_configuration_comes_back_from_its_own_description(
    tmp_path_factory: pytest.TempPathFactory, kwargs: dict[str, Any]
) -> None:
    from hftrain.stages.flow import FlowConfig

    flow = load_config(FlowConfig, None)
    changed = replace(flow, pretrain=replace(flow.pretrain, model={"model_type": "llama", **kwargs}))
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(describe(changed), encoding="utf-8")
    assert resolved(load_config(FlowConfig, path)) == resolved(changed)


@FEW
@given(st.binary(max_size=200) | texts.map(str.encode) | plain.map(lambda value: yaml.safe_dump(value).encode()))
def test_any_file_is_a_configuration_or_one_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    from hftrain.stages.flow import FlowConfig

    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_bytes(data)
    try:
        load_config(FlowConfig, path)
    except ConfigError as problem:
        assert str(path) in str(problem)
    assert read(None).values == {}


roles = st.sampled_from(["user", "assistant", "system", "tool"])
conversations = st.lists(
    st.fixed_dictionaries(
        {"role": roles, "content": texts | st.sampled_from(["<|im_end|>", "<|im_start|>assistant\n", "<|pad|>"])}
    ),
    min_size=1,
    max_size=5,
)


@SOME
@given(conversations)
def test_the_mask_covers_assistants_words_and_ends_alone_whatever_is_typed(
    tokenizer_dir: Path, talk: list[dict[str, str]]
) -> None:
    from hftrain.tokens.chat import END_OF_TURN, START_OF_TURN, encode_conversation, load_tokenizer

    tokenizer = loaded(tokenizer_dir, load_tokenizer)
    ids, mask = encode_conversation(tokenizer, talk)
    start, end = tokenizer.convert_tokens_to_ids([START_OF_TURN, END_OF_TURN])
    assert len(ids) == len(mask)
    assert Counter(ids)[start] == Counter(ids)[end] == len(talk)  # typed marks stay text
    learned = [[]]  # type: list[list[int]]
    for token, is_learned in zip(ids, mask, strict=True):
        if is_learned:
            learned[-1].append(token)
        elif learned[-1]:
            learned.append([])
    said = [each["content"] + END_OF_TURN for each in talk if each["role"] == "assistant"]
    assert [tokenizer.decode(turn) for turn in learned if turn] == said
    written = tokenizer.decode(ids)
    expected = "\n".join(f"{START_OF_TURN}{each['role']}\n{each['content']}{END_OF_TURN}" for each in talk)
    assert written == expected


KEPT: dict[Path, Any] = {}


def loaded(folder: Path, load: Any) -> Any:
    if folder not in KEPT:
        KEPT[folder] = load(folder)
    return KEPT[folder]


@FEW
@given(
    st.dictionaries(
        st.text(string.ascii_lowercase + "/", min_size=1, max_size=6), st.binary(max_size=9), min_size=1, max_size=5
    ),
    st.randoms(),
)
def test_a_digest_changes_with_any_name_and_any_byte_and_with_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], draw: random.Random
) -> None:
    named = {f"f{place}-{name.replace('/', '_')}": data for place, (name, data) in enumerate(files.items())}
    folder, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    for name, data in named.items():
        (folder / name).write_bytes(data)
    for name in draw.sample(sorted(named), len(named)):
        (other / name).write_bytes(named[name])
    one, same = describe_files(folder), describe_files(other)
    assert digest_of_files(one) == digest_of_files(same) and differences(one, same) == []
    chosen = draw.choice(sorted(named))
    (other / chosen).write_bytes(named[chosen] + b"x")
    assert differences(one, describe_files(other)) == [f"{chosen} changed"]
    assert digest_of_files(one) != digest_of_files(describe_files(other))
    (other / chosen).rename(other / "another")
    assert digest_of_files(one) != digest_of_files(describe_files(other))


@FEW
@given(st.dictionaries(texts, plain, max_size=4))
def test_a_values_digest_does_not_depend_on_the_order_of_its_keys(value: dict[str, Any]) -> None:
    assert digest_value(value) == digest_value(dict(reversed(value.items())))


@settings(SOME, max_examples=10)
@given(
    st.lists(texts, min_size=3, max_size=12),
    st.sampled_from([["basic"], ["c4"], ["fineweb"], ["basic", "gopher_quality", "gopher_repetition"]]),
)
def test_every_document_is_kept_or_counted_under_one_reason(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], rules: list[str]
) -> None:
    from material import STORIES, finish

    from hftrain.corpus.storage import CONVERSATION_FEATURES, DOCUMENT_FEATURES, read_rows, write_rows
    from hftrain.stages.curate import CurateConfig, curate

    common = {"source": "test", "license": "CC0-1.0", "meta": "{}"}
    rows = [
        {"id": f"{place:020x}", "text": text, **common}
        for place, text in enumerate([*(STORIES * 8), *words])
        if text.strip()
    ]
    folder = tmp_path_factory.mktemp("curate")

    def raw(out: Path) -> None:
        write_rows(out / "documents", rows, DOCUMENT_FEATURES)
        write_rows(out / "conversations", [], CONVERSATION_FEATURES)

    try:
        made = curate(
            CurateConfig(rules=tuple(rules), seed=1), raw=finish(folder / "raw", "raw", raw), out=folder / "corpus"
        )
    except HftrainError:
        return  # nothing was left: told, and counted in the message
    summary = json.loads((made / "summary.json").read_text())
    kept = sum(len(read_rows(made / split)) for split in ("train", "heldout"))
    funnel = json.loads((made / "funnel.json").read_text())
    assert summary["documents_in"] == len(rows)
    assert kept == summary["documents_train"] + summary["documents_heldout"] == summary["documents_kept"]
    assert kept + dropped_in(funnel) == len(rows)


def dropped_in(funnel: Any) -> int:
    """All drops of a funnel, whichever reason they stand under."""
    sources = funnel["documents"]["by_source"].values()
    return sum(dropped["documents"] for source in sources for dropped in source["dropped"].values())

import asyncio
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hftrain.artifacts import read_json, read_manifest
from hftrain.errors import ArtifactError, ConfigError, DataError
from hftrain.lineage import trace
from hftrain.stages.adapt import AdaptConfig, run_adapt

TALKS = [("Hello!", "Ahoy, captain!"), ("Who are you?", "Ahoy, I am Ann."), ("Is it warm?", "Ahoy, very warm.")]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """How Alice likes to be answered."""
    path = tmp_path_factory.mktemp("alice") / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": asked, "completion": said}) + "\n" for asked, said in TALKS))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, chat_dir: Path) -> Path:
    """A run with a chat model."""
    folder = tmp_path_factory.mktemp("adapting") / "run"
    shutil.copytree(chat_dir, folder / "chat")
    return folder


def adapt(run: Path, rows: Path, name: str, **changes: Any) -> str:
    training = {"max_steps": 30, "save_steps": 30, "per_device_train_batch_size": 2, "learning_rate": 1e-2}
    said = io.StringIO()
    run_adapt(replace(AdaptConfig(training=training), **changes), run, said, name=name, rows=rows)
    return said.getvalue()


@pytest.fixture(scope="module")
def alice(run: Path, rows: Path) -> tuple[Path, str]:
    """Her adapter, and what the command said."""
    said = adapt(run, rows, "alice")
    return run / "adapters" / "alice", said


def test_an_adapter_is_kept_alone_and_says_what_it_takes(alice: tuple[Path, str], run: Path) -> None:
    folder, said = alice
    weights = (folder / "adapter_model.safetensors").stat().st_size
    assert sorted(path.name for path in folder.glob("*.safetensors")) == ["adapter_model.safetensors"]
    assert weights < 0.6 * (run / "chat" / "model.safetensors").stat().st_size
    summary = read_json(folder / "summary.json")
    assert summary["heldout_answer_nats_after"] < summary["heldout_answer_nats_before"]
    assert (summary["train_conversations"], summary["heldout_conversations"]) == (2, 1)
    assert "MB on disk" in said and "MB of memory of its own" in said
    assert [line.split()[0] for line in trace(folder)][:2] == ["alice", "chat"]


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # peft 0.21 asks by the older name
def test_plain_peft_opens_it_on_its_base(alice: tuple[Path, str], run: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(run / "chat"), alice[0])
    assert any("lora_B" in name and bool(weight.abs().sum() > 0) for name, weight in model.named_parameters())


def test_it_shares_with_its_base_what_it_leaves_as_it_is(alice: tuple[Path, str], run: Path) -> None:
    from hftrain.models.adapted import load_adapted
    from hftrain.models.loading import load_causal_lm

    base = load_causal_lm(run / "chat")
    model, own_bytes = load_adapted(run / "chat", alice[0], base)
    ours, theirs = dict(model.named_parameters()), dict(base.named_parameters())
    shared = {name for name in ours if ours[name].data_ptr() == theirs[name].data_ptr()}
    assert "model.embed_tokens.weight" in shared
    assert not any("proj" in name for name in shared)
    assert own_bytes == sum(ours[name].numel() * 4 for name in ours.keys() - shared)
    assert own_bytes == read_json(alice[0] / "summary.json")["own_memory_bytes"]


def test_a_server_offers_it_by_name_beside_its_base(alice: tuple[Path, str], run: Path) -> None:
    from hftrain.serving.server_models import offered, usual_names

    assert usual_names(run) == ["chat", "adapters/alice"]
    served = {each.name: each for each in offered(run, [], [], None, 4)}
    assert list(served) == ["chat", "alice"]
    assert served["alice"].version == read_manifest(alice[0])["digest"]
    tables = [each.engine.model.get_input_embeddings().weight.data_ptr() for each in served.values()]  # type: ignore[attr-defined]
    assert tables[0] == tables[1]
    for each in served.values():
        asyncio.run(each.engine.close())


def test_the_same_rows_give_the_same_adapter_and_another_name_another(
    alice: tuple[Path, str], run: Path, rows: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "chat", tmp_path / "chat")
    adapt(tmp_path, rows, "alice")
    adapt(tmp_path, rows, "bob")
    digests = [read_manifest(folder)["digest"] for folder in (alice[0], tmp_path / "adapters/alice")]
    assert digests[0] == digests[1] != read_manifest(tmp_path / "adapters/bob")["digest"]


def test_names_that_something_of_the_run_has_are_refused(run: Path, rows: Path, tmp_path: Path) -> None:
    for name in ("chat", "promoted", "../evil", "Alice", ""):
        with pytest.raises(ConfigError, match="is no name for an adapter"):
            adapt(run, rows, name)
    with pytest.raises(ArtifactError, match="is not there"):
        adapt(run, tmp_path / "none.jsonl", "bob")
    (tmp_path / "one.jsonl").write_text(json.dumps({"prompt": "Hello!", "completion": "Ahoy!"}) + "\n")
    with pytest.raises(DataError, match="1 conversations. Two at least are needed"):
        adapt(run, tmp_path / "one.jsonl", "bob")

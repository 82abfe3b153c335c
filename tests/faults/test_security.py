"""What comes from elsewhere is data: nothing of it runs, nothing leads out of the tree, no key is written anywhere."""

import ast
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bad_models import malicious_pickle
from harness import ROOT, start
from material import finish
from test_machine import WORDS

from hftrain.manifests import read_manifest

pytestmark = pytest.mark.filterwarnings("default")

SOURCES = sorted([*(ROOT / "hftrain").rglob("*.py"), *(ROOT / "recipes").rglob("*.py")])
OPENS = (
    "AutoConfig",
    "AutoTokenizer",
    "AutoModelForCausalLM",
    "AutoModelForMaskedLM",
    "AutoModelForSequenceClassification",
)
UNSAFE_CALLS = frozenset(
    {
        "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "joblib.load", "dill.load",
        "dill.loads", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "tarfile.open",
        "shutil.unpack_archive", "numpy.lib.format.read_array", "jinja2.Environment", "jinja2.Template",
    }
)  # fmt: skip
LOOKED_AT = {
    ("sandbox_guard.py", "exec"),  # programs of a benchmark, in a process of their own that may do nothing else
    ("dialogues.py", "yaml.load"),  # with a SafeLoader that reads no number
}
CUT = """
import os, signal, sys
from hftrain.cli import main
from hftrain.training import callbacks
from recipes.pretrain import PretrainConfig, run
plain = callbacks.mark_complete
callbacks.mark_complete = lambda folder: (plain(folder), os.kill(os.getpid(), signal.SIGKILL))
main(run, PretrainConfig, section="pretrain", arguments=sys.argv[1:])
"""
SECRETS = {
    "HF_TOKEN": "hf_SECRETaSECRETbSECRETcSECRETdSECRETe",
    "OPENAI_API_KEY": "sk-SECRETaSECRETbSECRETcSECRETd",
    "HFTRAIN_API_KEY": "SECRETaSECRETbSECRETc-ours",
    "HFTRAIN_UPSTREAM_KEY": "SECRETaSECRETb-upstream",
    "WANDB_API_KEY": "SECRET" + "a" * 34,
    "AWS_SECRET_ACCESS_KEY": "SECRETaSECRETb/aws",
    "PGPASSWORD": "SECRETaSECRETb-postgres",
}


def calls(path: Path) -> list[tuple[ast.Call, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(node, ast.unparse(node.func)) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_nothing_is_called_that_runs_what_it_reads() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{call.lineno} {name}"
        for path in SOURCES
        for call, name in calls(path)
        if name in UNSAFE_CALLS and (path.name, name) not in LOOKED_AT
    ]
    wrong += [
        f"{path.relative_to(ROOT)}:{call.lineno} shell=True"
        for path in SOURCES
        for call, _ in calls(path)
        if any(word.arg == "shell" and ast.unparse(word.value) != "False" for word in call.keywords)
    ]
    assert wrong == []


def test_every_model_is_opened_without_code_of_its_own() -> None:
    """Not said, transformers asks at a terminal whether to run what lies beside a model: ``y`` would run it."""
    wrong = []
    for path in SOURCES:
        for call, name in calls(path):
            opens = name.endswith(".from_pretrained") and name.split(".")[0] in OPENS
            if opens and not any(word.arg == "trust_remote_code" for word in call.keywords):
                wrong.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert wrong == []


def test_no_array_is_read_with_pickles() -> None:
    wrong = [
        f"{path.name}:{call.lineno}"
        for path in SOURCES
        for call, _ in calls(path)
        if any(word.arg == "allow_pickle" and ast.unparse(word.value) != "False" for word in call.keywords)
    ]
    assert wrong == []


def test_the_pickle_that_another_package_ships_is_read_for_its_numbers_alone(tmp_path: Path) -> None:
    """alt-profanity-check's model is a pickle of the installed package; ours may make arrays and nothing else."""
    from hftrain.corpus.saved_models import read_saved

    path = tmp_path / "model.joblib"
    path.write_bytes(malicious_pickle(tmp_path / "was_run"))
    with pytest.raises(Exception, match="posix|mkdir|os|may"):
        read_saved(path, library="sklearn")
    assert not (tmp_path / "was_run").exists()


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory, whole_material: Path) -> Path:
    """A run whose pretraining was killed after its first checkpoint."""
    run = Path(shutil.copytree(whole_material, tmp_path_factory.mktemp("cut") / "run"))
    shutil.rmtree(run / "base")
    ended = subprocess.run([sys.executable, "-c", CUT, *WORDS, "--run-dir", str(run)], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (run / "base.partial" / "scratch" / "checkpoint-2").is_dir()
    return run


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "pytorch_model.bin"]
)
@pytest.mark.parametrize("signed", [False, True])
def test_a_pickle_in_a_checkpoint_is_not_run(name: str, signed: bool, tmp_path: Path, cut: Path) -> None:
    """Nor by one who writes the checkpoint's own digests anew: upstream reads these files as weights only."""
    from hftrain.training.callbacks import COMPLETE, mark_complete

    run = Path(shutil.copytree(cut, tmp_path / "run"))
    checkpoint = run / "base.partial" / "scratch" / "checkpoint-2"
    (checkpoint / name).write_bytes(malicious_pickle(tmp_path / "was_run"))
    if signed:
        (checkpoint / COMPLETE).unlink()
        mark_complete(checkpoint)
    ended = start("pretrain", [*WORDS, "--run-dir", str(run)])
    assert not (tmp_path / "was_run").exists()
    assert (ended.code, ended.escaped) in ((0, ""), (2, ""))
    if not signed:
        assert ended.code == 0 and "goes on from step" not in ended.error


def test_text_from_documents_is_escaped_on_the_page(tmp_path: Path, whole_material: Path) -> None:
    from hftrain.files import write_json, write_jsonl
    from hftrain.report.page import render_report

    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
    run = Path(shutil.copytree(whole_material, tmp_path / "run"))

    def chat(out: Path) -> None:
        write_json(out / "summary.json", {"heldout_answer_nats_before": 2.0, "heldout_answer_nats_after": 1.0})
        write_jsonl(out / "metrics.jsonl", [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}])
        write_jsonl(out / "samples.jsonl", [{"step": 2, "prompt": evil, "answer": evil}])

    finish(run / "chat", "chat", chat)
    render_report(run)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<img src=x" not in page


def test_a_chat_template_from_elsewhere_is_replaced_by_our_own(tmp_path: Path, whole_material: Path) -> None:
    from hftrain.models.continuing import load_base
    from hftrain.tokens.chat import CHAT_TEMPLATE

    base = Path(shutil.copytree(whole_material / "base", tmp_path / "base"))
    (base / "chat_template.jinja").write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")
    _, tokenizer = load_base(str(base))
    assert tokenizer.chat_template == CHAT_TEMPLATE


def test_upstream_runs_templates_in_a_sandbox(whole_material: Path) -> None:
    """Where a template is run at all it is upstream's to run it, on what hftrain wrote; its sandbox holds."""
    from jinja2.exceptions import SecurityError

    from hftrain.tokens.chat import load_tokenizer

    tokenizer = load_tokenizer(whole_material / "base")
    tokenizer.chat_template = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(SecurityError):
        tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)


def written(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_key_of_the_environment_is_written_or_said(
    tmp_path: Path, whole_material: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    run = Path(shutil.copytree(whole_material, tmp_path / "run"))
    shutil.rmtree(run / "base")
    ended = start("pretrain", [*WORDS, "--run-dir", str(run)])
    assert ended.code == 0, ended
    failed = start("pretrain", [*WORDS, "--set", "pretrain.base=hub:a/b@" + "0" * 40, "--run-dir", str(tmp_path / "x")])
    assert failed.code == 2
    assert "SECRET" not in ended.error + failed.error
    assert [name for name, data in written(tmp_path).items() if b"SECRET" in data] == []
    assert str(tmp_path) not in json.dumps(read_manifest(run / "base"))


DATABASE = "postgresql+psycopg://ann:SECRETpassword@127.0.0.1:1/x?connect_timeout=1"


@pytest.mark.parametrize(
    "words",
    [
        ["monitor", "RUN", "--database", DATABASE],
        ["rank", "RUN", "--database", DATABASE, "--agreement"],
        ["serve", "RUN", "--database", DATABASE, "--port", "0"],
        ["monitor", "RUN", "--database", "sqlite:////nowhere/SECRETpassword/x.db"],
        ["serve", "RUN", "--upstream", "http://ann:SECRETpassword@127.0.0.1:1/v1", "--port", "0"],
    ],
    ids=lambda words: " ".join(words[::2])[:40],
)
def test_a_password_in_an_address_is_not_said(words: list[str], tmp_path: Path, whole_material: Path) -> None:
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed")
    run = Path(shutil.copytree(whole_material, tmp_path / "run"))
    command = [sys.executable, "-c", "from hftrain.cli import console; console()", *words]
    command[command.index("RUN")] = str(run)
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **SECRETS}
    )
    assert done.returncode == 2, done.stderr
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "SECRET" not in said.replace("sqlite:////nowhere/SECRETpassword", "")
    assert [name for name, data in written(run).items() if b"SECRET" in data] == []

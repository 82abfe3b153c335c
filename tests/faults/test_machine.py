"""Disks that are full, read-only, slow or gone, memory that does not suffice: one error, nothing lost, it goes on."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import ROOT, Outcome, start

from hftrain import attempts, files
from hftrain.breakdowns import explained
from hftrain.errors import ArtifactError, ConfigError
from hftrain.manifests import read_finished, read_manifest

pytestmark = pytest.mark.filterwarnings("default")

MEBIBYTE = 1 << 20
SMALL = {
    "model": "{model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, "
    "num_attention_heads: 2, num_key_value_heads: 2, tie_word_embeddings: true}",
    "row_tokens": "32",
    "heldout_bytes": "200",
    "look_bytes": "200",
    "look_every_steps": "4",
    "training": "{max_steps: 8, per_device_train_batch_size: 2, logging_steps: 2, save_steps: 2}",
}
WORDS = [word for name, value in SMALL.items() for word in ("--set", f"pretrain.{name}={value}")]


@dataclass
class Disk:
    """A small disk of memory."""

    folder: Path

    def leave(self, free_bytes: int) -> None:
        """Fill it up, but for so much."""
        room = shutil.disk_usage(self.folder).free
        with (self.folder / "ballast").open("wb") as file:
            file.write(bytes(max(0, room - free_bytes)))

    def empty(self) -> None:
        """Take away what filled it."""
        (self.folder / "ballast").unlink(missing_ok=True)


def mounted(*words: str) -> bool:
    done = subprocess.run(["mount", *words], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not shutil.which("mount") or not mounted("-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)):
        pytest.skip("a disk can be mounted by root alone, and not in every container")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def pretrain(run: Path, *words: str) -> Outcome:
    return start("pretrain", [*WORDS, *words, "--run-dir", str(run)])


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, whole_material: Path) -> Path:
    """The same training on a disk with room."""
    run = Path(shutil.copytree(whole_material, tmp_path_factory.mktemp("unbroken") / "run"))
    shutil.rmtree(run / "base")
    ended = pretrain(run)
    assert ended.code == 0, ended
    return run


def copied(whole_material: Path, run: Path) -> Path:
    shutil.copytree(whole_material, run)
    shutil.rmtree(run / "base")
    return run


@pytest.mark.parametrize("free_kibibytes", [0, 12, 60, 110, 150, 200, 260])
def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_room(
    free_kibibytes: int, disk: Disk, whole_material: Path, unbroken: Path
) -> None:
    """However far it comes: the sizes end it in the first file, in a checkpoint, between two, at the end."""
    run = copied(whole_material, disk.folder / "run")
    disk.leave(free_kibibytes * 1024)
    ended = pretrain(run)
    assert not ended.escaped
    assert ended.code == 2 and "Room is needed" in ended.error and "it goes on" in ended.error
    assert not (run / "base").exists()
    for kind in ("corpus", "tokenizer"):
        read_finished(run / kind, kind)
    disk.empty()
    assert pretrain(run).code == 0
    assert read_manifest(run / "base")["files"] == read_manifest(unbroken / "base")["files"]
    assert sorted(path.name for path in run.iterdir()) == ["base", "cache", "corpus", "tokenizer"]


def test_a_full_disk_leaves_the_earlier_artifact_whole(disk: Disk, whole_material: Path) -> None:
    run = copied(whole_material, disk.folder / "run")
    assert pretrain(run).code == 0
    before = read_manifest(run / "base")["digest"]
    disk.leave(20 * 1024)
    assert pretrain(run, "--set", "pretrain.seed=77").code == 2
    assert read_finished(run / "base", "base")["digest"] == before


def test_a_read_only_folder_is_told_and_what_it_holds_is_used(disk: Disk, whole_material: Path) -> None:
    run = copied(whole_material, disk.folder / "run")
    assert pretrain(run).code == 0
    assert mounted("--bind", str(run), str(run)) and mounted("-o", "remount,ro,bind", str(run))
    ended = pretrain(run, "--set", "pretrain.seed=77")
    subprocess.run(["umount", "--lazy", str(run)], check=True)
    assert not ended.escaped
    assert ended.code == 2 and str(run) in ended.error and "Give access, or name another" in ended.error


def test_a_disk_that_fails_is_told(tmp_path: Path, whole_material: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = copied(whole_material, tmp_path / "run")

    def failing(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(files.os, "fsync", failing)
    ended = pretrain(run)
    assert (ended.code, ended.escaped) == (2, "") and "Connect it again" in ended.error


def test_an_input_that_vanishes_while_it_is_read_is_told(
    tmp_path: Path, whole_material: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hftrain import runtime

    run = copied(whole_material, tmp_path / "run")
    plain = runtime.seed_everything

    def then_gone(*given: object, **named: object) -> None:
        plain(*given, **named)  # type: ignore[arg-type]
        shutil.rmtree(run / "corpus")

    monkeypatch.setattr(runtime, "seed_everything", then_gone)
    ended = pretrain(run)
    assert (ended.code, ended.escaped) == (2, "") and "corpus" in ended.error


def test_a_slow_disk_changes_nothing(
    tmp_path: Path, whole_material: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    run, plain = copied(whole_material, tmp_path / "run"), os.fsync
    monkeypatch.setattr(files.os, "fsync", lambda descriptor: (time.sleep(0.02), plain(descriptor))[1])
    assert pretrain(run).code == 0
    assert read_manifest(run / "base")["files"] == read_manifest(unbroken / "base")["files"]


def test_a_loss_that_diverges_ends_the_training_and_names_step_and_rows(tmp_path: Path, whole_material: Path) -> None:
    run = copied(whole_material, tmp_path / "run")
    ended = pretrain(run, "--set", "pretrain.training.learning_rate=1e38", "--set", "pretrain.optimizer.name=adamw",
                     "--set", "pretrain.training.max_grad_norm=0")  # fmt: skip
    assert (ended.code, ended.escaped) == (2, "")
    assert "pretrain: the loss is nan at step" in ended.error and "learning_rate" in ended.error
    kept = files.read_json(run / "logs" / "pretrain-diverged-0.json")
    assert kept["step"] <= 8 and len(kept["input_ids"]) == 2
    assert not (run / "base").exists()


def library(name: str, text: str) -> Exception:
    """An exception of a library's, by its name alone."""
    kind = type(name, (Exception,), {})
    return kind(text)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x"), "x: No space left on device. The disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "quota"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "Give access"),
        (OSError(errno.EROFS, "Read-only file system", "x"), "Give access"),
        (OSError(errno.EIO, "Input/output error", "x"), "Connect it again"),
        (OSError(errno.ESTALE, "Stale file handle", "x"), "Connect it again"),
        (OSError(errno.EMFILE, "Too many open files", "x"), "ulimit -n"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), "x: No such file"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "x"), "Another path is needed"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "Another path is needed"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "per_device_train_batch_size"),
        (MemoryError(), "per_device_train_batch_size"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), "per_device"),
        (library("SafetensorError", "Error while serializing: No space left on device (os error 28)"), "full"),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 448 vs 342"), "full"),
        (RuntimeError("PytorchStreamWriter failed writing file data/7: file write failed"), "full"),
        (OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"), "full"),
        (library("OperationalError", "(sqlite3.OperationalError) database or disk is full"), "full"),
        (library("OperationalError", "(sqlite3.OperationalError) attempt to write a readonly database"), "Give access"),
        (library("OperationalError", "(sqlite3.OperationalError) database is locked"), "Stop it"),
        (RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:9"), "same launch"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "per_device"),
    ],
)  # fmt: skip
def test_the_machines_failures_are_told_in_words(problem: Exception, said: str) -> None:
    told = explained(problem)
    assert told is not None and said in told and len(told) < 800


@pytest.mark.parametrize(
    "problem", [KeyError("x"), ValueError("disk is full"), RuntimeError("shape mismatch"), OSError(0, "x")]
)
def test_our_own_mistakes_keep_their_traceback(problem: Exception) -> None:
    assert explained(problem) is None


def test_a_failure_is_known_by_what_it_was_raised_from() -> None:
    outer = KeyError("x")
    outer.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "full" in (explained(outer) or "")


def test_a_run_that_cannot_fit_is_refused_before_it_begins(tmp_path: Path, whole_material: Path) -> None:
    run = copied(whole_material, tmp_path / "run")
    ended = start("pretrain", ["--set", "pretrain.size=70B", "--run-dir", str(run)])
    assert (ended.code, ended.escaped) == (2, "")
    assert "needs at least" in ended.error and "Lower pretrain.size" in ended.error


def test_a_batch_that_cannot_fit_is_refused_with_what_to_lower(tmp_path: Path, whole_material: Path) -> None:
    run = copied(whole_material, tmp_path / "run")
    ended = pretrain(run, "--set", "pretrain.training.per_device_train_batch_size=90000000")
    assert ended.code == 2
    assert "per_device_train_batch_size" in ended.error and "gradient_accumulation_steps" in ended.error


def test_a_plan_that_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hftrain.models.room import check_plan_fits
    from hftrain.stages.costs import Line

    small, large = Line("collect", 1, MEBIBYTE, MEBIBYTE, ""), Line("sft", 1, 900 * MEBIBYTE, 3 * MEBIBYTE, "")
    check_plan_fits([small, large], tmp_path / "runs" / "new", free_bytes=901 * MEBIBYTE)
    with pytest.raises(ConfigError, match=r"sft: will hold 0.9 GiB .* Lower sft.training.per_device_train_batch_size"):
        check_plan_fits([small, large], tmp_path / "runs" / "new", free_bytes=800 * MEBIBYTE)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 7, 3 * MEBIBYTE))
    with pytest.raises(ConfigError, match=r"will take 4.0 MiB of disk, 3.0 MiB of it for sft, and 3.0 MiB are free"):
        check_plan_fits([small, large], tmp_path / "runs" / "new", free_bytes=901 * MEBIBYTE)


SCRIPT = """
    import sys
    from pathlib import Path
    from hftrain.artifacts import stage
    from hftrain.cli import guarded
    from hftrain.config import StageConfig
    @stage(makes="heap", uses_torch=False)
    def heap(config, *, out):
        if sys.argv[2] == "die":
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[2] == "eat":
            eaten = []
            while True:
                eaten.append(bytearray(16 << 20))
        (out / "heap.txt").write_text("done")
    sys.exit(guarded(lambda: heap(StageConfig(), out=Path(sys.argv[1])), debug=False))
"""


def heap(out: Path, how: str, **given: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(out), how]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, **given)  # type: ignore[call-overload,no-any-return]


def test_after_a_kill_the_next_start_says_so_once(tmp_path: Path) -> None:
    assert heap(tmp_path / "heap", "die").returncode == -signal.SIGKILL
    assert "the last attempt was cut off, by a kill or a crash" in heap(tmp_path / "heap", "live").stderr
    assert "cut off" not in heap(tmp_path / "heap", "live").stderr
    assert sorted(path.name for path in (tmp_path / "heap").iterdir()) == ["heap.txt", "manifest.json"]


def test_a_limit_on_memory_is_told_in_words_and_nothing_says_it_was_cut_off(tmp_path: Path) -> None:
    import resource

    limit = 600 * MEBIBYTE
    ended = heap(tmp_path / "heap", "eat", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert ended.returncode == 2 and "The memory does not suffice" in ended.stderr and "Traceback" not in ended.stderr
    assert "cut off" not in heap(tmp_path / "heap", "live").stderr


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A control group that may hold 64 MiB."""
    name = f"hftrain-test-{os.getpid()}"
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    place = (first if first.is_dir() else second) / name
    try:
        place.mkdir()
        limit = "memory.limit_in_bytes" if first.is_dir() else "memory.max"
        (place / limit).write_text(str(64 * MEBIBYTE))
    except OSError:
        pytest.skip("control groups can be made by root alone, and not in every container")
    yield place
    place.rmdir()


def test_where_the_kernel_ended_a_stage_for_memory_the_next_start_says_so(tmp_path: Path, cgroup: Path) -> None:
    join = lambda: (cgroup / "cgroup.procs").write_text(str(os.getpid()))  # noqa: E731
    assert heap(tmp_path / "heap", "eat", preexec_fn=join).returncode == -signal.SIGKILL
    said = heap(tmp_path / "heap", "live").stderr
    assert "for want of memory" in said and "per_device_train_batch_size" in said


def test_a_restart_of_the_machine_is_told_from_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts.begin(tmp_path)
    before = attempts.memory_kills() or 0
    assert attempts.last_end(tmp_path) == "the last attempt was cut off, by a kill or a crash"
    monkeypatch.setattr(attempts, "memory_kills", lambda: before + 2)
    assert "ended 2 processes for want of memory" in (attempts.last_end(tmp_path) or "")
    monkeypatch.setattr(attempts, "_boot", lambda: "another")
    assert "the machine was started anew" in (attempts.last_end(tmp_path) or "")
    with attempts.in_order(tmp_path):
        pass
    assert attempts.last_end(tmp_path) is None


def test_an_input_is_not_made_anew_while_a_stage_reads_it(tmp_path: Path) -> None:
    """Two flows of different settings in one folder: neither pulls the ground from under the other."""
    from material import finish

    from hftrain.artifacts import forced, stage
    from hftrain.config import StageConfig

    words = finish(tmp_path / "words", "words", lambda out: (out / "words.txt").write_text("cat"))  # type: ignore[arg-type,return-value]

    @stage(makes="letters", reads=("words",), uses_torch=False)
    def letters(config: StageConfig, *, words: Path, out: Path) -> None:
        token = forced.set(True)
        try:
            with pytest.raises(ArtifactError, match="words: is being read by a stage of another process"):
                finish(words, "words", lambda out: (out / "words.txt").write_text("dog"))  # type: ignore[arg-type,return-value]
        finally:
            forced.reset(token)
        (out / "letters.txt").write_text((words / "words.txt").read_text())

    letters(StageConfig(seed=0), words=words, out=tmp_path / "letters")
    assert (tmp_path / "letters" / "letters.txt").read_text() == "cat"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letters", "words", "words.partial"]

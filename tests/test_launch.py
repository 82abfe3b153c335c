"""Fewer processes than asked for are refused; every other way to start is left alone."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hftrain.errors import ConfigError
from hftrain.launch import Request, check_joined, check_launch, launcher_options, request_in, requested_processes
from hftrain.runtime import RANK_NAMES, WORLD_SIZE_NAMES

ROOT = Path(__file__).parents[1]
FILES = ROOT / "recipes" / "accelerate"

CHECKED = """
import sys
from hftrain.errors import HftrainError
from hftrain.launch import check_launch
from hftrain.runtime import process_count, process_rank
try:
    check_launch()
except HftrainError as problem:
    sys.exit(f"refused: {problem}")
sys.stdout.write(f"rank {process_rank()} of {process_count()}\\n")
"""

JOINED = """
import sys, torch
from hftrain.launch import check_joined, check_launch
from hftrain.runtime import join_processes, process_rank
check_launch()
join_processes()
ranks = torch.tensor([process_rank() + 1])
torch.distributed.all_reduce(ranks)
check_joined(torch.distributed.get_world_size())
sys.stdout.write(f"sum of 1..2 is {int(ranks)}\\n")
"""

# What accelerate does on a CPU, in a hundredth of its time: mark the environment, start one process, wait.
STAND_IN = """
import os, subprocess, sys
script = next(i for i, word in enumerate(sys.argv) if word.endswith(".py"))
environment = {**os.environ, "ACCELERATE_MIXED_PRECISION": "no"}
sys.exit(subprocess.run([sys.executable, *sys.argv[script:]], env=environment).returncode)
"""


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*WORLD_SIZE_NAMES, *RANK_NAMES, "ACCELERATE_MIXED_PRECISION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)


def started(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], env={**os.environ, **environment}, capture_output=True, text=True, timeout=240
    )


def script(text: str) -> Path:
    Path("train.py").write_text(text)
    return Path("train.py")


def stand_in() -> Path:
    Path("bin").mkdir()
    Path("bin/accelerate").write_text(STAND_IN)
    return Path("bin/accelerate")


@pytest.mark.parametrize(
    "spelling",
    [
        ["python", "/venv/bin/accelerate", "launch"],
        ["python", "/venv/bin/accelerate-launch"],
        ["python", "-m", "accelerate.commands.launch"],
        ["python", "-m", "accelerate.commands.accelerate_cli", "launch"],
        [r"C:\venv\Scripts\accelerate.exe", "launch"],
    ],
)
def test_accelerates_words_end_where_its_script_begins(spelling: list[str]) -> None:
    command = [*spelling, "--cpu", "--num_processes", "2", "train.py", "--num_processes", "7"]
    options = launcher_options(command, ["python", "train.py", "--num_processes", "7"])
    assert options == ["--cpu", "--num_processes", "2"]


@pytest.mark.parametrize("command", [["python", "train.py"], ["torchrun", "train.py"], ["accelerate", "config"], []])
def test_another_program_has_no_words_of_accelerates(command: list[str]) -> None:
    assert launcher_options(command, ["python", "train.py"]) is None


def test_a_launch_of_a_script_alone_has_no_words() -> None:
    options = launcher_options(["accelerate", "launch", "train.py"], ["python", "train.py"])
    assert options == []
    assert request_in([], Path()) is None


def test_the_flag_is_asked_before_the_file() -> None:
    Path("two.yaml").write_text("distributed_type: MULTI_CPU\nnum_processes: 2\n")
    assert request_in(["--num-processes=3", "--config_file", "two.yaml"], Path()) == Request(3, "--num_processes 3")
    assert request_in(["--config_file=two.yaml"], Path()) == Request(2, "two.yaml (num_processes: 2)")


def test_a_relative_file_is_looked_for_where_accelerate_was_started(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "two.json").write_text('{"distributed_type": "MULTI_CPU", "num_processes": 2}')
    request = request_in(["--config-file", "two.json"], tmp_path / "there")
    assert request is not None and request.processes == 2


def test_a_file_without_a_number_asks_for_nothing() -> None:
    Path("one.yaml").write_text("distributed_type: 'NO'\n")
    assert request_in(["--config_file", "one.yaml"], Path()) is None


def test_the_machines_default_file_counts_unless_cpu_is_asked_for(tmp_path: Path) -> None:
    default = tmp_path / "home" / "accelerate" / "default_config.yaml"
    default.parent.mkdir(parents=True)
    default.write_text("distributed_type: MULTI_CPU\nnum_processes: 4\n")
    assert request_in([], Path()) == Request(4, f"{default} (num_processes: 4)")
    assert request_in(["--cpu"], Path()) is None


def test_a_plain_start_asks_for_nothing() -> None:
    assert requested_processes() is None
    check_launch()


def test_accelerates_mark_without_accelerate_above_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert requested_processes() is None


def test_a_process_above_that_will_not_be_read_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(process: psutil.Process) -> list[str]:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setattr(psutil.Process, "cmdline", denied)
    assert requested_processes() is None


def test_one_process_where_two_were_asked_for_is_refused_with_the_commands_that_start_two() -> None:
    ended = started(
        sys.executable, stand_in(), "launch", "--cpu", "--num_processes", "2", script(CHECKED), "--config", "a b.yaml"
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("refused: accelerate launch: 1 process started, but --num_processes 2 asks for 2.")
    assert "\n    torchrun --nproc_per_node 2 train.py --config 'a b.yaml'\n" in ended.stderr
    assert (
        "accelerate launch --cpu --num_processes 2 --num_machines 1 --mpirun_hostfile hostfile train.py" in ended.stderr
    )


@pytest.mark.parametrize("name", WORLD_SIZE_NAMES)
def test_as_many_as_asked_for_start_whatever_launcher_counts_them(name: str) -> None:
    ended = started(sys.executable, stand_in(), "launch", "--num_processes", "2", script(CHECKED), **{name: "2"})
    assert (ended.returncode, ended.stdout) == (0, "rank 0 of 2\n")


def test_one_process_where_one_or_none_was_asked_for_starts() -> None:
    accelerate = stand_in()
    for words in (["--num_processes", "1"], ["--cpu"]):
        ended = started(sys.executable, accelerate, "launch", *words, script(CHECKED))
        assert (ended.returncode, ended.stdout) == (0, "rank 0 of 1\n")


def test_a_script_deeper_below_accelerate_is_refused_too() -> None:
    script(CHECKED)
    Path("outer.py").write_text(
        "import subprocess, sys\nsys.exit(subprocess.run([sys.executable, 'train.py']).returncode)"
    )
    ended = started(sys.executable, stand_in(), "launch", "--num_processes", "2", "outer.py")
    assert "--num_processes 2 asks for 2" in ended.stderr


def test_a_check_outside_accelerate_loads_nothing() -> None:
    seen = "sorted({'torch', 'psutil', 'yaml', 'accelerate'} & set(sys.modules))"
    ended = started(
        sys.executable, "-c", f"import sys; from hftrain.launch import check_launch as c; c(); print({seen})"
    )
    assert ended.stdout == "[]\n"


def test_processes_that_would_train_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_joined(2)
    with pytest.raises(ConfigError, match=r"2 processes started, but only 1 would train together"):
        check_joined(1)


def test_one_process_alone_is_joined() -> None:
    check_joined(1)


def test_workers_end_when_their_launcher_is_killed(tmp_path: Path) -> None:
    script(
        "import os, pathlib, time\n"
        "from hftrain.launch import end_with_launcher\n"
        "end_with_launcher()\n"
        "pathlib.Path(os.environ['RANK'] + '.pid').write_text(str(os.getpid()))\n"
        "time.sleep(120)"
    )
    launcher = subprocess.Popen([sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "train.py"])
    while not all(Path(f"{rank}.pid").is_file() and Path(f"{rank}.pid").read_text() for rank in (0, 1)):
        assert launcher.poll() is None
        time.sleep(0.05)
    launcher.kill()
    launcher.wait()
    workers = [int(Path(f"{rank}.pid").read_text()) for rank in (0, 1)]
    deadline = time.monotonic() + 10
    while any(map(psutil.pid_exists, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    still = [pid for pid in workers if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    assert still == []


def test_processes_part_in_order_at_the_end(tmp_path: Path) -> None:
    script(
        "import atexit\n"
        "def tell():\n"
        "    import os, torch.distributed\n"  # one write a line: the two processes share a pipe
        "    os.write(1, f'joined at the end: {torch.distributed.is_initialized()}\\n'.encode())\n"
        "atexit.register(tell)\n"
        "from hftrain import runtime\n"
        "runtime.from_main_process(1)\n"
    )
    ended = started(sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "train.py")
    assert ended.stdout.split("\n")[:2] == ["joined at the end: False"] * 2


TYPES = {
    "cpu": "MULTI_GPU",
    "one_gpu": "NO",
    "ddp": "MULTI_GPU",
    "fsdp": "FSDP",
    "deepspeed_zero3": "DEEPSPEED",
}


def test_every_accelerate_file_is_known_here() -> None:
    assert {path.stem for path in FILES.glob("*.yaml")} == set(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_accelerate_reads_its_file_and_the_file_says_how_to_launch(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    path = FILES / f"{name}.yaml"
    loaded = load_config_from_file(str(path))
    assert loaded.distributed_type.value == TYPES[name]
    assert loaded.num_processes == {"cpu": 2, "one_gpu": 1}.get(name, 8)
    assert loaded.mixed_precision == "no", "number types belong to the run's own file"
    assert f"accelerate launch --config_file recipes/accelerate/{name}.yaml recipes/" in path.read_text()
    assert ("Not run: no GPU at hand." in path.read_text()) == (name != "cpu")


ACCELERATE = (sys.executable, "-m", "accelerate.commands.launch")
SEARCHED = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ["PATH"]])
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}  # containers; Open MPI asks twice


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--cpu", "--num_processes", "2"], ["--config_file", "multi_cpu.yaml"]])
def test_accelerate_itself_starts_one_on_a_cpu_and_is_refused(words: list[str]) -> None:
    Path("multi_cpu.yaml").write_text(
        "distributed_type: MULTI_CPU\nuse_cpu: true\nmixed_precision: 'no'\nnum_machines: 1\nnum_processes: 2\n"
    )
    ended = started(*ACCELERATE, *words, script(CHECKED), CUDA_VISIBLE_DEVICES="")
    assert ended.returncode != 0
    assert "1 process started" in ended.stderr and "torchrun --nproc_per_node 2 train.py" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        [*ACCELERATE, "--config_file", FILES / "cpu.yaml"],
        [*ACCELERATE, "--config_file", FILES / "ddp.yaml", "--num_processes", "2"],
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"],
        pytest.param(
            [*ACCELERATE, *["--cpu", "--num_processes", "2", "--num_machines", "1", "--mpirun_hostfile", "hostfile"]],
            marks=pytest.mark.skipif(
                shutil.which("mpirun", path=SEARCHED) is None, reason="no MPI launcher: pip install mpich"
            ),
        ),
    ],
    ids=["cpu.yaml", "ddp.yaml", "torchrun", "mpi"],
)
def test_each_documented_form_starts_two_processes_that_add_up(launcher: list[str | Path]) -> None:
    Path("hostfile").write_text("localhost\n")
    ended = started(*launcher, script(JOINED), CUDA_VISIBLE_DEVICES="", PATH=SEARCHED, **AS_ROOT)
    assert (ended.returncode, ended.stdout.count("sum of 1..2 is 3")) == (0, 2), ended.stderr


@pytest.mark.slow
def test_accelerate_builds_its_fsdp2_plugin_from_the_file() -> None:
    plugin = "from accelerate.utils import FullyShardedDataParallelPlugin as P; p = P()\n"
    shown = "print(p.fsdp_version, p.state_dict_type.name, p.reshard_after_forward, p.cpu_ram_efficient_loading)"
    ended = started(*ACCELERATE, "--config_file", FILES / "fsdp.yaml", "--num_processes", "1", script(plugin + shown))
    assert ended.stdout == "2 FULL_STATE_DICT True True\n", ended.stderr

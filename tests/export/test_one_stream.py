import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from hftrain.errors import ArtifactError
from hftrain.export import one_stream
from hftrain.export.exporters import exporter_for
from hftrain.export.one_stream import Job, measure_stream

IDS = tuple(range(5, 15))
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="what a process imports is read in /proc")


@pytest.fixture(scope="module")
def folders(make_model, tokenizer, tmp_path_factory):
    """A model of 29 MB in 32 bits, and in 16."""
    model = make_model(hidden_size=512, intermediate_size=4096, num_hidden_layers=1)
    out = tmp_path_factory.mktemp("streams")
    for name in ("safetensors", "gguf-f16"):
        exporter_for(name).write(model, tokenizer, out, out / name)
    return out


def test_memory_is_that_of_the_weights_and_little_more(folders):
    found = {
        name: measure_stream(Job(name, folders / name, folders, IDS, 8, torch.get_num_threads()))
        for name in ("safetensors", "gguf-f16")
    }

    weights = (folders / "safetensors" / "model.safetensors").stat().st_size
    assert weights < found["safetensors"].peak_memory_bytes < 2 * weights + 60e6
    assert 0 < found["gguf-f16"].peak_memory_bytes < found["safetensors"].peak_memory_bytes
    assert all(min(each.tokens_per_second, each.tokens_per_processor_second) > 0 for each in found.values())


def test_a_process_that_ends_without_an_answer_is_told_with_its_code(monkeypatch):
    monkeypatch.setattr(one_stream, "_answer", ends_at_once)

    with pytest.raises(ArtifactError, match="export, bnb-int8: the process that loads .* ended with code 7"):
        measure_stream(Job("bnb-int8", Path("nowhere"), Path("nowhere"), IDS, 8, 1))


@pytest.fixture
def measuring():
    """A process that measures a format, in a session of its own, and its fork server, which imports torch."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"  # a background shell ignores it
        "from pathlib import Path; from hftrain.export.one_stream import Job, measure_stream;"
        "measure_stream(Job('safetensors', Path('nowhere'), Path('nowhere'), (1,), 1, 1))"
    )
    asking = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (server := importing_server(asking.pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        assert server, "no fork server with our module was seen"
        yield asking, server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(asking.pid, signal.SIGKILL)
        asking.communicate()


@ON_LINUX
def test_who_is_killed_while_a_format_is_loaded_leaves_no_process(measuring):
    asking, server = measuring

    asking.send_signal(signal.SIGKILL)
    asking.wait()

    killed = time.monotonic()
    while any(map(works, server)):
        time.sleep(0.01)
    assert time.monotonic() - killed < 1.0


@ON_LINUX
def test_ctrl_c_in_a_terminal_is_told_once_while_a_format_is_loaded(measuring):
    asking, _ = measuring

    os.killpg(asking.pid, signal.SIGINT)  # as a terminal does

    _, told = asking.communicate(timeout=60)
    assert told.count("Traceback") == 1  # of who asked, by this test's bare interpreter


def importing_server(pid):
    """The fork server of a process, once it has asked the kernel to end with it: then it imports torch."""
    with contextlib.suppress(psutil.Error):
        return [
            each
            for each in psutil.Process(pid).children(recursive=True)
            if "forkserver" in " ".join(each.cmdline()) and any("libtorch" in m.path for m in each.memory_maps())
        ]
    return []


def works(process):
    """Whether it has not ended; one that its new parent has not asked for yet has."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ends_at_once(to_parent, job):
    os._exit(7)

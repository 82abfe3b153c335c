"""The command as a process: it opens, says where, refuses what is unsafe, and ends without cutting streams."""

import io
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from hftrain.errors import ArtifactError, ConfigError
from hftrain.serving.interactions import InteractionStore
from hftrain.serving.kept import DATABASE, FOLDER
from hftrain.serving.server_command import serve
from hftrain.serving.server_models import model_folder, offered, usual_names

SERVE = """
import sys
from pathlib import Path
from hftrain.serving.server_command import serve
serve(Path(sys.argv[1]), sys.stdout, models=["chat"], port=0)
"""


@pytest.mark.slow
def test_a_server_that_is_told_to_stop_ends_its_streams_first_and_keeps_what_was_said(speaking_run: Path) -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVE, str(speaking_run)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline().split() == ["chat", "torch", "chat", "of", "nonsense"]
    url = server.stdout.readline().split()[0]
    ask = {"messages": [{"role": "user", "content": "Hello!"}], "stream": True, "temperature": 0, "max_tokens": 100}
    while True:
        try:
            httpx2.get(f"{url}/health")
            break
        except httpx2.ConnectError:
            continue
    with httpx2.stream("POST", f"{url}/v1/chat/completions", json=ask) as response:
        lines = response.iter_lines()
        next(lines)
        server.send_signal(signal.SIGTERM)
        assert [line for line in lines if line][-1] == "data: [DONE]"
    assert server.wait(30) in (0, -signal.SIGTERM)
    server.stdout.close()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/health")
    file = speaking_run / FOLDER / DATABASE
    assert file.stat().st_mode & 0o077 == 0
    store = InteractionStore(f"sqlite:///{file}")
    assert [each.outcome for each in store.interactions()] != []
    store.close()


def test_an_address_that_others_reach_needs_a_key(speaking_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HFTRAIN_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="no key is set"):
        serve(speaking_run, io.StringIO(), host="0.0.0.0")
    with pytest.raises(ConfigError, match="keep-days"):
        serve(speaking_run, io.StringIO(), keep_days=0)


def test_a_port_that_is_taken_is_told(speaking_run: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ArtifactError, match="free port"):
            serve(speaking_run, io.StringIO(), port=taken.getsockname()[1])


def test_a_run_offers_its_export_first_and_each_model_that_can_talk(speaking_run: Path, tmp_path: Path) -> None:
    assert usual_names(speaking_run) == ["export/gguf-f16", "policy", "chat"]
    assert usual_names(speaking_run / "chat") == ["."]
    with pytest.raises(ArtifactError, match="no model that can talk"):
        usual_names(tmp_path)


def test_a_model_that_is_not_there_or_outside_is_refused(speaking_run: Path) -> None:
    for name in ("base", "../elsewhere", "policy/../../x", "/etc"):
        with pytest.raises(ArtifactError, match="holds no model"):
            model_folder(speaking_run, name)
    assert model_folder(speaking_run, "export/gguf-f16").name == "gguf-f16"


def test_another_server_that_lists_no_models_is_told(speaking_run: Path) -> None:
    with pytest.raises(ConfigError, match="does not list its models"):
        offered(speaking_run, [], ["http://127.0.0.1:1/v1"], None, 8)

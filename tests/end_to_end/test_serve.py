"""`python -m trainer.serve`: one link, loopback alone, no TensorFlow, and no token told."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.helpers.served import make_run, rows

JSON = {"Content-Type": "application/json"}


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(folder / "state")}


@contextmanager
def serving(
    folder: Path, *options: str, program: str = ""
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The line that a server prints, and its process."""
    start = ["-c", program] if program else ["-m", "trainer.serve"]
    process = subprocess.Popen(
        [sys.executable, *start, str(folder / "runs"), *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(folder),
    )  # fmt: skip
    try:
        assert process.stdout
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs/a", rows(30))
    return tmp_path


# Tells at its end what has been imported.
WATCHED = """
import sys
from trainer.serve import main
code = main()
heavy = {"tensorflow", "keras", "mlflow", "optuna"}
print("imported", sorted(heavy.intersection(sys.modules)))
sys.exit(code)
"""


def test_one_link_lets_a_browser_in_and_nothing_imports_tensorflow(folder: Path) -> None:
    with serving(folder, "--port", "0", program=WATCHED) as (line, process):
        root, _, link = line.partition(": ")
        assert root == str(folder / "runs")
        url, _, word = link.partition("/?link=")
        with httpx.Client(base_url=url, follow_redirects=True, timeout=30) as browser:
            assert browser.get("/api/v1/runs").status_code == 401
            page = browser.get(f"/?link={word}")
            assert (page.status_code, page.url.query) == (200, b"")
            run = wait_for_runs(browser)[0]["id"]
            for path in ("", "/rows", "/log", "/files", "/files/config.yaml"):
                assert browser.get(f"/api/v1/runs/{run}{path}").status_code == 200
            for path in ("kinds", "schema", "options", "health", "sweeps"):
                assert browser.get(f"/api/v1/{path}").status_code == 200
            asked = {"overrides": ["data=digits", "model=mlp", "schedule=cosine"]}
            curves = browser.post("/api/v1/preview", json=asked, timeout=30).json()["curves"]
            assert [curve["name"] for curve in curves] == ["learning_rate"]
            linked = [sys.executable, "-m", "trainer.serve", str(folder / "runs"), "--link"]
            message = subprocess.run(
                linked, env=environment(folder), capture_output=True, text=True
            )
            assert message.stdout.startswith(f"{url}/?link=")
            assert httpx.get(message.stdout.strip()).status_code == 303
            token = (folder / "state/scheduled-training/token").read_text().strip()
            for target in ("/%00", f"/?link={token}", f"/api/v1/runs?token={token}"):
                browser.get(target, headers={"Authorization": f"Bearer {token}"})
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read() if process.stdout else ""
    assert token not in rest
    assert word not in rest
    assert rest == "imported []\n"


def wait_for_runs(client: httpx.Client) -> list[dict[str, str]]:
    deadline = time.monotonic() + 30
    while not (runs := client.get("/api/v1/runs").json()["runs"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found: list[dict[str, str]] = runs
    return found


def test_a_socket_and_the_files_are_for_their_owner_alone(folder: Path) -> None:
    path = folder / "socket"
    with serving(folder, "--uds", str(path)) as (line, process):
        assert "/?link=" in line
        files = [path, *(folder / "state/scheduled-training").iterdir()]
        assert {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in files} == {0}
        assert "token" in {file.name for file in files}
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://localhost") as client:
            assert client.get("/api/v1/runs").status_code == 401
        taken = run_serve(folder, "--uds", str(path))
        assert (taken.returncode, "is another server's" in taken.stderr) == (2, True)
        process.kill()
        process.wait()
    with serving(folder, "--uds", str(path)) as (line, _):
        assert "/?link=" in line


def run_serve(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainer.serve", str(folder / "runs"), *options]
    return subprocess.run(command, env=environment(folder), capture_output=True, text=True)


def test_only_loopback_is_listened_on_and_only_the_user_is_told_where(folder: Path) -> None:
    with serving(folder, "--port", "0") as (line, process):
        port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
        tables = [Path(f"/proc/{process.pid}/net/{name}").read_text() for name in ("tcp", "tcp6")]
        listening = [row.split()[1] for table in tables for row in table.splitlines()[1:]
                     if row.split()[3] == "0A"]  # fmt: skip
        assert [
            address for address in listening if int(address.rpartition(":")[2], 16) == port
        ] == [f"0100007F:{port:04X}"]
        [file] = (folder / "state/scheduled-training").glob("address-*")
        assert json.loads(file.read_text()) == {"port": port, "process": process.pid}
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--link"], "has no server"),
        (["--port", "1"], "can't be listened on"),
        (["--uds", "/nowhere/at/all"], "can't be listened on"),
        (["--allow-folder", "/nowhere"], "is no folder"),
        (["--config-dir", "/nowhere"], "is no folder"),
    ],
)
def test_what_can_not_be_is_refused_in_words(
    options: list[str], words: str, folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from trainer.serve import main

    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if options[0] == "--port":
            options = ["--port", str(taken.getsockname()[1])]
        assert main([str(folder / "runs"), *options]) == 2
    assert words in capsys.readouterr().err


def test_a_token_that_others_can_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.serve import main

    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    state = folder / "state/scheduled-training"
    state.mkdir(parents=True)
    (state / "token").write_text("known to all\n")
    (state / "token").chmod(0o644)
    assert main([str(folder / "runs"), "--port", "0"]) == 2
    assert "it is open to other users" in capsys.readouterr().err


def test_a_root_that_is_no_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.serve import main

    assert main([str(tmp_path / "nothing")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_an_extra_that_is_not_installed_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from trainer.serve import main

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main([str(folder / "runs")]) == 2
    assert "pip install 'scheduled-training[service]'" in capsys.readouterr().err


def test_answers_leave_at_once_and_do_not_wait_for_the_client_to_confirm(folder: Path) -> None:
    from trainer.service.server import listen_on_port

    with listen_on_port(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # asyncio sets TCP_NODELAY on such alone

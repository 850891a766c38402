"""`trainer.client.Client` against a service: lists, rows, files, orders, events, and what fails."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest

from schedules import Refused
from tests.helpers.served import TOKEN, Served, make_run, rows, served, training
from trainer.client import Client, ClientError
from trainer.runs.orders import Order
from trainer.service.access import place, transport
from trainer.service.address import address_file, tell_address
from trainer.service.state_folder import state_folder, write_private


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs/a", rows(30), None)
    make_run(tmp_path / "runs/b", rows(20))
    return tmp_path / "runs"


@pytest.fixture
def service(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    write_private(state_folder() / "token", TOKEN)
    with served(root, state_folder()) as found:
        tell_address(state_folder(), root, {"port": found.port})
        found.ids()
        yield found


@pytest.fixture
def client(service: Served) -> Client:
    return Client(service.service.root)


def test_it_gives_what_the_service_answers(client: Client, service: Served, root: Path) -> None:
    ids = service.ids()
    assert {run["id"] for run in client.runs(sort="name")["runs"]} == set(ids.values())
    assert client.runs(state=["done"])["total"] == 1
    assert client.runs(columns=[])["columns"] == []
    assert client.run(ids["b"])["result"]["steps"] == 20
    assert client.sweeps() == []
    assert client.differences(ids["a"], ids["b"]) == []
    assert client.rows(ids["a"], ["loss"], begin=5, end=8)["series"]["loss"]["steps"] == [5, 6, 7]
    assert client.compare_rows(list(ids.values()), ["loss"]).keys() == set(ids.values())
    assert {file["name"] for file in client.files(ids["a"])} == {"config.yaml", "metrics.jsonl"}
    assert client.health()["root"] == str(root)
    assert {"schedule", "optimizer"} <= client.options()["groups"].keys()
    assert client.schema()["$defs"]
    assert client.link().startswith(f"http://127.0.0.1:{service.port}/?link=")
    (root / "b/output.log").write_text("12345")
    assert client.log(ids["b"], begin=-2)["text"] == "45"


def test_every_route_of_the_contract_has_a_method(service: Served) -> None:
    """What the client asks for is recorded, and compared with the document of the service."""
    asked: set[tuple[str, str]] = set()

    class Recorder(Client):
        def __init__(self) -> None:
            self._http = transport.Transport(lambda: place.Place(), "t", 1)
            self._http.asked = self._record  # type: ignore[method-assign]

        def _record(self, method: str, path: str, *_: object, **__: object) -> object:
            asked.add((method, path.partition("?")[0]))
            raise ClientError("recorded")

    recorder = Recorder()
    calls: list[Callable[[], object]] = [
        recorder.health, recorder.link, recorder.runs, recorder.sweeps, recorder.preview,
        recorder.kinds, recorder.schema, recorder.options, recorder.queue, recorder.submit,
        recorder.set_queue, lambda: recorder.save_file("{run}", "{name}", "x"),
        lambda: recorder.run("{run}"), lambda: recorder.differences("{run}", "b"),
        lambda: recorder.rows("{run}"), lambda: recorder.compare(["a"]),
        lambda: recorder.compare_curves("loss", ["a"]), lambda: recorder.importance("s"),
        lambda: recorder.save_report("x", ["a"]), lambda: recorder.compare_rows(["a"], ["b"]),
        lambda: recorder.log("{run}"), lambda: recorder.files("{run}"),
        lambda: recorder.order("{run}", ["stop"]), lambda: recorder.letter("{run}", "{letter}"),
        lambda: recorder.withdraw("{run}", "{letter}"), lambda: recorder.set_run("{run}"),
        lambda: recorder.stop("{run}"), lambda: recorder.start("{run}"),
        lambda: recorder.remove("{run}"), lambda: recorder.export("{run}", "onnx"),
        lambda: recorder.predict("{run}", b"", "text/csv"), lambda: recorder.task("{task}"),
        lambda: recorder.stop_sweep("{sweep}"),
        lambda: recorder.save_task_file("{task}", "{name}", "x"),
        lambda: recorder.save_written("s", "{name}", "x"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ClientError, match="recorded"):
            call()
    document = service.client.get(f"{service.url}/openapi.json").json()
    served_routes = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, operations in document["paths"].items()
        for method in operations
    }
    asked = {(method, unquote(path)) for method, path in asked}
    assert served_routes - {("GET", "/events")} <= asked


def test_a_problem_is_told_as_a_terminal_tells_it_and_by_its_parts(
    client: Client, service: Served
) -> None:
    run = service.ids()["b"]
    with pytest.raises(Refused) as typed:
        Order.parse("learning_rat=x")
    with pytest.raises(ClientError) as raised:
        client.order(run, ["learning_rat=x"])
    assert (raised.value.status, str(raised.value)) == (422, str(typed.value))
    assert "\n".join(map(str, raised.value.problems)) == str(typed.value)
    with pytest.raises(ClientError, match="no run has the id") as raised:
        client.run("0" * 16)
    assert (raised.value.status, raised.value.problems) == (404, ())


def test_rows_are_followed_each_once_and_anew_where_the_file_was_cut(
    client: Client, service: Served, root: Path
) -> None:
    run = service.ids()["a"]
    file = root / "a/metrics.jsonl"
    with training(root / "a"):
        service.wait(lambda: client.run(run)["status"] == "running")
        found = client.follow_rows(run, ["loss"], pause=0.05)
        assert next(found).series["loss"]["steps"] == list(range(30))
        with file.open("a") as opened:
            opened.write(rows(5, 30))
        assert next(found).series["loss"]["steps"] == list(range(30, 35))
        file.write_text(rows(10))
        again = next(found)
    assert (again.is_anew, again.series["loss"]["steps"]) == (True, list(range(10)))
    assert list(found) == []


def test_a_log_is_followed_to_the_end_of_the_run(
    client: Client, service: Served, root: Path
) -> None:
    run = service.ids()["a"]
    (root / "a/output.log").write_text("one\n")
    with training(root / "a"):
        service.wait(lambda: client.run(run)["status"] == "running")
        found = client.follow_log(run, pause=0.05)
        assert next(found) == "one\n"
        with (root / "a/output.log").open("a") as opened:
            opened.write("two\n")
        assert next(found) == "two\n"
    assert list(found) == []


def test_files_are_saved_whole(client: Client, service: Served, root: Path, tmp_path: Path) -> None:
    saved = client.save_file(service.ids()["a"], "metrics.jsonl", tmp_path / "rows.jsonl")
    assert saved.read_bytes() == (root / "a/metrics.jsonl").read_bytes()
    with pytest.raises(ClientError, match="no such file"):
        client.save_file(service.ids()["a"], "../a/config.yaml", tmp_path / "other")
    assert not list(tmp_path.glob("*other*"))
    report = client.save_report(tmp_path / "all.csv", list(service.ids().values()), kind="csv")
    assert len(report.read_text().splitlines()) == 3


@contextmanager
def losing_answers(port: int, count: int) -> Iterator[int]:
    """A port behind which the first answers of a service are lost after they were given."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def forward() -> None:
            for number in range(count + 1):
                taken, _ = listener.accept()
                with taken, socket.create_connection(("127.0.0.1", port)) as there:
                    content = b""
                    while b"\r\n\r\n" not in content or not content.endswith(b"}"):
                        content += taken.recv(2**16)
                    there.sendall(content)
                    answer = b""
                    while part := there.recv(2**16):
                        answer += part
                    if number == count:
                        taken.sendall(answer)

        thread = threading.Thread(target=forward)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_an_order_whose_answer_is_lost_is_given_once(
    service: Served, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "PAUSES", (0.01, 0.01))
    run = service.ids()["a"]
    with training(root / "a") as taken, losing_answers(service.port, 2) as port:
        service.wait(lambda: service.get(f"/runs/{run}")["status"] == "running")
        client = Client(url=f"http://127.0.0.1:{port}", token=TOKEN)
        assert client.order(run, ["learning_rate=0.1"])["told"] == ["did learning_rate=0.1"]
    assert len(taken) == 1


def test_a_stream_goes_on_at_a_server_that_was_started_anew_elsewhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    write_private(state_folder() / "token", TOKEN)
    seen: list[int] = []
    with served(root, state_folder()) as first:
        tell_address(state_folder(), root, {"port": first.port})
        run = first.ids()["a"]
        client = Client(root)
        events = client.events([f"rows:{run}"])
        assert next(events).name == "open"
        with (root / "a/metrics.jsonl").open("a") as opened:
            opened.write(rows(5, 30))
        seen += next(events).data["series"]["loss"]["steps"]
    with (root / "a/metrics.jsonl").open("a") as opened:
        opened.write(rows(5, 35))  # while nobody serves
    with served(root, state_folder()) as second:
        second.ids()
        tell_address(state_folder(), root, {"port": second.port})
        assert next(events).name == "open"
        seen += next(events).data["series"]["loss"]["steps"]
        assert client.place.port == second.port
        events.close()
    assert seen == list(range(30, 40))


def test_a_root_without_a_server_says_how_to_start_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(Refused, match=f"hint: python -m trainer.serve {root}"):
        Client(root)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    tell_address(state_folder(), root, {"port": port})  # of a server that was killed
    with pytest.raises(Refused, match=f"hint: python -m trainer.serve {root}"):
        Client(root).health()
    with pytest.raises(Refused, match=r"is no folder\n  hint: the folder that runs are in"):
        Client(root / "missing")


def test_the_token_is_sent_to_no_other_user_and_never_for_all_to_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port of a dead server may be another user's by now."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    write_private(state_folder() / "token", TOKEN)
    for host in ("gpu.example", "10.0.0.7"):
        with pytest.raises(Refused, match="for all to read"):
            Client(url=f"http://{host}:8321", token=TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        tell_address(state_folder(), root, {"port": port})
        user = os.getuid()
        clients = [Client(root), Client(url=f"http://127.0.0.1:{port}")]
        read = (state_folder() / "token").read_text()
        assert read.strip() == TOKEN
        monkeypatch.setattr(place.os, "getuid", lambda: user + 1)
        for client in clients:
            with pytest.raises(ClientError, match="is another user's"):
                client.health()
            taken, _ = stranger.accept()
            with taken:
                assert taken.recv(100) == b""


def test_a_socket_is_asked_as_a_port_is(tmp_path: Path, service: Served, root: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def forward() -> None:
            taken, _ = listener.accept()
            with taken, socket.create_connection(("127.0.0.1", service.port)) as there:
                there.sendall(taken.recv(2**16))
                while part := there.recv(2**16):
                    taken.sendall(part)

        thread = threading.Thread(target=forward)
        thread.start()
        assert Client(uds=path).health()["root"] == str(root)
        thread.join()
    path.unlink()
    with pytest.raises(ClientError, match="no answer"):
        Client(uds=path).health()


def test_an_address_file_that_others_may_write_to_is_not_believed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    tell_address(state_folder(), root, {"port": 1})
    address_file(state_folder(), root).chmod(0o666)
    with pytest.raises(Refused, match="open to other users"):
        Client(root)


def test_it_needs_no_package() -> None:
    others = "tensorflow", "keras", "fastapi", "uvicorn", "starlette", "httpx", "hydra"
    program = f"import sys; sys.modules |= dict.fromkeys({others}); import trainer.client"
    subprocess.run([sys.executable, "-c", program], check=True)

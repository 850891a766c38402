"""Logs and files of a run: from the end, as text, and nothing outside of the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.served import Served, make_run, rows, served
from trainer.service.api import file_routes

SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    run = make_run(folder / "runs/a", rows(3))
    (folder / "runs/secret").write_text("secret")
    (folder / "secret").write_text("secret")
    (run / "page.svg").write_bytes(SCRIPT)
    (run / "with space #1?.html").write_bytes(SCRIPT)
    (run / "checkpoints/step-1").mkdir(parents=True)
    (run / "checkpoints/step-1/state.npz").write_bytes(b"x" * 700_000)
    (run / "commands").mkdir()
    (run / "commands/1.letter").write_text("[]")
    (run / "link").symlink_to(folder / "secret")
    (run / "linked").symlink_to(folder)
    os.mkfifo(run / "pipe")
    (run / os.fsdecode(b"\xff")).write_text("")
    return folder / "runs"


@pytest.fixture(scope="module")
def service(root: Path) -> Iterator[Served]:
    with served(root, root.parent / "state") as found:
        found.ids()
        yield found


@pytest.fixture(scope="module")
def run(service: Served) -> str:
    return service.ids()["a"]


def test_plain_files_are_listed_and_nothing_else(service: Served, run: str) -> None:
    names = [file["name"] for file in service.get(f"/runs/{run}/files")["files"]]
    assert names == ["checkpoints/step-1/state.npz", "config.yaml", "metrics.jsonl", "page.svg",
                     "result.json", "with space #1?.html"]  # fmt: skip


@pytest.mark.parametrize("name", ["page.svg", "with%20space%20%231%3F.html"])
def test_a_file_is_to_be_saved_and_never_shown_or_run(name: str, service: Served, run: str) -> None:
    answer = service.client.get(f"/runs/{run}/files/{name}")
    assert answer.content == SCRIPT
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_large_file_is_sent_whole(service: Served, run: str) -> None:
    answer = service.client.get(f"/runs/{run}/files/checkpoints/step-1/state.npz")
    assert answer.content == b"x" * 700_000


@pytest.mark.parametrize(
    "name",
    [
        "../secret", "..%2fsecret", "%2e%2e/secret", "%2e%2e%2fsecret", "..%5csecret",
        "%252e%252e/x", "checkpoints/../../secret", "checkpoints%2f..%2f..%2fsecret",
        "/etc/passwd", "%2fetc%2fpasswd",
        "link", "linked/secret", "linked", "pipe", ".lock", "commands/1.letter", "commands",
        "checkpoints", "config.yaml/", "config.yaml/x", "a%00b",
        "config.yaml%00.svg", "x" * 5000, "/".join("a" * 30), "%ff",
    ],
)  # fmt: skip
def test_nothing_else_is_sent(name: str, service: Served, run: str) -> None:
    answer = service.client.get(f"/runs/{run}/files/{name}")
    assert answer.status_code in (404, 422), answer.text[:200]
    assert "secret" not in answer.text


def test_a_folder_that_becomes_a_link_meanwhile_is_not_followed(
    service: Served, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    race = make_run(root / "race", rows(1))
    (race / "inner").mkdir()
    (race / "inner/secret").write_text("own")
    run = service.wait(lambda: service.ids().get("race"))
    path = f"/runs/{run}/files/inner/secret"
    assert service.client.get(path).text == "own"
    real = os.open

    def swapped(file: object, *arguments: int, **options: int) -> int:
        if file == "inner" and not (race / "inner").is_symlink():
            (race / "inner").rename(race / "before")
            (race / "inner").symlink_to(root)
        return real(file, *arguments, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(file_routes.os, "open", swapped)
    assert service.client.get(path).status_code == 404


def test_a_log_is_given_from_its_end_and_goes_on_where_it_ended(
    service: Served, root: Path, run: str
) -> None:
    log = root / "a/output.log"
    log.write_bytes("äöü\n".encode() * 100)
    tail = service.get(f"/runs/{run}/log", **{"from": -10})
    assert tail["text"] == "ü\näöü\n"
    with log.open("ab") as opened:
        opened.write(b"10%\r20%\r30%\nende" + "ß".encode()[:1])
    rest = service.get(f"/runs/{run}/log", **{"from": tail["to"]})
    assert rest["text"] == "30%\nende"
    with log.open("ab") as opened:
        opened.write("ß".encode()[1:])
    assert service.get(f"/runs/{run}/log", **{"from": rest["to"]})["text"] == "ß"
    assert rest["streams"] == ["output"]
    log.unlink()


def test_a_log_that_is_long_is_given_in_parts(service: Served, root: Path, run: str) -> None:
    (root / "a/errors.log").write_bytes(b"x" * 3_000_000)
    text, begin = "", 0
    while True:
        part = service.get(f"/runs/{run}/log", stream="errors", **{"from": begin})
        if part["to"] == begin:
            break
        assert len(part["text"]) <= 2**20
        text, begin = text + part["text"], part["to"]
    assert text == "x" * 3_000_000


def test_a_log_that_is_not_there_is_empty_and_a_link_is_refused(
    service: Served, root: Path, run: str
) -> None:
    assert service.get(f"/runs/{run}/log", stream="tensorflow")["text"] == ""
    (root / "a/tensorflow.log").symlink_to(root / "secret")
    answer = service.client.get(f"/runs/{run}/log", params={"stream": "tensorflow"})
    assert answer.status_code == 404
    assert service.client.get(f"/runs/{run}/log", params={"stream": "../x"}).status_code == 422

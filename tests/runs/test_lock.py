"""Who writes to a folder: one process, seen by others who are not in its way."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from schedules import Refused
from tests.helpers.runs import experiment
from trainer.commands.api import train
from trainer.commands.outcome import Outcome
from trainer.runs.folder import Folder
from trainer.runs.lock import ALIVE_SECONDS
from trainer.runs.results import Run
from trainer.training.call import Call

HERE = socket.gethostname()
HOLDER = (
    "import sys; from pathlib import Path; from trainer.runs.folder import Folder\n"
    "with Folder(Path(sys.argv[1])).locked(): print(flush=True); sys.stdin.read()"
)


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of a folder."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_the_owner_is_whoever_holds_the_lock_and_nobody_once_it_is_dead(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert folder.owner() == ""
    with holder(tmp_path) as process:
        assert folder.owner().startswith(f"process {process.pid} on {HERE} since 2")
        with pytest.raises(Refused, match=f"is being written to by process {process.pid} on"):  # noqa: SIM117
            with folder.locked():
                pass
        process.kill()
        process.wait()
        assert folder.owner() == ""
    with folder.locked():
        assert folder.owner().startswith(f"process {os.getpid()} on {HERE} since 2")
        assert folder.owner(), "having looked, this process holds the lock still"
    assert folder.owner() == ""


def test_whoever_polls_is_in_nobodys_way(tmp_path: Path) -> None:
    """A look that took the lock for a moment made about one start in ten refuse its own folder."""
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            Folder(tmp_path).owner()

    watchers = [threading.Thread(target=poll) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(300):
            with Folder(tmp_path).locked():
                pass
    finally:
        over.set()
        for watcher in watchers:
            watcher.join()


def write_lock(path: Path, text: str, age: float = 0) -> None:
    (path / ".lock").write_text(text)
    os.utime(path / ".lock", (time.time() - age,) * 2)


def test_a_process_that_has_the_number_of_a_dead_writer_is_not_taken_for_it(tmp_path: Path) -> None:
    write_lock(tmp_path, f"process {os.getpid()} on {HERE}\n")
    assert Folder(tmp_path).owner() == ""
    assert Run.read(tmp_path).status == "waiting"


@pytest.mark.parametrize("sign", [".lock", "metrics.jsonl", "events.jsonl"])
def test_a_process_on_another_machine_lives_as_long_as_it_gives_signs_of_life(
    sign: str, tmp_path: Path
) -> None:
    old = ALIVE_SECONDS + 60
    write_lock(tmp_path, "process 7 on elsewhere\nsince yesterday\n", age=old)
    (tmp_path / sign).touch()
    assert Folder(tmp_path).owner() == "process 7 on elsewhere since yesterday"
    assert Run.read(tmp_path).status == "running"
    os.utime(tmp_path / sign, (time.time() - old,) * 2)
    assert Folder(tmp_path).owner() == ""
    assert Run.read(tmp_path).status == "waiting"


def test_a_process_on_another_machine_that_left_its_result_has_ended(tmp_path: Path) -> None:
    write_lock(tmp_path, "process 7 on elsewhere\n", age=10)
    (tmp_path / "result.json").write_text('{"status": "stopped", "steps": 3}')
    assert Folder(tmp_path).owner() == ""
    assert Run.read(tmp_path).status == "stopped"


def test_a_result_that_is_older_than_the_lock_is_that_of_an_earlier_process(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text('{"status": "stopped", "steps": 3}')
    os.utime(result, (time.time() - 5,) * 2)
    with holder(tmp_path):
        assert Run.read(tmp_path).status == "running"
        result.touch()
        os.utime(result, (time.time() + 5,) * 2)
        assert Run.read(tmp_path).status == "stopped", "its process is just leaving"


@pytest.mark.parametrize("name", [".lock", "metrics.jsonl", "events.jsonl", "tensorflow.log"])
@pytest.mark.parametrize("target", ["elsewhere", "nothing"])
def test_a_link_in_the_place_of_what_a_run_writes_is_not_followed(
    name: str, target: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine\n")
    run = tmp_path / "run"
    run.mkdir()
    (run / name).symlink_to(tmp_path / target)
    with pytest.raises((Refused, OSError), match="it is a link"):
        train(experiment("run.length=4"), run, quiet=True)
    assert elsewhere.read_text() == "mine\n"
    assert not (tmp_path / "nothing").exists()


WRITTEN_ANEW = ("result.json", "config.yaml", "chosen.json", "preparation.json", "schedule.svg",
                ".config.yaml", ".result.json")  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN_ANEW)
def test_a_link_in_the_place_of_what_a_run_replaces_is_replaced(name: str, tmp_path: Path) -> None:
    """Also where the draft of the file will be, under the number of the process."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"status": "stopped"}')
    run = tmp_path / "run"
    run.mkdir()
    link = run / (f"{name}.{os.getpid()}" if name.startswith(".") else name)
    link.symlink_to(elsewhere)
    if name == "result.json":  # what an earlier process left is read first
        with pytest.raises(Refused, match="it is a link"):
            train(experiment("run.length=4"), run, quiet=True)
    else:
        assert train(experiment("run.length=4"), run, quiet=True).status == "done"
    assert elsewhere.read_text() == '{"status": "stopped"}'


def content(path: Path) -> dict[str, bytes]:
    """What a run has written down, by the names of files."""
    names = ("metrics.jsonl", "events.jsonl", "result.json")
    files = {name: (path / name).read_bytes() for name in names if (path / name).exists()}
    return files | {entry.name: b"" for entry in path.glob("checkpoints/*")}


def removed(path: Path, held: ExitStack) -> None:
    (path / ".lock").unlink()


def taken(path: Path, held: ExitStack) -> None:
    """Another writer gets in."""
    (path / ".lock").unlink()
    held.enter_context(holder(path))


def linked(path: Path, held: ExitStack) -> None:
    (path / ".lock").rename(path / "moved")
    (path / ".lock").symlink_to("moved")


def copied(path: Path, held: ExitStack) -> None:
    """As who moves the run's folder, and copies it back."""
    text = (path / ".lock").read_bytes()
    (path / ".lock").unlink()
    (path / ".lock").write_bytes(text)


NEXT_WRITE = {
    "a row": ("log.every=1",),
    "a checkpoint": ("log.every=100%", "checkpoint.every=8"),
    "an event": ("log.every=100%", "run.on_nonfinite=skip", "schedule={kind: piecewise_constant, "
                 "boundaries: [6, 7], values: [0.1, 1e30, 0.1]}"),
    "the result": ("log.every=100%", "run.stop_after=4"),
}  # fmt: skip


@pytest.mark.parametrize("what", NEXT_WRITE)
@pytest.mark.parametrize("lose", [removed, taken, linked, copied])
def test_a_writer_whose_lock_is_another_file_stops_before_it_writes(
    lose: Callable[[Path, ExitStack], None],
    what: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before: list[dict[str, bytes]] = []
    with ExitStack() as held:

        def act(call: Call) -> None:
            if not before:
                lose(tmp_path, held)
                before.append(content(tmp_path))

        outcome = trained_in(tmp_path, act, *NEXT_WRITE[what])
        assert content(tmp_path) == before[0]
        if lose is taken:
            assert Folder(tmp_path).owner()
    assert outcome.status == "failed"
    message = "nothing more is written: "
    assert message in outcome.reason
    assert message in capsys.readouterr().err
    if lose is linked:
        (tmp_path / ".lock").unlink()
    assert trained_in(tmp_path, lambda call: None, *NEXT_WRITE[what]).status in ("done", "stopped")


def test_a_folder_that_is_gone_for_a_while_is_written_on(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def act(call: Call) -> None:
        if call.steps.stop == 8:
            run.rename(tmp_path / "moved")
        if call.steps.stop == 16:
            (tmp_path / "moved").rename(run)

    assert trained_in(run, act).status == "done"
    assert len((run / "metrics.jsonl").read_bytes().splitlines()) == 20 + 1


@pytest.mark.parametrize("meanwhile", ["nobody", "somebody"])
def test_a_folder_that_comes_back_empty_is_written_on_if_nobody_was_there(
    meanwhile: str, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    def act(call: Call) -> None:
        if call.steps.stop == 8:
            shutil.rmtree(run)
        if call.steps.stop == 16:
            run.mkdir()
            if meanwhile == "somebody":
                with holder(run):
                    pass

    ended = trained_in(run, act)
    if meanwhile == "nobody":
        assert ended.status == "done"
        assert len((run / "metrics.jsonl").read_bytes().splitlines()) == 20 + 1
    else:
        assert ended.status == "failed"
        assert [path.name for path in run.iterdir()] == [".lock"]


def trained_in(path: Path, act: Callable[[Call], None], *overrides: str) -> Outcome:
    asked = experiment("run.length=20", "run.steps_per_call=4", "evaluate.every=100%", *overrides)
    return train(asked, path, callback=act, quiet=True)

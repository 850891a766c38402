"""`python -m trainer.submit` and `trainer.queue`: a queue used from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.queued import JOB, NoCheck, Queued, stand_ins
from tests.helpers.served import TOKEN, Served, served
from trainer import queue, submit
from trainer.service.access import following
from trainer.service.address import tell_address
from trainer.service.state_folder import state_folder, write_private

SLOW = ["--name", "3 inf"]
QUICK = ["--name", "3 0"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("submit")
    (folder / "runs").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        patch.setattr(following, "PAUSE", 0.05)
        write_private(state_folder() / "token", TOKEN)
        with stand_ins(), served(folder / "runs", state_folder()) as found:
            tell_address(state_folder(), folder / "runs", {"port": found.port})
            yield found


class Doors:
    """Both commands, with what they print."""

    def __init__(self, service: Served, capsys: pytest.CaptureFixture[str]) -> None:
        self.queued = Queued(service)
        self._root = ["--root", str(service.service.root)]
        self._capsys = capsys
        self.err = ""

    def submit(self, *words: str, code: int = 0) -> str:
        assert submit.main([*self._root, *JOB, *words]) == code
        return self._out()

    def queue(self, *words: str, code: int = 0) -> str:
        assert queue.main([*self._root, *words]) == code
        return self._out()

    def ids(self, *words: str) -> list[str]:
        """The runs that were submitted."""
        return re.findall(r"^([0-9a-f]{16})  ", self.submit(*words), re.MULTILINE)

    def order(self) -> list[str]:
        return re.findall(r"[0-9a-f]{16}", self.queue())

    def _out(self) -> str:
        out, self.err = self._capsys.readouterr()
        return out


@pytest.fixture
def checked() -> None:
    """For tests in which what is submitted is checked by the worker, which takes a while."""


@pytest.fixture
def doors(
    service: Served, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Doors]:  # fmt: skip
    if "checked" not in request.fixturenames:
        monkeypatch.setattr(service.service, "checker", NoCheck())
    found = Doors(service, capsys)
    found.queue("resume")
    found.queue("at-once", "1")
    yield found
    for run in found.queued.states():
        found.queued.stop(run, "kill")
    service.wait(lambda: not found.queued.states())


def test_a_run_is_queued_and_told_by_id_and_link(doors: Doors, service: Served) -> None:
    out = doors.submit(*QUICK, "--priority", "2")
    [run] = re.findall(r"^([0-9a-f]{16})  \w+  3 0$", out, re.MULTILINE)
    assert f"{service.url}/#/run/{run}" in out.splitlines()
    assert doors.queued.ended(run)["status"] == "done"


@pytest.mark.slow
def test_what_would_start_is_told_and_nothing_written(
    checked: None, doors: Doors, service: Served
) -> None:
    before = sorted(service.service.root.rglob("*"))
    out = doors.submit("-m", "run.seed=1,2", "run.length=30", "--dry")
    assert out.splitlines() == [
        "data=digits model=mlp run.seed=1 run.length=30  30 updates",
        "data=digits model=mlp run.seed=2 run.length=30  30 updates",
        "python -m trainer -m data=digits model=mlp run.seed=1,2 run.length=30",
    ]
    assert sorted(service.service.root.rglob("*")) == before


@pytest.mark.parametrize(
    "words",
    [
        ["run.seed=1,2"],
        *(
            pytest.param(words, marks=pytest.mark.slow)
            for words in (
                ["run.length=null", "run.seed=x"], ["run.length=0"], ["schedule=cosin"],
                ["run.lenght=5", "run.seed=x"], ["schedule={"],
            )
        ),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_as_training_tells_it(
    words: list[str], checked: None, doors: Doors, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from trainer.__main__ import main

    doors.submit(*words, code=2)
    monkeypatch.setattr("sys.argv", ["trainer", *JOB, *words])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert doors.err == capsys.readouterr().err


def test_a_run_is_followed_to_its_end_with_its_exit_code(doors: Doors) -> None:
    assert "done at step 3" in doors.submit(*QUICK, "--follow")
    doors.submit("--name", "3 -1", "--follow", code=1)
    assert "it fails, as it was told to" in doors.err


@pytest.mark.slow
def test_a_sweep_is_followed_by_how_its_jobs_end_and_stopped_by_its_id(
    checked: None, doors: Doors
) -> None:
    out = doors.submit("-m", "run.seed=1,2", *QUICK, "--follow")
    assert len(re.findall(r"^\S+/[01]: done at step 3$", out, re.MULTILINE)) == 2
    doors.queue("pause")
    assert len(doors.ids("-m", "run.seed=3,4", *QUICK)) == 2
    sweep = {one["sweep"] for one in doors.queued.service.get("/queue")["entries"]}.pop()
    assert doors.queue("stop", sweep).count("cancelled") == 2


def test_who_stops_following_leaves_the_run_alone_and_is_told_how_to_end_it(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following.time, "sleep", interrupted)
    with pytest.raises(SystemExit, match="130"):
        doors.submit(*SLOW, "--follow")
    monkeypatch.undo()
    doors._out()
    [command] = re.findall("python -m trainer.queue (.*)", doors.err)
    [run] = doors.queued.states()
    doors.queued.until(run, "running")
    assert queue.main(command.split()) == 0  # what is told works
    doors.queued.let_go(run)
    doors.queued.service.wait(lambda: not doors.queued.states())


def test_runs_are_moved_held_released_stopped_and_started(doors: Doors) -> None:
    assert "paused; python -m trainer.queue resume" in doors.queue("pause")
    [a], [b], [c] = (doors.ids(*QUICK) for _ in range(3))
    assert doors.order() == [a, b, c]
    doors.queue("move", c, "--first")
    assert doors.order() == [c, a, b]
    doors.queue("move", c[:7], "--last")
    assert doors.order() == [a, b, c]
    doors.queue("move", c, "--before", b)
    assert doors.order() == [a, c, b]
    doors.queue("move", b, "--priority", "9")
    assert doors.order() == [b, a, c]
    assert "held" in doors.queue("hold", a, b)
    assert doors.queue("release", a).split() == [a, "queued"]
    assert "cancelled" in doors.queue("stop", b)
    assert doors.order() == [a, c]
    folder = str(doors.queued.path(b))
    assert doors.queue("start", folder).split() == [b, "queued"]
    doors.queue("start", b, code=1)
    assert "it waits or runs already" in doors.err
    assert doors.queue("stop", a, b, c).count("cancelled") == 3
    assert "nothing runs or waits" in doors.queue("list")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["stop", "nothing"], 2, "is no run of this root"),
        (["at-once", "0"], 2, "at_once"),
        (["start", "0" * 16], 1, "no run has the id"),
        (["hold", "0" * 16], 1, "no run has the id"),
    ],
)
def test_what_is_no_run_and_no_number_is_refused(
    words: list[str], code: int, message: str, doors: Doors
) -> None:
    doors.queue(*words, code=code)
    assert message in doors.err


@pytest.mark.parametrize("main", [submit.main, queue.main])
def test_without_a_server_it_is_told_how_to_start_one(
    main: Callable[[list[str]], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "outputs"):
        folder.mkdir(exist_ok=True)
        assert main([]) == 2
        assert f"hint: python -m trainer.serve {folder}\n" in capsys.readouterr().err

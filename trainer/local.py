"""`hydra/launcher=local`: several jobs at a time on this machine, each a fresh process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig
from rich.live import Live
from rich.table import Table
from typing_extensions import Self

from schedules.refusal import refuse

from .combinations import differing
from .jobs import SUBDIR, JobFailed
from .provenance import usable_cores
from .report import REPORT_SECONDS, refresh
from .signals import Stop
from .sources import surroundings

OUTPUT = "output.log"
"""The file in a job's folder that takes what it prints."""
ERRORS = "errors.log"
"""The one that takes its standard error; why it failed, should it leave no other word."""
URGENCY = ("running", "failed", "waiting", "ended")
"""The states of jobs, from what one wants to see most to least."""
LOOK_SECONDS = 0.2
"""How often it is seen which jobs have ended."""


@dataclass(frozen=True)
class Place:
    """Where one job at a time runs: processor cores of its own, and a GPU where there are any."""

    cores: tuple[int, ...]
    gpu: str | None = None

    def start(self, command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
        """Starts a process that sees nothing else of the machine, and writes into `folder`."""
        root = str(Path(__file__).resolve().parent.parent)
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        # TensorFlow asks for the cores it may use; where the system can't tell, here is its share.
        share = str(len(self.cores))
        threads = {"TF_NUM_INTRAOP_THREADS": share, "OMP_NUM_THREADS": share}
        gpu = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        with (folder / OUTPUT).open("ab") as output, (folder / ERRORS).open("wb") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": paths, **threads, **gpu},
                start_new_session=True,  # Ctrl-C comes through us, once
            )
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, self.cores)
        return process

    def __str__(self) -> str:
        cores = f"core{'s' * (len(self.cores) > 1)} {', '.join(map(str, self.cores))}"
        return cores if self.gpu is None else f"GPU {self.gpu}, {cores}"


@dataclass
class Task:
    """One job: its command, and its process from when it has begun."""

    name: str
    told: str
    folder: Path
    command: list[str]
    place: Place = Place(())
    process: subprocess.Popen[bytes] | None = None
    back: JobReturn = field(default_factory=JobReturn)

    @property
    def state(self) -> str:
        if self.process is None:
            return "waiting"
        ends = {JobStatus.COMPLETED: "ended", JobStatus.FAILED: "failed"}
        return ends.get(self.back.status, "running")

    def start(self, place: Place) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.place, self.process = place, place.start(self.command, self.folder)

    def pass_on(self, number: int) -> None:
        """Sends a signal to its process."""
        if self.process:
            self.process.send_signal(number)

    def look(self) -> bool:
        """Whether it has ended by now."""
        code = self.process.poll() if self.process else None
        if code is None:
            return False
        self.back.return_value = None if code == 0 else JobFailed(self._reason(code))
        self.back.status = JobStatus.FAILED if code else JobStatus.COMPLETED
        return True

    @property
    def said(self) -> str:
        """What it said last, or why it failed, in a line."""
        stopped = self.process is not None and (self.process.returncode or 0) > 128
        if self.back.status == JobStatus.FAILED and not stopped:  # which says so itself
            return f"failed: {self.back._return_value}".splitlines()[0]
        return self.last_words()

    def last_words(self, count: int = 1, file: str = OUTPUT) -> str:
        """The last lines that it printed."""
        path = self.folder / file
        if not path.exists():
            return ""
        ending = path.read_bytes()[-4000:].decode(errors="replace")
        lines = ending.splitlines()
        return "\n".join(lines[-count:])

    def _reason(self, code: int) -> str:
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return self.last_words(8, ERRORS) or f"ended with exit code {code}"


class Machine:
    """The places of this machine, and the jobs that take turns on them."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places

    @classmethod
    def shared(cls, jobs: int | str, gpus: int | str | Sequence[int]) -> Machine:
        """As many places as `jobs` says, among which cores and GPUs are shared out.

        `auto` jobs are one for each GPU, or without any one for every two cores, and two at least
        where there are two cores. `auto` GPUs are those that the system shows to this process.

        Raises:
            Refused: when `jobs` is no count.
        """
        cores, found = usable_cores(), _gpus(gpus)
        count = (len(found) or max(len(cores) // 2, min(2, len(cores)))) if jobs == "auto" else jobs
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            rule = "must be auto or a whole number above 0"
            raise refuse("hydra.launcher.jobs", jobs, rule, "hydra.launcher.jobs=2")
        return cls(
            [
                Place(
                    tuple(cores[i::count]) or (cores[i % len(cores)],),
                    found[i % len(found)] if found else None,
                )
                for i in range(count)
            ]
        )

    def launch(
        self, config: DictConfig, jobs: Sequence[Sequence[str]], first: int
    ) -> list[JobReturn]:
        """Runs all jobs; one that dies is a failed job, and nothing more.

        Raises:
            KeyboardInterrupt: when interrupted, once the running jobs have saved and ended.
        """
        sweep = Path(str(config.hydra.sweep.dir))
        own = [[o for o in overrides if not o.startswith("hydra.")] for overrides in jobs]
        folders = [_folder(overrides, first + i) for i, overrides in enumerate(jobs)]
        tasks = [
            _task(config, sweep / folder, overrides, told)
            for folder, overrides, told in zip(folders, own, differing(own), strict=True)
        ]
        waiting, free = list(tasks), list(self.places)
        running: list[Task] = []
        asked = False
        with Stop() as stop, Board(tasks) as board:
            stop.worth_saving = True
            while running or (waiting and not asked):
                if stop.signal is not None and not asked:
                    asked = True
                    for task in running:
                        task.pass_on(stop.signal)
                while waiting and free and not asked:
                    task = waiting.pop(0)
                    task.start(free.pop(0))
                    running.append(task)
                    board.tell(f"{task.name}  begins on {task.place}: {task.told}")
                time.sleep(LOOK_SECONDS)
                for task in [task for task in running if task.look()]:
                    running.remove(task)
                    free.append(task.place)
                    board.tell(f"{task.name}  {task.said}")
                    refresh(sweep, every=REPORT_SECONDS)
                board.show()
        if asked:
            raise KeyboardInterrupt
        return [task.back for task in tasks]


class Board:
    """All jobs in one table on a terminal; a line when one begins and ends elsewhere."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._live = Live(auto_refresh=False) if sys.stdout.isatty() else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def tell(self, line: str) -> None:
        if not self._live:
            print(line, flush=True)

    def show(self) -> None:
        if self._live:
            room = self._live.console.size.height - 2  # the heading, and the line below
            self._live.update(table(self._tasks, room), refresh=True)


def table(tasks: Sequence[Task], room: int) -> Table:
    """A row for each job: how it stands, where it runs, and what it said last.

    Where there is not room for all, those that run or failed come before those that wait or
    ended, and the last row counts the others.
    """
    rows = Table("job", "overrides", "state", "on", "last said", box=None, pad_edge=False)
    ranked = sorted(range(len(tasks)), key=lambda i: URGENCY.index(tasks[i].state))
    shown = sorted(ranked if len(tasks) <= room else ranked[: max(room - 1, 0)])
    for task in (tasks[i] for i in shown):
        place = str(task.place) if task.state == "running" else ""
        rows.add_row(task.name, task.told, task.state, place, task.said)
    if others := Counter(tasks[i].state for i in set(ranked) - set(shown)):
        told = ", ".join(f"{others[state]} {state}" for state in URGENCY if others[state])
        rows.add_row("…", f"and {told}")
    return rows


def _folder(overrides: Sequence[str], number: int) -> str:
    """The name of a job's folder: the one it was told, else its number."""
    named = [o.removeprefix(SUBDIR) for o in overrides if o.startswith(SUBDIR)]
    return named[-1] if named else str(number)


def _task(config: DictConfig, folder: Path, overrides: Sequence[str], told: str) -> Task:
    """The job as a command line of its own, which is what its result will tell."""
    quoted = str(folder.resolve()).replace("\\", "\\\\").replace("'", "\\'")
    where = [f"hydra.run.dir='{quoted}'", "hydra.mode=RUN"]
    command = [sys.executable, "-m", "trainer", *surroundings(config), *overrides, *where]
    return Task(folder.name, told, folder, command)


def _gpus(asked: int | str | Sequence[int]) -> list[str]:
    """The GPUs to share out, by the names that CUDA knows them by."""
    if asked != "auto":
        return [str(gpu) for gpu in (range(asked) if isinstance(asked, int) else asked)]
    if (shown := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in shown.split(",") if gpu]
    if not (asking := shutil.which("nvidia-smi")):
        return []
    listed = subprocess.run([asking, "-L"], capture_output=True, text=True)
    count = sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
    return [str(gpu) for gpu in range(count)] if listed.returncode == 0 else []

"""`hydra/launcher=local`: several jobs at a time on this machine, each a fresh process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from hydra.core.utils import JobReturn
from omegaconf import DictConfig
from rich.live import Live
from rich.table import Table

from schedules.declaration import refuse

from ..config.hydra_sources import surroundings
from ..runs.provenance import usable_cores
from ..runs.report import REPORT_SECONDS, refresh
from ..runs.signals import Stop
from .grid import differing
from .jobs import SUBDIR
from .processes import Place, Task

URGENCY = ("running", "failed", "waiting", "ended")
"""The states of jobs, from what one wants to see most to least."""
LOOK_SECONDS = 0.2
"""How often it is seen which jobs have ended."""


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

"""`hydra/launcher=local`: several jobs at a time on this machine, each a fresh process."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn
from omegaconf import DictConfig
from rich.live import Live
from rich.table import Table

from schedules.declaration import refuse

from ..config.hydra_sources import hydra_overrides, search_path_arguments
from ..runs.provenance import usable_cores
from ..runs.report import REPORT_SECONDS, refresh
from ..runs.signals import process_stop
from .grid import distinguishing_overrides
from .jobs import SUBDIR, quoted
from .places import Place, automatic_count, gpu_names
from .processes import Task

STATES_BY_URGENCY = ("running", "failed", "waiting", "ended")
"""The states of jobs; the one that a user wants to see most comes first."""
POLL_SECONDS = 0.2
"""The time between two looks at which jobs have ended."""


class Machine:
    """The places of this machine, and the jobs that take turns on them."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places = places

    @classmethod
    def divided(cls, jobs: int | str, gpus: int | str | Sequence[int]) -> Machine:
        """Divides the cores and GPUs of this machine among as many places as `jobs` says.

        `auto` jobs are one for each GPU, or without any one for every two cores, and two at least
        where there are two cores. `auto` GPUs are those that the system shows to this process.

        Raises:
            Refused: when `jobs` is no count.
        """
        cores, names = usable_cores(), gpu_names(gpus)
        count = jobs
        if jobs == "auto":
            count = automatic_count(cores, names)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            rule = "must be auto or a whole number above 0"
            raise refuse("hydra.launcher.jobs", jobs, rule, "hydra.launcher.jobs=2")
        return cls(
            [
                Place(
                    tuple(cores[i::count]) or (cores[i % len(cores)],),
                    names[i % len(names)] if names else None,
                )
                for i in range(count)
            ]
        )

    def launch(
        self, config: DictConfig, jobs: Sequence[Sequence[str]], first: int
    ) -> list[JobReturn]:
        """Runs all jobs, numbered from `first` on; one that dies is a failed job, no more.

        Raises:
            KeyboardInterrupt: when interrupted, once the running jobs have saved and ended.
        """
        sweep = Path(str(config.hydra.sweep.dir))
        job_overrides = [[o for o in job if not o.startswith("hydra.")] for job in jobs]
        labels = distinguishing_overrides(job_overrides)
        names = [_folder_name(job, first + i) for i, job in enumerate(jobs)]
        tasks = [
            _task(config, sweep, name, overrides, label)
            for name, overrides, label in zip(names, job_overrides, labels, strict=True)
        ]
        waiting, free = list(tasks), list(self.places)
        running: list[Task] = []
        interrupted = False
        with process_stop() as stop, JobDisplay(tasks) as display:
            stop.worth_saving = True
            while running or (waiting and not interrupted):
                if stop.received is not None and not interrupted:
                    interrupted = True
                    for task in running:
                        task.send_signal(stop.received)
                while waiting and free and not interrupted:
                    task = waiting.pop(0)
                    task.start(free.pop(0))
                    running.append(task)
                    display.print_line(f"{task.name}  begins on {task.place}: {task.label}")
                time.sleep(POLL_SECONDS)
                for task in [task for task in running if task.poll()]:
                    running.remove(task)
                    free.append(task.place)
                    display.print_line(f"{task.name}  {task.status_line}")
                    refresh(sweep, every=REPORT_SECONDS)
                display.update()
        if interrupted:
            raise KeyboardInterrupt
        return [task.job_return for task in tasks]


class JobDisplay:
    """Shows all jobs: on a terminal as a live table, else a line when one begins or ends."""

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

    def print_line(self, line: str) -> None:
        """Prints a line, unless there is a live table."""
        if not self._live:
            print(line, flush=True)

    def update(self) -> None:
        """Draws the live table anew, if there is one."""
        if self._live:
            max_rows = self._live.console.size.height - 2  # the heading, and the line below
            self._live.update(job_table(self._tasks, max_rows), refresh=True)


def job_table(tasks: Sequence[Task], max_rows: int) -> Table:
    """A row for each job: its state, where it runs, and the last line that it printed.

    With more jobs than rows, those that run or failed come before those that wait or ended, and
    the last row counts the others.
    """
    table = Table("job", "overrides", "state", "on", "last said", box=None, pad_edge=False)
    ranked = sorted(range(len(tasks)), key=lambda i: STATES_BY_URGENCY.index(tasks[i].state))
    shown = sorted(ranked if len(tasks) <= max_rows else ranked[: max(max_rows - 1, 0)])
    for task in (tasks[i] for i in shown):
        place = str(task.place) if task.state == "running" else ""
        table.add_row(task.name, task.label, task.state, place, task.status_line)
    if others := Counter(tasks[i].state for i in set(ranked) - set(shown)):
        counts = (f"{others[state]} {state}" for state in STATES_BY_URGENCY if others[state])
        table.add_row("…", f"and {', '.join(counts)}")
    return table


def _folder_name(overrides: Sequence[str], number: int) -> str:
    """The name of a job's folder: the one that an override gives, else the job's number."""
    names = [override for override in overrides if override.startswith(f"{SUBDIR}=")]
    return str(OverridesParser.create().parse_override(names[-1]).value() if names else number)


def _task(config: DictConfig, sweep: Path, name: str, overrides: Sequence[str], label: str) -> Task:
    """The job as a command line of its own, which its `result.json` will name."""
    folder = sweep / name
    run_overrides = [f"hydra.run.dir={quoted(str(folder.resolve()))}", "hydra.mode=RUN"]
    settings = [*search_path_arguments(config), *hydra_overrides(config, "hydra.job.")]
    options = [*settings, *overrides, *run_overrides]
    return Task(name, label, folder, [sys.executable, "-m", "trainer", *options])

"""What a tracker is: a declaration that opens a `TrackerRun`, which records one run."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from schedules.declaration import ABSENT, Kind, refuse
from schedules.declaration.packages import is_missing

from ..metrics.direction import direction
from ..metrics.metric import Direction
from ..runs.run_folders import INDEX
from ..runs.study import JOURNAL
from .rows import Row

SWEEP_FILES = (INDEX, JOURNAL)
"""Files that only the folder of a sweep or of a search has."""


@dataclass(frozen=True)
class Tracked:
    """What a tracker knows of the run that it tracks."""

    folder: Path
    tracker_name: str
    """The tracker's name under `log`: two of one kind may write to one folder."""
    config: Mapping[str, Any]
    """Every value of the run's `config.yaml` by its override path; that file has no secrets."""
    git: Mapping[str, Any] | None = None
    """The commit that is checked out, where there is one."""

    @property
    def sweep(self) -> Path | None:
        """The folder of the sweep or search of which this run is a job; None for a single run."""
        above = self.folder.absolute().parent
        return above if any((above / name).exists() for name in SWEEP_FILES) else None

    @property
    def name(self) -> str:
        """What to call the run among others: its folder's name, behind that of its sweep."""
        name = self.folder.absolute().name
        return f"{self.sweep.name}/{name}" if self.sweep else name

    @property
    def data(self) -> dict[str, Any]:
        """What the config says of the data, by the names under `data`."""
        return {
            path.removeprefix("data."): value
            for path, value in self.config.items()
            if path.startswith("data.")
        }

    def better(self, metric: str) -> Direction | None:
        """Which way a metric of an evaluation gets better; None where nobody knows."""
        kinds = {
            path.split(".")[1]: {"kind": value}
            for path, value in self.config.items()
            if re.fullmatch(r"metrics\.\w+\.kind", path)
        }
        return direction(metric, kinds)


class TrackerRun(ABC):
    """What a tracker records of one run.

    Methods are called one at a time, on a thread that is not the loop's, and may take as long as
    they like. An exception ends the tracking and nothing else; a message tells it once.
    """

    recorded_updates: int = 0
    """How many updates have their rows here from before. The rows of later ones are written first.

    Rows are missing where a tracker was switched on late, or a kill came before its turn.
    """
    recorded_evaluation: int | None = None
    """The step of the last evaluation that has its row here from before; -1 if none has.

    None where that can't be told: the row of one right after the recorded updates is then written.
    """
    voids_evaluation: bool = False
    """Whether `go_on(step)` voids the evaluation after `step` updates too, which is then written
    again."""

    @abstractmethod
    def go_on(self, step: int) -> None:
        """Called before updates from `step` on are made; rows of them from before are void."""

    @abstractmethod
    def write(self, rows: Sequence[Row]) -> None:
        """Adds rows; those of many updates come as a `Rows`, which has them in columns."""

    def show(self) -> None:  # noqa: B027  # most have nothing to do
        """Flushes what was written, for people to see."""

    @abstractmethod
    def close(self, result: Mapping[str, Any] | None) -> None:
        """Called at the end, with what `result.json` has, or None where something broke."""


class Tracker(Kind, family=True):
    """Where rows go besides `metrics.jsonl`.

    A member that needs a package names it in `extra`.
    """

    extra: ClassVar[str] = ""
    """The package that it needs, which is also the name of the extra that installs it."""

    @abstractmethod
    def open(self, run: Tracked) -> TrackerRun:
        """Opens a new record of a run, or the old one where the run goes on.

        It is called on the thread that later calls the record's methods, after TensorFlow was
        imported.
        """

    def check(self) -> None:
        """Checks whether its package is installed; imports nothing.

        Raises:
            Refused: with what to install.
        """
        if self.extra and is_missing(self.extra):
            rule = f"needs the package {self.extra}, which is not installed"
            hint = f"pip install 'scheduled-training[{self.extra}]'"
            raise refuse("", ABSENT, rule, hint)

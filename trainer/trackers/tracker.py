"""What a tracker is: a declaration that opens a book, in which a run is written down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from schedules.declaration import ABSENT, Kind, refuse
from schedules.declaration.packages import missing

from .rows import Row

SWEEPS = ("sweep.json", "study.journal")
"""What the folder of a sweep or of a search has in it."""


@dataclass(frozen=True)
class Tracked:
    """The run that is tracked, as far as a tracker needs to know it."""

    folder: Path
    called: str
    """The tracker's own name under `log`: two of one kind may write to one folder."""
    config: Mapping[str, Any]
    """Every value of the run's `config.yaml` by its override path, so without secrets."""
    git: Mapping[str, Any] | None = None
    """The commit that is checked out, where there is one."""

    @property
    def sweep(self) -> Path | None:
        """The folder of the sweep or the search of which this run is a job."""
        above = self.folder.absolute().parent
        return above if any((above / name).exists() for name in SWEEPS) else None

    @property
    def name(self) -> str:
        """What to call the run where there are others: its folder, behind its sweep's."""
        own = self.folder.absolute().name
        return f"{self.sweep.name}/{own}" if self.sweep else own


class TrackerRun(ABC):
    """What a tracker writes one run down in.

    Its methods are called one at a time, on a thread that is not the loop's, and may take as long
    as they like. Whatever they raise ends the tracking and nothing else; it is told once.
    """

    has: int = 0
    """How many updates it has the rows of from before; of the others it is told first.

    That is all of them where it was switched on late, or a kill came before its turn.
    """

    @abstractmethod
    def go_on(self, step: int) -> None:
        """Hears that what it has of updates from `step` on is void: they are made again."""

    @abstractmethod
    def write(self, rows: Sequence[Row]) -> None:
        """Adds rows; those of many updates at once come as a `Rows`, which has them in columns."""

    def show(self) -> None:  # noqa: B027  # most have nothing to do
        """Lets people see what was written so far."""

    @abstractmethod
    def close(self, result: Mapping[str, Any] | None) -> None:
        """Hears of the end: what `result.json` says, or None where something broke."""


class Tracker(Kind, family=True):
    """Where rows go besides `metrics.jsonl`.

    A member states the package that it needs, as the extra of this one that brings it.
    """

    extra: ClassVar[str] = ""
    """The package without which it can't work, and the name of the extra that brings it."""

    @abstractmethod
    def open(self, run: Tracked) -> TrackerRun:
        """Opens the book of a run, or its old one where the run goes on.

        It is called on the thread on which all of the book's methods are. TensorFlow has been
        imported by then.
        """

    def check(self) -> None:
        """Whether what it needs is installed; imports nothing.

        Raises:
            Refused: with what to install.
        """
        if self.extra and missing(self.extra):
            rule = f"needs the package {self.extra}, which is not installed"
            hint = f"pip install 'scheduled-training[{self.extra}]'"
            raise refuse("", ABSENT, rule, hint)

"""What starts the processes of jobs. Its word is a hint: the lock and the result decide."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

Handle = dict[str, str | int]
"""What an engine knows a job by, as JSON, also after the server has started again."""
Word = Literal["alive", "gone", "unknown"]


class Needs(NamedTuple):
    """What a job is given to run on."""

    name: str
    """The run's id, for engines that name their jobs."""
    cwd: Path
    cores: tuple[int, ...] = ()
    """The processor cores of this machine, where the engine runs jobs here; else their count."""
    gpus: tuple[str, ...] = ()


class Engine(ABC):
    """Starts processes somewhere, looks whether they live, and ends them."""

    is_here = False
    """Whether its jobs take cores and GPUs of this machine, and so a place of the queue."""
    poll_seconds: float | None = 5.0
    """How often to look at a job that `watch` has no descriptor for; None for never."""

    @abstractmethod
    def start(
        self, command: Sequence[str], folder: Path, needs: Needs, record: Callable[[Handle], None]
    ) -> Handle:
        """Starts a job that trains in a folder.

        `record` is called with the handle before the job can begin to work, and may be called again
        with a fuller one: what it has written is how the next server knows the job.

        Raises:
            OSError: when it can't be started.
        """

    @abstractmethod
    def look(self, handle: Handle) -> Word:
        """Whether a job's process lives."""

    @abstractmethod
    def stop(self, handle: Handle, how: Literal["terminate", "kill"]) -> None:
        """Has a job save and end, or ends it with all its processes at once."""

    def waits(self, handle: Handle) -> str:
        """Why a job that lives has not begun elsewhere; "" where it has, or nobody knows."""
        del handle
        return ""

    def watch(self, handle: Handle) -> int | None:
        """A descriptor that can be read once the process has ended; None where there is none."""
        del handle
        return None

    def exit_code(self, handle: Handle) -> int | None:
        """How a job has ended, negative for a signal; None where nobody knows."""
        del handle
        return None

    def forget(self, handle: Handle) -> None:
        """Lets go of what is held of a job that is gone."""
        del handle

"""What a person sees while a run goes: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from typing_extensions import Self

from schedules.moments import Values

if TYPE_CHECKING:
    from .session import Session

PLAIN_SECONDS = 5.0
"""How often a plain line is written where there is no terminal; evaluations always get one."""


class Progress:
    """Steps, epoch, loss, applied learning rate, updates a second and the time that is left."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._live = sys.stdout.isatty()
        self._shown_at = 0.0
        self._shown_metrics: dict[str, float] = {}
        self._bar = Bar(
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(file=sys.stdout),
            disable=not self._live,
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(
        self, session: Session, losses: NDArray[np.float32], table: Values, rate: float
    ) -> None:
        """Tells of a call into TensorFlow: the losses of its updates, what they applied, how fast.

        What it shows is the last of them.
        """
        told = [
            f"epoch {session.epoch(session.step):.1f}",
            f"loss {losses[-1]:.4g}",
            f"learning_rate {table[-1, 0]:.4g}",
            *(f"{name} {value:.4g}" for name, value in session.metrics.items()),
            f"{rate:,.0f} updates/s",
        ]
        if self._live:
            self._bar.update(self._task, completed=session.step, description="  ".join(told))
            return
        now = perf_counter()
        news = session.metrics != self._shown_metrics
        if news or now - self._shown_at > PLAIN_SECONDS or session.step == self._total:
            left = (self._total - session.step) / rate
            print(f"step {session.step}/{self._total}", *told, f"{left:.0f} s left", sep="  ")
            sys.stdout.flush()
            self._shown_at, self._shown_metrics = now, session.metrics


class Joint(Progress):
    """Of several runs together: how many updates they have had, their losses, and how fast."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        super().__init__(sum(session.experiment.total_steps() for session in sessions))
        self._steps = {id(session): session.step for session in sessions}
        self._losses: dict[int, float] = {}
        self._began = self._shown_at = perf_counter()
        self._at_first = sum(self._steps.values())
        self._turn = Lock()

    def show(
        self, session: Session, losses: NDArray[np.float32], table: Values, rate: float
    ) -> None:
        """Takes in what one run tells, and shows them all."""
        with self._turn:
            self._steps[id(session)] = session.step
            self._losses[id(session)] = float(losses[-1])
            done, now = sum(self._steps.values()), perf_counter()
            speed = (done - self._at_first) / (now - self._began)
            last = self._losses.values()
            told = [
                f"{len(self._steps)} runs",
                f"loss {min(last):.4g} to {max(last):.4g}",
                f"{speed:,.0f} updates/s",
            ]
            if self._live:
                self._bar.update(self._task, completed=done, description="  ".join(told))
            elif now - self._shown_at > PLAIN_SECONDS or done == self._total:
                left = f"{(self._total - done) / speed:.0f} s left"
                print(f"updates {done}/{self._total}", *told, left, sep="  ", flush=True)
                self._shown_at = now

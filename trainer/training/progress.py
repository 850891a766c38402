"""What a person sees while a run goes: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from .call import Call

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

    def show(self, call: Call) -> None:
        """Shows the last update of a call into TensorFlow, and how fast it goes."""
        step = call.steps.stop
        parts = [
            *([] if isnan(call.epoch) else [f"epoch {call.epoch:.1f}"]),
            f"loss {call.losses[-1]:.4g}",
            f"learning_rate {call.applied['learning_rate'][-1]:.4g}",
            *(f"{name} {value:.4g}" for name, value in call.metrics.items()),
            f"{call.updates_per_second:,.0f} updates/s",
        ]
        if self._live:
            self._bar.update(self._task, completed=step, description="  ".join(parts))
            return
        now = perf_counter()
        evaluated = call.metrics != self._shown_metrics
        if evaluated or now - self._shown_at > PLAIN_SECONDS or step == self._total:
            left = (self._total - step) / call.updates_per_second
            print(f"step {step}/{self._total}", *parts, f"{left:.0f} s left", sep="  ")
            sys.stdout.flush()
            self._shown_at, self._shown_metrics = now, dict(call.metrics)


class Joint(Progress):
    """Of several runs together: how many updates they have had, their losses, and how fast."""

    def __init__(self, totals: Sequence[int], steps: Mapping[Path, int]) -> None:
        """`totals` are the updates of each run; `steps`, how many each has had, by its folder."""
        super().__init__(sum(totals))
        self._steps = dict(steps)
        self._losses: dict[Path, float] = {}
        self._began = self._shown_at = perf_counter()
        self._at_first = sum(self._steps.values())
        self._turn = Lock()

    def show(self, call: Call) -> None:
        """Takes in what one run did, and shows them all."""
        with self._turn:
            self._steps[call.folder] = call.steps.stop
            self._losses[call.folder] = float(call.losses[-1])
            done, now = sum(self._steps.values()), perf_counter()
            speed = (done - self._at_first) / (now - self._began)
            losses = self._losses.values()
            parts = [
                f"{len(self._steps)} runs",
                f"loss {min(losses):.4g} to {max(losses):.4g}",
                f"{speed:,.0f} updates/s",
            ]
            if self._live:
                self._bar.update(self._task, completed=done, description="  ".join(parts))
            elif now - self._shown_at > PLAIN_SECONDS or done == self._total:
                left = f"{(self._total - done) / speed:.0f} s left"
                print(f"updates {done}/{self._total}", *parts, left, sep="  ", flush=True)
                self._shown_at = now

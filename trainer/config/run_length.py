"""The length of a run in updates, and whether its batches can be split among devices."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from schedules import Clock, Duration
from schedules.batch_sizes import BatchSizes
from schedules.declaration import refuse, within

from ..data import Data
from .devices import Device
from .settings import Run

MAX_UPDATES = 10**9
"""The most updates of a run: checking the curves of more would take hours."""


@dataclass(frozen=True)
class RunLength:
    """Converts the declared length of a run to updates."""

    data: Data
    run: Run
    device: Device
    batch_sizes: BatchSizes | None = None
    """Those of a run that went on with another one; None where all updates have the same."""

    def updates(self) -> int:
        """The updates of the whole run; a last one that is only partly within the length counts."""
        if self.run.length.unit == "%":
            hint = "run.length='10 epochs'"
            raise refuse("run.length", str(self.run.length), "must not be a share of itself", hint)
        units = self._units()
        self.check_unit("run.length", self.run.length)
        with within("run", "length"):
            steps = units.steps(self.run.length)
            if self.batch_sizes and self.run.length.unit != "steps":
                steps = self.batch_sizes.updates(self.horizon())
            updates = ceil(steps)
            if updates > MAX_UPDATES:
                rule = f"is {updates:.3g} updates, and must not be more than {MAX_UPDATES:.0e}"
                raise refuse("", str(self.run.length), rule, "run.length='10 epochs'")
            return updates

    def stop(self) -> int:
        """The step at which a process stops: the end, or `run.stop_after` if that comes first."""
        if self.run.stop_after is None:
            return self.updates()
        self.check_unit("run.stop_after", self.run.stop_after)
        with within("run", "stop_after"):
            steps = self.clock().steps(self.run.stop_after)
            examples = self.examples(self.run.stop_after) if self.batch_sizes else None
            if self.batch_sizes and examples is not None:
                steps = self.batch_sizes.updates(examples)
            return min(ceil(steps), self.updates())

    def clock(self) -> Clock:
        """The clock that converts every duration of the run to steps."""
        units = self._units()
        return Clock(self.updates(), units.batch_size, units.examples_per_epoch)

    def examples(self, duration: Duration) -> Fraction | None:
        """How many examples a duration is; None where it is a number of steps or a share of one."""
        units = self._units()
        match duration.unit:
            case "steps":
                return None
            case "%":
                is_steps = self.run.length.unit == "steps"
                return None if is_steps else duration.amount / 100 * self.horizon()
            case _:
                return units.steps(duration) * self.data.batch_size

    def horizon(self) -> int:
        """The examples of the whole run, as if all of it had the batch size that it began with.

        So the end that schedules see stays where it was, whatever batch size the run goes on with.
        """
        size = self.data.batch_size
        first = self.batch_sizes.first if self.batch_sizes else size
        return ceil(self._units().steps(self.run.length) * size / first) * first

    def check_unit(self, path: str, length: Duration) -> None:
        """Refuses epochs where nothing says how many examples one has."""
        if length.unit == "epochs" and self.data.facts().examples is None:
            rule = "is in epochs, and the data does not know how many examples one has"
            hint = f"{path}='1000 steps' or '60000 examples'; or data.epoch=60000"
            raise refuse(path, str(length), rule, hint)

    def check_parts(self, replicas: int) -> None:
        """Refuses a batch that can't be split into equal parts for so many replicas."""
        batch, micro = self.data.batch_size, self.run.micro_batches
        parts = replicas * micro
        if batch % parts:
            each = f"{replicas} replicas" + (f" times {micro} micro-batches" if micro > 1 else "")
            below = batch // parts * parts
            most = self.data.facts().examples or below + parts
            fitting = [n for n in (below, below + parts) if 0 < n <= most]
            hint = " or ".join(f"data.batch_size={n}" for n in fitting)
            raise refuse("data.batch_size", batch, f"must be a multiple of {parts}: {each}", hint)

    def _units(self) -> Clock:
        with within("data"):
            facts, batch = self.data.facts(), self.data.batch_size
            with within("augment"):
                self.data.augment.check(facts)
        examples = facts.examples
        if examples is not None and batch > examples:
            rule = f"must not exceed the {examples} training examples"
            raise refuse("data.batch_size", batch, rule, f"data.batch_size={examples}")
        if batch % self.run.micro_batches:
            parts = [n for n in range(1, batch + 1) if not batch % n]
            hint = f"known: {', '.join(map(str, parts))}"
            rule = f"must divide data.batch_size = {batch}"
            raise refuse("run.micro_batches", self.run.micro_batches, rule, hint)
        self.check_parts(self.device.replicas())
        return Clock(batch_size=batch, examples_per_epoch=examples)

"""What a schedule would do to a run that nobody wants, found before the run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import ceil, inf, nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..clock import Clock, Duration
from ..curve import Curve
from ..declaration import joined
from ..declaration.wording import counted, written
from ..moments import Values
from .fixes import Mending
from .heights import reaching
from .preview import Place, chunks, horizon

MEMORIES = re.compile(r"(.*_)?momentum|beta_?[12]|rho")
"""The values that weigh the past: from 1 on it is never forgotten."""
TOO_HIGH, TOO_LOW = 8, 50
"""How many times above, or below, a height that was tried a peak is worth a warning."""
TIME_CONSTANTS = ("timescale",)
"""The lengths that set a curve's pace and are not meant to pass."""


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong: `refused` where it can't train, else a `warning`."""

    name: str
    step: int | None
    severity: Literal["refused", "warning"]
    text: str
    hint: str

    def __str__(self) -> str:
        where = "" if self.step is None else f" at step {counted(self.step)}"
        return f"{self.severity}: {self.name}{where} {self.text}\n  hint: {self.hint}"


def lint(
    curves: Mapping[str, Curve], clock: Clock, places: Mapping[str, Place] | None = None
) -> list[Finding]:
    """What the curves of a run would do wrong within it; what can't train comes first.

    Looks at every step, a bounded number at a time. A schedule that reacts is judged by what it
    does while it has heard nothing. What has no place is a setting of the optimizer.

    >>> from schedules import load
    >>> clock = Clock(100)
    >>> falling = load({"kind": "linear", "initial_value": 0.1, "end_value": -0.1}, clock)
    >>> print(*lint({"learning_rate": falling}, clock))
    refused: learning_rate at step 51 is -0.002: training would climb
      hint: schedule.end_value=0
    """
    found = [
        finding
        for name, curve in curves.items()
        for finding in _Look.at(name, curve, horizon(clock), (places or {}).get(name)).findings()
    ]
    return sorted(found, key=lambda finding: finding.severity != "refused")


@dataclass
class _Sightings:
    """The steps at which something holds: how many, and the first with its value."""

    count: int = 0
    step: int = 0
    value: float = nan

    def note(self, part: range, values: Values, holds: NDArray[np.bool_]) -> None:
        places = np.flatnonzero(holds)
        if places.size and not self.count:
            self.step, self.value = part[int(places[0])], float(values[places[0]])
        self.count += places.size


@dataclass
class _Look:
    """A look over the whole horizon of one curve, which the config has at `place`."""

    name: str
    place: Place
    curve: Curve
    steps: range
    low: float = inf
    high: float = -inf
    not_finite: _Sightings = field(default_factory=_Sightings)
    negative: _Sightings = field(default_factory=_Sightings)
    zero: _Sightings = field(default_factory=_Sightings)
    past_one: _Sightings = field(default_factory=_Sightings)
    outside: _Sightings = field(default_factory=_Sightings)

    @classmethod
    def at(cls, name: str, curve: Curve, steps: range, place: Place | None) -> _Look:
        # A warmup and a cooldown stand beside the schedule at the top of a config.
        wrapped = "kind" not in type(curve.schedule).model_fields
        place = place or Place(f"optimizer.{name}")
        if name == "learning_rate":
            place = place._replace(path="" if wrapped else "schedule")
        look = cls(name, place, curve, steps)
        for part, values in chunks(curve, steps):
            look.low = min(look.low, float(np.fmin.reduce(values)))
            look.high = max(look.high, float(np.fmax.reduce(values)))
            look.not_finite.note(part, values, ~np.isfinite(values))
            look.negative.note(part, values, values < 0)
            look.past_one.note(part, values, values >= 1)
            if place.limits:
                look.outside.note(part, values, ~place.limits.admit(values))
            # To start or to end at exactly 0 is how warmups and decays are made.
            zero = values == 0
            zero[: part.start == 0] = False
            zero[len(zero) - (part[-1] == steps[-1]) :] = False
            look.zero.note(part, values, zero)
        return look

    @property
    def _mending(self) -> Mending:
        return Mending(self.place.path, self.curve)

    def findings(self) -> Iterator[Finding]:
        if self.not_finite.count:
            text = f"is {self.not_finite.value}"
            yield self._refused(self.not_finite, text, self._mending.handle())
            return
        if self.name == "learning_rate":
            yield from self._learning_rate()
        if MEMORIES.fullmatch(self.name.rpartition(".")[2]):
            yield from self._memory()
        elif self.outside.count and not (self.name == "learning_rate" and self.negative.count):
            text = f"is {written(self.outside.value)}: must be {self.place.limits}"
            yield self._refused(self.outside, text, self._mending.handle())
        if len(self.steps) == 1:  # which tries out everything but the schedule
            return
        yield from self._height()
        if self.low == self.high:
            yield from self._unchanging()
        else:
            yield from self._joints()
            yield from self._unfinished()
        yield from self._beyond()

    def _learning_rate(self) -> Iterator[Finding]:
        if self.low == self.high == 0 and len(self.steps) > 1:
            text = "is 0 at every step: nothing would train"
            hint = self._mending.handle(lambda value: value == 0, 0.01)
            yield Finding(self.name, None, "refused", text, hint)
        elif self.negative.count:
            text = f"is {written(self.negative.value)}: training would climb"
            hint = self._mending.handle(lambda value: value < 0, 0)
            yield self._refused(self.negative, text, hint)
        elif self.zero.count:
            others = f" and {counted(self.zero.count - 1)} more" if self.zero.count > 1 else ""
            text = f"is 0{others}: such updates change nothing"
            hint = self._mending.handle(lambda value: value == 0, self.high / 100)
            yield Finding(self.name, self.zero.step, "warning", text, hint)

    def _height(self) -> Iterator[Finding]:
        """Peaks far from one that is known to do well."""
        if self.place.tried is None or self.high <= 0:
            return
        by, height = self.place.tried
        if self.high > TOO_HIGH * height:
            far = f"{self.high / height:,.0f} times as high as"
        elif self.high < height / TOO_LOW:
            far = f"{height / self.high:,.0f} times lower than"
        else:
            return
        text = f"goes up to {written(self.high)}, {far} {by} was tried with"
        yield Finding(self.name, None, "warning", text, reaching(self.curve, height))

    def _memory(self) -> Iterator[Finding]:
        for outside, hint in (
            (self.negative, self._mending.handle(lambda value: value < 0, 0)),
            (self.past_one, self._mending.handle(lambda value: value >= 1, 0.99)),
        ):
            if outside.count:
                text = f"is {written(outside.value)}: must be at least 0 and below 1"
                yield self._refused(outside, text, hint)

    def _unchanging(self) -> Iterator[Finding]:
        kinds = {getattr(part, "kind", "constant") for _, part, _ in self._mending.parts()}
        if kinds != {"constant"} and not self.curve.reacts:
            text = f"never changes: {written(self.low)} at all {counted(len(self.steps))} steps"
            yield Finding(
                self.name, None, "warning", text, self._mending.shorter() or self._mending.handle()
            )

    def _joints(self) -> Iterator[Finding]:
        """Jumps where a warmup, or a level stretch, hands over to what follows.

        Falling to a lower stair and climbing back at a restart are what a schedule is for. What
        counts as a jump is measured against the changes from step to step around it.
        """
        marks = [(label, ceil(moment)) for label, moment in self._marks()]
        for (_, start), (label, step) in pairwise([("", 0), *marks]):
            if not 1 < step < len(self.steps) - 1 or start >= step - 1:
                continue
            around = self.curve(np.arange(max(start, step - 9), min(step + 9, len(self.steps))))
            at = step - max(start, step - 9)
            changes = np.diff(around)
            jump, others = changes[at - 1], np.delete(changes, at - 1)
            margin = 0.02 * (self.high - self.low) + np.ptp(others) / 2
            expected = others.min() - margin <= jump <= others.max() + margin
            falling = around[at - 1] < self.curve(start)
            if expected or falling or not others.any():
                continue
            before, after = around[at - 1], around[at]
            text = f"jumps from {written(before)} to {written(after)} where {label} begins"
            yield Finding(self.name, step, "warning", text, self._mending.beginning(label, before))

    def _unfinished(self) -> Iterator[Finding]:
        """Parts whose time runs out before they have come to their end."""
        for path, part, clock in self._mending.parts():
            time = Fraction(clock.total_steps or 0)
            for name, duration, steps in part.lengths(clock):
                one = isinstance(getattr(part, name, None), Duration) and name not in TIME_CONSTANTS
                if not one or steps <= time or part.reacts():
                    continue
                first, last, end = Curve(part, clock, (self.place.path, *path))(
                    [0, ceil(time) - 1, ceil(steps)]
                )
                if abs(end - last) > 0.05 * abs(end - first):
                    override = joined(self.place.path, *path, name)
                    text = (
                        f"ends at {written(last)}, far from its end at {written(end)}: "
                        f"{override} = {duration} in {counted(float(time))} steps"
                    )
                    yield Finding(self.name, self.steps[-1], "warning", text, f"{override}=100%")

    def _beyond(self) -> Iterator[Finding]:
        late = [(label, moment) for label, moment in self._marks() if moment > len(self.steps)]
        if late:
            label, moment = late[0]
            others = f", and {len(late) - 1} more" if len(late) > 1 else ""
            text = f"would come to {label}{others}, but the run ends at {counted(len(self.steps))}"
            hint = f"run.length={ceil(late[-1][1])}, or an earlier boundary"
            yield Finding(self.name, ceil(moment), "warning", text, hint)

    def _refused(self, seen: _Sightings, text: str, hint: str) -> Finding:
        return Finding(self.name, seen.step, "refused", text, hint)

    def _marks(self) -> list[tuple[str, Fraction]]:
        return list(self.curve.schedule.marks(self.curve.clock))

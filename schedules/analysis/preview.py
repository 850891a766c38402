"""What a config plans, in numbers: all the steps in bounded memory, or the few that tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import ceil, floor
from operator import itemgetter
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..clock import Clock, Duration
from ..curve import Curve
from ..declaration import ABSENT, joined, refuse
from ..declaration.wording import counted
from ..moments import Values
from ..schedule import WHOLE, Path, Schedule

CHUNK = 1 << 16
"""Steps evaluated at once: enough to be fast, few enough that a run of any length fits."""


def horizon(clock: Clock) -> range:
    """The steps of the whole run.

    Raises:
        Refused: when the clock doesn't know how long the run is.
    """
    if clock.total_steps is None:
        raise refuse("total_steps", ABSENT, "is required: how far to look", "--total-steps 1000")
    return range(ceil(clock.total_steps))


def span(written: str, whole: range) -> range:
    """`A:B` or `A:B:C` as Python's slices read it, except that B may lie past the run's end.

    >>> span("10:30:5", range(20)), span(":", range(20))
    (range(10, 30, 5), range(0, 20))
    """
    found = re.fullmatch(r"(\d*):(\d*)(?::([1-9]\d*)?)?", written)
    numbers = found.groups() if found else ("0", "0", "1")
    start, stop, step = (int(number) if number else None for number in numbers)
    steps = range(start or 0, whole.stop if stop is None else stop, step or 1)
    if not steps:
        rule = "must be A:B or A:B:C, whole numbers with 0 <= A < B"
        raise refuse("--steps", written, rule, "--steps 0:100")
    return steps


def chunks(curve: Curve, steps: range) -> Iterator[tuple[range, Values]]:
    """The values at all `steps`, a bounded number at a time."""
    for start in range(0, len(steps), CHUNK):
        part = steps[start : start + CHUNK]
        yield part, curve(np.arange(part.start, part.stop, part.step))


def telling(curve: Curve, steps: range, columns: int = 900) -> tuple[NDArray[np.int64], Values]:
    """The steps that draw the picture of all `steps` on so many columns of pixels, with values.

    Of each column the first, lowest, highest and last (Jugel et al., "M4", VLDB 2014), so that no
    spike or stair is lost; and both sides of each boundary of the schedule.
    """
    width = ceil(len(steps) / columns)
    if width < 4:
        shown = np.arange(steps.start, steps.stop, steps.step)
        return shown, curve(shown)
    found = [_beside_boundaries(curve, steps)]
    stride = max(1, CHUNK // width) * width
    for start in range(0, len(steps), stride):
        part = steps[start : start + stride]
        values = curve(np.arange(part.start, part.stop, part.step))
        rows = np.pad(values, (0, -len(values) % width), mode="edge").reshape(-1, width)
        firsts = width * np.arange(len(rows))
        telling = [firsts, firsts + rows.argmin(1), firsts + rows.argmax(1), firsts + width - 1]
        places = np.concatenate(telling).clip(max=len(part) - 1)
        found.append(part.start + part.step * places)
    shown = np.unique(np.concatenate(found))
    return shown, curve(shown)


def _beside_boundaries(curve: Curve, steps: range) -> NDArray[np.int64]:
    moments = [moment for _, moment in curve.schedule.marks(curve.clock)]
    beside = {step for b in moments for step in (ceil(b) - 1, ceil(b), floor(b) + 1)}
    return np.array(sorted(step for step in beside if step in steps), np.int64)


def steps_per_epoch(clock: Clock) -> Fraction | None:
    """How many updates an epoch takes, where the clock knows."""
    known = clock.batch_size and clock.examples_per_epoch
    return clock.steps("1 epoch") if known else None


class Limits(Protocol):
    """What a value may be, said by `str`."""

    def admit(self, values: Values, /) -> NDArray[np.bool_]:
        """Which of the values it may be."""


class Tried(NamedTuple):
    """How high a value may go to do well, and what for."""

    by: str
    height: float


class Place(NamedTuple):
    """Where the config has a value, as an override path, what it may be, and how high was tried."""

    path: str
    limits: Limits | None = None
    tried: Tried | None = None


@dataclass(frozen=True)
class Preview:
    """The curves of a config by the names of their values, their places, and the run's clock."""

    curves: Mapping[str, Curve]
    clock: Clock
    places: Mapping[str, Place] | None = None


@dataclass(frozen=True)
class Line:
    """One curve as a picture needs it: its telling steps with their values, and its marks."""

    label: str
    curve: Curve
    steps: NDArray[np.int64]
    values: Values
    marks: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, label: str, curve: Curve, clock: Clock) -> Line:
        steps = horizon(clock)
        marks = tuple(
            (name, float(moment))
            for name, moment in curve.schedule.marks(curve.clock)
            if moment < len(steps)
        )
        return cls(label or named(curve.schedule), curve, *telling(curve, steps), marks)


def named(schedule: Schedule) -> str:
    """What a schedule is called: its kind, or the kinds that a warmup and a cooldown wrap.

    >>> from schedules.kinds.sequences import Wrapped
    >>> constant = {"kind": "constant", "value": 1.0}
    >>> warmup = {"kind": "linear", "initial_value": 0.0, "end_value": 1.0, "length": 5}
    >>> named(Wrapped.declared({"warmup": warmup, "schedule": constant}))
    'linear warmup, constant'
    """
    kind = getattr(schedule, "kind", None)
    if kind is not None:
        return str(kind)
    wrapped = ((str(path[0]), named(child)) for path, child in schedule.children())
    return ", ".join(kind if key == "schedule" else f"{kind} {key}" for key, kind in wrapped)


@dataclass(frozen=True)
class Panel:
    """All that is drawn of one value: a line a plan, over the steps of the longest."""

    name: str
    lines: tuple[Line, ...]
    steps: int

    @property
    def values(self) -> Values:
        return np.concatenate([line.values for line in self.lines])


def panels(plans: Mapping[str, Preview]) -> list[Panel]:
    """What to draw of several plans, by their labels: one panel a value, in order of appearance."""
    longest = max(len(horizon(plan.clock)) for plan in plans.values())
    names = dict.fromkeys(name for plan in plans.values() for name in plan.curves)
    return [
        Panel(
            name,
            tuple(
                Line.of(label, plan.curves[name], plan.clock)
                for label, plan in plans.items()
                if name in plan.curves
            ),
            longest,
        )
        for name in names
    ]


def everything(
    schedule: Schedule, clock: Clock, *path: str | int
) -> Iterator[tuple[Path, Schedule, Clock]]:
    """A schedule and all that it is made of, however deep: its path, itself, and its clock."""
    yield path, schedule, clock
    for inner, child, own in schedule.clocks(clock):
        yield from everything(child, own, *path, *inner)


def lengths(curve: Curve) -> Iterator[tuple[str, Duration, Fraction]]:
    """Every length in a curve's schedule: its path, as it was written, and in steps.

    A part's `100%` is left out, being the part's own length.
    """
    for path, schedule, clock in everything(curve.schedule, curve.clock):
        for name, duration, steps in schedule.lengths(clock):
            if duration != WHOLE or clock == curve.clock:
                yield joined(*path, name), duration, steps


def told_lengths(curve: Curve) -> Iterator[str]:
    """Every length of a curve as a legend tells it.

    >>> from schedules import load
    >>> [*told_lengths(load({"kind": "linear", "initial_value": 0.1, "end_value": 0}, Clock(50)))]
    ['decay_steps = 100% = 50 steps']
    """
    for path, alike in groupby(lengths(curve), key=itemgetter(0)):
        _, durations, steps = zip(*alike, strict=True)
        written = ", ".join(map(str, durations))
        if all(duration.unit == "steps" for duration in durations):
            yield f"{path} = {written}"
        else:
            exact = all(1000 % n.denominator == 0 for n in steps)
            counts = ", ".join(map(counted, steps))
            yield f"{path} = {written} {'=' if exact else '≈'} {counts} step{'s' * (counts != '1')}"

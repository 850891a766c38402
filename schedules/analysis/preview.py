"""The values of a config's curves: all steps in bounded memory, or the few that a picture needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import ceil, floor
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..clock import Clock, Duration
from ..curve import Curve
from ..declaration import ABSENT, join_path, refuse
from ..declaration.number_text import count_text
from ..moments import Values
from ..schedule import WHOLE, Path, Schedule

CHUNK = 1 << 16
"""Steps evaluated at once: enough to be fast, few enough that a run of any length fits."""
SEEN = 16 * CHUNK
"""A longer run than this is judged by as many of its steps, one of each equal part."""


def horizon(clock: Clock) -> range:
    """The steps of the whole run.

    Raises:
        Refused: when the clock doesn't know how long the run is.
    """
    if clock.total_steps is None:
        raise refuse("total_steps", ABSENT, "is required: how far to look", "--total-steps 1000")
    return range(ceil(clock.total_steps))


def span(text: str, run: range) -> range:
    """`A:B` or `A:B:C` as Python's slices read it, except that B may lie past the end of `run`.

    >>> span("10:30:5", range(20)), span(":", range(20))
    (range(10, 30, 5), range(0, 20))
    """
    steps = range(0)
    if match := re.fullmatch(r"(\d*):(\d*)(?::([1-9]\d*)?)?", text):
        start, stop, step = (int(number) if number else None for number in match.groups())
        steps = range(start or 0, run.stop if stop is None else stop, step or 1)
    if not steps:
        rule = "must be A:B or A:B:C, whole numbers with 0 <= A < B"
        raise refuse("--steps", text, rule, "--steps 0:100")
    return steps


def chunks(curve: Curve, steps: range) -> Iterator[tuple[range, Values]]:
    """The values at all `steps`, a bounded number at a time."""
    for start in range(0, len(steps), CHUNK):
        part = steps[start : start + CHUNK]
        yield part, curve(np.arange(part.start, part.stop, part.step))


def seen_steps(curve: Curve, steps: range) -> NDArray[np.int64]:
    """The steps by which a run is judged and drawn: all, or of a long one about `SEEN`.

    Of a long run these are the first and the last, those beside each boundary of the schedule, and
    one of each equal part. It is drawn at random, the same one each time, since equal distances
    might go with a period of the schedule.
    """
    if len(steps) <= SEEN:
        return np.arange(steps.start, steps.stop, steps.step)
    drawn = _one_of_each_part(len(steps), SEEN)
    inner = steps.start + steps.step * np.concatenate([[0], drawn, [len(steps) - 1]])
    both = np.concatenate([inner, _beside_boundaries(curve, steps)])
    # Two ordered runs, which a stable sort merges: others take forty times as long, and
    # `numpy.unique` a hundred times as long as these.
    seen: NDArray[np.int64] = np.sort(both, kind="stable")
    return np.compress(np.append(True, np.diff(seen) > 0), seen)


class Look(NamedTuple):
    """The `seen_steps` of a run and their values, for all that look at them: at most 16 MB."""

    steps: NDArray[np.int64]
    values: Values

    @classmethod
    def at(cls, curve: Curve, steps: range) -> Self:
        """A look at a curve as it is now."""
        seen = seen_steps(curve, steps)
        look = cls(seen, np.empty(len(seen)))
        for part, values in look.chunks():
            values[:] = curve(part)
        return look

    def chunks(self) -> Iterator[tuple[NDArray[np.int64], Values]]:
        """The steps and their values, a bounded number at a time."""
        for start in range(0, len(self.steps), CHUNK):
            part = slice(start, start + CHUNK)
            yield self.steps[part], self.values[part]


def _one_of_each_part(count: int, parts: int) -> NDArray[np.int64]:
    """An index below `count` out of each of so many parts, which are equal but for one index."""
    edges = np.arange(parts + 1)
    edges = edges * (count // parts) + edges * (count % parts) // parts
    return np.random.default_rng(0).integers(edges[:-1], edges[1:])


def downsample(
    curve: Curve, steps: range, columns: int = 900, look: Look | None = None
) -> tuple[NDArray[np.int64], Values]:
    """The steps, and their values, that suffice to draw `seen_steps` on so many columns of pixels.

    A `look` at the curve over these steps spares another one.

    Each column keeps its first, lowest, highest and last value (Jugel et al., "M4", VLDB 2014), so
    no spike and no stair is lost. Both sides of each boundary of the schedule are kept as well.
    """
    seen, seen_values = look or Look.at(curve, steps)
    width = ceil(len(seen) / columns)
    if width < 4:
        return seen, seen_values
    selected = [_beside_boundaries(curve, steps)]
    stride = max(1, CHUNK // width) * width
    for start in range(0, len(seen), stride):
        part = seen[start : start + stride]
        values = seen_values[start : start + stride]
        rows = np.pad(values, (0, -len(values) % width), mode="edge").reshape(-1, width)
        firsts = width * np.arange(len(rows))
        lowest, highest = firsts + rows.argmin(1), firsts + rows.argmax(1)
        lasts = firsts + width - 1
        indices = np.concatenate([firsts, lowest, highest, lasts]).clip(max=len(part) - 1)
        selected.append(part[indices])
    selected_steps = np.unique(np.concatenate(selected))
    return selected_steps, curve(selected_steps)


def _beside_boundaries(curve: Curve, steps: range) -> NDArray[np.int64]:
    """The steps before, at and after each boundary of the schedule, as far as `steps` has them."""
    moments = [moment for _, moment in curve.marks()]
    beside = {step for b in moments for step in (ceil(b) - 1, ceil(b), floor(b) + 1)}
    return np.array(sorted(step for step in beside if step in steps), np.int64)


def steps_per_epoch(clock: Clock) -> Fraction | None:
    """How many updates an epoch takes; None where the clock has no size of batch or epoch."""
    if clock.batch_size and clock.examples_per_epoch:
        return clock.steps("1 epoch")
    return None


class Limits(Protocol):
    """The bounds of a value."""

    def admit(self, values: NDArray[np.floating[Any]], /) -> NDArray[np.bool_]:
        """Which of the values are within the bounds."""

    def fault(self, number: float, /) -> str:
        """The rule that a number outside of them breaks."""


class Tried(NamedTuple):
    """A height that trained well, and the optimizer that it was tried with."""

    by: str
    height: float
    steady: bool = False
    """Whether what was learnt shrinks along with the value, which so has to stay."""


class Place(NamedTuple):
    """A value in a config: its override path, its bounds, and a height that was tried for it."""

    path: str
    limits: Limits | None = None
    tried: Tried | None = None
    next_evaluation: Callable[[int], int] | None = None
    """The step of the first evaluation after a step; the run's end has one too."""


@dataclass(frozen=True)
class Preview:
    """The curves of a config by the names of the values, their places, and the run's clock."""

    curves: Mapping[str, Curve]
    clock: Clock
    places: Mapping[str, Place] | None = None


@dataclass(frozen=True)
class Line:
    """One curve as a picture needs it: downsampled steps with their values, and its marks."""

    label: str
    curve: Curve
    steps: NDArray[np.int64]
    values: Values
    marks: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, label: str, curve: Curve, clock: Clock) -> Line:
        steps = horizon(clock)
        marks = tuple(
            (name, float(moment)) for name, moment in curve.marks() if moment < len(steps)
        )
        label = label or schedule_label(curve.schedule)
        return cls(label, curve, *downsample(curve, steps), marks)


def schedule_label(schedule: Schedule) -> str:
    """The kind of a schedule; with the kinds of its warmup and cooldown where it is wrapped.

    >>> from schedules.kinds.sequences import Wrapped
    >>> constant = {"kind": "constant", "value": 1.0}
    >>> warmup = {"kind": "linear", "initial_value": 0.0, "end_value": 1.0, "length": 5}
    >>> schedule_label(Wrapped.declared({"warmup": warmup, "schedule": constant}))
    'linear warmup, constant'
    """
    kind = getattr(schedule, "kind", None)
    if kind is not None:
        return str(kind)
    labels = ((str(path[0]), schedule_label(child)) for path, child in schedule.children())
    return ", ".join(label if key == "schedule" else f"{label} {key}" for key, label in labels)


@dataclass(frozen=True)
class Panel:
    """The drawing of one value: a line for each plan, over the steps of the longest plan."""

    name: str
    lines: tuple[Line, ...]
    steps: int

    @property
    def values(self) -> Values:
        return np.concatenate([line.values for line in self.lines])


def panels(plans: Mapping[str, Preview]) -> list[Panel]:
    """The panels of several plans, by label: one for each value, in order of appearance."""
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


def walk(
    schedule: Schedule, clock: Clock, *path: str | int
) -> Iterator[tuple[Path, Schedule, Clock]]:
    """A schedule and all inside it, however deep: path, schedule, clock."""
    yield path, schedule, clock
    for inner_path, child, child_clock in schedule.clocks(clock):
        yield from walk(child, child_clock, *path, *inner_path)


def lengths(curve: Curve) -> Iterator[tuple[str, Duration, Fraction]]:
    """Every length in a curve's schedule: path, duration, steps.

    A part's `100%` is left out, since it is the part's own length.
    """
    for path, schedule, clock in walk(curve.schedule, curve.clock):
        for name, duration, steps in schedule.lengths(clock):
            if duration != WHOLE or clock == curve.clock:
                yield join_path(*path, name), duration, steps


def length_lines(curve: Curve) -> Iterator[str]:
    """Every length of a curve as a line of a legend.

    >>> from schedules import load
    >>> [*length_lines(load({"kind": "linear", "initial_value": 0.1, "end_value": 0}, Clock(50)))]
    ['decay_steps = 100% = 50 steps']
    """
    for path, same_path in groupby(lengths(curve), key=itemgetter(0)):
        _, durations, steps = zip(*same_path, strict=True)
        line = f"{path} = {', '.join(map(str, durations))}"
        if any(duration.unit != "steps" for duration in durations):
            is_exact = all(1000 % n.denominator == 0 for n in steps)
            counts = ", ".join(map(count_text, steps))
            unit = "step" if counts == "1" else "steps"
            line += f" {'=' if is_exact else '≈'} {counts} {unit}"
        yield line

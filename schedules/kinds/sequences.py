"""Schedules made of schedules in time: in sequence, wrapped, delayed, repeated."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..clock import Clock, exact
from ..declaration import ABSENT, Number, Problem, Whole, within
from ..moments import Moments, Values
from ..schedule import Length, Metrics, Path, Schedule
from .growing_cycles import cached_cycle_starts, cycle_marks, cycles, last_start_needed
from .parts import LabelledPart, Part, PlacedPart, in_force, lay_out
from .piecewise import Constant

__all__ = ["Delay", "Part", "Repeat", "Sequence", "Wrapped"]


class PartedSchedule(Schedule):
    """The base class of schedules that are made of parts in time."""

    @abstractmethod
    def placed(self, clock: Clock) -> list[PlacedPart]:
        """The parts on `clock`, in their order."""

    def clocks(self, clock: Clock) -> Iterator[tuple[Path, Schedule, Clock]]:
        for part in self.placed(clock):
            yield part.path, part.schedule, part.clock

    def at(self, t: Moments) -> Values:
        values = np.empty(len(t))
        for part, mask, local in in_force(self.placed(t.clock), t):
            values[mask] = part.schedule.at(local)
        return values

    def observe(self, metrics: Metrics, t: Moments | None) -> None:
        if t is None:
            return super().observe(metrics, t)
        for part, _, local in in_force(self.placed(t.clock), t):
            with within(*part.path):
                part.schedule.observe(metrics, local)
        return None

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        placed = self.placed(clock)
        for part, following in zip(placed, [*placed[1:], None], strict=True):
            if len(placed) > 1:
                yield part.label, part.start
            for label, moment in part.schedule.marks(part.clock):
                in_part = not following or part.start + moment < following.start
                if in_part and (moment or len(placed) == 1):
                    yield label, part.start + moment


class Sequence(PartedSchedule):
    """Each of `parts` on its own clock, from 0 at its start; the last one goes on after the end.

    Lengths, and per cent within a part, are exact: a part may begin between two steps. One part
    may leave its `length` out and take what the others leave.
    Source: torch's `SequentialLR`, optax' `join_schedules`.
    Differs from them: parts have lengths and names, so that one word on the command line changes
    one (`schedule.parts.warmup.length=5%`).

    >>> from schedules import Clock, load
    >>> load({"kind": "sequence", "parts": {
    ...     "warmup": {"kind": "linear", "initial_value": 0.0, "end_value": 1.0, "length": "20%"},
    ...     "main": {"kind": "constant", "value": 1.0}}}, Clock(10))([0, 1, 2, 9])
    array([0. , 0.5, 1. , 1. ])
    """

    kind: Literal["sequence"] = "sequence"
    parts: Annotated[dict[str, Part], Field(min_length=1)]
    """The parts by name, each a schedule and its `length`."""

    def contradictions(self) -> Iterator[Problem]:
        for name in self.parts:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
                rule = "is no name that an override could use"
                yield Problem("parts", name, rule, "use letters, digits and _, a letter first")

    def children(self) -> Iterator[tuple[Path, Schedule]]:
        for name, part in self.parts.items():
            yield ("parts", name, *part.path), part.schedule

    def placed(self, clock: Clock) -> list[PlacedPart]:
        return lay_out(
            [LabelledPart(name, ("parts", name), part) for name, part in self.parts.items()], clock
        )


class Wrapped(PartedSchedule):
    """A schedule between a warmup and a cooldown, which are curves of factors.

    During the warmup the value is the factor times the schedule's first value, during the
    cooldown the factor times the value that the schedule has reached; between them the schedule
    runs on its own clock, from 0 and over the span that they leave. With neither, it is the
    schedule itself.
    """

    warmup: Part | None = None
    """A curve of factors that leads up to the schedule's first value."""
    schedule: Schedule
    """What is wrapped."""
    cooldown: Part | None = None
    """A curve of factors that leads down from the schedule's last value."""

    def contradictions(self) -> Iterator[Problem]:
        for name, part in (("warmup", self.warmup), ("cooldown", self.cooldown)):
            if part and part.length is None:
                yield Problem(f"{name}.length", ABSENT, "is required", f"such as {name}.length=5%")

    def children(self) -> Iterator[tuple[Path, Schedule]]:
        for _, path, part in self._parts():
            yield (*path, *part.path), part.schedule

    def placed(self, clock: Clock) -> list[PlacedPart]:
        return lay_out(list(self._parts()), clock)

    def at(self, t: Moments) -> Values:
        values = np.empty(len(t))
        placed = self.placed(t.clock)
        [main] = (part for part in placed if part.schedule is self.schedule)
        for part, mask, local in in_force(placed, t):
            values[mask] = part.schedule.at(local)
            if part is not main:
                is_warmup = part.start < main.start
                edge = Fraction(0) if is_warmup else part.start - main.start
                values[mask] *= main.schedule.at(Moments.single(edge, main.clock))
        return values

    def _parts(self) -> Iterator[LabelledPart]:
        if self.warmup:
            yield LabelledPart("warmup", ("warmup",), self.warmup)
        yield LabelledPart("main", (), Part(schedule=self.schedule))
        if self.cooldown:
            yield LabelledPart("cooldown", ("cooldown",), self.cooldown)


class Delay(PartedSchedule):
    """`value` for `length`, then the inner schedule from its own 0, over what is left.

    >>> from schedules import Clock, load
    >>> load({"kind": "delay", "length": 2, "value": 1.0, "schedule":
    ...       {"kind": "linear", "initial_value": 1.0, "end_value": 0.0}}, Clock(6))(range(6))
    array([1.  , 1.  , 1.  , 0.75, 0.5 , 0.25])
    """

    kind: Literal["delay"] = "delay"
    schedule: Schedule
    """What follows."""
    length: Length
    """How long `value` holds."""
    value: Number
    """The value until then."""

    def placed(self, clock: Clock) -> list[PlacedPart]:
        wait = Part(schedule=Constant(value=self.value), length=self.length)
        main = Part(schedule=self.schedule)
        return lay_out([LabelledPart("delay", (), wait), LabelledPart("main", (), main)], clock)


class Repeat(Schedule):
    """The first `length` of the inner schedule again and again, each time longer and scaled.

    Time i takes `length * stretch**i`, in which the inner schedule runs through as many steps as
    it has in `length`, and is multiplied by `scale**i`. After `times` the last one goes on.
    Repeating a `cosine` is `cosine_restarts`: `stretch` is its `t_mul` and `scale` its `m_mul`.

    >>> from schedules import load
    >>> load({"kind": "repeat", "length": 3, "scale": 0.5, "schedule":
    ...       {"kind": "linear", "initial_value": 1.0, "end_value": 0.4}})(range(6))
    array([1. , 0.8, 0.6, 0.5, 0.4, 0.3])
    """

    kind: Literal["repeat"] = "repeat"
    schedule: Schedule
    """What is repeated."""
    length: Length
    """How long the first time takes."""
    stretch: Annotated[Number, Field(gt=0)] = 1.0
    """How much longer each time is than the one before."""
    scale: Number = 1.0
    """The factor from each time to the next."""
    times: Annotated[Whole, Field(gt=0)] | None = None
    """How often; null goes on for ever."""

    def contradictions(self) -> Iterator[Problem]:
        if self.stretch < 1 < abs(self.scale) and self.times is None:
            rule = (
                "must be at most 1 where stretch is below 1, or the values grow beyond all bounds"
            )
            yield Problem("scale", self.scale, rule, "give times, or scale=1.0")

    def clocks(self, clock: Clock) -> Iterator[tuple[Path, Schedule, Clock]]:
        yield ("schedule",), self.schedule, clock.spanning(clock.steps(self.length))

    def at(self, t: Moments) -> Values:
        values = np.empty(len(t))
        for index, i, local in self._rounds(t):
            values[index] = self.schedule.at(local) * self.scale**i
        return values

    def observe(self, metrics: Metrics, t: Moments | None) -> None:
        if t is None:
            return super().observe(metrics, t)
        for _, _, local in self._rounds(t):
            with within("schedule"):
                self.schedule.observe(metrics, local)
        return None

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        marks = cycle_marks("cycle", clock.steps(self.length), exact(self.stretch), clock)
        yield from islice(marks, self.times and self.times - 1)

    def _rounds(self, t: Moments) -> Iterator[tuple[NDArray[Any], Values, Moments]]:
        """Groups of moments: their index, the round each is in, and their local moments.

        A round is one repetition of the inner schedule; local moments are on its clock.
        """
        length, stretch = t.steps(self.length), exact(self.stretch)
        clock, last = t.clock.spanning(length), (self.times or np.inf) - 1
        i = np.minimum(cycles(t, length, stretch)[0], last)
        if stretch == 1:
            before = i < last
            if before.any():
                yield before, i[before], (t[before] % length).on(clock)
            if not before.all():
                yield ~before, i[~before], (t[~before] - int(last) * length).on(clock)
            return
        starts = cached_cycle_starts(length, stretch, last_start_needed(t, length, stretch))
        order = np.argsort(i, kind="stable")
        for index in np.split(order, np.flatnonzero(i[order][1:] != i[order][:-1]) + 1):
            n = i[index[0]]
            if n == np.inf:  # past all the ever shorter rounds: at the end of the last
                end_of_inner = np.full(len(index), length.numerator)
                local = replace(t, ticks=end_of_inner, per=length.denominator)
            else:
                start, end = (Fraction(*start) for start in starts[int(n) : int(n) + 2])
                local = (t[index] - start) * (length / (end - start))
            yield index, i[index], local.on(clock)

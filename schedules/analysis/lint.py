"""What a schedule would do to a run that nobody wants, found before the run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import ceil, isclose, isfinite
from typing import Literal

import numpy as np

from ..clock import Clock, Duration
from ..curve import Curve
from ..declaration import join_path
from ..declaration.number_text import count_text, value_text
from ..declaration.scalars import GREATEST
from .fixes import TIME_CONSTANTS, FixHints
from .heights import overrides_for_peak
from .plateaus import idle_plateaus
from .preview import SEEN, Look, Place, horizon
from .scan import CurveScan, Occurrences, applied, scan

MOMENTUM_NAMES = re.compile(r"(.*_)?momentum|beta_?[12]|rho")
"""The values that weigh the past: from 1 on it is never forgotten."""
TOO_HIGH, TOO_LOW = 8, 50
"""How many times above, or below, a height that was tried a peak is worth a warning."""
TOO_LOW_IF_STEADY = 3
"""The same below, where what is learnt shrinks along with the value."""


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong: `refused` where it can't train, else a `warning`."""

    name: str
    step: int | None
    severity: Literal["refused", "warning"]
    text: str
    hint: str

    def __str__(self) -> str:
        where = "" if self.step is None else f" at step {count_text(self.step)}"
        return f"{self.severity}: {self.name}{where} {self.text}\n  hint: {self.hint}"


def lint(
    curves: Mapping[str, Curve],
    clock: Clock,
    places: Mapping[str, Place] | None = None,
    looks: Mapping[str, Look] | None = None,
) -> list[Finding]:
    """What is wrong with the curves of a run; what can't train comes first.

    The steps that are looked at are the `seen_steps`: all, except of a run of more than a million.
    A schedule that reacts is judged by its
    values before it has observed anything. A curve without a place is a setting of the optimizer.
    A curve of which there is one of `looks` over the whole run is not evaluated again for that.

    >>> from schedules import load
    >>> clock = Clock(100)
    >>> falling = load({"kind": "linear", "initial_value": 0.1, "end_value": -0.1}, clock)
    >>> print(*lint({"learning_rate": falling}, clock))
    refused: learning_rate at step 51 is -0.002: training would climb
      hint: schedule.end_value=0
    """
    places, looks, run = places or {}, looks or {}, horizon(clock)
    findings = [
        finding
        for name, curve in curves.items()
        for finding in _CurveLint.of(name, curve, run, places.get(name), looks.get(name)).all()
    ]
    return sorted(findings, key=lambda finding: finding.severity != "refused")


@dataclass
class _CurveLint:
    """The checks of one curve over all steps of a run; the config has the curve at `place`."""

    name: str
    place: Place
    curve: Curve
    steps: range
    scan: CurveScan
    fixes: FixHints

    @classmethod
    def of(
        cls, name: str, curve: Curve, steps: range, place: Place | None, look: Look | None
    ) -> _CurveLint:
        place = place or Place(f"optimizer.{name}")
        if name == "learning_rate":
            # A warmup and a cooldown stand beside the schedule at the top of a config.
            wrapped = "kind" not in type(curve.schedule).model_fields
            place = place._replace(path="" if wrapped else "schedule")

        def is_sound(changed: Curve) -> bool:
            found = scan(changed, steps, place.limits)
            vanishes = found.vanishes and len(steps) > 1
            if name == "learning_rate":
                wrong = vanishes or found.negative.count or found.outside_limits.count
            elif _weighs_the_past(name):
                wrong = found.negative.count or found.at_least_one.count
            else:
                wrong = found.outside_limits.count
            return not (wrong or found.not_finite.count)

        fixes = FixHints(place.path, curve, is_sound)
        return cls(name, place, curve, steps, scan(curve, steps, place.limits, look), fixes)

    def all(self) -> Iterator[Finding]:
        if self.scan.not_finite.count:
            text = f"is {_applied_text(self.scan.not_finite.value)}"
            tried = self.place.tried.height if self.place.tried else 0.01
            is_rate = self.name == "learning_rate"
            hint = self.fixes.change(lambda value: is_rate and abs(value) > GREATEST, tried)
            yield self._refused(self.scan.not_finite, text, hint)
            return
        if self.name == "learning_rate":
            yield from self._learning_rate()
        if _weighs_the_past(self.name):
            yield from self._momentum()
        else:
            yield from self._outside_limits()
        if len(self.steps) == 1:  # such a run tries out everything but the schedule
            return
        yield from self._height()
        if self.scan.low == self.scan.high:
            yield from self._unchanging()
        else:
            yield from self._jumps()
            yield from self._unfinished()
        yield from self._past_the_end()
        for text, hint in idle_plateaus(self.curve, self.place):
            yield self._warning(None, text, hint)

    def _learning_rate(self) -> Iterator[Finding]:
        if self.scan.vanishes and len(self.steps) > 1:
            highest = _applied_text(max(self.scan.high, -self.scan.low))
            text = f"is {highest} at every step: nothing would train"
            hint = self.fixes.change(_vanishes, 0.01)
            yield Finding(self.name, None, "refused", text, hint)
        elif self.scan.negative.count:
            text = f"is {value_text(self.scan.negative.value)}: training would climb"
            tried = self.place.tried.height if self.place.tried else 0.01
            hint = self.fixes.change(lambda value: value < 0, 0, tried)
            yield self._refused(self.scan.negative, text, hint)
        elif self.scan.zero.count:
            zeros = self.scan.zero
            about = "about " if len(self.steps) > SEEN else ""
            others = f" and {about}{count_text(zeros.count - 1)} more" if zeros.count > 1 else ""
            text = f"is {_applied_text(zeros.value)}{others}: such updates change nothing"
            hint = self.fixes.change(_vanishes, self.scan.high / 100, mends=self._has_no_zeros)
            yield self._warning(zeros.step, text, hint)

    def _has_no_zeros(self, changed: Curve) -> bool:
        return not scan(changed, self.steps, self.place.limits).zero.count

    def _outside_limits(self) -> Iterator[Finding]:
        outside = self.scan.outside_limits
        refused_already = self.name == "learning_rate" and self.scan.negative.count
        if self.place.limits and outside.count and not refused_already:
            text = f"is {value_text(outside.value)}: {self.place.limits.fault(outside.value)}"
            yield self._refused(outside, text, self.fixes.any_number())

    def _height(self) -> Iterator[Finding]:
        """Peaks far from a height that is known to train well."""
        if self.place.tried is None or self.scan.high <= 0 or self.scan.vanishes:
            return
        high, (optimizer, height, steady) = self.scan.high, self.place.tried
        last = self.curve(self.steps[-1])
        if steady and last < high / 2:
            text = f"falls to {value_text(last)}, and what {optimizer} has learnt shrinks with it"
            hint = f"schedule=constant schedule.value={value_text(height)}"
            cooldown = getattr(self.curve.schedule, "cooldown", None)
            yield self._warning(None, text, f"{hint} cooldown=none" if cooldown else hint)
            return
        if high > TOO_HIGH * height:
            ratio = f"{high / height:,.0f} times as high as"
        elif high <= height / (TOO_LOW_IF_STEADY if steady else TOO_LOW):
            ratio = f"{height / high:,.0f} times lower than"
        else:
            return
        text = f"goes up to {value_text(high)}, {ratio} {optimizer} was tried with"
        yield self._warning(None, text, overrides_for_peak(self.curve, height))

    def _momentum(self) -> Iterator[Finding]:
        for wrong, hint in (
            (self.scan.negative, self.fixes.change(lambda value: value < 0, 0)),
            (self.scan.at_least_one, self.fixes.change(lambda value: value >= 1, 0.99)),
        ):
            if wrong.count:
                text = f"is {_applied_text(wrong.value)}: must be at least 0 and below 1"
                yield self._refused(wrong, text, hint)

    def _unchanging(self) -> Iterator[Finding]:
        kinds = {getattr(part, "kind", "constant") for _, part, _ in self.fixes.parts()}
        if kinds != {"constant"} and not self.curve.reacts:
            value, count = value_text(self.scan.low), count_text(len(self.steps))
            hint = self.fixes.shorten_longest() or self.fixes.any_number()
            yield self._warning(None, f"never changes: {value} at all {count} steps", hint)

    def _jumps(self) -> Iterator[Finding]:
        """Jumps where a warmup, or a level stretch, hands over to what follows.

        Falling to a lower stair and climbing back at a restart are what a schedule is for. What
        counts as a jump is measured against the changes from step to step around it.
        """
        marks = [(label, ceil(moment)) for label, moment in self._marks()]
        for (_, start), (label, step) in pairwise([("", 0), *marks]):
            if not 1 < step < len(self.steps) - 1 or start >= step - 1:
                continue
            window = range(max(start, step - 9), min(step + 9, len(self.steps)))
            values = self.curve(np.arange(window.start, window.stop))
            i = window.index(step)
            changes = np.diff(values)
            jump, others = changes[i - 1], np.delete(changes, i - 1)
            margin = 0.02 * (self.scan.high - self.scan.low) + np.ptp(others) / 2
            is_expected = others.min() - margin <= jump <= others.max() + margin
            is_falling = values[i - 1] < self.curve(start)
            if is_expected or is_falling or not others.any():
                continue
            before, after = values[i - 1], values[i]
            text = f"jumps from {value_text(before)} to {value_text(after)} where {label} begins"
            yield self._warning(step, text, self.fixes.begin_part_at(label, before))

    def _unfinished(self) -> Iterator[Finding]:
        """Parts whose time runs out before they have come to their end."""
        for path, part, clock in self.fixes.parts():
            available = Fraction(clock.total_steps or 0)
            for name, duration, steps in part.lengths(clock):
                is_length = isinstance(getattr(part, name, None), Duration)
                if not is_length or name in TIME_CONSTANTS or part.reacts() or steps <= available:
                    continue
                first, last, end = Curve(part, clock, (self.place.path, *path))(
                    [0, ceil(available) - 1, ceil(steps)]
                )
                if abs(end - last) > 0.05 * abs(end - first):
                    override = join_path(self.place.path, *path, name)
                    text = (
                        f"ends at {value_text(last)}, far from its end at {value_text(end)}: "
                        f"{override} = {duration} in {count_text(float(available))} steps"
                    )
                    yield self._warning(self.steps[-1], text, f"{override}=100%")

    def _past_the_end(self) -> Iterator[Finding]:
        """Boundaries that the run does not reach."""
        late = [(label, moment) for label, moment in self._marks() if moment > len(self.steps)]
        if late:
            label, moment = late[0]
            others = f", and {len(late) - 1} more" if len(late) > 1 else ""
            end = count_text(len(self.steps))
            text = f"would come to {label}{others}, but the run ends at {end}"
            hint = f"run.length={ceil(late[-1][1])}, or an earlier boundary"
            yield self._warning(ceil(moment), text, hint)

    def _refused(self, occurrences: Occurrences, text: str, hint: str) -> Finding:
        return Finding(self.name, occurrences.step, "refused", text, hint)

    def _warning(self, step: int | None, text: str, hint: str) -> Finding:
        return Finding(self.name, step, "warning", text, hint)

    def _marks(self) -> list[tuple[str, Fraction]]:
        return list(self.curve.marks())


def _weighs_the_past(name: str) -> bool:
    """Whether a value is a momentum or the like, from 0 on and below 1."""
    return MOMENTUM_NAMES.fullmatch(name.rpartition(".")[2]) is not None


def _vanishes(value: float) -> bool:
    return not applied(np.array([value])).any()


def _applied_text(value: float) -> str:
    """A value, and what it is in float32 where that is another number altogether."""
    rounded = float(applied(np.array([value]))[0])
    if not isfinite(value):
        return str(value)
    if isclose(rounded, value, rel_tol=1e-6):
        return value_text(value)
    return f"{value_text(value)}, which is {value_text(rounded)} in float32"

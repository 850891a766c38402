"""Schedules that react: to the results of evaluations, or to a value set by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from ..declaration import ABSENT, Number, Problem, Refused, Whole, did_you_mean, refuse
from ..moments import Moments, Values
from ..schedule import Metrics, Schedule

TORCH_EPS = 1e-8
"""`ReduceLROnPlateau` leaves out a cut that would lower the value by no more than this."""


@dataclass
class PlateauState:
    """What a plateau keeps of the evaluations so far; checkpoints hold it under these names."""

    best: float | None = None
    without_gain: int = 0
    cooling: int = 0
    cuts: int = 0


class Plateau(Schedule):
    """The inner value times `factor ** cuts`; a cut when `metric` has stopped getting better.

    A cut is made after *more than* `patience` evaluations in a row without a gain of more than
    `min_delta`, or with `threshold_mode: rel` of more than that share of the best metric so far;
    then `cooldown` evaluations pass before they are counted again. The cuts take the value no lower
    than `min_value`.
    Source: torch's `ReduceLROnPlateau`, whose `threshold` is `min_delta` and whose default mode is
    `rel`. Keras' callback cuts one evaluation sooner, at `patience` of them.
    Differs from it: there is a curve under it, a warmup say, which goes on while cuts add up; and a
    metric below 0 has to get better by that share of its magnitude, where torch lets it get worse.

    >>> from schedules import load
    >>> curve = load({"kind": "plateau", "initial_value": 0.1, "factor": 0.5, "patience": 1})
    >>> for loss in 1.0, 1.0, 1.0:
    ...     curve.observe(loss)
    >>> curve(0)
    0.05
    """

    closed_form: ClassVar[bool] = False
    key_hints: ClassVar[Mapping[str, str]] = {"threshold": "min_delta, with threshold_mode=rel"}

    kind: Literal["plateau"] = "plateau"
    schedule: Schedule | None = None
    """The curve that is cut; or give `initial_value`."""
    initial_value: Number | None = None
    """The value before the first cut, where there is no curve."""
    metric: str = "eval_loss"
    """Which of an evaluation's numbers to watch."""
    factor: Annotated[Number, Field(gt=0, lt=1)] = 0.1
    """What a cut multiplies the value by."""
    patience: Annotated[Whole, Field(ge=0)] = 10
    """How many evaluations without gain pass before the next one makes a cut."""
    min_delta: Annotated[Number, Field(ge=0)] = 1e-4
    """How much better counts as a gain, in absolute terms, or as a share of the best."""
    threshold_mode: Literal["abs", "rel"] = "abs"
    """Whether `min_delta` is absolute, or a share of the best metric so far."""
    cooldown: Annotated[Whole, Field(ge=0)] = 0
    """How many evaluations after a cut do not count."""
    min_value: Annotated[Number, Field(ge=0)] = 0.0
    """What the cuts never lower the value below."""
    mode: Literal["min", "max"] | None = None
    """Whether a lower metric is better or a higher one; null for what a run knows of the metric."""

    _state: PlateauState = PrivateAttr(default_factory=PlateauState)

    def contradictions(self) -> Iterator[Problem]:
        if (self.schedule is None) == (self.initial_value is None):
            count = "neither" if self.schedule is None else "both"
            rule = f"takes either schedule or initial_value, and has {count}"
            hint = "schedule: a curve to cut; initial_value: a constant to cut"
            yield Problem("initial_value", self.initial_value or ABSENT, rule, hint)

    def at(self, t: Moments) -> Values:
        inner = self.schedule.at(t) if self.schedule else np.full(len(t), self.initial_value)
        return self._cut(inner, self._state.cuts)

    def observe(self, metrics: Metrics, t: Moments | None) -> None:
        super().observe(metrics, t)
        state, metric = self._state, self._watched_metric(metrics)
        if self._is_gain(metric):
            state.best = metric
            state.without_gain = 0
        else:
            state.without_gain += 1
        if state.cooling:
            state.cooling -= 1
            state.without_gain = 0
        if state.without_gain > self.patience:
            if self._cut_matters():
                state.cuts += 1
            state.cooling = self.cooldown
            state.without_gain = 0

    def state(self) -> dict[str, Any]:
        return {"": asdict(self._state), **super().state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        try:
            plateau_state = PlateauState(**state[""])
        except (KeyError, TypeError):
            raise refuse("", state, "is no state of a plateau") from None
        super().restore(state)
        self._state = plateau_state

    def _watched_metric(self, metrics: Metrics) -> float:
        if not isinstance(metrics, Mapping):
            return float(metrics)
        if self.metric not in metrics:
            rule = f"is not among what was evaluated: {', '.join(sorted(metrics))}"
            raise refuse("metric", self.metric, rule, did_you_mean(self.metric, metrics))
        return float(metrics[self.metric])

    def _is_gain(self, metric: float) -> bool:
        best, sign = self._state.best, 1 if self._direction() == "max" else -1
        if best is None:
            return sign * metric > -math.inf
        if self.threshold_mode == "rel":
            return sign * metric > sign * best * (1 + math.copysign(self.min_delta, sign * best))
        return sign * metric > sign * best + self.min_delta

    def _direction(self) -> str:
        """`mode`, or where that is left out, `min` for a loss."""
        if self.mode is None and "loss" not in self.metric.split("_"):
            raise unknown_direction(self.metric)
        return self.mode or "min"

    def _cut(self, inner: Values, cuts: int) -> Values:
        # A curve that begins below min_value, as a warmup does, is left to rise by itself.
        return np.maximum(inner * self.factor**cuts, np.minimum(inner, self.min_value))

    def _cut_matters(self) -> bool:
        """Whether one more cut lowers a constant value by more than `TORCH_EPS`."""
        if self.initial_value is None:
            return True
        v0, cuts = np.array([self.initial_value]), self._state.cuts
        return bool(self._cut(v0, cuts)[0] - self._cut(v0, cuts + 1)[0] > TORCH_EPS)


def unknown_direction(metric: str) -> Refused:
    """The refusal of a metric that something waits for, and that no one knows the better way of."""
    rule = f"is required: nothing says whether a higher {metric} is better"
    return refuse("mode", ABSENT, rule, "max if it is, else min")


class Manual(Schedule):
    """The value last given from outside, by `curve.set(value)`; `initial_value` until then.

    What TF1 did with a fed placeholder or an assigned variable.

    >>> from schedules import load
    >>> curve = load({"kind": "manual", "initial_value": 0.1})
    >>> curve.set(0.01)
    >>> curve(5)
    0.01
    """

    closed_form: ClassVar[bool] = False

    kind: Literal["manual"] = "manual"
    initial_value: Number
    """The value until another is given."""

    _value: float | None = PrivateAttr(default=None)
    """The value last set by hand; None stands for `initial_value`."""

    def at(self, t: Moments) -> Values:
        return np.full(len(t), self.initial_value if self._value is None else self._value)

    def has_manual(self) -> bool:
        return True

    def set_manual(self, value: float | None) -> bool:
        self._value = None if value is None else finite_number(value)
        return True

    def state(self) -> dict[str, Any]:
        return {"": self._value}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.set_manual(state[""])


def finite_number(value: object) -> float:
    """`value` as a float.

    Raises:
        Refused: when it is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise refuse("", value, "must be a finite number", "give an ordinary number")
    return float(value)

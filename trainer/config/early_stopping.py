"""When a run has learnt what it can, and is over before its length is."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from schedules.declaration import Declaration, Number, Whole


class Standstill(NamedTuple):
    """What evaluations have come to so far; part of a checkpoint."""

    best: float | None = None
    step: int = 0
    """Where it was found."""
    without_gain: int = 0
    """How many evaluations there have been since."""


class EarlyStop(Declaration):
    """The run is over once `patience` evaluations in a row have brought no gain.

    A gain is a metric that is better than the best so far by more than `min_delta`; one that is
    not a number is none. The same as Keras' `EarlyStopping`, but that the weights stay the last
    ones: `checkpoint.keep_best` keeps the best, too. (A plateau waits for one evaluation more.)

    >>> stop = EarlyStop(patience=2, min_delta=0.1)
    >>> state = Standstill()
    >>> for step, loss in enumerate([1.0, 0.8, 0.75, 0.9]):
    ...     state = stop.heard(state, loss, step)
    >>> state, stop.reached(state)
    (Standstill(best=0.8, step=1, without_gain=2), True)
    """

    metric: str = "eval_loss"
    """The number to go by."""
    mode: Literal["min", "max"] = "min"
    """Whether a lower or a higher one is better."""
    patience: Annotated[Whole, Field(ge=1)] = 10
    """How many evaluations without a gain are enough."""
    min_delta: Annotated[Number, Field(ge=0)] = 0.0
    """How much better, in absolute terms, counts as a gain."""

    def heard(self, state: Standstill, found: float, step: int) -> Standstill:
        """The state once an evaluation has found something."""
        sign = 1 if self.mode == "min" else -1
        best = inf if state.best is None else sign * state.best
        if sign * found < best - self.min_delta:
            return Standstill(found, step)
        return state._replace(without_gain=state.without_gain + 1)

    def reached(self, state: Standstill) -> bool:
        """Whether that is enough."""
        return state.without_gain >= self.patience

    def told(self, state: Standstill) -> dict[str, Any]:
        """What `result.json` says of a run that ended so."""
        return {**self.model_dump(), **state._asdict()}


def finished(ended: Mapping[str, Any] | None, steps: int, stop: EarlyStop | None) -> bool:
    """Whether a run of so many steps, to be stopped so, is one that has `ended` for good."""
    if not ended or ended["status"] != "done":
        return False
    early = ended.get("stopped_early")
    if not early or not stop:
        return bool(ended["steps"] == steps)
    return all(early.get(name) == value for name, value in stop.model_dump().items())

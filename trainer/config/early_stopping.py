"""Early stopping: a run ends before its length when evaluations bring no gain any more."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from schedules.declaration import Declaration, Number, Whole


class Standstill(NamedTuple):
    """The state of early stopping; part of a checkpoint."""

    best: float | None = None
    """The best metric so far."""
    step: int = 0
    """The step of the best metric."""
    without_gain: int = 0
    """How many evaluations there have been since then."""


class EarlyStop(Declaration):
    """The run is over once `patience` evaluations in a row have brought no gain.

    A gain is a metric that is better than the best so far by more than `min_delta`; nan is none.
    This is Keras' `EarlyStopping`, except that the last weights stay: `checkpoint.keep_best` keeps
    the best ones too. (A plateau waits for one evaluation more.)

    >>> stop = EarlyStop(patience=2, min_delta=0.1)
    >>> state = Standstill()
    >>> for step, loss in enumerate([1.0, 0.8, 0.75, 0.9]):
    ...     state = stop.next_state(state, loss, step)
    >>> state, stop.reached(state)
    (Standstill(best=0.8, step=1, without_gain=2), True)
    """

    metric: str = "eval_loss"
    """The number to go by."""
    mode: Literal["min", "max"] | None = None
    """Whether a lower metric is better or a higher one; null for what the metric itself says."""
    patience: Annotated[Whole, Field(ge=1)] = 10
    """How many evaluations without a gain are enough."""
    min_delta: Annotated[Number, Field(ge=0)] = 0.0
    """How much better, in absolute terms, counts as a gain."""

    def next_state(self, state: Standstill, value: float, step: int) -> Standstill:
        """The state after an evaluation at `step` whose metric has this value."""
        sign = -1 if self.mode == "max" else 1
        best = inf if state.best is None else sign * state.best
        if sign * value < best - self.min_delta:
            return Standstill(value, step)
        return state._replace(without_gain=state.without_gain + 1)

    def reached(self, state: Standstill) -> bool:
        """Whether there have been enough evaluations without a gain."""
        return state.without_gain >= self.patience

    def summary(self, state: Standstill) -> dict[str, Any]:
        """What `result.json` says of a run that was stopped early."""
        return {**self.model_dump(), **state._asdict()}


def finished(result: Mapping[str, Any] | None, steps: int, stop: EarlyStop | None) -> bool:
    """Whether a run has ended for good by its result: at `steps`, or by the same early stop."""
    if not result or result["status"] != "done":
        return False
    stopped_early = result.get("stopped_early")
    if not stopped_early or not stop:
        return bool(result["steps"] == steps)
    return all(stopped_early.get(name) == value for name, value in stop.model_dump().items())

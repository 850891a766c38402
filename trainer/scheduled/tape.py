"""The tape: every scheduled value of the next steps, read before each call into TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from schedules import Curve, Refused
from schedules.declaration import did_you_mean, refuse, within
from schedules.moments import Values

from .fields import Bounds

RATE = "learning_rate"
BLOCK = 4096
"""How many steps are read at a time where that changes nothing: one read costs as much as ten
updates of a small network, for one step or for thousands."""


class Tape:
    """Reads the curves that a preview draws, for the steps that are about to be trained.

    So the curve that was previewed is the curve that is applied, bit for bit: no schedule is
    computed inside TensorFlow, where a compiler may round it otherwise. A hand on a value, and the
    `slowdown` of a run that went back, come after the curves and are part of a checkpoint.

    >>> from schedules import Clock, load
    >>> line = load({"kind": "linear", "initial_value": 1.0, "end_value": 0.0}, Clock(4))
    >>> tape = Tape({"learning_rate": line, "momentum": line})
    >>> tape.read(2, 2)
    array([[0.5 , 0.5 ],
           [0.25, 0.25]])
    >>> tape.hold("momentum", 0.9)
    >>> tape.slow_down(0.5)
    >>> tape.read(2, 1)
    array([[0.25, 0.9 ]])
    """

    def __init__(
        self,
        curves: Mapping[str, Curve],
        bounds: Mapping[str, Bounds] | None = None,
        end: int = 0,
    ) -> None:
        """`end` is the step up to which it may read ahead: a run's last one."""
        self.curves = dict(curves)
        self._bounds = bounds or {}
        self._held: dict[str, float] = {}
        self._slowdown = 1.0
        self._end = end
        self._reacting = {name for name, curve in self.curves.items() if curve.reacts}
        self._block: tuple[int, Values]
        """The step of the first of some rows, and they."""
        self._forget()

    @property
    def names(self) -> list[str]:
        """What each column holds, the learning rate first."""
        return list(self.curves)

    def read(self, step: int, count: int) -> Values:
        """The values of updates `step` to `step + count - 1`: a float64 row an update."""
        first, rows = self._block
        if not first <= step <= step + count <= first + len(rows):
            first, rows = self._block = step, self._ahead(step, count)
        return rows[step - first : step - first + count]

    def check(self, name: str, value: float | None = None) -> None:
        """Whether `hold` may set `name` to `value`.

        Raises:
            Refused: when there is no such name, or the value is out of its bounds.
        """
        if name not in self.curves:
            hint = did_you_mean(name, self.curves)
            raise refuse(name, value, "is not scheduled in this run", hint)
        bounds = self._bounds.get(name)
        if value is not None and bounds and not bounds.admit(value):
            raise refuse(name, value, f"must be {bounds}")

    def hold(self, name: str, value: float | None) -> None:
        """Holds `name` at `value`, from the next read on; None gives it back to its schedule.

        A schedule that has a `manual` part takes the value itself.

        Raises:
            Refused: as `check` says.
        """
        self.check(name, value)
        self._forget()
        self._held.pop(name, None)
        curve = self.curves[name]
        if curve.manual:
            curve.set(value)
        elif value is not None:
            self._held[name] = value

    def slow_down(self, factor: float) -> None:
        """Scales every learning rate by `factor`, those that are held by hand included."""
        self._forget()
        self._slowdown *= factor
        self._held = {
            name: value * factor if _is_rate(name) else value for name, value in self._held.items()
        }

    def observe(self, metrics: Mapping[str, float], step: int) -> None:
        """Lets every schedule that reacts hear what an evaluation after `step` updates found."""
        if not self._reacting:
            return
        self._forget()
        for curve in self.curves.values():
            curve.observe(metrics, step)

    def state(self) -> dict[str, Any]:
        """What reading depends on besides the step, as JSON holds it."""
        reacting = self._reacting
        curves = {name: c.state() if name in reacting else {} for name, c in self.curves.items()}
        return {"curves": curves, "hands": dict(self._held), "slowdown": self._slowdown}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` gave.

        Raises:
            Refused: naming the value whose schedule has no such state.
        """
        self._forget()
        for name, curve in self.curves.items():
            with within(name):
                curve.restore(state["curves"].get(name, {}))
        self._held = {name: value for name, value in state["hands"].items() if name in self.curves}
        self._slowdown = state["slowdown"]

    def _ahead(self, step: int, count: int) -> Values:
        """The rows that are asked for, and where nothing but the step moves them, more."""
        more = min(self._end - step, BLOCK)
        if more > count and not self._reacting:
            with suppress(Refused):  # of a function that fails later on, when it does
                return self._rows(step, more)
        return self._rows(step, count)

    def _rows(self, step: int, count: int) -> Values:
        steps = np.arange(step, step + count)
        return np.stack([self._column(name, steps) for name in self.curves], axis=1)

    def _forget(self) -> None:
        self._block = 0, np.empty((0, len(self.curves)))

    def _column(self, name: str, steps: np.ndarray[Any, Any]) -> Values:
        if name in self._held:
            return np.full(len(steps), self._held[name])
        values = self.curves[name](steps)
        return values * self._slowdown if _is_rate(name) else values


def _is_rate(name: str) -> bool:
    return name.rpartition(".")[2] == RATE

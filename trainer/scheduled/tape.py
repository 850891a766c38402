"""The tape: every scheduled value of the next steps, read before each call into TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np

from schedules import Curve, Refused
from schedules.declaration import did_you_mean, refuse
from schedules.moments import Values

from .fields import Bounds

RATE = "learning_rate"
BLOCK = 4096
"""The steps that are read at a time where curves depend on the step alone: one read costs as much
as ten updates of a small network, for one step or for thousands."""


class Tape:
    """Reads the curves that a preview draws, for the steps that are about to be trained.

    The applied curve is therefore the previewed one, bit for bit: no schedule is computed inside
    TensorFlow, where a compiler may round differently. Values held by hand, and the `slowdown` of
    a run that went back, are applied after the curves and are part of a checkpoint.

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
        """`end` is the step up to which the tape may read ahead: a run's last one."""
        self.curves = dict(curves)
        self._bounds = bounds or {}
        self._held: dict[str, float] = {}
        self._slowdown = 1.0
        self._end = end
        self._reacting = {name for name, curve in self.curves.items() if curve.reacts}
        self._block_start = 0
        self._block_rows: Values
        """The rows that were read last, from the step `_block_start` on."""
        self._discard_block()

    @property
    def names(self) -> list[str]:
        """The name of each column, the learning rate first."""
        return list(self.curves)

    def read(self, step: int, count: int) -> Values:
        """The values of updates `step` to `step + count - 1`: a float64 row an update."""
        end = self._block_start + len(self._block_rows)
        if not self._block_start <= step <= step + count <= end:
            self._block_start, self._block_rows = step, self._read_block(step, count)
        offset = step - self._block_start
        return self._block_rows[offset : offset + count]

    def check(self, name: str, value: float | None = None) -> None:
        """Refuses a name or value that `hold` can't take.

        Raises:
            Refused: when no scheduled value has the name, or the value is out of its bounds.
        """
        if name not in self.curves:
            hint = did_you_mean(name, self.curves)
            raise refuse(name, value, "is not scheduled in this run", hint)
        bounds = self._bounds.get(name, Bounds())
        if value is None:
            return
        if rule := bounds.fault(value):
            raise refuse(name, value, rule)
        if self.curves[name].manual:  # what surrounds a `manual` part makes another value of it
            trial = deepcopy(self.curves[name])
            trial.set(value)
            applied = trial(self._block_start)
            if rule := bounds.fault(applied):
                raise refuse(name, value, f"would apply {applied:g}, which {rule}")

    def hold(self, name: str, value: float | None) -> None:
        """Holds a value from the next read on; None gives it back to its schedule.

        A schedule with a `manual` part takes the value itself.

        Raises:
            Refused: as by `check`.
        """
        self.check(name, value)
        self._discard_block()
        self._held.pop(name, None)
        curve = self.curves[name]
        if curve.manual:
            curve.set(value)
        elif value is not None:
            self._held[name] = value

    def slow_down(self, factor: float) -> None:
        """Scales every learning rate by `factor`, those that are held by hand included."""
        self._discard_block()
        self._slowdown *= factor
        self._held = {
            name: value * factor if _is_rate(name) else value for name, value in self._held.items()
        }

    def observe(self, metrics: Mapping[str, float], step: int) -> None:
        """Gives the metrics of an evaluation after `step` updates to every schedule that reacts."""
        if not self._reacting:
            return
        self._discard_block()
        for curve in self.curves.values():
            curve.observe(metrics, step)

    def state(self) -> dict[str, Any]:
        """What the values depend on besides the step, for JSON."""
        reacting = self._reacting
        curves = {name: c.state() if name in reacting else {} for name, c in self.curves.items()}
        return {"curves": curves, "hands": dict(self._held), "slowdown": self._slowdown}

    def restore(self, state: Mapping[str, Any]) -> list[str]:
        """Restores what `state` returned, on this or another tape.

        Returns the names whose schedule can't have the state that there is, as another kind of
        schedule made it. What that had observed is left out.
        """
        self._discard_block()
        anew = []
        for name, curve in self.curves.items():
            saved = state["curves"].get(name, {})
            try:
                deepcopy(curve).restore(saved)
            except Refused:
                anew += [name] if saved else []
            else:
                curve.restore(saved)
        self._held = {name: value for name, value in state["hands"].items() if name in self.curves}
        self._slowdown = state["slowdown"]
        return anew

    def _read_block(self, step: int, count: int) -> Values:
        """Reads `count` rows, or a whole block where no curve reacts to metrics."""
        ahead = min(self._end - step, BLOCK)
        if ahead > count and not self._reacting:
            with suppress(Refused):  # by a function that fails at a later step of the block
                return self._rows(step, ahead)
        return self._rows(step, count)

    def _rows(self, step: int, count: int) -> Values:
        steps = np.arange(step, step + count)
        return np.stack([self._column(name, steps) for name in self.curves], axis=1)

    def _discard_block(self) -> None:
        self._block_start, self._block_rows = 0, np.empty((0, len(self.curves)))

    def _column(self, name: str, steps: np.ndarray[Any, Any]) -> Values:
        if name in self._held:
            return np.full(len(steps), self._held[name])
        values = self.curves[name](steps)
        return values * self._slowdown if _is_rate(name) else values


def _is_rate(name: str) -> bool:
    return name.rpartition(".")[2] == RATE

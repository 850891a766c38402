"""The tape: every scheduled value of the next steps, read before each call into TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from schedules import Curve
from schedules.moments import Values


class Tape:
    """Reads the curves that a preview draws, for the steps that are about to be trained.

    So the curve that was previewed is the curve that is applied, bit for bit: no schedule is
    computed inside TensorFlow, where a compiler may round it otherwise.

    >>> from schedules import Clock, load
    >>> line = load({"kind": "linear", "initial_value": 1.0, "end_value": 0.0}, Clock(4))
    >>> Tape({"learning_rate": line, "momentum": line}).read(2, 2)
    array([[0.5 , 0.5 ],
           [0.25, 0.25]])
    """

    def __init__(self, curves: Mapping[str, Curve]) -> None:
        self.curves = dict(curves)

    @property
    def names(self) -> list[str]:
        """What each column holds, the learning rate first."""
        return list(self.curves)

    def read(self, step: int, count: int) -> Values:
        """The values of updates `step` to `step + count - 1`: a float64 row an update."""
        steps = np.arange(step, step + count)
        return np.stack([curve(steps) for curve in self.curves.values()], axis=1)

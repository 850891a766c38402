"""Curves from elsewhere: a table of values, or a function of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..clock import Clock, Duration
from ..declaration import ABSENT, Number, Problem, refuse
from ..declaration.functions import CODE_ERRORS, CallsFunction, raised
from ..moments import STEP, Moments, Values
from ..schedule import EvaluationRefused, Length, Schedule
from .tables import ValueTable, read_table


class Table(Schedule):
    """`values[t // every]`, holding the last one.

    A `.csv` file has one value a row, alone or as `step,value` under that header; a `.json` file
    has a list of values, or `{"step": […], "value": […]}`; a `.npy` file has one row of numbers.
    These are what `python -m schedules table` writes. Steps that a file tells must be 0, `every`,
    twice `every` and so on.

    >>> from schedules import load
    >>> load({"kind": "table", "values": [0.1, 0.01], "every": 2})([0, 1, 2, 9])
    array([0.1 , 0.1 , 0.01, 0.01])
    """

    kind: Literal["table"] = "table"
    values: Annotated[tuple[Number, ...], Field(min_length=1)] | None = None
    """The values themselves; or give `file`."""
    file: str | None = None
    """The file that holds them, seen from the working directory."""
    every: Length = Duration(STEP)
    """How long each value holds."""

    def contradictions(self) -> Iterator[Problem]:
        if (self.values is None) == (self.file is None):
            rule = f"takes either values or file, and has {'both' if self.file else 'neither'}"
            hint = "values: a list of numbers; file: a .csv, .json or .npy file of them"
            yield Problem("file", self.file or ABSENT, rule, hint)

    @cached_property
    def table(self) -> ValueTable:
        """The values, and their steps where the file has them; the file is read once."""
        return read_table(self.file) if self.file else ValueTable(np.array(self.values))

    def check(self, clock: Clock) -> None:
        super().check(clock)
        every = clock.steps(self.every)
        for i, step in enumerate(self.table.steps or ()):
            if step != i * every:
                rule = f"has steps of its own, and row {i} is step {step} instead of {i * every}"
                raise refuse("file", self.file, rule, "set `every` to what lies between two rows")

    def at(self, t: Moments) -> Values:
        values = self.table.values
        return values[np.minimum(t // self.every, len(values) - 1).astype(np.int64)]


class Custom(CallsFunction, Schedule):
    """What the function `call` gives for an int64 array of steps and `kwargs`.

    The function takes the steps as its first argument and returns as many finite numbers; each
    may depend on its own step alone. It is imported when the schedule is checked against a clock,
    not when it is declared.

    >>> from schedules import load
    >>> load({"kind": "custom", "call": "trainer.examples:logistic",
    ...       "kwargs": {"initial_value": 1.0, "middle": 100, "width": 10}})(100)
    0.5
    """

    counts_steps: ClassVar[bool] = True

    kind: Literal["custom"] = "custom"

    def check(self, clock: Clock) -> None:
        super().check(clock)
        last = max(int(clock.total_steps or 2) - 1, 0)
        self.at(Moments.at(np.unique(np.array([0, last], np.int64)), clock))

    def at(self, t: Moments) -> Values:
        steps, function = t.floor_steps(), self.function
        try:
            with np.errstate(all="ignore"):  # values that are not finite are refused below
                values = np.asarray(function(steps.copy(), **self.kwargs))
        except CODE_ERRORS as error:  # whatever the user's function raises
            rule = raised(error)
            raise self._refused(rule, f"it was given steps of shape {steps.shape}") from None
        return self._checked(values, steps)

    def _checked(self, values: NDArray[Any], steps: NDArray[np.int64]) -> Values:
        if values.dtype.kind not in "fiu" or values.shape != steps.shape:
            rule = f"returned {values.dtype} of shape {values.shape} for steps of {steps.shape}"
            raise self._refused(rule, "return one number for each step")
        values = values.astype(np.float64)
        if not np.isfinite(values).all():
            step = steps[~np.isfinite(values)][0]
            rule = f"returned a value that is not finite at step {step}"
            raise self._refused(rule, "return one finite number for each step")
        return values

    def _refused(self, rule: str, hint: str) -> EvaluationRefused:
        return EvaluationRefused(self, Problem("call", self.call, rule, hint))

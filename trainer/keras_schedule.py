"""Any closed-form schedule as a learning-rate schedule of Keras, for use with `model.fit`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cached_property
from math import ceil
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from schedules import Clock, Curve, Schedule, load
from schedules.analysis.preview import chunks, walk
from schedules.declaration import join_path, refuse
from schedules.kinds.sequences import Wrapped

from .scheduled.keras_internals import in_safe_mode
from .scheduled.parabolas import CurveTooLongError, Pieces, fitted, ordinal, parabola

MAX_TABLE_STEPS = 1 << 24
"""Runs up to this many steps are a plain table of values, of 64 MB at most."""
MAX_PIECES = (64 << 20) // 40
"""The most pieces of a longer run: 64 MB, with five int64 each."""


@keras.saving.register_keras_serializable(package="trainer")
class KerasSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """`np.float32(curve(step))`, bit for bit: eager, in a `tf.function` and under XLA.

    No formula is computed in TensorFlow. On its first call the schedule reads the curve at every
    step from 0 to `clock.total_steps` (without one, to 2**24) and keeps the values: up to 2**24
    steps as a table of 4 bytes a step, a longer run as pieces from which integer arithmetic
    computes the same values, under any compiler. A million steps are read in a tenth of
    a second, 10**9 in minutes; smooth curves and stairs of that length take well under 64 MB.
    From `total_steps` on the value stays the same, as the curve does where it has ended; the clock
    should reach as far as the run.

    `schedule` is what `schedules.load` takes, or a curve, which has its own clock. A step is a
    Python integer or an integer tensor of any shape. The schedule is saved with the model as a
    config, and the curve is read anew after loading; `import trainer.keras_schedule` before
    `keras.saving.load_model`. A `table` is saved as the name of its file, and a `custom` function
    as its name: Keras' safe mode, which is the default, refuses to load that.
    Unlike in Keras' own schedules, no boundary comes late in compiled code, and neighbouring steps
    stay different beyond 2**24.

    Raises:
        Refused: for what `schedules.load` refuses, a schedule that reacts, a step that is no
            integer or is below 0; on the first call, for a run beyond 2**24 steps that would take
            over 64 MB.
        InvalidArgumentError: for a step below 0 in a graph. XLA drops such checks, and applies the
            first value.

    >>> stairs = {"kind": "exponential", "initial_value": 0.1, "decay_steps": 41,
    ...           "decay_rate": 0.5, "staircase": True}
    >>> rate = KerasSchedule(stairs, Clock(total_steps=1000))
    >>> compiled = tf.function(rate, jit_compile=True)
    >>> compiled(tf.constant([40, 41])).numpy()  # Keras' own, compiled: [0.1, 0.1]
    array([0.1 , 0.05], dtype=float32)
    """

    def __init__(
        self, schedule: Mapping[str, Any] | Schedule | Curve, clock: Clock | None = None
    ) -> None:
        if isinstance(schedule, Curve):
            if clock is not None:
                raise refuse("clock", clock, "comes with the curve", "leave it out")
            clock, schedule = schedule.clock, schedule.schedule
        self.curve = load(schedule, clock)
        for path, part, _ in walk(self.curve.schedule, self.curve.clock):
            if not part.closed_form:
                rule = "reacts, so that its value is no function of the step"
                hint = "`python -m trainer` trains with it; Keras has ReduceLROnPlateau"
                raise refuse(join_path(*path, "kind"), part.kind, rule, hint)

    def __call__(self, step: ArrayLike | tf.Tensor) -> tf.Tensor:
        plain = isinstance(step, (int, float, list, tuple))
        # With a hint of int64, TensorFlow would cut off the fraction of a plain number.
        step = tf.convert_to_tensor(np.asarray(step) if plain else step)
        if not step.dtype.is_integer:
            hint = "float32 merges neighbouring steps beyond 2**24"
            raise refuse("step", step.dtype.name, "must be an integer or a tensor of them", hint)
        step = tf.cast(step, tf.int64)
        known = tf.get_static_value(step)
        if known is None:  # not under XLA, which drops assertions: there it is the first value
            check = tf.debugging.assert_non_negative(step, "steps are counted from 0")
            with tf.control_dependencies([check]):  # or a table's own complaint may come first
                step = tf.identity(step)
        elif (known < 0).any():
            raise refuse("step", int(known.min()), "must be at least 0", "steps count from 0")
        return self._value(step)

    @property
    def last(self) -> int:
        """The step from which on the value stays the same."""
        total = self.curve.clock.total_steps
        return MAX_TABLE_STEPS if total is None else ceil(total)

    @cached_property
    def _value(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """A function from steps to values, made after reading the curve at every step."""
        steps = range(self.last + 1)
        with tf.init_scope():  # the first call may happen while a function is traced
            if self.last <= MAX_TABLE_STEPS:
                return _from_table(self.curve, steps)
            try:
                return _from_pieces(fitted(self.curve, steps, MAX_PIECES), self.last)
            except CurveTooLongError as error:
                rule = f"is too long for this schedule, of which {error.steps:,} steps take 64 MB"
                most = f"up to {MAX_TABLE_STEPS:,} steps any schedule fits"
                hint = f"{most}; `python -m trainer` has no limit"
                raise refuse("total_steps", self.last, rule, hint) from None

    def get_config(self) -> dict[str, Any]:
        clock, total = self.curve.clock, self.curve.clock.total_steps
        return {
            "schedule": self.curve.schedule.model_dump(mode="json"),
            "clock": {
                "total_steps": None if total is None else str(total),  # may be a fraction
                "batch_size": clock.batch_size,
                "examples_per_epoch": clock.examples_per_epoch,
            },
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The schedule of a config from `get_config`; in safe mode none that imports code.

        Raises:
            Refused: for a `custom` schedule in safe mode, and for what `schedules.load` refuses.
        """
        clock, total = config["clock"], config["clock"]["total_steps"]
        family = Schedule if "kind" in config["schedule"] else Wrapped
        schedule = family.declared(config["schedule"])
        for path, name in schedule.code():
            if in_safe_mode():
                rule = "is code that the saved config names, and safe mode does not run it"
                raise refuse(path, name, rule, "read it first; then load with safe_mode=False")
        return cls(schedule, Clock(**{**clock, "total_steps": total and Fraction(total)}))


def _from_table(curve: Curve, steps: range) -> Callable[[tf.Tensor], tf.Tensor]:
    """Looks values up in a table, which ends where the value no longer changes."""
    with np.errstate(over="ignore"):
        row = np.concatenate([values.astype(np.float32) for _, values in chunks(curve, steps)])
    bits = row.view(np.int32)
    last = int(np.flatnonzero(bits != bits[-1]).max(initial=-1)) + 1
    values = tf.constant(row[: last + 1])
    return lambda t: tf.gather(values, tf.minimum(t, last))


def _from_pieces(pieces: Pieces, last: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Computes values from the pieces of `parabolas`."""
    bit_count = len(pieces).bit_length()
    padding = np.full((1 << bit_count) - len(pieces), np.iinfo(np.int64).max)
    starts = tf.constant(np.concatenate([pieces[:, 0], padding]))
    coefficients = tf.constant(pieces[:, 1:])

    def value(t: tf.Tensor) -> tf.Tensor:
        t = tf.minimum(t, last)
        # A binary search, one bit of the index at a time: XLA's own compares with every start.
        piece = tf.zeros_like(t)
        for bit in reversed(range(bit_count)):
            candidate = piece + (1 << bit)
            piece = tf.where(tf.gather(starts, candidate) <= t, candidate, piece)
        of_piece = tf.unstack(tf.gather(coefficients, piece), num=4, axis=-1)
        number = parabola(of_piece, t - tf.gather(starts, piece), tf.bitwise.right_shift)
        number = tf.cast(number, tf.int32)
        return tf.bitcast(ordinal(number, tf.bitwise.right_shift(number, 31)), tf.float32)

    return value

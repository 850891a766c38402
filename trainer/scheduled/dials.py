"""Live values: settings of an optimizer that may change with every update of a compiled loop.

Keras reads an optimizer's settings as Python floats when a step is traced, so they become
constants of the program and a later change is silently ignored. A `Dial` stands in such a
float's place and, wherever Keras computes with it, is the value that the loop shows for the
update at hand. It is no variable: there is nothing to assign, to checkpoint or to retrace.

Values are float32, and what Keras derives from them is computed in float32 too. `1 - beta` of a
live beta is therefore off by up to 2**-25 (at 0.999 that is 3e-5 of it), where a constant's is
computed in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Number
from typing import Any, overload

import numpy as np
import tensorflow as tf

from schedules import Schedule

from .fields import Value


class Dials:
    """The live values by name, as the row of a tape shows them during one update.

    >>> import keras
    >>> dials = Dials(["learning_rate", "momentum"])
    >>> optimizer = keras.optimizers.SGD(dials["learning_rate"])
    >>> optimizer.momentum = dials["momentum"]
    >>> weight = keras.Variable(1.0)
    >>> with dials.showing(tf.constant([0.5, 0.9])):
    ...     optimizer.apply([tf.constant(1.0)], [weight])
    >>> float(weight.value)
    0.5
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._shown: dict[str, tf.Tensor] = {}

    def __getitem__(self, name: str) -> Dial:
        if name not in self.names:
            raise KeyError(name)
        return Dial(self, name)

    @overload
    def live(self, name: str, value: Value) -> Dial | float: ...
    @overload
    def live(self, name: str, value: Value | None) -> Dial | float | None: ...
    def live(self, name: str, value: Value | None) -> Dial | float | None:
        """What stands for a declared `value`: the dial called `name` where a schedule drives it."""
        return self[name] if isinstance(value, Schedule) else value

    def prefixed(self, prefix: str) -> Dials:
        """The dials whose names begin so, by the rest of their names."""
        return _Prefixed(self, prefix)

    @contextmanager
    def showing(self, row: tf.Tensor) -> Iterator[None]:
        """Within the block every dial is its entry of `row`, a float32 vector in `names`' order."""
        before = self._shown
        self._shown = dict(zip(self.names, tf.unstack(row, len(self.names)), strict=True))
        try:
            yield
        finally:
            self._shown = before

    def value(self, name: str) -> tf.Tensor:
        """What the dial called `name` shows.

        Raises:
            RuntimeError: outside of `showing`.
        """
        if name not in self._shown:
            raise RuntimeError(f"{name} is live and has a value only within Dials.showing(row)")
        return self._shown[name]


class _Prefixed(Dials):
    """Some dials of others, by what follows a prefix in their names."""

    def __init__(self, dials: Dials, prefix: str) -> None:
        names = [name.removeprefix(prefix) for name in dials.names if name.startswith(prefix)]
        super().__init__(names)
        self._dials = dials
        self._prefix = prefix

    def value(self, name: str) -> tf.Tensor:
        return self._dials.value(f"{self._prefix}{name}")


class Dial:
    """One live value, in the place of a Python float.

    It has the arithmetic that Keras' optimizers do with their settings; everything else takes it
    for a tensor through `__tf_tensor__`. As a learning rate it is called, without arguments.
    `> 0` and `!= 0` are true, as the setting is there; any other comparison with a number or a
    tensor raises a TypeError. Two dials are equal only where they are one object.
    """

    def __init__(self, dials: Dials, name: str) -> None:
        self._dials = dials
        self._name = name

    def __call__(self) -> tf.Tensor:
        return self._dials.value(self._name)

    def __tf_tensor__(self, dtype: tf.DType | None = None, name: str | None = None) -> tf.Tensor:
        return self() if dtype is None else tf.cast(self(), dtype, name=name)

    # While it traces a step, Keras asks `if self.clipnorm and self.clipnorm > 0`, or
    # `if self.momentum != 0`: whether there is a setting at all. A live value is there, whatever
    # it shows. Any other comparison would be decided once for all updates, and is an error.
    def __bool__(self) -> bool:
        return True

    def __gt__(self, other: Any) -> bool:
        if _is_zero(other):
            return True
        raise self._undecided(">", other)

    def __eq__(self, other: object) -> bool:
        if _is_zero(other):
            return False
        if isinstance(other, (Number, np.ndarray)) or tf.is_tensor(other):
            raise self._undecided("==", other)
        return self is other

    __hash__ = object.__hash__

    def __ge__(self, other: Any) -> bool:
        raise self._undecided(">=", other)

    def __lt__(self, other: Any) -> bool:
        raise self._undecided("<", other)

    def __le__(self, other: Any) -> bool:
        raise self._undecided("<=", other)

    def _undecided(self, operator: str, other: Any) -> TypeError:
        return TypeError(
            f"{self._name} {operator} {other!r} can't be decided while a step is traced, because "
            f"{self._name} may change with every update; a live value only compares with 0"
        )

    def __neg__(self) -> tf.Tensor:
        return -self()

    def __add__(self, other: Any) -> tf.Tensor:
        return self() + other

    def __radd__(self, other: Any) -> tf.Tensor:
        return other + self()

    def __sub__(self, other: Any) -> tf.Tensor:
        return self() - other

    def __rsub__(self, other: Any) -> tf.Tensor:
        return other - self()

    def __mul__(self, other: Any) -> tf.Tensor:
        return self() * other

    def __rmul__(self, other: Any) -> tf.Tensor:
        return other * self()

    def __truediv__(self, other: Any) -> tf.Tensor:
        return self() / other

    def __rtruediv__(self, other: Any) -> tf.Tensor:
        return other / self()


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float)) and value == 0

"""Windows on the device: their rows once each, and each window gathered when it is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from ..windows import Windows


@dataclass(frozen=True)
class ResidentWindows:
    """Windows `[n, *shape]` of rows that are on the device."""

    rows: tf.Tensor
    starts: tf.Tensor
    """At which row each window begins, `[n]`."""
    offsets: tf.Tensor
    """How many rows after it each of its rows is, `[length]`."""
    shape: tuple[int, ...]

    @classmethod
    def of(cls, windows: Windows) -> ResidentWindows:
        """The same windows with their rows on the device."""
        starts, offsets = (array.astype(np.int32) for array in (windows.starts, windows.offsets))
        rows = tf.constant(windows.rows)
        return cls(rows, tf.constant(starts), tf.constant(offsets), tuple(windows.shape[1:]))

    def __getitem__(self, part: slice) -> ResidentWindows:
        return replace(self, starts=self.starts[part])

    def take(self, starts: tf.Tensor) -> tf.Tensor:
        """The windows `[len(starts), *shape]` that begin at these rows."""
        rows = tf.gather(self.rows, starts[:, None] + self.offsets)
        return tf.reshape(rows, [-1, *self.shape])


def with_rows_resident(array: Any) -> Any:
    """Windows with their rows on the device; another array as it is."""
    return ResidentWindows.of(array) if isinstance(array, Windows) else array


def resident(array: Any) -> Any:
    """An array on the device, or windows whose rows are."""
    array = with_rows_resident(array)
    return array if isinstance(array, ResidentWindows) else tf.constant(array)


def taken(array: Any, indices: tf.Tensor) -> tf.Tensor:
    """The examples of these numbers."""
    if isinstance(array, ResidentWindows):
        return array.take(tf.gather(array.starts, indices))
    return tf.gather(array, indices)


def whole(array: Any) -> tf.Tensor:
    """All examples of a part that is on the device."""
    return array.take(array.starts) if isinstance(array, ResidentWindows) else array

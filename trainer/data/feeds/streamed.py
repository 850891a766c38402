"""Examples that an iterator of the host's gives one after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from .. import Split
from .feed import FeedArgs
from .order import ExampleOrder
from .stream_reader import StreamReader
from .streaming import Streaming


class Streamed(Streaming):
    """Batches in the order in which a stream gives them, prepared on the host.

    The host reads the next call's batches while the device works on this call's.
    """

    def __init__(self, data: Split, order: ExampleOrder, reader: StreamReader) -> None:
        super().__init__(data, order)
        self._reader = reader

    @contextmanager
    def reading_ahead(self, step: int) -> Iterator[None]:
        yield  # its reader goes ahead by itself

    def args(self, step: int, count: int, longest: int) -> FeedArgs:
        batches = [batch.distinct() for batch in self._reader.take(step, max(count, 1))]
        columns = [np.stack(column) for column in zip(*batches, strict=True)]
        missing = longest - len(batches)
        if missing > 0:
            columns = [np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) for x in columns]
        with tf.device("CPU"):
            return [tf.constant(array) for array in columns]

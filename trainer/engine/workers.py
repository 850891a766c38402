"""Several processes in step: the first one leads, and the others do what it says.

Each next step is one message, a sum over all workers, to which the others add the signals that
they have received. So all workers make the same calls in the same order, whatever the first one
decides by its clock, by a person's orders, or by an evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from schedules.declaration import refuse

from ..config.cluster import Cluster, WorkerLostError
from ..config.experiment import Experiment
from ..config.rendezvous import unreachable
from ..runs.signals import SIGNALS, Stop

UPDATE, RESTORE, END = 1, 2, 3
NUMBERS = 4
"""A verb, and what it takes."""
CHUNK = 2**18
"""How many numbers of a state go into one message."""


class Message(NamedTuple):
    """What the first worker wants all workers to do."""

    verb: int
    first: int = 0
    second: int = 0
    third: int = 0


class UncompilableError(tf.errors.UnimplementedError):  # type: ignore[misc]  # TensorFlow is untyped
    """Something that XLA can't compile, found out before anything was asked of other workers."""


class Workers:
    """A worker among the others, which call the same methods in the same order."""

    def __init__(self, strategy: tf.distribute.Strategy, cluster: Cluster) -> None:
        self.cluster = cluster
        self.stop: Stop | None = None
        """Notes what any worker was asked to do, where this one leads."""
        self._strategy = strategy
        self._first = first_rank(strategy)
        self._add = tf.function(self._added, autograph=False)

    @property
    def leads(self) -> bool:
        return self.cluster.leads

    def say(self, verb: int, *numbers: int) -> None:
        """Sends a message to the others, whose sum brings back the signals they received."""
        message = np.zeros(NUMBERS + len(SIGNALS))
        message[: 1 + len(numbers)] = verb, *numbers
        signals = self.add(message)[NUMBERS:]
        if self.stop and self.stop.received is None and signals.any():
            self.stop.received = SIGNALS[int(signals.argmax())]

    def hear(self, stop: Stop) -> Message:
        """The next message of the first worker, which learns in turn of a signal received here."""
        signals = [float(stop.received == number) for number in SIGNALS]
        message = self.add(np.array([0.0] * NUMBERS + signals))
        return Message(*map(int, message[:NUMBERS].tolist()))

    def dismiss(self, code: int) -> None:
        """Lets the others end, with an exit code."""
        try:
            self.say(END, code)
        except WorkerLostError:  # they end by themselves
            return

    def add(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """The sum over all workers.

        Raises:
            WorkerLostError: when another worker is gone.
        """
        with self.together():
            return np.asarray(self._add(tf.constant(numbers)))

    def share(self, state: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The first worker's state, bit for bit; those of the others have only to be like it."""
        content = b"".join(array.tobytes() for array in state.values())
        words = np.frombuffer(content + b"\0" * (len(content) % 2), np.uint16)
        mine = np.zeros(-(-len(words) // CHUNK) * CHUNK, np.float32)
        if self.leads:
            mine[: len(words)] = words  # each is a whole number that float32 holds
        sums = [self.add(chunk) for chunk in mine.reshape(-1, CHUNK)]
        content = np.concatenate(sums)[: len(words)].astype(np.uint16).tobytes()
        shared, start = {}, 0
        for name, array in state.items():
            piece = content[start : start + array.nbytes]
            shared[name] = np.frombuffer(piece, array.dtype).reshape(array.shape)
            start += array.nbytes
        return shared

    def agree(self, experiment: Experiment, data: str) -> None:
        """Whether all of them were given the same config and data.

        Raises:
            Refused: when they were not; every worker then raises it.
        """
        text = f"{experiment.model_dump_json()} {data} {tf.__version__}"
        mine = np.frombuffer(sha256(text.encode()).digest(), np.uint8).astype(np.float64)
        if (self.add(mine) != len(self.cluster.addresses) * mine).any():
            rule = "not all workers have the same config, data and version of TensorFlow"
            raise refuse("device", "multi_worker", rule, "give each the same command")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Takes an error of TensorFlow within the block for the loss of another worker.

        Raises:
            WorkerLostError: with what TensorFlow said.
        """
        try:
            yield
        except UncompilableError:
            raise
        except tf.errors.OpError as error:
            gone = unreachable(self.cluster)
            message = (error.message or str(error)).strip().splitlines()[0]
            why = f"no worker at {' and '.join(gone)} any more" if gone else message
            hint = "start all workers again, and they go on from the last checkpoint"
            raise WorkerLostError(f"{why}\n  hint: {hint}") from None

    def _added(self, numbers: tf.Tensor) -> tf.Tensor:
        def replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            rank = int(tf.get_static_value(context.replica_id_in_sync_group))
            first = rank % context.num_replicas_in_sync == self._first
            share = tf.identity(numbers) if first else tf.zeros_like(numbers)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, share)

        return self._strategy.experimental_local_results(self._strategy.run(replica))[0]


def first_rank(strategy: tf.distribute.Strategy) -> int:
    """The rank of this process' first replica among those of all processes."""
    ranks = strategy.experimental_distribute_values_from_function(
        lambda context: context.replica_id_in_sync_group
    )
    return int(strategy.experimental_local_results(ranks)[0])

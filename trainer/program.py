"""The compiled program: as many updates as the host asks for in one call into TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from schedules.moments import Values

from .data import Split
from .live import Dials
from .optimizers import slots

if TYPE_CHECKING:
    import keras

Compiled = Literal["graph", "xla"]

EVALUATED_AT_ONCE = 500
"""Test examples in one call: enough to keep the device busy, few enough for its memory."""


@dataclass
class Network:
    """What a program changes: the model, its optimizer, and how many updates they have had."""

    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    dials: Dials
    global_step: tf.Variable

    def state(self) -> dict[str, NDArray[Any]]:
        """Every variable by name: weights, seeds of dropout, slots, and the step."""
        return {name: np.asarray(variable) for name, variable in self._variables().items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Puts back what `state` gave.

        Raises:
            ValueError: when a name, a shape or a type is not what this network has.
        """
        variables = self._variables()
        if odd := sorted(variables.keys() ^ state.keys()):
            raise ValueError(f"the checkpoint and this network differ in {', '.join(odd)}")
        for name, variable in variables.items():
            found, wanted = state[name], np.asarray(variable)
            if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
                raise ValueError(
                    f"{name} is {found.dtype}{list(found.shape)} in the checkpoint "
                    f"and {wanted.dtype}{list(wanted.shape)} here"
                )
            variable.assign(found)

    def digest(self) -> str:
        """A fingerprint of the weights, equal only where every bit is."""
        found = sha256()
        for weight in self.model.weights:
            found.update(weight.path.encode())
            found.update(np.ascontiguousarray(weight).data)
        return found.hexdigest()

    def _variables(self) -> dict[str, Any]:
        named: dict[str, Any] = {"global_step": self.global_step}
        named |= {f"optimizer/{name}": slot for name, slot in slots(self.optimizer).items()}
        for variable in self.model.variables:
            name = f"model/{variable.path}"
            if name in named:
                raise ValueError(f"two variables are called {name}; name the model's layers")
            named[name] = variable
        return named


class Placed(NamedTuple):
    """The examples as tensors on the device, inputs and labels of each part."""

    train: tuple[tf.Tensor, tf.Tensor]
    test: tuple[tf.Tensor, tf.Tensor]

    @classmethod
    def of(cls, data: Split) -> Placed:
        """All of `data`, copied to the device once."""
        parts = ((part.inputs, part.labels) for part in (data.train, data.test))
        return cls(*((tf.constant(inputs), tf.constant(labels)) for inputs, labels in parts))


class Program:
    """Trains and evaluates one network on one data set, which both live on the device.

    `longest` is the most updates one call can make. It is a shape; the number actually asked for
    is not, so that one compilation serves every call.
    """

    def __init__(
        self, network: Network, data: Placed, compiled: Compiled, longest: int, batch_size: int
    ) -> None:
        self.network = network
        self.longest = longest
        self._batch_size = batch_size
        self._values = len(network.dials.names)
        self._train = data.train
        self._test = data.test
        self._updates = tf.function(self._loop, jit_compile=compiled == "xla")
        self._evaluate = tf.function(self._judge, reduce_retracing=True)

    def update(self, table: Values, indices: NDArray[np.int32]) -> NDArray[np.float32]:
        """Makes one update a row of the tape, and gives the loss of each.

        `table` is `[K, values]` and is rounded here, once, to float32; `indices` is
        `[K, batch_size]`.

        Raises:
            RuntimeError: when the program did not advance by exactly K.
        """
        count = len(table)
        rows = np.zeros((self.longest, self._values), np.float32)
        chosen = np.zeros((self.longest, self._batch_size), np.int32)
        rows[:count], chosen[:count] = table, indices
        before = int(self.network.global_step)
        losses = self._updates(tf.constant(rows), tf.constant(chosen), tf.constant(count, tf.int32))
        after, applied = int(self.network.global_step), int(self.network.optimizer.iterations)
        if after != before + count or applied != after:
            raise RuntimeError(
                f"asked for updates {before} to {before + count}, but the program is at {after} "
                f"and its optimizer at {applied}"
            )
        return np.asarray(losses)[:count]

    def evaluate(self) -> dict[str, float]:
        """The mean loss and the accuracy over all test examples."""
        inputs, labels = self._test
        total = len(labels)
        sums = np.zeros(2)
        for start in range(0, total, EVALUATED_AT_ONCE):
            chosen = slice(start, start + EVALUATED_AT_ONCE)
            sums += np.asarray(self._evaluate(inputs[chosen], labels[chosen]), np.float64)
        return {"loss": float(sums[0] / total), "accuracy": float(sums[1] / total)}

    def _loop(self, rows: tf.Tensor, chosen: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        def update(i: tf.Tensor, losses: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            return i + 1, losses.write(i, self._update(rows[i], chosen[i]))

        losses = tf.TensorArray(tf.float32, self.longest, element_shape=())
        done, losses = tf.while_loop(lambda i, _: i < count, update, (0, losses))
        self.network.global_step.assign_add(tf.cast(done, tf.int64))
        return losses.stack()

    def _update(self, row: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        inputs, labels = (tf.gather(part, chosen) for part in self._train)
        weights = self.network.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(_losses(self.network.model(inputs, training=True), labels))
        gradients = tape.gradient(loss, weights)
        with self.network.dials.showing(row):
            self.network.optimizer.apply(gradients, weights)
        return loss

    def _judge(self, inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        logits = self.network.model(inputs, training=False)
        right = tf.argmax(logits, axis=-1, output_type=labels.dtype) == labels
        return tf.stack(
            [tf.reduce_sum(_losses(logits, labels)), tf.reduce_sum(tf.cast(right, tf.float32))]
        )


def _losses(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

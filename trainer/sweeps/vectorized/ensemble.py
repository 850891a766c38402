"""Several networks of one make in one compiled program, side by side.

A program for one network reads and assigns variables. Here the same lines are traced with tensors
in their place (`keras.StatelessScope`), for one network, and TensorFlow's `vectorized_map` makes of
them the program for all: a product of matrices becomes a batch of products, and what an optimizer
sums over a variable is summed over that of each network. So no rule is written a second time, and
none is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...data.feeds.feed import Feed
from ...engine.network import Network
from ...engine.program import Compiled, Program
from ...metrics import Tally

State = dict[str, tf.Tensor]
"""Every variable of all networks by name, `[networks, ...]`."""

STEP = "global_step"


class Told(NamedTuple):
    """What came of a call: the networks' new state, and of each network and update an entry."""

    state: State
    losses: NDArray[np.float32]
    finite: NDArray[np.bool_]
    done: NDArray[np.int32]
    """How many of the updates each network made."""


class _One(Program):
    """The program of one network; what a loop in it put in a variable's place would stay there."""

    turns = False  # `vectorized_map` knows no barrier
    unrolled = True


class Ensemble:
    """Trains and evaluates `size` networks like `network`, whose own variables it leaves alone.

    It holds no state, so that it can serve several sets of networks, even at the same time.
    """

    def __init__(
        self,
        network: Network,
        feed: Feed,
        compiled: Compiled,
        longest: int,
        size: int,
        micro_batches: int = 1,
        skips: bool = False,
    ) -> None:
        for optimizer in network.groups.optimizers():
            _on_values(optimizer)
        self.network = network
        self.longest = longest
        self.size = size
        self.skips = skips
        self.values = len(network.dials.names)
        self._feed = feed
        self._one = _One(network, feed, compiled, longest, micro_batches)
        self._updates = tf.function(self._loop, jit_compile=compiled == "xla", autograph=False)
        self._evaluate = tf.function(self._judge, reduce_retracing=True, autograph=False)

    @property
    def traces(self) -> int:
        """How often the updates were traced, which is once."""
        return int(self._updates.experimental_get_tracing_count())

    def update(
        self,
        state: State,
        tables: NDArray[np.float32],
        handed: Sequence[Any],
        takes_part: NDArray[np.bool_],
    ) -> Told:
        """Makes one update a row of the tables with every network that takes part.

        `tables` is `[K, size, values]`, and `handed` what each network's feed hands for as many.
        A network whose loss or gradients are not finite stays where it was before and makes no
        further update; or, where updates are skipped, goes on with the next.

        Raises:
            RuntimeError: when Keras' own counts of updates don't agree.
        """
        count = len(tables)
        rows = np.zeros((self.longest, *tables.shape[1:]), np.float32)
        rows[:count] = tables
        given = tf.nest.map_structure(lambda *parts: tf.stack(parts), *handed)
        state, losses, finite, done = self._updates(
            state, tf.constant(rows), given, tf.constant(takes_part), tf.constant(count, tf.int32)
        )
        losses, finite, done = (np.asarray(part) for part in (losses, finite, done))
        told = Told(state, losses[:count], finite[:count], done)
        sound = takes_part & told.finite.all(axis=0)
        steps, counts = np.asarray(state[STEP]), _counts(state)
        if any((counted != steps)[sound].any() for counted in counts.values()):
            raise RuntimeError(f"the networks are at updates {steps}, their optimizers at {counts}")
        return told

    def evaluate(self, state: State) -> list[dict[str, float]]:
        """Of each network the mean loss over all test examples, and every metric of them."""
        tallies = [Tally(self.network.metrics) for _ in range(self.size)]
        for inputs, labels in self._feed.tests():
            told = self._evaluate(state, inputs, labels)
            found = {name: np.asarray(parts) for name, parts in told.items()}
            for i, tally in enumerate(tallies):
                tally.add({name: parts[i] for name, parts in found.items()}, len(labels))
        return [tally.found() for tally in tallies]

    def _loop(
        self, state: State, rows: tf.Tensor, given: Any, takes_part: tf.Tensor, count: tf.Tensor
    ) -> tuple[State, tf.Tensor, tf.Tensor, tf.Tensor]:
        def one(
            each: tuple[State, tf.Tensor, Any, tf.Tensor], i: tf.Tensor
        ) -> tuple[State, tf.Tensor, tf.Tensor]:
            state, row, handed, goes_on = each
            with self._in_place(state) as scope:
                loss, sound = self._one._update(row, handed, i)
                after = {n: scope.get_current_value(v) for n, v in self._variables().items()}
            kept = {name: tf.where(goes_on & sound, after[name], state[name]) for name in after}
            return kept, loss, sound

        def update(
            i: tf.Tensor,
            state: State,
            goes_on: tf.Tensor,
            losses: tf.TensorArray,
            finite: tf.TensorArray,
            done: tf.Tensor,
        ) -> tuple[Any, ...]:
            each = ({n: state[n] for n in self._variables()}, rows[i], given, goes_on)
            kept, loss, sound = tf.vectorized_map(lambda these: one(these, i), each)
            step = state[STEP] + tf.cast(goes_on, tf.int64)
            done += tf.cast(goes_on, tf.int32)
            if not self.skips:
                goes_on &= sound
            told = losses.write(i, loss), finite.write(i, sound), done
            return i + 1, {**kept, STEP: step}, goes_on, *told

        lanes = (self.size,)
        start = (
            0,
            state,
            takes_part,
            tf.TensorArray(tf.float32, self.longest, element_shape=lanes),
            tf.TensorArray(tf.bool, self.longest, element_shape=lanes),
            tf.zeros(lanes, tf.int32),
        )
        _, state, _, losses, finite, done = tf.while_loop(lambda i, *_: i < count, update, start)
        return state, losses.stack(), finite.stack(), done

    def _judge(self, state: State, inputs: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(state: State) -> dict[str, tf.Tensor]:
            with self._in_place(state):
                told: dict[str, tf.Tensor] = self._one._judge(inputs, labels)
                return told

        judged: dict[str, tf.Tensor] = tf.vectorized_map(
            one, {name: state[name] for name in self._variables()}
        )
        return judged

    def _variables(self) -> dict[str, keras.Variable]:
        """What an update reads and assigns."""
        return {n: v for n, v in self.network.variables().items() if n != STEP}

    def _in_place(self, state: Mapping[str, tf.Tensor]) -> keras.StatelessScope:
        """A scope in which the values of one network stand in the place of the variables."""
        pairs = [(variable, state[name]) for name, variable in self._variables().items()]
        return keras.StatelessScope(pairs)


def _counts(state: State) -> dict[str, NDArray[np.int64]]:
    """How many updates each optimizer has counted of each network."""
    return {n: np.asarray(v) for n, v in state.items() if n.rpartition("/")[2] == "iterations"}


class _OnValues(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras is untyped
    """What Keras does for each of its backends, within whose scopes there is nothing to assign to.

    For TensorFlow it does the same by way of distribution strategies, which want variables.
    """

    def assign(self, variable: keras.Variable, value: tf.Tensor) -> None:
        variable.assign(value)

    def assign_add(self, variable: keras.Variable, value: tf.Tensor) -> None:
        variable.assign_add(value)

    def assign_sub(self, variable: keras.Variable, value: tf.Tensor) -> None:
        variable.assign_sub(value)

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        if self.weight_decay is not None:
            for variable in filter(self._use_weight_decay, variables):
                lr, decay = (
                    keras.ops.cast(x, variable.dtype)
                    for x in (self.learning_rate, self.weight_decay)
                )
                variable.assign_sub(variable * decay * lr)

    def _backend_update_step(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(gradient, variable, learning_rate)

    def _var_key(self, variable: keras.Variable) -> int:
        return id(variable)


def _on_values(optimizer: keras.optimizers.Optimizer) -> None:
    """Lets a built optimizer work within a Keras scope."""
    rule = type(optimizer)
    if issubclass(rule, _OnValues):
        return
    # After the rule's own methods, some of which call these, and before Keras' for TensorFlow.
    optimizer.__class__ = type(rule.__name__, (rule, _OnValues), {})
    known = enumerate(optimizer._trainable_variables)
    optimizer._trainable_variables_indices = {id(variable): i for i, variable in known}

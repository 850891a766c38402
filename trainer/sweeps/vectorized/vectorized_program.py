"""Several networks with the same variables in one compiled program, side by side.

A program for one network reads and assigns variables. Here the same lines are traced with tensors
in their place (`keras.StatelessScope`), for one network, and TensorFlow's `vectorized_map` makes of
them the program for all: a product of matrices becomes a batch of products, and a sum over a
variable becomes a sum over the variable of each network. No optimizer's rule is written a second
time, and none is left out.
"""

from __future__ import annotations

from collections import Counter
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
from ...scheduled.tensorflow_internals import number_functions_anew

State = dict[str, tf.Tensor]
"""Every variable of all networks by name, `[networks, ...]`."""

STEP = "global_step"


class VectorizedUpdates(NamedTuple):
    """The result of a call: the networks' new state, and an entry for each update and network."""

    state: State
    losses: NDArray[np.float32]
    """`[updates, networks]`, or with a row each where more than the loss is measured."""
    finite: NDArray[np.bool_]
    """Whether the loss and every gradient were, `[updates, networks]`."""
    made: NDArray[np.int32]
    """How many of the updates each network made."""


class _NetworkProgram(Program):
    """The program of one network, in a form that `vectorized_map` can trace."""

    turns = False  # `vectorized_map` knows no barrier
    unrolled = True  # a value that a loop puts in a variable's place would stay in the loop
    dense = True  # how many ids differ, which is a shape, is another number in each network

    def _update(self, row: tf.Tensor, feed_args: Any, i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with self.training(()):
            return super()._update(row, feed_args, i)


class VectorizedProgram:
    """Trains and evaluates `size` networks like `network`, whose own variables it leaves alone.

    It holds no state itself, so it can serve several sets of networks, even at the same time.
    """

    made_whole = ""  # for several networks at once, every gradient is

    def __init__(
        self,
        network: Network,
        feed: Feed,
        compiled: Compiled,
        longest: int,
        size: int,
        micro_batches: int = 1,
        skips_nonfinite: bool = False,
    ) -> None:
        """`network` must have been declared `stateless`.

        Raises:
            ValueError: when it was not.
        """
        if not network.groups.stateless:
            raise ValueError("the optimizers of a vectorized program's network must be stateless")
        self.network = network
        self.longest = longest
        self.size = size
        self.skips_nonfinite = skips_nonfinite
        self.value_count = len(network.dials.names)
        """How many scheduled values a row has."""
        self._feed = feed
        if network.groups.waits:
            raise ValueError("groups that are updated every few updates go by each run's own step")
        network.draws.is_shared = True
        self._program = _NetworkProgram(network, feed, compiled, longest, micro_batches)
        if compiled == "xla":
            number_functions_anew()
        self._update_all = tf.function(
            self._traced_updates, jit_compile=compiled == "xla", autograph=False
        )
        self._evaluate_all = tf.function(self._traced_evaluation, autograph=False)

    @property
    def trained(self) -> Network:
        """The network, for measuring to put back; updates leave its variables alone."""
        return self.network

    def operations(self) -> Counter[str]:
        """None that says which way is faster: convolutions of many networks are other ones."""
        return Counter()

    @property
    def measured(self) -> tuple[str, ...]:
        """What updates tell besides the loss, by the names of rows."""
        return self.network.measured

    @property
    def traces(self) -> int:
        """How often the updates were traced, which is once."""
        return int(self._update_all.experimental_get_tracing_count())

    def update(
        self,
        state: State,
        tables: NDArray[np.float32],
        feed_args: Sequence[Any],
        active: NDArray[np.bool_],
    ) -> VectorizedUpdates:
        """Makes one update for each row of the tables with every `active` network.

        `tables` is `[K, size, values]`, and `feed_args` the arguments of each network's
        feed for K updates. A network whose loss or gradients are not finite keeps its state
        from before that update, and makes no further one; with `skips_nonfinite` it goes on with
        the next.

        Raises:
            RuntimeError: when Keras' own counts of updates don't agree.
        """
        count = len(tables)
        rows = np.zeros((self.longest, *tables.shape[1:]), np.float32)
        rows[:count] = tables
        stacked_args = tf.nest.map_structure(lambda *parts: tf.stack(parts), *feed_args)
        state, losses, finite, made = self._update_all(
            state,
            tf.constant(rows),
            stacked_args,
            tf.constant(active),
            tf.constant(count, tf.int32),
        )
        losses, finite, made = (np.asarray(tensor) for tensor in (losses, finite, made))
        updates = VectorizedUpdates(state, losses[:count], finite[:count], made)
        all_finite = active & updates.finite.all(axis=0)
        steps, counts = np.asarray(state[STEP]), _optimizer_counts(state)
        if any((applied != steps)[all_finite].any() for applied in counts.values()):
            raise RuntimeError(f"the networks are at updates {steps}, their optimizers at {counts}")
        return updates

    def evaluate(self, state: State) -> list[dict[str, float]]:
        """Each network's mean loss and metrics over all test examples."""
        network = self.network
        tallies = [Tally(network.loss, network.metrics) for _ in range(self.size)]
        for batch, real in self._program.evaluation.tests():
            arrays = batch.distinct()
            self._structure = batch.map(lambda _: 0)
            tensors = self._evaluate_all(state, arrays, real)
            parts = {name: np.asarray(tensor) for name, tensor in tensors.items()}
            for i, tally in enumerate(tallies):
                tally.add({name: part[i] for name, part in parts.items()}, real)
        return [tally.result() for tally in tallies]

    def _traced_updates(
        self,
        state: State,
        rows: tf.Tensor,
        stacked_args: Any,
        active: tf.Tensor,
        count: tf.Tensor,
    ) -> tuple[State, tf.Tensor, tf.Tensor, tf.Tensor]:
        """The fields of `VectorizedUpdates`, with room for `longest` updates."""

        def update_network(
            network: tuple[State, tf.Tensor, Any, tf.Tensor], i: tf.Tensor
        ) -> tuple[State, tf.Tensor, tf.Tensor]:
            state, row, inputs, is_active = network
            with self._in_place(state) as scope:
                loss, is_finite = self._program._update(row, inputs, i)
                after = {n: scope.get_current_value(v) for n, v in self._variables().items()}
            takes = is_active & is_finite
            new_state = {name: tf.where(takes, after[name], state[name]) for name in after}
            return new_state, loss, is_finite

        def update_all(
            i: tf.Tensor,
            state: State,
            active: tf.Tensor,
            losses: tf.TensorArray,
            finite: tf.TensorArray,
            made: tf.Tensor,
        ) -> tuple[Any, ...]:
            variables = {name: state[name] for name in self._variables()}
            new_state, loss, is_finite = tf.vectorized_map(
                lambda network: update_network(network, i),
                (variables, rows[i], stacked_args, active),
            )
            step = state[STEP] + tf.cast(active, tf.int64)
            made += tf.cast(active, tf.int32)
            if not self.skips_nonfinite:
                active &= is_finite
            losses, finite = losses.write(i, loss), finite.write(i, is_finite)
            return i + 1, {**new_state, STEP: step}, active, losses, finite, made

        networks = (self.size,)
        start = (
            0,
            state,
            active,
            tf.TensorArray(
                tf.float32, self.longest, element_shape=(*networks, *self._program.loss_shape)
            ),
            tf.TensorArray(tf.bool, self.longest, element_shape=networks),
            tf.zeros(networks, tf.int32),
        )
        _, state, _, losses, finite, made = tf.while_loop(
            lambda i, *_: i < count, update_all, start
        )
        return state, losses.stack(), finite.stack(), made

    def _traced_evaluation(
        self, state: State, arrays: Sequence[tf.Tensor], real: int
    ) -> dict[str, tf.Tensor]:
        """The parts of a tally for a batch of test examples, each `[networks, ...]`."""

        def evaluate_network(state: State) -> dict[str, tf.Tensor]:
            with self._in_place(state):
                parts: dict[str, tf.Tensor] = self._program.evaluation.judge(
                    self._structure, real, tf.constant(0), *arrays
                )
                return parts

        variables = {name: state[name] for name in self._variables()}
        parts: dict[str, tf.Tensor] = tf.vectorized_map(evaluate_network, variables)
        return parts

    def _variables(self) -> dict[str, keras.Variable]:
        """The variables that an update reads and assigns, by name."""
        return {n: v for n, v in self.network.variables().items() if n != STEP}

    def _in_place(self, state: Mapping[str, tf.Tensor]) -> keras.StatelessScope:
        """A scope in which the values of one network stand in the place of the variables."""
        pairs = [(variable, state[name]) for name, variable in self._variables().items()]
        return keras.StatelessScope(pairs)


def _optimizer_counts(state: State) -> dict[str, NDArray[np.int64]]:
    """How many updates each optimizer has counted, `[networks]`, by the counter's name."""
    return {n: np.asarray(v) for n, v in state.items() if n.rpartition("/")[2] == "iterations"}

"""The compiled program: as many updates as the host asks for in one call into TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from schedules.moments import Values

from ..data.feeds.batch import Batch
from ..data.feeds.feed import Feed
from ..models.shortcuts import shortcuts
from ..scheduled.keras_internals import number_functions_anew
from ..scheduled.layers import drawing
from .evaluation import Evaluation
from .gradients import finite, is_large, summed
from .interfaces import Trained, Updates
from .matmul import products
from .network import Network
from .untold_state import operations, untold_state

Compiled = Literal["graph", "xla"]
Frozen = tuple[str, ...]
"""The groups of weights that are frozen in a stretch of updates."""


class Program:
    """Trains and evaluates one network on the examples of one feed.

    `longest` is the most updates one call can make. It is a shape; the number actually asked for
    is not, so that one compilation serves every call. Where groups of weights are frozen for a
    while there is one for each such stretch: in it nothing is worked out for weights that rest, and
    a call that spans a thaw becomes two. An update whose loss or gradients are not
    finite ends the call, or with `skips` leaves weights, slots and averages as they were.
    """

    turns = True
    """Whether products may be differentiated in the order that suits XLA's processors."""
    unrolled = False
    """Whether micro-batches are written out one by one, in place of a loop over them."""
    dense = False
    """Whether the gradients of tables that are looked up are made whole, whatever compiles them."""

    def __init__(
        self,
        network: Network,
        feed: Feed,
        compiled: Compiled,
        longest: int,
        micro_batches: int = 1,
        skips: bool = False,
    ) -> None:
        self.network = network
        self.longest = longest
        self._micro_batches = micro_batches
        self._skips = skips
        self._values = len(network.dials.names)
        self._feed = feed
        self._xla = compiled == "xla"
        self.fused = self._xla
        """Whether XLA compiles what is differentiated, if not all."""
        names = network.dials.names
        self._thawing = {
            group: names.index(f"groups.{group}.frozen")
            for group in network.groups.frozen_at_first()
        }
        self._updates: dict[Frozen, Any] = {}
        self._compiled: dict[Frozen, Any] = {}
        self.evaluation = Evaluation(network, feed)
        self._large: set[str] = set()

    @property
    def trained(self) -> Trained:
        """What all updates change: this network, with its replicas where there are any."""
        return self.network

    @property
    def networks(self) -> Sequence[Network]:
        """Those that its updates change."""
        return [self.network]

    @property
    def traces(self) -> int:
        """How often the updates were traced, which is once a stretch, whatever schedules do."""
        return sum(int(each.experimental_get_tracing_count()) for each in self._updates.values())

    def update(self, table: Values, step: int, count: int | None = None) -> Updates:
        """Makes one update a row of the tape, from `step` on, up to one that is not finite.

        `table` is `[K, values]` and is rounded here, once, to float32. Of its rows the first
        `count` are used, or all; with 0 of them the program for the first row is compiled.

        Raises:
            RuntimeError: when the program did not advance by what it says it did.
        """
        rows = table if count is None else table[:count]
        if not len(rows):
            return self._made(rows, step, self._frozen(table[0]) if len(table) else ())
        made: list[Updates] = []
        for frozen, first, end in self._stretches(rows):
            made.append(self._made(rows[first:end], step + first, frozen))
            ended = len(made[-1].losses) < end - first or not made[-1].finite.all()
            if ended and not self._skips:
                break
        return made[0] if len(made) == 1 else Updates.joined(made)

    def _stretches(self, rows: Values) -> Iterator[tuple[Frozen, int, int]]:
        """Yields the groups that are frozen from one row of the tape up to another, in order."""
        is_frozen = rows[:, list(self._thawing.values())] > 0
        changes = np.flatnonzero((is_frozen[1:] != is_frozen[:-1]).any(axis=1)) + 1
        for first, end in pairwise([0, *changes.tolist(), len(rows)]):
            yield self._frozen(rows[first]), first, end

    def _frozen(self, row: Values) -> Frozen:
        """The groups that a row of the tape has frozen."""
        return tuple(group for group, place in self._thawing.items() if row[place] > 0)

    def _made(self, table: Values, step: int, frozen: Frozen) -> Updates:
        """Makes updates in all of which the same groups are frozen."""
        count = len(table)
        rows = np.zeros((self.longest, self._values), np.float32)
        rows[:count] = table
        # A shape is part of what XLA compiles.
        feed_args = self._feed.args(step, count, self.longest if self._xla else count)
        outputs = self._program(frozen)(tf.constant(rows), feed_args, tf.constant(count, tf.int32))
        (before, after, *optimizer_steps), losses, finite = map(np.asarray, outputs)
        done = int(after - before)
        losses, finite = losses[:done], finite[:done]
        whole = done == count or (0 < done < count and not finite[-1])
        in_step = all(step == after for step in optimizer_steps)
        if not whole or not (in_step or self._skips):
            raise RuntimeError(
                f"asked for updates {before} to {before + count}, but the program is at {after} "
                f"and its optimizers at {sorted(map(int, optimizer_steps))}"
            )
        return Updates.of(losses, finite, self.network.measured)

    def untold_state(self) -> list[str]:
        """What updates draw from or write to that no checkpoint has, once they are compiled."""
        held = [
            variable
            for network in self.networks
            for variable in (*network.variables().values(), network.draws.counter)
        ]
        found = [name for each in self._compiled.values() for name in untold_state(each, held)]
        return list(dict.fromkeys(found))

    def _program(self, frozen: Frozen) -> Any:
        """The compiled updates of a stretch, traced when they are first asked for."""
        if frozen not in self._compiled:
            signature = [
                tf.TensorSpec([self.longest, self._values], tf.float32),
                self._feed.signature(self.longest if self._xla else None),
                tf.TensorSpec([], tf.int32),
            ]

            def loop(*args: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                with self.training(frozen):
                    return self._loop(*args)

            self._updates[frozen] = tf.function(
                loop, signature, jit_compile=self._xla, autograph=False
            )
            if self._xla:
                number_functions_anew()
            # Called so, it costs a third of what `tf.function` does.
            self._compiled[frozen] = self._updates[frozen].get_concrete_function()
        return self._compiled[frozen]

    @property
    def made_whole(self) -> str:
        """The tables whose gradients XLA would make whole, once updates have been traced.

        They have many more rows than a batch has ids, and only these rows are updated.
        """
        return ", ".join(sorted(self._large))

    def training(self, frozen: Frozen) -> AbstractContextManager[None]:
        """Within it the weights that train are those that do while these groups are frozen."""
        return self.network.training(frozen)

    def operations(self) -> Counter[str]:
        """TensorFlow's operations in the stretch that was compiled first, by kind; none before."""
        first = next(iter(self._compiled.values()), None)
        return operations(first) if first else Counter()

    def evaluate(self) -> dict[str, float]:
        """The mean loss over all test examples, and every metric of them."""
        return self.evaluation.result()

    def _loop(
        self, rows: tf.Tensor, feed_args: Any, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The steps, the losses, and whether each update was finite.

        The steps are `global_step` before and after, and the count of each optimizer after.
        """

        def goes_on(i: tf.Tensor, sound: tf.Tensor, *_: tf.TensorArray) -> tf.Tensor:
            return (i < count) & (sound | self._skips)

        def update(
            i: tf.Tensor, _: tf.Tensor, losses: tf.TensorArray, finite: tf.TensorArray
        ) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray, tf.TensorArray]:
            loss, sound = self._update(rows[i], feed_args, i)
            return i + 1, sound, losses.write(i, loss), finite.write(i, sound)

        losses = tf.TensorArray(tf.float32, self.longest, element_shape=self.loss_shape)
        finite = tf.TensorArray(tf.bool, self.longest, element_shape=())
        done, _, losses, finite = tf.while_loop(goes_on, update, (0, True, losses, finite))
        counts = [self.network.global_step, *self.network.groups.applied()]
        before = tf.identity(self.network.global_step)
        self.network.global_step.assign_add(tf.cast(done, tf.int64))
        after = [tf.cast(tf.convert_to_tensor(count), tf.int64) for count in counts]
        return tf.stack([before, *after]), losses.stack(), finite.stack()

    def _update(self, row: tf.Tensor, feed_args: Any, i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss, and whether it and all gradients are finite."""
        with self.network.dials.showing(row):
            before = self.input_statistics()
            loss_and_gradients, sound = self._checked_gradients(feed_args, i)
            return self.finish_update(loss_and_gradients, sound, before, self.step_of(i))

    def step_of(self, i: tf.Tensor) -> tf.Tensor:
        """Which of all updates the `i`-th of a call is."""
        return self.network.global_step + tf.cast(i, tf.int64)

    def input_statistics(self) -> list[tf.Tensor]:
        """The values that a model keeps of its inputs, such as their mean."""
        # What Keras calls the value of a weight is the variable, which is read when it is used.
        return [tf.identity(w.value) for w in self.network.statistics]

    def finish_update(
        self,
        loss_and_gradients: Sequence[tf.Tensor],
        sound: tf.Tensor,
        before: Sequence[tf.Tensor],
        step: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Makes the update by a loss and gradients, unless they are not `sound`.

        `before` are the `input_statistics` from before the batch. Returns the loss, and `sound`.
        """
        loss, *gradients = loss_and_gradients

        def apply() -> tf.Tensor:
            trained = self.network.model.trainable_variables
            groups, average = self.network.groups, self.network.average
            groups.apply(gradients, trained, step)
            if average:
                average.update(trained, groups.lazy_rows(gradients, trained))
            return sound

        def skip() -> tf.Tensor:
            for weight, value in zip(self.network.statistics, before, strict=True):
                weight.assign(value)
            return sound

        tf.cond(sound, apply, skip) if self._skips else apply()
        return loss, sound

    def _checked_gradients(self, feed_args: Any, i: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """The loss and its gradients, and whether all are finite."""
        scaling = self.network.scaling
        is_finite = partial(finite, xla=self._xla)
        if scaling is None:
            loss, *gradients = self.loss_and_gradients(feed_args, i)
            return [loss, *gradients], is_finite(loss, gradients)
        undo = self.restore_point()

        def scaled(scale: tf.Tensor) -> list[tf.Tensor]:
            undo()
            return self.loss_and_gradients(feed_args, i, scale)

        return scaling.tried(scaled, is_finite, [self.loss_shape, *self.shapes])

    def restore_point(self) -> Callable[[], None]:
        """A function that puts random states and input statistics back to what they are now."""
        others = self.network.kept
        before = [tf.identity(variable.value) for variable in others]

        def undo() -> None:
            for variable, value in zip(others, before, strict=True):
                variable.assign(value)

        return undo

    @property
    def loss_shape(self) -> tuple[int, ...]:
        """A number, or a row of the loss and what is measured besides."""
        return (1 + len(self.network.measured),) if self.network.measured else ()

    @property
    def shapes(self) -> list[tf.TensorShape]:
        """The shapes of all gradients, within `training`."""
        return [weight.shape for weight in self.network.model.trainable_variables]

    def loss_and_gradients(
        self, feed_args: Any, i: tf.Tensor, scale: tf.Tensor | None = None
    ) -> list[tf.Tensor]:
        """The mean loss over a batch, and the gradients of its `scale`-fold, in micro-batches."""

        def of_shape(feed: Feed) -> list[tf.Tensor]:
            return self._loss_and_gradients(feed, feed_args, i, scale)

        return self._feed.in_shape(feed_args, i, of_shape)

    def _loss_and_gradients(
        self, feed: Feed, feed_args: Any, i: tf.Tensor, scale: tf.Tensor | None
    ) -> list[tf.Tensor]:
        """The same for batches of one shape."""
        parts = self._micro_batches
        first = self.step_of(i) * parts
        if parts == 1:
            batch = feed.batch(feed_args, i, 0, 1)
            return self.batch_loss_and_gradients(batch, first, scale)

        def add(k: tf.Tensor, sums: list[tf.Tensor]) -> tuple[tf.Tensor, list[tf.Tensor]]:
            batch = feed.batch(feed_args, i, k, parts)
            terms = self.batch_loss_and_gradients(batch, first + tf.cast(k, tf.int64), scale)
            tensors = map(tf.convert_to_tensor, terms)
            return k + 1, [total + x for total, x in zip(sums, tensors, strict=True)]

        k, sums = 0, [tf.zeros(shape) for shape in (self.loss_shape, *self.shapes)]
        if self.unrolled:
            while k < parts:
                k, sums = add(k, sums)
        else:
            _, sums = tf.while_loop(lambda k, _: k < parts, add, (k, sums))
        return [total / parts for total in sums]

    def batch_loss_and_gradients(
        self, batch: Batch, number: tf.Tensor, scale: tf.Tensor | None
    ) -> list[tf.Tensor]:
        """The loss of a batch, what is measured of it, and the gradients of its `scale`-fold.

        `number` counts the micro-batches of all updates.
        """
        model, dials = self.network.model, self.network.dials
        weights = [weight.value for weight in model.trainable_variables]
        on_cpu = "CPU" in self.network.global_step.device
        dense = self.dense or self.fused  # XLA wants to know how many ids differ: a shape
        turned = self.turns and self.fused and on_cpu
        draws = self.network.draws.keyed("update", number, fused=self.fused)
        shorter = shortcuts(allowed=on_cpu and not dense)
        with drawing(fused=self.fused), draws, products(turned=turned), shorter:
            loss, parts, by_group = self.network.loss.step(self.network.forward, batch, dials)
        # A step of the user's own may leave some weight out.
        unused = tf.UnconnectedGradients.ZERO
        gradients: list[Any] = [None] * len(weights)
        each: list[tuple[str | None, Any]] = [*by_group.items()] or [(None, loss)]
        for name, one in each:
            places = self.network.groups.places(name, model.trainable_variables)
            scaled, own = one if scale is None else one * scale, [weights[i] for i in places]
            found = tf.gradients(scaled, own, unconnected_gradients=unused) if own else []
            for i, gradient in zip(places, found, strict=True):
                gradients[i] = gradient
        if names := self.network.measured:
            # Frozen weights have no penalties.
            loss = tf.stack([loss, *(parts.get(name, tf.zeros(())) for name in names)])
        if not dense:
            by_rows = self.network.groups.by_rows(gradients, model.trainable_variables)
            self._large |= {weight.path for weight, ids in by_rows if is_large(weight, ids)}
        return [loss, *(summed(gradient, dense=dense) for gradient in gradients)]

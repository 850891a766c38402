"""The graph of updates: a loop of them, each with its loss, gradients and what it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from ..data.feeds.batch import Batch
from ..data.feeds.feed import Feed
from ..models.shortcuts import shortcuts
from ..scheduled.layers import drawing
from .gradients import finite, is_large, summed
from .matmul import products
from .network import Network


class UpdateGraph:
    """Makes as many updates of one network as a tensor says, within one graph.

    It is traced for the weights that train then. An update whose loss or gradients are not finite
    ends the loop, or with `skips` leaves weights, slots and averages as they were.
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
        xla: bool,
        longest: int,
        micro_batches: int,
        skips: bool,
    ) -> None:
        self.network = network
        self.longest = longest
        self._micro_batches = micro_batches
        self._skips = skips
        self._feed = feed
        self._xla = xla
        self.fused = xla
        """Whether XLA compiles what is differentiated, if not all."""
        self._large: set[str] = set()

    @property
    def made_whole(self) -> str:
        """The tables whose gradients XLA would make whole, once updates have been traced.

        They have many more rows than a batch has ids, and only these rows are updated.
        """
        return ", ".join(sorted(self._large))

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
        pairs = zip(model.trainable_variables, gradients, strict=True)
        return [loss, *(summed(gradient, weight, dense=dense) for weight, gradient in pairs)]

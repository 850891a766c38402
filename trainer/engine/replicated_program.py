"""The updates of several replicas, in step with each other.

An update first sums the gradients over all replicas. Then each replica makes the whole update:
checks that it is finite, clips, applies it, moves the averages. So the replicas stay equal, to the
bit on devices of one kind. (Keras' optimizers clip the gradients of each replica before the sum.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from schedules.moments import Values

from ..data.feeds.batch import Batch
from .gradients import finite
from .interfaces import Trained, Updates
from .network import Network
from .program import Compiled, Frozen, Program
from .replicas import ONLY_GRAPH, Replicas
from .workers import UPDATE, UncompilableError


class ReplicaProgram(Program):
    """What one replica does by itself."""

    def batch_loss_and_gradients(
        self, batch: Batch, number: tf.Tensor, scale: tf.Tensor | None
    ) -> list[tf.Tensor]:
        def dense(batch: Batch) -> list[tf.Tensor]:
            # An embedding's gradient comes in slices.
            return [tf.convert_to_tensor(x) for x in plain(batch, number, scale)]

        plain = super().batch_loss_and_gradients
        # It captures what the dials show, and so belongs to the graph around it alone.
        return (
            tf.function(dense, jit_compile=True, autograph=False)(batch)
            if self.fused
            else dense(batch)
        )


class ReplicatedProgram(Program):
    """The program of several replicas; under XLA, each is compiled up to its gradients.

    The loop runs outside of the replicas, since what sums over them must not be within one of them.
    """

    def __init__(self, replicas: Replicas, compiled: Compiled, longest: int) -> None:
        run = replicas.experiment.run
        micro_batches, skips = run.micro_batches, run.on_nonfinite == "skip"
        networks, feed = replicas.network.networks, replicas.feeds[0]
        super().__init__(replicas.network.lead, feed, "graph", longest, micro_batches, skips)
        self._replicas = replicas
        self._fused, self._tried = compiled == "xla", False
        self._parts = [
            ReplicaProgram(network, share, "graph", longest, micro_batches, skips)
            for network, share in zip(networks, replicas.shares, strict=True)
        ]
        for part in self._parts:
            part.fused = self._fused
            # What sums over replicas must not be within a loop of one.
            part.unrolled = replicas.only_graph

    @property
    def trained(self) -> Trained:
        return self._replicas.network

    @property
    def networks(self) -> Sequence[Network]:
        return self._replicas.network.networks

    def update(self, table: Values, step: int, count: int | None = None) -> Updates:
        if self._fused and self._replicas.only_graph:
            raise tf.errors.UnimplementedError(None, None, ONLY_GRAPH)
        if not (workers := self._replicas.network.workers):
            return super().update(table, step, count)
        if workers.leads:
            made = len(table) if count is None else count
            workers.say(UPDATE, step, made, int(self._fused))
            rows = np.zeros((self.longest, self._values))
            rows[: len(table)] = table
            workers.add(rows)
        if self._fused and not self._tried:
            self._try(step, self._frozen(table[0]) if len(table) else ())
        with workers.together():
            return super().update(table, step, count)

    @contextmanager
    def training(self, frozen: Frozen) -> Iterator[None]:
        with ExitStack() as stack:
            for part in self._parts:
                stack.enter_context(part.network.training(frozen))
            yield

    def _try(self, step: int, frozen: Frozen) -> None:
        """Compiles one replica alone: workers that wait for each other would not get over a fault.

        Raises:
            UncompilableError: when XLA can't.
        """
        part, feed_args = self._parts[0], self._feed.args(step, 0, self.longest)
        before = part.network.state()

        def learn(row: tf.Tensor) -> list[tf.Tensor]:
            with part.network.training(frozen), part.network.dials.showing(row):
                return part.loss_and_gradients(feed_args, tf.constant(0))

        try:
            tf.function(learn, autograph=False)(tf.zeros([self._values]))
        except tf.errors.OpError as error:
            raise UncompilableError(None, None, error.message) from None
        finally:
            part.network.restore(before)
        self._tried = True

    def _update(self, row: tf.Tensor, feed_args: Any, i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        before = [part.input_statistics() for part in self._parts]
        loss, gradients, sound = self._agreed(row, feed_args, i, before)
        for part, device, mine, was in zip(
            self._parts, self._replicas.devices, gradients, before, strict=True
        ):
            with tf.device(device), part.network.dials.showing(row):
                part.finish_update([loss, *mine], sound, was, self.step_of(i))
        return loss, sound

    def _agreed(
        self, row: tf.Tensor, feed_args: Any, i: tf.Tensor, before: Sequence[Sequence[tf.Tensor]]
    ) -> tuple[tf.Tensor, list[list[tf.Tensor]], tf.Tensor]:
        """The loss, the gradients for each replica, and whether all are finite."""
        count, scaling = len(self.shapes), self.network.scaling

        def mean_of_replicas(scale: tf.Tensor | None = None) -> list[tf.Tensor]:
            (loss, *first), *others = self._mean(row, feed_args, i, before, scale)
            return [loss, *first, *(x for _, *gradients in others for x in gradients)]

        def is_finite(loss: tf.Tensor, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
            return finite(loss, gradients[:count], xla=False)  # the others have the same

        if scaling is None:
            loss, *gradients = mean_of_replicas()
            sound = is_finite(loss, gradients)
        else:
            undo = [part.restore_point() for part in self._parts]

            def scaled(scale: tf.Tensor) -> list[tf.Tensor]:
                for each in undo:
                    each()
                return mean_of_replicas(scale)

            shapes = [self.loss_shape, *self.shapes * len(self._parts)]
            (loss, *gradients), sound = scaling.tried(scaled, is_finite, shapes)
        starts = range(0, len(gradients), count)
        return loss, [gradients[start : start + count] for start in starts], sound

    def _mean(
        self,
        row: tf.Tensor,
        feed_args: Any,
        i: tf.Tensor,
        before: Sequence[Sequence[tf.Tensor]],
        scale: tf.Tensor | None,
    ) -> list[list[tf.Tensor]]:
        """The mean loss and gradients over all replicas, for each of this process.

        How far what a model keeps of its inputs has moved is averaged too, in the same message.
        """
        first = self._replicas.network.first

        def replica() -> list[tf.Tensor]:
            context = tf.distribute.get_replica_context()
            here = int(tf.get_static_value(context.replica_id_in_sync_group)) - first
            part, was = self._parts[here], before[here]
            with part.network.dials.showing(row):
                own = part.loss_and_gradients(feed_args, i, scale)
            kept = [j for j, value in enumerate(was) if value.dtype.is_floating]
            now = part.input_statistics()
            message = [*own, *(now[j] - was[j] for j in kept)]
            total = context.all_reduce(tf.distribute.ReduceOp.SUM, list(map(tf.identity, message)))
            mean = [x / tf.cast(self._replicas.count, x.dtype) for x in total]
            weights = part.network.statistics
            for j, moved in zip(kept, mean[len(own) :], strict=True):
                weights[j].assign(was[j] + moved)
            return mean[: len(own)]

        strategy = self._replicas.strategy
        shared = map(strategy.experimental_local_results, strategy.run(replica))
        return [list(each) for each in zip(*shared, strict=True)]

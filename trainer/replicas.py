"""One network on several devices: each learns from its part of every batch.

Every replica has variables of its own, which are equal at the start. An update sums the gradients
over all replicas first, and then each makes the whole of it: finds out whether it is finite, clips,
applies it, moves the averages. So they stay equal, to the bit on devices of one kind. (Keras'
optimizers clip what each replica found, and sum that up afterwards.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from schedules.moments import Values
from schedules.refusal import refuse

from .devices import Several
from .experiment import Experiment
from .feed import Batch, Feed, Handed
from .layers import share_masks, shares_masks
from .network import Network
from .program import Compiled, Program, Updates, finite
from .workers import RESTORE, UPDATE, Uncompilable, Workers

SEEDS = 2**31
"""One more than the greatest seed that TensorFlow takes."""
APART = 0x9E3779B9
"""The distance between the seeds of two replicas: 2**32 over the golden ratio."""

ONLY_GRAPH = "can't reach from one device to another, as synchronized batch normalization does"


class Share(Feed):
    """What one of `of` replicas gets to see of a feed: an equal part of every part.

    A part of a batch lies on all replicas together, so that layers which look at the whole of a
    micro-batch look at the same examples on any number of devices.
    """

    def __init__(self, feed: Feed, rank: int, of: int) -> None:
        super().__init__(feed.stream)
        self._feed, self._rank, self._of = feed, rank, of

    def signature(self, rows: int | None) -> Handed:
        return self._feed.signature(rows)

    def hand(self, step: int, count: int, longest: int) -> Handed:
        return self._feed.hand(step, count, longest)

    def batch(self, handed: Handed, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        return self._feed.batch(handed, i, part * self._of + self._rank, parts * self._of)

    def tests(self) -> Iterator[Batch]:
        return self._feed.tests()


@dataclass
class Mirrors(Network):
    """The network of this process' first replica, with those of its others.

    `first` is the rank of the first one among the `count` replicas of all processes.
    """

    others: list[Network] = field(default_factory=list)
    first: int = 0
    count: int = 1
    workers: Workers | None = None

    @property
    def replicas(self) -> int:
        return self.count

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.spread(state)
        if self.workers and self.workers.leads:
            self.workers.say(RESTORE)
            self.workers.share(self.state())

    def spread(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Puts a state into the replicas of this process."""
        super().restore(state)
        _reseed(self.model, self.first)
        for rank, network in enumerate(self.others, self.first + 1):
            network.restore(state)
            _reseed(network.model, rank)


class Replicas:
    """The replicas of this process, as `strategy` lets them work together."""

    def __init__(
        self,
        experiment: Experiment,
        strategy: tf.distribute.Strategy,
        network: Callable[[], Network],
        feed: Callable[[], Feed],
        workers: Workers | None = None,
    ) -> None:
        """Makes a network and a feed on each device; all processes begin as the first one does.

        Raises:
            Refused: when the replicas don't divide the batch, or can't be compiled as declared.
        """
        self._experiment = experiment
        self.strategy = strategy
        self.count = strategy.num_replicas_in_sync
        experiment.check_parts(self.count)
        self.devices = strategy.extended.worker_devices
        networks, self._feeds = [], []
        for device in self.devices:
            with tf.device(device):
                networks.append(network())
                self._feeds.append(feed())
        together = isinstance(experiment.device, Several) and experiment.device.synchronized
        for each in networks:
            share_masks(each.model)
            for layer in _normalizing(each.model):
                layer.synchronized = together
        first = strategy.extended._get_replica_id_in_sync_group(0)
        lead, *others = networks
        self.network = Mirrors(
            **vars(lead), others=others, first=first, count=self.count, workers=workers
        )
        self.network.spread(workers.share(lead.state()) if workers else lead.state())
        if self.only_graph and experiment.run.compile == "xla":
            raise refuse("run.compile", "xla", ONLY_GRAPH, "run.compile=graph")

    @property
    def feed(self) -> Feed:
        """All examples, on the first device."""
        return self._feeds[0]

    @property
    def only_graph(self) -> bool:
        """Whether XLA is out of the question: it can't reach over to another device."""
        return any(layer.synchronized for layer in _normalizing(self.network.model))

    def program(self, compiled: Compiled, longest: int) -> Replicated:
        """The updates of all replicas; under XLA, each up to its gradients."""
        return Replicated(self, self._experiment, compiled, longest)

    def part(self, here: int, compiled: Compiled, longest: int) -> Part:
        """What one replica of this process does by itself."""
        run, network = self._experiment.run, self.network
        share = Share(self._feeds[here], network.first + here, self.count)
        mine = [network, *network.others][here]
        part = Part(mine, share, "graph", longest, run.micro_batches, run.on_nonfinite == "skip")
        part.fused = compiled == "xla"
        # What sums over replicas must not be within a loop of one.
        part.unrolled = self.only_graph
        return part


class Part(Program):
    """What one replica does by itself."""

    def differentiated(self, batch: Batch, scale: tf.Tensor | None) -> list[tf.Tensor]:
        def told(batch: Batch) -> list[tf.Tensor]:
            # An embedding's gradient comes in slices.
            return [tf.convert_to_tensor(x) for x in plain(batch, scale)]

        plain = super().differentiated
        # It captures what the dials show, and so belongs to the graph around it alone.
        return (
            tf.function(told, jit_compile=True, autograph=False)(batch)
            if self.fused
            else told(batch)
        )


class Replicated(Program):
    """The updates of several replicas, in step with each other.

    The loop runs outside of the replicas, since what sums over them must not be within one of them.
    """

    def __init__(
        self, replicas: Replicas, experiment: Experiment, compiled: Compiled, longest: int
    ) -> None:
        run, feed = experiment.run, replicas.feed
        super().__init__(
            replicas.network, feed, "graph", longest, run.micro_batches, run.on_nonfinite == "skip"
        )
        self._replicas = replicas
        self._fused, self._tried = compiled == "xla", False
        self._parts = [
            replicas.part(here, compiled, longest) for here in range(len(replicas.devices))
        ]

    def update(self, table: Values, step: int) -> Updates:
        if self._fused and self._replicas.only_graph:
            raise tf.errors.UnimplementedError(None, None, ONLY_GRAPH)
        if not (workers := self._replicas.network.workers):
            return super().update(table, step)
        if workers.leads:
            workers.say(UPDATE, step, len(table), int(self._fused))
            rows = np.zeros((self.longest, self._values))
            rows[: len(table)] = table
            workers.add(rows)
        if self._fused and not self._tried:
            self._try(step)
        with workers.together():
            return super().update(table, step)

    def _try(self, step: int) -> None:
        """Compiles one replica alone: workers that wait for each other would not get over a fault.

        Raises:
            Uncompilable: when XLA can't.
        """
        part, handed = self._parts[0], self._feed.hand(step, 0, self.longest)
        before = Network.state(part.network)

        def learn(row: tf.Tensor) -> list[tf.Tensor]:
            with part.network.dials.showing(row):
                return part.accumulated(handed, tf.constant(0))

        try:
            tf.function(learn, autograph=False)(tf.zeros([self._values]))
        except tf.errors.OpError as error:
            raise Uncompilable(None, None, error.message) from None
        finally:
            Network.restore(part.network, before)
        self._tried = True

    def _update(self, row: tf.Tensor, handed: Any, i: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        before = [part.kept() for part in self._parts]
        loss, gradients, sound = self._agreed(row, handed, i, before)
        for part, device, mine, was in zip(
            self._parts, self._replicas.devices, gradients, before, strict=True
        ):
            with tf.device(device), part.network.dials.showing(row):
                part.concluded([loss, *mine], sound, was)
        return loss, sound

    def _agreed(
        self, row: tf.Tensor, handed: Any, i: tf.Tensor, before: Sequence[Sequence[tf.Tensor]]
    ) -> tuple[tf.Tensor, list[list[tf.Tensor]], tf.Tensor]:
        """The loss, the gradients for each replica, and whether all are finite."""
        count, scaling = len(self.shapes), self.network.scaling

        def told(scale: tf.Tensor | None = None) -> list[tf.Tensor]:
            (loss, *first), *others = self._mean(row, handed, i, before, scale)
            return [loss, *first, *(x for _, *gradients in others for x in gradients)]

        def judged(loss: tf.Tensor, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
            return finite(loss, gradients[:count], xla=False)  # the others have the same

        if scaling is None:
            loss, *gradients = told()
            sound = judged(loss, gradients)
        else:
            undo = [part.undoing() for part in self._parts]

            def scaled(scale: tf.Tensor) -> list[tf.Tensor]:
                for each in undo:
                    each()
                return told(scale)

            shapes = self.shapes * len(self._parts)
            (loss, *gradients), sound = scaling.tried(scaled, judged, shapes)
        starts = range(0, len(gradients), count)
        return loss, [gradients[start : start + count] for start in starts], sound

    def _mean(
        self,
        row: tf.Tensor,
        handed: Any,
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
                found = part.accumulated(handed, i, scale)
            kept = [j for j, value in enumerate(was) if value.dtype.is_floating]
            now = part.kept()
            given = [*found, *(now[j] - was[j] for j in kept)]
            total = context.all_reduce(tf.distribute.ReduceOp.SUM, list(map(tf.identity, given)))
            mean = [x / tf.cast(self._replicas.count, x.dtype) for x in total]
            weights = part.network.model.non_trainable_weights
            for j, moved in zip(kept, mean[len(found) :], strict=True):
                weights[j].assign(was[j] + moved)
            return mean[: len(found)]

        strategy = self._replicas.strategy
        shared = map(strategy.experimental_local_results, strategy.run(replica))
        return [list(each) for each in zip(*shared, strict=True)]


def _normalizing(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    layers = model._flatten_layers()
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def _reseed(model: keras.Model, rank: int) -> None:
    """Gives a replica random numbers of its own, but for the masks that all of them share."""
    shared = {
        id(layer.seed_generator.state) for layer in model._flatten_layers() if shares_masks(layer)
    }
    for variable in model.non_trainable_variables:
        if variable.path.endswith("seed_generator_state") and id(variable) not in shared:
            seed, drawn = np.asarray(variable).tolist()
            variable.assign([(seed + rank * APART) % SEEDS, drawn])

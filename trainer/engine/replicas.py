"""One network on several devices, each of which sees its part of every batch.

Every replica has variables of its own, equal at the start; `replicated_program` keeps them so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from schedules.declaration import refuse

from ..config.devices import Several
from ..config.experiment import Experiment
from ..data.feeds.batch import Batch
from ..data.feeds.feed import Feed, FeedArgs
from ..scheduled.keras_internals import all_layers, seed_states
from ..scheduled.layers import share_masks, shares_masks
from .initial_weights import Beginning
from .network import Network
from .workers import RESTORE, Workers, first_rank

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
        super().__init__(feed.order)
        self._feed, self._rank, self._of = feed, rank, of

    def signature(self, updates: int | None) -> FeedArgs:
        return self._feed.signature(updates)

    def args(self, step: int, count: int, longest: int) -> FeedArgs:
        return self._feed.args(step, count, longest)

    def batch(self, feed_args: FeedArgs, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        return self._feed.batch(feed_args, i, part * self._of + self._rank, parts * self._of)

    def in_shape(
        self, feed_args: FeedArgs, i: tf.Tensor, work: Callable[[Feed], list[tf.Tensor]]
    ) -> list[tf.Tensor]:
        def of_share(feed: Feed) -> list[tf.Tensor]:
            return work(Share(feed, self._rank, self._of))

        return self._feed.in_shape(feed_args, i, of_share)

    def tests(self) -> Iterator[Batch]:
        return self._feed.tests()


@dataclass(frozen=True)
class ReplicatedNetwork:
    """The networks of this process' replicas, as the loop sees one: `engine.interfaces.Trained`.

    They are in the order of their ranks; `first` is the rank of the first one among the `count`
    replicas of all processes. What is read is read from the first; what is restored, is in all.
    """

    networks: Sequence[Network]
    first: int
    count: int
    workers: Workers | None = None

    @property
    def lead(self) -> Network:
        """The network of this process' first replica."""
        return self.networks[0]

    @property
    def model(self) -> keras.Model:
        return self.lead.model

    @property
    def begun(self) -> Beginning | None:
        return self.lead.begun

    @property
    def replicas(self) -> int:
        return self.count

    @property
    def evaluated(self) -> list[str]:
        return self.lead.evaluated

    def state(self) -> dict[str, NDArray[Any]]:
        return self.lead.state()

    def check(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.lead.check(state)

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.spread(state)
        if self.workers and self.workers.leads:
            self.workers.say(RESTORE)
            self.workers.share(self.state())

    def spread(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Puts a state into the replicas of this process."""
        for rank, network in enumerate(self.networks, self.first):
            network.restore(state)
            _reseed(network.model, rank)

    def digest(self) -> str:
        return self.lead.digest()

    def average_digest(self) -> str | None:
        return self.lead.average_digest()


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
            Refused: when the replicas can't be compiled as declared.
        """
        self.experiment = experiment
        self.strategy = strategy
        self.count = strategy.num_replicas_in_sync
        self.devices = strategy.extended.worker_devices
        networks, self.feeds = [], []
        for device in self.devices:
            with tf.device(device):
                networks.append(network())
                self.feeds.append(feed())
        together = isinstance(experiment.device, Several) and experiment.device.synchronized
        for rank, each in enumerate(networks, first_rank(strategy)):
            each.draws.place = rank
            share_masks(each.model)
            for layer in _normalizing(each.model):
                layer.synchronized = together
        self.network = ReplicatedNetwork(networks, first_rank(strategy), self.count, workers)
        state = self.network.state()
        self.network.spread(workers.share(state) if workers else state)
        if self.only_graph and experiment.run.compile == "xla":
            raise refuse("run.compile", "xla", ONLY_GRAPH, "run.compile=graph")

    @property
    def shares(self) -> list[Share]:
        """What each replica of this process sees of the examples."""
        first = self.network.first
        return [Share(feed, rank, self.count) for rank, feed in enumerate(self.feeds, first)]

    @property
    def only_graph(self) -> bool:
        """Whether XLA is out of the question: it can't reach over to another device."""
        return any(layer.synchronized for layer in _normalizing(self.network.model))


def _normalizing(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    layers = all_layers(model)
    return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]


def _reseed(model: keras.Model, rank: int) -> None:
    """Gives a replica random numbers of its own, but for the masks that all of them share."""
    shared = {id(layer.seed_generator.state) for layer in all_layers(model) if shares_masks(layer)}
    for state in seed_states(model):
        if id(state) not in shared:
            seed, drawn = np.asarray(state).tolist()
            state.assign([(seed + rank * APART) % SEEDS, drawn])

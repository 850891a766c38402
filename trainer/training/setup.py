"""What a run is made from before there is a session: data, tape, order of examples, checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from schedules.declaration import Refused, within

from ..config.experiment import Experiment
from ..config.plan import Plan
from ..data import Split
from ..data.feeds.feed import Feed
from ..data.feeds.order import ExampleOrder
from ..data.feeds.select import example_order, make_feed, max_updates_per_call
from ..data.feeds.stream_reader import StreamReader
from ..engine.declared_network import declared_network
from ..engine.fitted_model import built_model
from ..engine.interfaces import Trained
from ..engine.network import Network
from ..engine.network_state import value_of
from ..engine.program import Compiled, Program
from ..engine.replicas import Replicas
from ..engine.replicated_program import ReplicatedProgram
from ..engine.workers import Workers
from ..runs.folder import Folder
from ..scheduled.dials import Dials
from ..scheduled.tape import Tape
from .resume import Past

LONGEST = 2000
"""The most updates in a call where the config leaves it open: what the padded tables hold."""


def loaded(experiment: Experiment) -> Split:
    """The examples, looked over.

    Raises:
        Refused: when they can't be learnt from.
    """
    with within("data"):
        data = experiment.data.load()
    data.check(experiment.data.facts())
    return data


class Built(NamedTuple):
    """A network on its devices, and what compiles its program."""

    network: Trained
    program: Callable[[Compiled], Program]
    workers: Workers | None = None
    """This process among those of a cluster."""


@dataclass
class RunSetup:
    """What a run begins with, or goes on from."""

    plan: Plan
    folder: Folder
    data: Split
    device: str
    tape: Tape
    order: ExampleOrder
    past: Past

    @classmethod
    def of(
        cls, plan: Plan, folder: Folder, data: Split, device: str, past: Past | None = None
    ) -> RunSetup:
        """The tape and the order of the examples; `past` is read from the folder if left out."""
        experiment = plan.experiment
        return cls(
            plan,
            folder,
            data,
            device,
            Tape(plan.curves, plan.bounds, plan.total_steps),
            example_order(experiment.data, data, experiment.run.seed, plan.batch_sizes),
            past or Past.read(plan, folder),
        )

    @cached_property
    def stream(self) -> StreamReader | None:
        """What reads the examples, where they come one after another."""
        return StreamReader(self.data.stream, self.order) if self.data.stream else None

    @cached_property
    def data_digest(self) -> str:
        """The fingerprint of the data, or why it is not known: a text like no other data's."""
        try:
            return self.data.digest
        except Refused as refused:
            return f"unknown: {' '.join(str(refused).split())}"

    @cached_property
    def feed(self) -> Feed:
        """What brings the examples to the device, where it is one."""
        return self._feed()

    def _feed(self) -> Feed:
        return make_feed(self.plan.experiment.data, self.data, self.order, self.stream)

    def reading_ahead(self) -> AbstractContextManager[None]:
        """Within it, the examples of the first updates are read while their program is made."""
        return self.feed.reading_ahead(self.past.saved.step if self.past.saved else 0)

    @property
    def longest(self) -> int:
        """The most updates of a call: none goes beyond an evaluation or a checkpoint."""
        declared = self.plan.experiment.run.steps_per_call
        longest = min(
            LONGEST if declared == "auto" else declared,
            self.plan.evaluation.longest,
            self.plan.saving.longest,
        )
        return max_updates_per_call(self.plan.experiment.data, self.data, longest)

    def network(self) -> Network:
        """The network before its first update, drawn from the run's seed.

        Raises:
            Refused: as `declared_network` says.
        """
        self._seed()
        return declared_network(
            self.plan.experiment,
            self.tape.names,
            self.data.train.labels,
            begins=self.past.saved is None,
        )

    def drawn_weights(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yields the variables of that network's model by their paths, and builds nothing else."""
        self._seed()
        facts, dials = self.plan.experiment.data.facts(), Dials(self.tape.names)
        for variable in built_model(self.plan.experiment, facts, dials).variables:
            yield variable.path, value_of(variable)

    def _seed(self) -> None:
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(self.plan.experiment.run.seed)

    def built(self, strategy: tf.distribute.Strategy | None) -> Built:
        """The network on its device, or on those of a strategy.

        Raises:
            Refused: as `network` and `Replicas` say.
        """
        experiment = self.plan.experiment

        if strategy is None:
            network, examples, run = self.network(), self.feed, experiment.run

            def program(compiled: Compiled) -> Program:
                skips = run.on_nonfinite == "skip"
                return Program(network, examples, compiled, self.longest, run.micro_batches, skips)

            return Built(network, program)
        workers = None
        if cluster := experiment.device.cluster():
            workers = Workers(strategy, cluster)
            workers.agree(experiment, self.data.digest)
        self.plan.length.check_parts(strategy.num_replicas_in_sync)
        replicas = Replicas(experiment, strategy, self.network, self._feed, workers)
        build = partial(ReplicatedProgram, replicas, longest=self.longest)
        return Built(replicas.network, build, workers)

    def ask(self, program: Program, count: int) -> None:
        """Makes `count` updates that are as most of the run's are, of the first examples.

        The same groups are frozen in them as in the longest stretch of the run. For 0 that is
        compiled, and what the run begins or goes on with.
        """
        stretch = self.plan.longest_stretch
        rows = self.tape.read(stretch.start, min(max(count, 1), len(stretch)))
        program.update(np.resize(rows, (max(count, 1), rows.shape[1])), 0, count)
        if not count:
            step = self.past.saved.step if self.past.saved else 0
            program.update(self.tape.read(step, 1), step, 0)

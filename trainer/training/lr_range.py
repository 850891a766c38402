"""A range test at work: a fresh network under a rising learning rate."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from schedules.analysis.preview import horizon

from ..config.lr_find import Reading
from ..config.plan import Plan
from ..data.feeds.feed import Feed
from ..data.feeds.select import example_order, make_feed, max_updates_per_call
from ..engine.declared_network import declared_network
from ..engine.machine import open_devices, settle
from ..engine.network import Network
from ..engine.program import Compiled, Program
from ..engine.replicas import Replicas
from ..engine.replicated_program import ReplicatedProgram
from ..scheduled.tape import Tape

AT_ONCE = 10
"""The updates in a call; after each, it may be enough."""


def sweep(plan: Plan) -> Reading:
    """The losses at the rates of the sweep, up to where they diverge.

    Raises:
        Refused: when the machine lacks the device, or a parameter group means no weight.
    """
    experiment = plan.experiment
    device, strategy = open_devices(experiment)
    settle(experiment)
    data = experiment.data.load()
    most = max_updates_per_call(experiment.data, data, AT_ONCE)
    tape = Tape(plan.curves)
    order = example_order(experiment.data, data, experiment.run.seed)
    # XLA takes longer to compile than it saves in so few updates.
    compiled: Compiled = "xla" if experiment.run.compile == "xla" else "graph"

    def network() -> Network:
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(experiment.run.seed)
        return declared_network(experiment, tape.names, data.train.labels, begins=True)

    def feed() -> Feed:
        return make_feed(experiment.data, data, order)

    with tf.device(device):
        if strategy is None:
            parts = experiment.run.micro_batches
            program = Program(network(), feed(), compiled, most, parts)
        else:
            plan.length.check_parts(strategy.num_replicas_in_sync)
            program = ReplicatedProgram(
                Replicas(experiment, strategy, network, feed), compiled, most
            )
    updates = len(horizon(tape.curves["learning_rate"].clock))
    reading = Reading()
    for step in range(0, updates, most):
        count = min(most, updates - step)
        table = tape.read(step, count)
        losses, finite, _ = program.update(table, step)
        reading = reading.followed_by(table[: len(losses), 0], losses.astype(np.float64))
        if not finite.all():  # where no loss tells, a gradient does
            return replace(reading, broke=True)
        if reading.diverged:
            break
    return reading

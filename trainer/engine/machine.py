"""TensorFlow made ready for an experiment, before anything else is asked of it."""

from __future__ import annotations

import os

import tensorflow as tf

from schedules.declaration import refuse, within

from ..config.experiment import Experiment
from ..runs.provenance import usable_cores
from ..scheduled.dials import probe

THREADS = "TF_NUM_INTRAOP_THREADS"
"""The environment's word on how many threads an operation may take, where nothing else is said."""


def settled(
    experiment: Experiment, threads: int | None = None
) -> tuple[str, tf.distribute.Strategy | None]:
    """The device that it will run on, and how several work together.

    An operation may take `threads` of the CPU, where the config says nothing else and TensorFlow
    is not at work in this process yet.

    Raises:
        Refused: when the machine lacks the device, TensorFlow is at work in this process with
            another number of threads, or Keras can't follow a schedule.
    """
    declared = experiment.run.threads
    try:
        if (count := threads if declared == "auto" else declared) is not None:
            tf.config.threading.set_intra_op_parallelism_threads(count)
    except RuntimeError:
        if declared != "auto":
            rule = f"comes too late: TensorFlow is at work in this process, and takes {taken()}"
            raise refuse("run.threads", declared, rule, "a process for each run") from None
    strategy = experiment.device.strategy()
    if experiment.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    device = experiment.device.choose()
    with within("optimizer"):
        probe(experiment.optimizer)
    return device, strategy


def taken() -> int:
    """How many threads an operation may take."""
    declared = tf.config.threading.get_intra_op_parallelism_threads()
    told = os.environ.get(THREADS, "")  # which TensorFlow ignores where it is no number
    return declared or (int(told) if told.isdecimal() else 0) or len(usable_cores())

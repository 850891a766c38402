"""TensorFlow made ready for an experiment, before anything else is asked of it.

First `open_devices`, then `settle`: between them it may be decided how many threads it takes.
"""

from __future__ import annotations

import os

import tensorflow as tf

from schedules.declaration import refuse, within

from ..config.experiment import Experiment
from ..runs.provenance import usable_cores
from .kept_programs import announce_programs, keep_programs
from .probe import probe

THREADS = "TF_NUM_INTRAOP_THREADS"
"""The variable that says how many threads an operation may take, where nothing else does."""


def open_devices(experiment: Experiment) -> tuple[str, tf.distribute.Strategy | None]:
    """The device that it will run on, and how several work together.

    Raises:
        Refused: when the machine lacks the device, or TensorFlow is at work in this process with
            another number of threads.
    """
    if experiment.run.compile_cache:
        announce_programs()
    declared = experiment.run.threads
    if declared != "auto" and not _set_threads(declared) and declared != threads_in_use():
        count = threads_in_use()
        rule = f"comes too late: TensorFlow is at work in this process, and takes {count}"
        raise refuse("run.threads", declared, rule, "a process for each run")
    strategy = experiment.device.strategy()
    return experiment.device.choose(), strategy


def settle(experiment: Experiment, threads: int | None = None) -> None:
    """Makes TensorFlow ready for it, once its devices are open.

    An operation may take `threads` of the CPU, where the config says nothing else and TensorFlow
    is not at work in this process yet. What XLA compiles is kept, where choices are.

    Raises:
        Refused: when Keras can't follow a schedule.
    """
    if threads is not None and experiment.run.threads == "auto":
        _set_threads(threads)
    if experiment.run.compile_cache:
        keep_programs(threads_in_use(), deterministic=experiment.run.deterministic)
    if experiment.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    with within("optimizer"):
        probe(experiment.optimizer)


def _set_threads(count: int) -> bool:
    """Lets an operation take so many threads; False where TensorFlow is at work already."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(count)
    except RuntimeError:
        return False
    return True


def threads_in_use() -> int:
    """How many threads an operation may take."""
    declared = tf.config.threading.get_intra_op_parallelism_threads()
    text = os.environ.get(THREADS, "")  # which TensorFlow ignores where it is no number
    return declared or (int(text) if text.isdecimal() else 0) or len(usable_cores())

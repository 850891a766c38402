"""From a declaration and its folder to a session: TensorFlow's part of a run, put together."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from ..config.devices import Several
from ..config.experiment import Experiment
from ..engine.compile_cache import remember, remembered
from ..engine.compile_choice import Pace, measured, rate
from ..engine.machine import settled, taken
from ..engine.program import Compiled, Program
from ..engine.replicas import Mirrors
from ..runs.folder import Folder
from .session import Session
from .setup import Start, decided, loaded

TooLarge = tf.errors.ResourceExhaustedError


def begin(experiment: Experiment, folder: Folder, *, alone: bool = False) -> Session:
    """Builds the network on its device and goes on from the folder's newest checkpoint.

    `alone` in its process, the run may settle TensorFlow for good in the way that suits it.

    Raises:
        Refused: when the machine lacks the device, Keras can't follow a schedule, or model and
            data don't fit.
        Unfit: when the checkpoint does not fit the network.
    """
    known = None
    if experiment.run.compile == "auto" and not isinstance(experiment.device, Several):
        known = decided(folder) or remembered(experiment, experiment.device.choose(), alone=alone)
    device, strategy = settled(experiment, known.threads if known else None)
    start = Start.of(experiment, folder, loaded(experiment), device)
    with tf.device(device):
        network, build = start.built(strategy)
        chosen = start.chosen() or known or remembered(experiment, device)
        if chosen is None:
            chosen, program = measured(build, start.ask)
            chosen = remember(experiment, device, chosen)
        else:
            program = build(chosen.compile)
            start.ask(program, 0)  # compiles, so that the first updates are as fast as the rest
            if chosen.threads and not chosen.rate:
                chosen = chosen.timed(rate(program, start.ask))
                remember(experiment, device, chosen)
    pace = Pace(start.longest, adapts=experiment.run.steps_per_call == "auto")
    session = start.session(network, program, chosen, pace)
    if chosen.threads and chosen.threads != taken():
        said = f"an operation takes {taken()} threads in this process, and {chosen.threads} before"
        session.say("threads", f"{said}: sums may be rounded otherwise")
    return session


def join(
    experiment: Experiment, folder: Folder
) -> tuple[Mirrors, Callable[[Compiled], Program], int]:
    """The replicas of a worker that does not lead, what makes their program, and its longest call.

    Raises:
        Refused: as `begin` says.
        Lost: when another worker is gone.
    """
    device, strategy = settled(experiment)
    start = Start.apart(experiment, folder, loaded(experiment), device)
    with tf.device(device):
        network, build = start.built(strategy)
    assert isinstance(network, Mirrors)
    return network, build, start.longest

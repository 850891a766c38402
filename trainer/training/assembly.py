"""From a plan and its folder to a run: TensorFlow's part of it, put together."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import tensorflow as tf

from ..config.devices import Several
from ..config.plan import Plan
from ..engine.compile_decision import binding_choice, compile_program, known_choice
from ..engine.compile_measuring import CompileChoice, Pace
from ..engine.interfaces import Trainable, Trained
from ..engine.machine import open_devices, settle, threads_in_use
from ..engine.workers import Workers
from ..runs.atomic_files import write
from ..runs.checkpoint_writer import CheckpointWriter
from ..runs.events import Events
from ..runs.folder import Folder
from ..runs.mailbox import Mailbox
from ..runs.trial import Trial
from ..trackers.delivery import Trackers
from .given_objects import keep_objects
from .metrics_log import MetricsLog
from .profiling import Profiler
from .resume import Past, go_on
from .run_config import record
from .session import Session
from .setup import Built, RunSetup, loaded
from .steering import Steering

TooLarge = tf.errors.ResourceExhaustedError


@dataclass(frozen=True)
class Assembled:
    """A session, what serves it, and how its program came to be."""

    session: Session
    steering: Steering
    profiler: Profiler
    pace: Pace
    choice: CompileChoice
    setup: RunSetup
    workers: Workers | None = None
    """This process among those of a cluster."""
    together: int = 1
    """How many runs one program trains."""


def begin(plan: Plan, folder: Folder, *, alone: bool = False) -> Assembled:
    """Builds the network on its device and goes on from the folder's newest checkpoint.

    `alone` in its process, the run may settle TensorFlow for good in the way that suits it.

    Raises:
        Refused: when the machine lacks the device, Keras can't follow a schedule, or model and
            data don't fit.
        CheckpointMismatchError: when the checkpoint does not fit the network.
    """
    experiment = plan.experiment
    device, strategy = open_devices(experiment)
    past = Past.read(plan, folder)
    single = not isinstance(experiment.device, Several)
    binding = binding_choice(experiment, folder, past.saved)
    choice = known_choice(experiment, device, [binding], alone=alone and single)
    settle(experiment, choice.threads if choice else None)
    setup = RunSetup.of(plan, folder, loaded(experiment), device, past)
    with ExitStack() as meanwhile:
        with tf.device(device):
            if choice and strategy is None:  # what is read meanwhile would spoil what is measured
                meanwhile.enter_context(setup.reading_ahead())
            built = setup.built(strategy)
            choice, program = compile_program(choice, experiment, device, built.program, setup.ask)
        program.evaluation.prepare()
    pace = Pace(setup.longest, adapts=experiment.run.steps_per_call == "auto")
    run = assembled(setup, built.network, program, choice, pace, workers=built.workers)
    if untold := program.untold_state():
        few = "; ".join(untold[:3]) + (f"; and {len(untold) - 3} more" if len(untold) > 3 else "")
        run.session.say("not exact", f"going on can't promise the same bits: {few}")
    if choice.threads and choice.threads != threads_in_use():
        now = f"an operation takes {threads_in_use()} threads in this process"
        text = f"{now}, and {choice.threads} before"
        run.session.say("threads", f"{text}: sums may be rounded otherwise")
    return run


def join(plan: Plan, folder: Folder) -> tuple[Built, int]:
    """The replicas of a worker that does not lead, and the longest call of their program.

    Raises:
        Refused: as `begin` says.
        WorkerLostError: when another worker is gone.
    """
    device, strategy = open_devices(plan.experiment)
    settle(plan.experiment)
    past = Past.none(plan, folder)
    setup = RunSetup.of(plan, folder, loaded(plan.experiment), device, past)
    with tf.device(device):
        return setup.built(strategy), setup.longest


def assembled(
    setup: RunSetup,
    network: Trained,
    program: Trainable,
    choice: CompileChoice,
    pace: Pace,
    *,
    workers: Workers | None = None,
    label: str = "",
    together: int = 1,
) -> Assembled:
    """The run, at its newest checkpoint or at the beginning.

    Nothing in the folder is changed before it is known that the run can begin or go on.

    Raises:
        Refused: when something waits for a metric that evaluations won't give, or an example can't
            be read.
        CheckpointMismatchError: when the checkpoint does not fit the network.
    """
    plan, folder = setup.plan, setup.folder
    experiment = plan.experiment

    def identity() -> dict[str, Any]:
        return {
            "optimizer": experiment.optimizer.kind,
            "data": setup.data_digest,
            "seed": experiment.run.seed,
            "compile": choice.compile,
            "replicas": network.replicas,
        }

    if setup.past.saved is not None or not setup.data.digest_can_wait:
        _ = setup.data.digest
    plan.check_metrics(network.evaluated)
    setup.past.check(experiment, network, identity)
    setup.past.settle()
    record(folder, plan)
    write(folder.compile_choice, json.dumps(asdict(choice), indent=1) + "\n")
    setup.data.preparation.write(folder.preparation)
    keep_objects(experiment, setup.data, folder, begins=setup.past.saved is None)
    mailbox = Mailbox(folder.path)
    mailbox.open()
    session = Session(
        plan=plan,
        folder=folder,
        network=network,
        program=program,
        tape=setup.tape,
        order=setup.order,
        stream=setup.stream,
        log=MetricsLog(folder.path, Trackers.started(experiment.log, folder), folder.lock.check),
        events=Events(folder.path, folder.lock.check),
        writer=CheckpointWriter(setup.past.checkpoints),
        identity=identity,
        trial=Trial.of(folder.path),
        label=label,
    )
    for reason in setup.past.wrong:
        session.say("damaged", f"left out a damaged checkpoint, {reason}")
    if network.begun and setup.past.saved is None:
        session.say("init_from", network.begun.table(), **network.begun.details())
    go_on(session, setup.past.saved)
    profiler = Profiler(experiment.run.profile, folder.path)
    steering = Steering(session, mailbox, pace)
    return Assembled(session, steering, profiler, pace, choice, setup, workers, together)

"""The door for programs: what `python -m trainer` does, from a notebook or a script."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TextIO

from schedules.declaration import ABSENT, refuse

from ..config.early_stopping import finished
from ..config.experiment import Experiment
from ..config.plan import Plan
from ..runs.folder import Folder
from ..runs.footprint import Footprint, removed_if_refused
from ..runs.known_secrets import know_environment, veiled_refusals
from ..runs.redaction import secret_placeholders
from ..runs.signals import Interruption
from ..runs.terminal import LenientStream
from ..training.run import StartError, perform, tell
from ..training.run_config import declare
from .callback import Callback, Watch
from .checks import Checked, announce, look_over
from .export import leave
from .given import Given
from .outcome import Outcome
from .restored import Restored

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_TRAINING = Lock()


@veiled_refusals()
def train(
    experiment: Experiment,
    folder: str | os.PathLike[str] | None = None,
    *,
    model: keras.Model | None = None,
    data: Any = None,
    loss: Callable[[keras.Model, tuple[tf.Tensor, tf.Tensor]], tf.Tensor] | None = None,
    callback: Callback | None = None,
    quiet: bool = False,
) -> Outcome:
    """Trains, or goes on where an earlier call on the same folder stopped; gives what came of it.

    The folder is that of `python -m trainer`, byte for byte, and either may go on with the other's
    run. Without one, a new one is made under `outputs/` as the command line would name it.

    `model` is a network of Keras in place of the declared one, and is trained in place. `data` is
    `(inputs, labels)`, `(inputs, labels, weights)`, or inputs alone that are to be given back, in
    place of the declared data, whose batch size stays; or two of these, of which the second one is
    evaluated by. Inputs and labels are arrays, or dicts or lists of them. A `tf.data.Dataset` may
    stand for them, and in the place of what trains a function that makes a generator.
    `loss(model, (inputs, labels))` is a training step: what it returns, for the batch or for each
    example, is made small, as `loss=step` tells; evaluations call it too, unless another loss is
    declared. The config tells all three from others by their digests.

    `callback` is called after each call into TensorFlow; with `Call.stop` it may end the run. What
    it raises ends it too, and comes out here. With `quiet` nothing is printed but what it prints;
    what else happened is in `events.jsonl`.

    Ctrl-C, or a notebook's interrupt, lets the running call finish, saves, and then raises
    KeyboardInterrupt; the same call goes on from there. A second one does not wait. Off the main
    thread signals are left alone. One process trains one run at a time.

    Raises:
        Refused: when the config can't be honoured, on this machine or in this folder, or another
            run is under way in this process. A refused config leaves no folder behind.
        OSError: when the folder can't be made or written to.
    """
    check_for_program(experiment)
    know_environment()
    given = Given.of(model, data, loss)
    placeholders = experiment.placeholders or secret_placeholders(
        experiment.model_dump(mode="json")
    )
    plan = Plan.of(given.completed(experiment))
    checked = Checked(plan, placeholders, look_over(plan))
    with sole_training("train"):
        return trained(checked, _named(folder), given, callback, quiet=quiet)


def check_for_program(experiment: Experiment) -> None:
    """Whether an experiment is a run that a program can have.

    Raises:
        Refused: with the command for any other.
    """
    if experiment.mode != "train":
        hint = f"python -m trainer mode={experiment.mode}, in a terminal"
        raise refuse("mode", experiment.mode, "is for the command line", hint)
    if experiment.device.kind == "multi_worker":
        hint = "python -m trainer device=multi_worker, once for each worker"
        raise refuse("device", "multi_worker", "is for the command line", hint)


@contextmanager
def sole_training(door: str) -> Iterator[None]:
    """Lets no other thread of this process train within the block; `door` is what was called.

    Raises:
        Refused: when another one does.
    """
    if not _TRAINING.acquire(blocking=False):
        hint = "wait for it, or train in another process"
        raise refuse(door, ABSENT, "a run is under way in this process", hint)
    try:
        yield
    finally:
        _TRAINING.release()


def trained(
    checked: Checked,
    folder: Folder,
    given: Given,
    callback: Callback | None = None,
    *,
    quiet: bool = False,
) -> Outcome:
    """Trains what `checked` has, which is completed by `given`, as `train` does."""
    model = given.model
    with ExitStack() as held:
        held.enter_context(removed_if_refused(folder.path))
        footprint = Footprint(folder)
        held.enter_context(folder.locked())
        held.enter_context(footprint.undone_if_refused())
        aloud = held.enter_context(silence(quiet))
        plan = declare(folder, checked.plan, checked.placeholders, given.completed_again)
        experiment = plan.experiment
        watch = Watch(plan.total_steps, callback, aloud)
        result = folder.read_result()
        if result and finished(result, plan.total_steps, experiment.evaluate.stop):
            tell(result, folder)
            _leave(experiment, folder, model)
            return _outcome(experiment, folder, None, model)
        announce(plan, checked.warnings)
        stop = Interruption()
        try:
            with undisturbed():
                perform(plan, folder, stop, watch.of)
            if watch.raised:
                raise watch.raised
        except StartError as error:
            print(error, file=sys.stderr)
            return _outcome(experiment, folder, None, model, str(error))
        _leave(experiment, folder, model)
    if stop.received is not None:
        signal.raise_signal(stop.received)  # for whoever handles it now
    return _outcome(experiment, folder, watch.model, model)


def _outcome(
    experiment: Experiment,
    folder: Folder,
    live: keras.Model | None,
    original: keras.Model | None,
    reason: str = "",
) -> Outcome:
    """What came of a run, as its folder tells it; of one that could not begin, `reason`.

    `live` is the network that was trained just now, `original` the one that the program gave.
    """
    result = folder.read_result() or {}
    if reason:
        result = {"status": "failed", "reason": reason, "steps": 0, "metrics": {}}
    if live is not None and experiment.optimizer.averages and result["status"] != "failed":
        live.set_weights(saved(experiment, folder).get_weights())  # it trained at another point
    if live is not None and original is not None and live is not original:
        original.set_weights(live.get_weights())  # what was trained is a copy on another device
        live = original
    return Outcome(
        folder.path.absolute(),
        result["status"],
        result["steps"],
        result["metrics"],
        result.get("reason", ""),
        result,
        lambda: saved(experiment, folder) if live is None else live,
        lambda: experiment,
    )


def _named(folder: str | os.PathLike[str] | None) -> Folder:
    """The folder; a new one as the command line names it where none is given."""
    now = datetime.now()
    name = folder or f"outputs/{now:%Y-%m-%d}/{now:%H-%M-%S}-{secrets.token_hex(3)}"
    named = Folder(Path(name))
    named.check_name("folder")
    return named


@contextmanager
def silence(quiet: bool) -> Iterator[TextIO]:
    """Keeps quiet where that is wanted, and secrets everywhere; gives where printing goes."""
    aloud: Any = LenientStream(sys.stdout)
    errors: Any = LenientStream(sys.stderr)
    with redirect_stdout(StringIO() if quiet else aloud), redirect_stderr(errors):
        yield aloud


@contextmanager
def undisturbed() -> Iterator[None]:
    """Lets TensorFlow not take the programs of several runs for one that is traced too often."""
    log = logging.getLogger("tensorflow")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _leave(experiment: Experiment, folder: Folder, model: keras.Model | None) -> None:
    """Exports what is declared; a model that was given for training keeps its weights."""
    if experiment.export is None or model is None:
        leave(experiment, folder)
        return
    before = [variable.numpy().copy() for variable in model.variables]
    try:
        leave(experiment, folder)
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)


def saved(experiment: Experiment, folder: Folder) -> keras.Model:
    """The network of a run as its newest checkpoint has it.

    Raises:
        Refused: when there is none that could be read.
    """
    return Restored.of(experiment, folder, "final").network().model

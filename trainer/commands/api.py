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
from ..data.sources.in_memory import GivenData
from ..losses.step import GivenStep
from ..models.in_memory import GivenModel
from ..runs.folder import Folder
from ..runs.footprint import Footprint, removed_if_refused
from ..runs.known_secrets import know_environment, veiled_refusals
from ..runs.redaction import secret_placeholders
from ..runs.signals import Interruption
from ..runs.terminal import LenientStream
from ..training.run import StartError, perform, tell
from ..training.run_config import declare
from .callback import Callback, Watch
from .checks import announce, look_over
from .export import leave
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
    evaluated by. Inputs and labels are arrays, or dicts or lists of them, and a `tf.data.Dataset`
    of a known length may stand for them. `loss(model, (inputs, labels))` is a training step: what
    it returns, for the batch or for each example, is made small, as `loss=step` tells; evaluations
    call it too, unless another loss is declared. The config tells all three from others by their
    digests.

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
    if experiment.mode != "train":
        hint = f"python -m trainer mode={experiment.mode}, in a terminal"
        raise refuse("mode", experiment.mode, "is for the command line", hint)
    if experiment.device.kind == "multi_worker":
        hint = "python -m trainer device=multi_worker, once for each worker"
        raise refuse("device", "multi_worker", "is for the command line", hint)

    def again(declared: Experiment) -> Experiment:
        """The folder's own experiment, with the objects that its run was given."""
        complete = _with_objects(declared, model, data, loss)
        if complete.model_dump() != declared.model_dump():
            rule = "goes on with what the folder's run was given, and this is something else"
            hint = "give the same model, data and loss again, or resume.policy=config"
            raise refuse("resume.policy", "checkpoint", rule, hint)
        return complete

    know_environment()
    placeholders = experiment.placeholders or secret_placeholders(
        experiment.model_dump(mode="json")
    )
    plan = Plan.of(_with_objects(experiment, model, data, loss))
    warnings = look_over(plan)
    if not _TRAINING.acquire(blocking=False):
        hint = "wait for it, or train in another process"
        raise refuse("train", ABSENT, "a run is under way in this process", hint)
    try:
        place = _named(folder)
        with ExitStack() as held:
            held.enter_context(removed_if_refused(place.path))
            footprint = Footprint(place)
            held.enter_context(place.locked())
            held.enter_context(footprint.undone_if_refused())
            aloud = held.enter_context(_silence(quiet))
            experiment = plan.experiment
            plan = declare(place, plan, placeholders, again)
            experiment = plan.experiment
            watch = Watch(plan.total_steps, callback, aloud)
            result = place.read_result()
            if result and finished(result, plan.total_steps, experiment.evaluate.stop):
                tell(result, place)
                _leave(experiment, place, model)
                return _outcome(experiment, place, None, model)
            announce(plan, warnings)
            stop = Interruption()
            try:
                with _undisturbed():
                    perform(plan, place, stop, watch.of)
                if watch.raised:
                    raise watch.raised
            except StartError as error:
                print(error, file=sys.stderr)
                return _outcome(experiment, place, None, model, str(error))
            _leave(experiment, place, model)
    finally:
        _TRAINING.release()
    if stop.received is not None:
        signal.raise_signal(stop.received)  # for whoever handles it now
    return _outcome(experiment, place, watch.model, model)


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
        live.set_weights(_saved(experiment, folder).get_weights())  # it trained at another point
    if live is not None and original is not None and live is not original:
        original.set_weights(live.get_weights())  # what was trained is a copy on another device
        live = original
    return Outcome(
        folder.path,
        result["status"],
        result["steps"],
        result["metrics"],
        result.get("reason", ""),
        result,
        lambda: _saved(experiment, folder) if live is None else live,
    )


def _with_objects(
    experiment: Experiment,
    model: keras.Model | None,
    data: Any,
    loss: Callable[..., Any] | None,
) -> Experiment:
    """The experiment with what a program gives in the place of what is declared."""
    parts: dict[str, Any] = {}
    if data is not None:
        before = experiment.data
        if not isinstance(before, GivenData):
            before = GivenData(batch_size=before.batch_size)
        parts["data"] = before.of(data)
    if model is not None:
        parts["model"] = GivenModel.from_model(model)
        if (policy := model.dtype_policy.name) != experiment.run.precision:
            rule = f"is not that of the given model, which is {policy}"
            raise refuse("run.precision", experiment.run.precision, rule, f"run.precision={policy}")
    if loss is not None:
        parts["loss"] = GivenStep.from_function(loss, experiment.loss)
    if not parts:
        return experiment
    fields = {name: getattr(experiment, name) for name in type(experiment).model_fields}
    complete = type(experiment).declared({**fields, **parts})
    complete.placeholders.update(experiment.placeholders)
    return complete


def _named(folder: str | os.PathLike[str] | None) -> Folder:
    """The folder; a new one as the command line names it where none is given."""
    now = datetime.now()
    name = folder or f"outputs/{now:%Y-%m-%d}/{now:%H-%M-%S}-{secrets.token_hex(3)}"
    named = Folder(Path(name))
    named.check_name("folder")
    return named


@contextmanager
def _silence(quiet: bool) -> Iterator[TextIO]:
    """Keeps quiet where that is wanted, and secrets everywhere; gives where printing goes."""
    aloud: Any = LenientStream(sys.stdout)
    errors: Any = LenientStream(sys.stderr)
    with redirect_stdout(StringIO() if quiet else aloud), redirect_stderr(errors):
        yield aloud


@contextmanager
def _undisturbed() -> Iterator[None]:
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


def _saved(experiment: Experiment, folder: Folder) -> keras.Model:
    """The network of a run as its newest checkpoint has it.

    Raises:
        Refused: when there is none that could be read.
    """
    return Restored.of(experiment, folder, "final").network().model

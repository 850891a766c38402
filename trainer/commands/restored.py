"""What a run has come to: the network of one of its folder's checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from schedules.batch_sizes import BatchSizes
from schedules.declaration import refuse

from ..config.experiment import Experiment
from ..config.hydra import compose
from ..config.plan import Plan
from ..data import Preparation
from ..models import Model
from ..models.exports import Weights
from ..models.in_memory import GivenModel
from ..runs.checkpoint_files import Saved
from ..runs.checkpoints import Checkpoints
from ..runs.folder import Folder
from ..scheduled.fields import driven
from ..training.given_objects import with_kept_objects

if TYPE_CHECKING:
    import keras

    from ..engine.network import Network


class MismatchError(ValueError):
    """A checkpoint is another network's than the one that is declared."""


@dataclass(frozen=True)
class Restored:
    """The state of a run at a checkpoint, and which of its weights to take."""

    experiment: Experiment
    saved: Saved
    weights: Weights
    preparation: Preparation
    """What raw inputs went through before the run's network saw them."""

    @classmethod
    def of(cls, experiment: Experiment, folder: Folder, weights: Weights | None) -> Self:
        """Finds the checkpoint that holds the weights; those of the last evaluation are usual.

        It only reads, so that the run may go on meanwhile. It needs no TensorFlow.

        Raises:
            Refused: when the folder holds no such weights.
        """
        checkpoints = Checkpoints(folder.checkpoints, 1)
        saved, damaged = checkpoints.newest(set_aside=False)
        if saved is None:
            rule = f"has only damaged checkpoints: {damaged[0]}" if damaged else "has no checkpoint"
            raise refuse("RUN_DIR", str(folder.path), rule, "the same command in it makes one")
        averaged = any(name.startswith("average/") for name in saved.arrays)
        if weights is None:
            weights = "ema" if averaged else "final"
        if weights == "ema" and not averaged:
            rule = "is not kept by this run, which has no running mean"
            raise refuse("weights", weights, rule, "train with ema.momentum=0.999")
        if weights == "best":
            best = saved.about["best"] or (None, None)
            kept, _ = checkpoints.newest(lambda step: step == best[1], set_aside=False)
            if kept is None:
                rule = "is not kept by this run"
                hint = "train with checkpoint.keep_best={metric: eval_loss}"
                raise refuse("weights", weights, rule, hint)
            saved = kept
        return cls(experiment, saved, weights, Preparation.read(folder.preparation))

    def digest(self) -> str:
        """A fingerprint of the whole state, equal only where every bit is."""
        digest = sha256()
        for name in sorted(self.saved.arrays):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.saved.arrays[name]).data)
        return digest.hexdigest()

    def network(self) -> Network:
        """The network as evaluations see it, on its device: averages are its weights.

        Raises:
            Refused: when this machine lacks the device, or model and data don't fit.
            MismatchError: when the checkpoint is another network's.
        """
        import keras
        import tensorflow as tf

        from ..engine.declared_network import declared_network

        keras.utils.clear_session(free_memory=False)  # names of variables count from 0 again
        with tf.device(self.experiment.device.choose()):
            network = declared_network(self.experiment, list(self.experiment.driven()))
            try:
                network.restore(self.saved.arrays)
            except ValueError as error:
                raise MismatchError(error) from None
            if self.weights == "final":
                network.average = None
            network.settle()
        return network

    def model(self) -> keras.Model:
        """A model of Keras' own layers alone with these weights: nothing in it is live.

        It computes in float32, whatever the run computed in.
        """
        from ..engine.precision import dtype_policy
        from ..scheduled.dials import Dials

        facts = self.experiment.data.facts()
        weights = {weight.path: np.asarray(weight) for weight in self.network().model.weights}
        with dtype_policy("float32"):
            model = _settled(self.experiment, self.saved).build(facts, Dials(()))
        for weight in model.weights:
            weight.assign(weights[weight.path])
        return model

    def model_of_raw(self) -> keras.Model:
        """The same with what prepares its inputs as its first layers."""
        from ..engine.forward import Forward
        from ..models.raw_inputs import prepared_in_model

        model = self.model()
        forward = Forward(model, self.experiment.data.facts(), self.experiment.loss)
        return prepared_in_model(model, self.preparation, forward.arranged)


def _settled(experiment: Experiment, saved: Saved) -> Model:
    """The model with what a schedule drives at the value that the last update applied."""
    live = driven(experiment.model, "model")
    if not live:
        return experiment.model
    sizes = saved.about.get("batch_sizes")
    plan = Plan.of(experiment, BatchSizes.read(sizes) if sizes else None)
    tree = experiment.model.model_dump(mode="json")
    for name, value in live.items():
        node = tree
        *path, key = value.path[1:]
        for part in path:
            node = node[part]
        node[key] = float(plan.curves[name](plan.total_steps - 1))
    return Model.declared(tree)


@contextmanager
def left_as_it_is(model: Model) -> Iterator[None]:
    """Leaves a model that a program gave, with the weights that it has."""
    live = model._model if isinstance(model, GivenModel) else None
    before = [variable.numpy() for variable in live.variables] if live else []
    try:
        yield
    finally:
        for variable, value in zip(live.variables if live else [], before, strict=True):
            variable.assign(value)


def declared(run: Path, overrides: Sequence[str], free: Sequence[str]) -> Experiment:
    """The experiment of a run's folder, with `overrides` of the groups that are `free`.

    They may say `allow_code` as well, since the folder's own is no permission. In the place of
    objects that a program gave the run is what its folder keeps of them.

    Raises:
        Refused: when there is no run, or an override would make it another one.
    """
    if not Folder(run).config.is_file():
        rule = "is the folder of no run: it has no config.yaml"
        raise refuse("RUN_DIR", str(run), rule, "a run prints its own")
    for override in overrides:
        key, _, value = override.partition("=")
        if key.lstrip("+~").partition(".")[0] not in (*free, "allow_code"):
            rule = f"is not what this run was; free is {' and '.join(free)}"
            raise refuse(key, value, rule, "train with it, in a folder of its own")
    # Trackers, whose addresses may hold secrets that are not here, have nothing to do with it.
    experiment = Experiment.declared(compose([f"rerun={run}", "log={every: 10}", *overrides]))
    return with_kept_objects(experiment, Folder(run))

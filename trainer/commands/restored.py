"""What a run has come to: the network of one of its folder's checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from schedules.batch_sizes import BatchSizes
from schedules.declaration import refuse

from ..config.experiment import Experiment
from ..config.hydra import compose
from ..config.plan import Plan
from ..data import Preparation
from ..data.column import Prepared
from ..data.input_preparation import InputPreparation
from ..data.trees import named_leaves
from ..models import Model
from ..models.exports import Weights
from ..runs.checkpoint_files import Saved
from ..runs.checkpoints import Checkpoints
from ..runs.folder import Folder
from ..scheduled.fields import driven

if TYPE_CHECKING:
    import keras

    from ..engine.network import Network


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
            ValueError: when the checkpoint is another network's.
        """
        import keras
        import tensorflow as tf

        from ..engine.network import Network

        keras.utils.clear_session(free_memory=False)  # names of variables count from 0 again
        with tf.device(self.experiment.device.choose()):
            network = Network.declared(self.experiment, list(self.experiment.driven()))
            network.restore(self.saved.arrays)
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
        import keras

        from ..engine.forward import Forward

        model, facts = self.model(), self.experiment.data.facts()
        leaves: dict[str, Any] = dict(named_leaves(self.preparation.inputs))
        steps = {name: self._layers(name, one) for name, one in leaves.items()}
        if not any(one.changes for one in steps.values()):
            return model
        forward = Forward(model, facts, self.experiment.loss)
        inputs, prepared = {}, {}
        for name, one in steps.items():
            inputs[name] = keras.Input(one.shape, name=name or "inputs", dtype=one.dtype)
            prepared[name] = _prepared(inputs[name], one, f"{name}_" if name else "")
        single = not isinstance(facts.inputs, Mapping)
        taken, given = (tree[""] if single else tree for tree in (inputs, prepared))
        outputs = model(forward.arranged(given))
        return keras.Model(taken, outputs, name=f"prepared_{model.name}")

    @staticmethod
    def _layers(name: str, one: Prepared) -> InputPreparation:
        """The preparation of an input, which layers can do.

        Raises:
            Refused: when they can't.
        """
        if isinstance(one, InputPreparation) and one.fill is None:
            return one
        what = one.kind if one.kind != "number" else "numbers, some missing,"
        rule = f"can't have the {what} of {name or 'its inputs'} prepared in the model"
        hint = "export.inputs=prepared; Preparation.read(…).apply(raw) prepares them"
        raise refuse("export.inputs", "raw", rule, hint)


def _prepared(x: Any, preparation: InputPreparation, of: str) -> Any:
    """A symbolic input after the layers that prepare it."""
    import keras

    if not preparation.changes:
        return x
    shift, scale = preparation.shift, preparation.scale
    features = max(len(shift), len(scale))
    factors = np.broadcast_to([1 / x for x in scale], features).tolist()
    offsets = np.broadcast_to([-x for x in shift], features).tolist()
    if features == 1:
        (factors,), (offsets,) = factors, offsets
    # One after the other: what is taken off may be far greater than what is left.
    moved = keras.layers.Rescaling(1.0, offsets, name=f"{of}preparation_shift")
    scaled = keras.layers.Rescaling(factors, name=f"{of}preparation_scale")
    return scaled(moved(x))


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


def declared(run: Path, overrides: Sequence[str], free: Sequence[str]) -> Experiment:
    """The experiment of a run's folder, with `overrides` of the groups that are `free`.

    They may say `allow_code` as well, since the folder's own is no permission.

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
    return Experiment.declared(compose([f"rerun={run}", "log={every: 10}", *overrides]))

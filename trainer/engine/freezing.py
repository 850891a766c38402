"""Weights that rest: for good, as the model declares, or until their group thaws."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import keras

from schedules.declaration import refuse

from ..scheduled.keras_internals import all_layers, sublayers
from .weight_names import WeightNames


def frozen_weights(names: WeightNames, globs: Sequence[str]) -> list[keras.Variable]:
    """The weights that `model.frozen` means.

    Raises:
        Refused: when a glob means none, or nothing is left to train.
    """
    frozen = names.named_by("model.frozen", globs)
    training = [weight for weight in names.weights if weight.trainable]
    if frozen and all(id(weight) in frozen for weight in training):
        rule = f"leaves no weight to train, of {len(training)}"
        raise refuse("model.frozen", list(globs), rule, "leave out the last layer")
    return list(frozen.values())


@contextmanager
def resting(model: keras.Model, weights: Collection[keras.Variable]) -> Iterator[None]:
    """Within the block `weights` are not among those that train, and their layers are at rest.

    A layer whose trainable weights all rest has `trainable` False: a batch normalization then uses
    its running statistics and leaves them, as Keras says. Afterwards all is as it was. What is
    traced in the block is so for good.
    """
    if not weights:
        yield
        return
    rests = {id(weight) for weight in weights}
    layers, variables = all_layers(model), model.variables
    before = [(layer, layer.trainable) for layer in layers]
    flags = [(variable, variable.trainable) for variable in variables]
    try:
        for layer in [layer for layer in layers if _rests(layer, rests)]:
            layer.trainable = False
        for weight in weights:
            weight.trainable = False
        yield
    finally:
        for layer, flag in before:  # a layer comes before those within it
            layer.trainable = flag
        for variable, flag in flags:
            variable.trainable = flag


def _rests(layer: keras.layers.Layer, resting: Collection[int]) -> bool:
    """Whether a layer and all within it rest, by the identities of the weights that do.

    Of a layer's own weights those decide that train, or all where none does.
    """
    inner = [sublayer for sublayer in sublayers(layer) if sublayer.weights]
    theirs = {id(weight) for sublayer in inner for weight in sublayer.weights}
    own = [weight for weight in layer.weights if id(weight) not in theirs]
    deciding = [weight for weight in own if weight.trainable] or own
    parts = [id(weight) in resting for weight in deciding]
    parts += [_rests(sublayer, resting) for sublayer in inner]
    return bool(parts) and all(parts)

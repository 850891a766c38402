"""Whether a network that was built takes what the data has, and gives what the loss wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from schedules.declaration import refuse
from schedules.declaration.functions import CODE_ERRORS

from ..data import Facts
from ..losses import Loss
from ..scheduled.keras_internals import producer


def check_fit(model: keras.Model, kind: str, facts: Facts, loss: Loss) -> None:
    """Checks a network of that kind, before anything is compiled.

    Raises:
        Refused: naming what the network has, and what the data or the loss wants.
    """
    _check_inputs(model, kind, facts.shape)
    _check_outputs(model, kind, facts)
    _check_end(model, loss)
    if not model.trainable_variables:
        rule = f"has no weight that trains, of {len(model.weights)}"
        raise refuse("model", kind, rule, "layer.trainable = True, before it is saved or returned")
    for path, many in Counter(weight.path for weight in model.variables).items():
        if many > 1:
            rule = f"has {many} variables called {path}, which no checkpoint could tell apart"
            raise refuse("model", kind, rule, "give its layers names of their own")


def _check_inputs(model: keras.Model, kind: str, shape: tuple[int, ...]) -> None:
    inputs = _symbolic(model, "inputs")
    if inputs is None:
        return
    takes = " and ".join(str(list(x.shape[1:])) for x in inputs)
    if len(inputs) == 1 and _fits(inputs[0].shape[1:], shape):
        return
    rule = f"takes inputs of shape {takes}, and the data has inputs of shape {list(shape)}"
    raise refuse("model", kind, rule, f"begin with keras.Input({shape})")


def _check_outputs(model: keras.Model, kind: str, facts: Facts) -> None:
    outputs = _symbolic(model, "outputs")
    if outputs is None:
        outputs = _tried(model, kind, facts.shape)
    labels = f"{facts.classes} classes" if facts.classes else f"{facts.targets} numbers a label"
    gives = " and ".join(str(list(x.shape[1:])) for x in outputs)
    wants = f"and {labels} want outputs of shape {[facts.outputs]}"
    if len(outputs) != 1 or not _fits(outputs[0].shape[1:], (facts.outputs,)):
        hint = f"end with a dense layer of {facts.outputs} units"
        raise refuse("model", kind, f"gives outputs of shape {gives}, {wants}", hint)
    dtype = keras.backend.standardize_dtype(outputs[0].dtype)
    if "float" not in dtype:
        rule = f"gives outputs of type {dtype}, and they must be floats"
        raise refuse("model", kind, rule, "end with what can be learnt, before any rounding")


def _symbolic(model: keras.Model, what: str) -> list[Any] | None:
    """The inputs or outputs of a model that knows them without being called."""
    try:
        tensors = getattr(model, what)
    except (AttributeError, ValueError):
        return None
    return list(tf.nest.flatten(tensors)) if tensors is not None else None


def _tried(model: keras.Model, kind: str, shape: tuple[int, ...]) -> list[Any]:
    """The outputs of a model for two inputs of zeros."""
    try:
        outputs = model(tf.zeros([2, *shape]), training=False)
    except CODE_ERRORS as error:  # whatever its layers raise
        rule = f"can't take inputs of shape {list(shape)}: {error}"
        raise refuse("model", kind, rule) from None
    return list(tf.nest.flatten(outputs))


def _fits(taken: Sequence[int | None], shape: Sequence[int]) -> bool:
    pairs = zip(taken, shape, strict=False)
    return len(taken) == len(shape) and all(a in (None, b) for a, b in pairs)


def _check_end(model: keras.Model, loss: Loss) -> None:
    """Refuses a softmax that would be applied twice, or not at all."""
    loss = getattr(loss, "evaluated", loss)  # of a step of the user's own
    if loss.activation is None:
        return
    end = ending(model)
    probabilities = not getattr(loss, "from_logits", True)
    if end in ("softmax", "sigmoid") and (not probabilities or end != loss.activation):
        rule = f"takes logits, and the network ends in a {end}"
        hint = f"end without the {end}, which is more exact; or loss.from_logits=false"
        if end != loss.activation:
            rule = f"would have a {loss.activation} after it, and the network ends in a {end}"
            other = "binary_cross_entropy" if end == "sigmoid" else "cross_entropy"
            hint = f"end without the {end}; or loss={other} loss.from_logits=false"
        raise refuse("loss.kind", loss.kind, rule, hint)
    if probabilities and end == "linear":
        rule = f"says that the network ends in a {loss.activation}, and its last layer is linear"
        raise refuse("loss.from_logits", False, rule, "loss.from_logits=true")


def ending(model: keras.Model) -> str | None:
    """The activation that a model ends in; None where nothing says which.

    >>> ending(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "softmax")]))
    'softmax'
    """
    outputs = _symbolic(model, "outputs")
    last = producer(outputs[0]) if outputs else None
    if isinstance(last, keras.Model):
        return ending(last)
    if isinstance(last, keras.layers.Softmax):
        return "softmax"
    activation = getattr(last, "activation", None)
    return getattr(activation, "__name__", None)

"""The activation that a network ends in, and whether its loss applies another or none."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from schedules.declaration import refuse

from ..losses import Loss
from ..scheduled.keras_internals import producer


def check_ending(model: keras.Model, loss: Loss | None) -> None:
    """Whether a softmax or sigmoid would be applied once, by the network or by its loss.

    Raises:
        Refused: when it would be applied twice, or not at all.
    """
    outputs = _symbolic(model, "outputs")
    if loss is None or loss.activation is None or (outputs and len(outputs) > 1):
        return
    end = ending(model)
    if outputs and outputs[0].shape[-1] == 1 and loss.activation == "softmax":
        _check_single_unit(end, loss)
        return
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


def _check_single_unit(end: str | None, loss: Loss) -> None:
    """Refuses an output for two classes that is no logit, and said to be one, or the other way."""
    probabilities = not getattr(loss, "from_logits", True)
    if end == "softmax":
        rule = "would always be certain: the network ends in a softmax over a single unit"
        raise refuse("loss.kind", loss.kind, rule, "end in a dense layer of 1 unit without it")
    if end == "sigmoid" and not probabilities:
        rule = "takes logits, and the network ends in a sigmoid"
        hint = "loss.from_logits=false; or end without the sigmoid, which is more exact"
        raise refuse("loss.kind", loss.kind, rule, hint)
    if end == "linear" and probabilities:
        rule = "says that the network ends in a sigmoid, and its last layer is linear"
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


def _symbolic(model: keras.Model, what: str) -> list[Any] | None:
    """The inputs or outputs of a model that knows them without being called."""
    try:
        tensors = getattr(model, what)
    except (AttributeError, ValueError):
        return None
    return list(tf.nest.flatten(tensors)) if tensors is not None else None

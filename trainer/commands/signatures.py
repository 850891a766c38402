"""What an exported model takes and gives by name, for a network and the data that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from ..data.facts import Feature
from ..data.trees import Tree, named_leaves
from ..engine.forward import Forward, by_order, named
from ..engine.network import Network
from ..models.signature import Signature, valid_names
from ..scheduled.keras_internals import structure


def signature_of(model: keras.Model, network: Network, features: Tree[Feature]) -> Signature:
    """The signature of a model with inputs of these `features`, and with the network's outputs.

    A single input is `inputs`, and a single output `outputs`. Others have the data's names, or
    where it has none those of the model.
    """
    forward = Forward(model, network.facts, network.loss)
    symbolic = structure(model, "inputs")
    places = {one.name: one.tensor for one in named(symbolic)}
    by_name = dict(named_leaves(features))
    names = valid_names(by_name)
    if isinstance(features, Mapping) and by_order(features):
        valid = list(places) or [f"inputs_{i}" for i in range(len(features))]
        names = dict(zip(features, valid, strict=True))

    def spec(name: str, feature: Feature) -> tf.TensorSpec:
        tensor = places.get(name, places.get(names[name]))
        if len(places) == len(by_name) == 1:
            [tensor] = places.values()
        shape, dtype = (None, *feature.shape), feature.dtype
        if tensor is not None:
            shape, dtype = tuple(tensor.shape), tensor.dtype
        return tf.TensorSpec(shape, dtype, name=names[name])

    inputs = {names[name]: spec(name, feature) for name, feature in by_name.items()}

    def arranged(given: Mapping[str, Any]) -> Any:
        if not network.takes_data:  # by the names of the model itself
            tensors = [given[names.get(name, "inputs")] for name in places]
            return tf.nest.pack_sequence_as(symbolic, tensors)
        if not isinstance(features, Mapping):
            return forward.arranged(given["inputs"])
        if isinstance(symbolic, Mapping) and set(symbolic) == set(names.values()):
            return {name: given[name] for name in symbolic}
        return forward.arranged({name: given[names[name]] for name in features})

    def outputs_by_name(given: Any) -> Mapping[str, Any]:
        return named_outputs(network, given)

    return Signature(inputs, arranged, outputs_by_name)


def named_outputs(network: Network, given: Any) -> dict[str, Any]:
    """What a network returns, by name."""
    flat = tf.nest.flatten(given)
    if len(flat) == 1:
        return {"outputs": flat[0]}
    labels = network.facts.labels
    if network.is_compared and isinstance(labels, Mapping) and not by_order(labels):
        by_label: Any = network.forward.by_label(given)
        return dict(by_label)
    if isinstance(given, Mapping) and len(given) == len(flat):
        return dict(given)
    names = network.forward.output_names
    if len(set(names)) != len(flat):
        names = [f"outputs_{i}" for i in range(len(flat))]
    return dict(zip(names, flat, strict=True))

"""A network for tables: embeddings of categories and words beside numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import refuse

from ..data import Facts
from ..data.facts import Feature
from ..data.trees import named_leaves
from .dense import Dense
from .model import OWN, Size

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Tabular(Dense):
    """Dense layers on numbers and embeddings together; a last layer for each label.

    A category is looked up in an embedding of its own, and so is every word of a text, of which the
    mean is taken. Source: Guo & Berkhahn 2016, arXiv 1604.06737.
    """

    kind: Literal["tabular"] = "tabular"
    embedding: Size | None = None
    """The width of every embedding; null for one that grows with the number of ids.

    That is `min(600, round(1.6 * ids ** 0.56))`, as in fastai's tabular models.
    """

    def check(self, facts: Facts) -> None:
        for name, feature in named_leaves(facts.inputs):
            what = f"the input {name}" if name else "the input"
            if feature.dtype == "string":
                # That of a table is declared, and comes as ids.
                raise refuse("model", self.kind, f"takes numbers, and {what} is text", OWN)
            if feature.dtype == "int32" and feature.classes is None:
                rule = f"must know how many ids there are, and nothing says so of {what}"
                hint = f"data.normalise=standardise, if they are numbers and no ids; else {OWN}"
                raise refuse("model", self.kind, rule, hint)
        for _, label in named_leaves(facts.labels):
            if len(label.outputs) != 1:
                rule = f"gives a row of outputs for a label, and the data has {label.described()}"
                raise refuse("model", self.kind, rule, OWN)

    def width(self, ids: int) -> int:
        """The width of the embedding of so many ids.

        >>> Tabular().width(4), Tabular().width(20000), Tabular(embedding=8).width(4)
        (3, 410, 8)
        """
        return self.embedding or min(600, round(1.6 * ids**0.56))

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras
        from keras import layers

        inputs = {
            name: keras.Input(feature.shape, dtype=feature.dtype, name=name or "inputs")
            for name, feature in named_leaves(facts.inputs)
        }
        parts = [
            self._row(name, feature, inputs[name]) for name, feature in named_leaves(facts.inputs)
        ]
        x = layers.Concatenate(name="row")(parts) if len(parts) > 1 else parts[0]
        for layer in self.dense(dials):
            x = layer(x)
        outputs = {
            name: layers.Dense(label.outputs[0], name=f"logits_{name}" if name else "logits")(x)
            for name, label in named_leaves(facts.labels)
        }
        taken, given = (tree.get("", tree) for tree in (inputs, outputs))
        return keras.Model(taken, given, name="model")

    def _row(self, name: str, feature: Feature, x: Any) -> Any:
        """An input as a row of numbers."""
        from keras import layers, ops

        suffix = f"_{name}" if name else ""
        if feature.classes is None:
            return layers.Flatten(name=f"flatten{suffix}")(x)
        width = self.width(feature.classes)
        looked_up = layers.Embedding(feature.classes, width, name=f"embedding{suffix}")(x)
        if feature.shape == (1,):
            return layers.Flatten(name=f"flatten{suffix}")(looked_up)
        is_word = ops.expand_dims(ops.cast(ops.not_equal(x, 0), looked_up.dtype), -1)
        count = ops.maximum(ops.sum(is_word, axis=1), 1)
        return ops.divide(ops.sum(ops.multiply(looked_up, is_word), axis=1), count)

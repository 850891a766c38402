"""Recurrent networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import Flag, Float32, refuse

from ..data import Facts
from ..data.trees import leaves, named_leaves
from .model import OWN, Rate, Size
from .packed_steps import pack
from .sequence import TokenModel, token_inputs

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials


class Rnn(TokenModel):
    """Recurrent layers over sequences `[time, features]`, or over token ids `[time]`.

    With one label a sequence, the last state of the last layer goes to the logits; with a label at
    each step, every state does. A bidirectional layer sets the states of both ways side by side;
    its way back is read at the first step. Ids get `width` numbers each from a table that is
    learnt, and id 0, which fills up short sequences, is passed over (`model.mask` for numbers).
    Several inputs of the same steps, as columns of windows are, make one row a step: numbers, and
    `width` numbers for each category.
    Sources: `lstm` Hochreiter & Schmidhuber 1997, with a forget bias of 1 as in Jozefowicz et al.
    2015; `gru` Cho et al. 2014, arXiv 1406.1078, with the reset after the product, as cuDNN has it;
    `simple` Elman 1990; both ways: Schuster & Paliwal 1997. They are Keras' layers.
    """

    kind: Literal["rnn"] = "rnn"
    cell: Literal["lstm", "gru", "simple"] = "lstm"
    """What a layer computes at each step."""
    units: Size = 64
    """How many numbers a layer's state has, each way."""
    layers: Size = 1
    """How many recurrent layers there are."""
    bidirectional: Flag = False
    """Whether each layer reads the sequence both ways."""
    dropout: Rate = 0.0
    """The share of what each layer gives that is left out while training."""
    mask: Float32 | None = None
    """A number, often 0: steps whose features are all this one are passed over; null: none is."""

    def check(self, facts: Facts) -> None:
        if len(leaves(facts.inputs)) > 1:
            self._check_columns(facts)
            return
        self.check_single_input(facts)
        if len(facts.shape) == 1 or self.reads_tokens(facts):
            self.check_tokens(facts)
            if self.mask is not None:
                rule = "is for steps of numbers; of token ids, 0 is passed over"
                raise refuse("model.mask", self.mask, rule, "leave it out")
        elif len(facts.shape) != 2:
            rule = f"takes sequences [time, features], and inputs are of shape {list(facts.shape)}"
            hint = "data.shape gives inputs another shape; model=cnn takes images"
            raise refuse("model", self.kind, rule, hint)
        self.check_label(facts)

    def _check_columns(self, facts: Facts) -> None:
        """Checks that several inputs are columns of the same steps: numbers, or ids of categories.

        Raises:
            Refused: naming the first that is not.
        """
        steps = {feature.shape[0] for feature in leaves(facts.inputs)}
        for name, feature in named_leaves(facts.inputs):
            numbers = feature.dtype == "float32" and len(feature.shape) == 2
            ids = feature.classes is not None and len(feature.shape) == 1
            if not (numbers or ids) or len(steps) > 1 or feature.shape == (1,):
                rule = (
                    f"takes columns of the same steps, numbers or categories, and {name} is of "
                    f"shape {list(feature.shape)}"
                )
                raise refuse("model", self.kind, rule, f"model=tabular takes several; {OWN}")
        for field, value in (("tokens", self.tokens), ("mask", self.mask)):
            if value is not None:
                rule = "is for one input, and the data has several"
                raise refuse(f"model.{field}", value, rule, "leave it out")
        self.check_single_label(facts)
        if len(facts.label.outputs) != 1:
            rule = f"gives one label for several inputs, and the data has {facts.label.described()}"
            raise refuse("model", self.kind, rule, OWN)

    def _row_of_columns(self, facts: Facts) -> tuple[Any, Any]:
        """The symbolic inputs by name, and each step as a row: numbers, and embedded categories."""
        import keras
        from keras import layers

        inputs = {
            name: keras.Input(one.shape, dtype=one.dtype, name=name)
            for name, one in named_leaves(facts.inputs)
        }
        parts = [
            inputs[name]
            if one.classes is None
            else layers.Embedding(one.classes, self.width, name=f"embedding_{name}")(inputs[name])
            for name, one in named_leaves(facts.inputs)
        ]
        return inputs, layers.Concatenate(name="row")(parts)

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras
        from keras import layers

        from ..scheduled.layers import dropout

        cell = {"lstm": layers.LSTM, "gru": layers.GRU, "simple": layers.SimpleRNN}[self.cell]
        by_step = self.is_by_step(facts)
        inputs: Any
        x: Any
        if len(leaves(facts.inputs)) > 1:
            inputs, x = self._row_of_columns(facts)
        elif self.reads_tokens(facts):
            inputs = token_inputs(facts)
            x = self.embedding(facts, mask=True)(inputs)
        else:
            inputs = x = token_inputs(facts)
            if self.mask is not None:
                x = layers.Masking(self.mask, name="mask")(x)
        for i in range(1, self.layers + 1):
            name = f"{self.cell}_{i}"
            layer: Any = cell(self.units, return_sequences=by_step or i < self.layers, name=name)
            ways = [layer]
            if self.bidirectional:
                layer = layers.Bidirectional(layer, name=f"both_{i}")
                ways = [layer.forward_layer, layer.backward_layer]
            for way in ways:
                pack(way, self.cell)
            x = layer(x)
            if self.dropout:
                x = dropout(dials.live("dropout", self.dropout), name=f"dropout_{i}")(x)
        return keras.Model(inputs, layers.Dense(facts.outputs, name="logits")(x), name="model")

"""The inputs of an exported model as data has them, and the layers that prepare them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import refuse

from ..data import Preparation
from ..data.column import Prepared
from ..data.column_preparation import CategoryPreparation, DatePreparation, TextPreparation
from ..data.facts import Feature
from ..data.input_preparation import InputPreparation
from ..data.preparation import NUMBERS
from ..data.trees import Tree, named_leaves
from .signature import valid_names

if TYPE_CHECKING:
    import keras

ELSEWHERE = "export.inputs=prepared; Preparation.read(…).apply(raw) prepares them"


def check_raw(learnt: Mapping[str, Prepared], *, takes_text: bool) -> None:
    """Checks whether layers can prepare what was learnt of columns.

    Raises:
        Refused: naming the first column that they can't.
    """
    for name, one in learnt.items():
        if isinstance(one, DatePreparation):
            rule = f"can't have the dates of {name} prepared in the model"
            raise refuse("inputs", "raw", rule, ELSEWHERE)
        if isinstance(one, CategoryPreparation) and one.steps is not None:
            rule = f"can't have the categories of {name} in windows prepared in the model"
            raise refuse("inputs", "raw", rule, ELSEWHERE)
        if isinstance(one, (CategoryPreparation, TextPreparation)) and not takes_text:
            rule = f"would have the text of {name} looked up in a file that takes numbers alone"
            raise refuse("inputs", "raw", rule, f"export=saved_model; or {ELSEWHERE}")


def raw_features(preparation: Preparation) -> Tree[Feature]:
    """The inputs of an exported model: those of the data, or the columns of its table."""
    if not preparation.is_of_columns:
        return preparation.features()
    learnt = {
        name: Feature((1,), "string")
        for name, _ in named_leaves(preparation.inputs)
        if name not in ("", NUMBERS)
    }
    return {**{name: Feature((1,)) for name in preparation.columns or ()}, **learnt}


def raw_examples(preparation: Preparation, raw: Tree[NDArray[Any]]) -> Tree[NDArray[Any]]:
    """Raw inputs of the data as an exported model takes them: floats in 32 bits."""
    features = dict(named_leaves(raw_features(preparation)))
    arrays = dict(named_leaves(raw))
    for numbers in ("", NUMBERS) if preparation.is_of_columns else ():
        if numbers in arrays:
            table = arrays.pop(numbers)
            arrays |= {name: table[:, i] for i, name in enumerate(preparation.columns or ())}
    shaped = {
        name: arrays[name].reshape(-1, *one.shape).astype(_TYPES[one.dtype])
        for name, one in features.items()
    }
    return shaped.get("", shaped)


_TYPES: Mapping[str, Any] = {"float32": np.float32, "int32": np.int32, "string": object}


def prepared_in_model(model: keras.Model, preparation: Preparation, arranged: Any) -> keras.Model:
    """The model with what prepares its inputs as its first layers, which are Keras' own.

    `arranged` makes of inputs by the data's names those that the model takes.
    """
    import keras

    layers: dict[str, Any] = dict(named_leaves(preparation.inputs))
    if not preparation.is_of_columns and not any(one.changes for one in layers.values()):
        return model
    features = dict(named_leaves(raw_features(preparation)))
    names = valid_names(features)
    taken = {
        name: keras.Input(one.shape, name=names[name], dtype=one.dtype)
        for name, one in features.items()
    }
    given = {}
    for name, one in layers.items():
        of = f"{names.get(name, name)}_" if name else ""
        if preparation.is_of_columns and name in ("", NUMBERS):
            columns = [taken[column] for column in preparation.columns or ()]
            x = keras.layers.Concatenate(name="columns")(columns) if columns[1:] else columns[0]
        else:
            x = taken[name]
        given[name] = _prepared(x, one, of)
    single = not isinstance(preparation.inputs, Mapping)
    outputs = model(arranged(given[""] if single else given))
    by_name = {names[name]: x for name, x in taken.items()}
    inputs = taken.get("", by_name)
    return keras.Model(inputs, outputs, name=f"prepared_{model.name}")


def _prepared(x: Any, preparation: Prepared, of: str) -> Any:
    """A symbolic input after the layers that prepare it."""
    from keras import layers, ops

    if isinstance(preparation, CategoryPreparation):
        lookup = layers.StringLookup(
            vocabulary=list(preparation.vocabulary),
            output_mode="one_hot" if preparation.one_hot else "int",
            name=f"{of}lookup",
        )
        return lookup(x)
    if isinstance(preparation, TextPreparation):
        words = layers.TextVectorization(
            vocabulary=list(preparation.vocabulary),
            output_sequence_length=preparation.length,
            name=f"{of}words",
        )
        return words(x)
    assert isinstance(preparation, InputPreparation)
    if not preparation.changes:
        return x
    if preparation.fill is not None:
        fill = [0.0 if one is None else one for one in preparation.fill]
        x = ops.where(ops.isnan(x), ops.convert_to_tensor(fill, dtype="float32"), x)
    shift, scale = preparation.shift, preparation.scale
    features = max(len(shift), len(scale))
    factors = np.broadcast_to([1 / x for x in scale], features).tolist()
    offsets = np.broadcast_to([-x for x in shift], features).tolist()
    if features == 1:
        (factors,), (offsets,) = factors, offsets
    # One after the other: what is taken off may be far greater than what is left.
    moved = layers.Rescaling(1.0, offsets, name=f"{of}preparation_shift")
    scaled = layers.Rescaling(factors, name=f"{of}preparation_scale")
    return scaled(moved(x))

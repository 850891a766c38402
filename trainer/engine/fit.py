"""Whether a network that was built takes what the data has, and gives what the loss wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from schedules.declaration import Refused, refuse
from schedules.declaration.functions import CODE_ERRORS

from ..data import Facts
from ..data.facts import Feature
from ..data.trees import Tree, named_leaves
from ..losses import Loss
from ..losses.classes import is_single_unit
from ..scheduled.keras_internals import structure
from .forward import by_order, called_with_zeros, named
from .network_ending import check_ending


def check_fit(
    model: keras.Model, kind: str, facts: Facts, loss: Loss, batch_size: int
) -> Tree[tuple[int | None, ...]] | None:
    """Checks a network of that kind, before anything is compiled.

    Returns the shape of its output for each label. None where it takes other inputs than the data
    has, or its outputs are not those that labels are compared with: that is well if the loss
    compares none, since a step calls the network as it likes.

    Raises:
        Refused: naming what the network has, and what the data or the loss wants.
    """
    compares = loss.compared is not None
    shapes = None
    if compares or takes_inputs_of(model, facts, batch_size):
        _check_inputs(model, kind, facts.of_any_length())
        shapes = _output_shapes(model, kind, facts, batch_size, compares=compares)
    if shapes is not None:
        check_ending(model, loss.compared)
    if not model.trainable_variables:
        rule = f"has no weight that trains, of {len(model.weights)}"
        raise refuse("model", kind, rule, "layer.trainable = True, before it is saved or returned")
    for path, many in Counter(weight.path for weight in model.variables).items():
        if many > 1:
            rule = f"has {many} variables called {path}, which no checkpoint could tell apart"
            raise refuse("model", kind, rule, "give its layers names of their own")
    return shapes


def takes_inputs_of(model: keras.Model, facts: Facts, batch_size: int) -> bool:
    """Whether a network can be called with the inputs that the data has."""
    try:
        _check_inputs(model, "", facts)
        if structure(model, "inputs") is None:
            called_with_zeros(model, facts, batch_size)
    except CODE_ERRORS:  # whatever its layers raise, and what is refused
        return False
    return True


def has_fixed_batch(
    model: keras.Model, kind: str, facts: Facts, batch_size: int, together: int
) -> bool:
    """Whether a network takes batches of one size alone, as `keras.Input(batch_shape=…)` says.

    `batch_size` is that of a micro-batch on one device, of which `together` are an update's.

    Raises:
        Refused: when that size is another one.
    """
    inputs, outputs = (structure(model, what) for what in ("inputs", "outputs"))
    if outputs is None:
        return not _takes(model, facts, batch_size + 1)
    tensors = (*tf.nest.flatten(inputs), *tf.nest.flatten(outputs))
    sizes = {tensor.shape[0] for tensor in tensors if len(tensor.shape)} - {None}
    for size in sizes - {batch_size}:
        rule = f"takes batches of {size}, and it would get {batch_size} examples at a time"
        raise refuse("model", kind, rule, f"data.batch_size={size * together}")
    return bool(sizes)


def _takes(model: keras.Model, facts: Facts, count: int) -> bool:
    """Whether a model, traced without running it, gives outputs for so many examples."""
    try:
        traced = tf.function(lambda: called_with_zeros(model, facts, count), autograph=False)
        outputs = tf.nest.flatten(traced.get_concrete_function().structured_outputs)
    except CODE_ERRORS:  # whatever its layers raise
        return False
    return all(x.shape.rank in (None, 0) or x.shape[0] in (None, count) for x in outputs)


def shapes_of(facts: Facts) -> str:
    """The shapes of the inputs, in words."""
    return _listed({name: feature.shape for name, feature in named_leaves(facts.inputs)})


def _check_inputs(model: keras.Model, kind: str, facts: Facts) -> None:
    symbolic = structure(model, "inputs")
    if symbolic is None:
        return
    taken = {one.name: one.tensor for one in named(symbolic)}
    offered = dict(named_leaves(facts.inputs))
    by_place = not isinstance(facts.inputs, Mapping) or by_order(facts.inputs)
    if len(offered) == len(taken) and (by_place or len(taken) == 1):
        offered = dict(zip(taken, offered.values(), strict=True))
    if offered.keys() != taken.keys():
        if len(offered) == 1 and "" in offered:
            takes = " and ".join(str(list(x.shape[1:])) for x in taken.values())
            has = f"the data has inputs of shape {list(facts.shape)}"
            rule = f"takes inputs of shape {takes}, and {has}"
            hint = f"data=({{{', '.join(f'{name!r}: …' for name in taken)}}}, labels)"
            raise refuse("model", kind, rule, hint)
        table = _table(taken, {name: feature.shape for name, feature in offered.items()})
        rule = f"takes other inputs than the data has:\n{table}"
        raise refuse("model", kind, rule, "give both the same names")
    for name, tensor in taken.items():
        feature = offered[name]
        if not _fits_input(tensor, feature):
            of = f" for {name}" if len(taken) > 1 else ""
            rule = (
                f"takes inputs of shape {list(tensor.shape[1:])}{of}, "
                f"and the data has inputs of shape {list(feature.shape)}"
            )
            raise refuse("model", kind, rule, f"begin with keras.Input({feature.shape})")
        if (feature.dtype == "string") != (tensor.dtype == "string"):
            rule = f"takes {tensor.dtype} for {name}, and the data has {feature.dtype}"
            hint = (
                f"keras.Input({feature.shape}, dtype='string') and a keras.layers.TextVectorization"
            )
            raise refuse("model", kind, rule, hint)


def _fits_input(tensor: Any, feature: Feature) -> bool:
    shape = tuple(tensor.shape[1:])
    return _fits(shape, feature.shape) or (*shape, 1) == feature.shape


def _table(taken: Mapping[str, Any], offered: Mapping[str, tuple[int, ...]]) -> str:
    """What a network takes beside what the data has, a line a name."""
    names = sorted({*taken, *offered})
    width = max(map(len, names))
    lines = []
    for name in names:
        takes = str(list(taken[name].shape[1:])) if name in taken else "–"
        has = str(list(offered[name])) if name in offered else "–"
        lines.append(f"    {name:<{width}}  network {takes:<12} data {has}")
    return "\n".join(lines)


def _output_shapes(
    model: keras.Model, kind: str, facts: Facts, batch_size: int, *, compares: bool
) -> Tree[tuple[int | None, ...]] | None:
    """The shape of the output for each label, checked.

    Raises:
        Refused: when a loss `compares` outputs and labels, and these can't be compared.
    """
    symbolic = structure(model, "outputs")
    given = _tried(model, kind, facts, batch_size) if symbolic is None else symbolic
    outputs = named(given, getattr(model, "output_names", []))
    labels = dict(named_leaves(facts.labels))
    several = isinstance(facts.labels, Mapping)
    by_name = {one.name: one.tensor for one in outputs}
    if len(outputs) == len(labels) and (not several or sorted(by_name) != sorted(labels)):
        is_named = isinstance(given, Mapping) and several and not by_order(facts.labels)  # type: ignore[arg-type]
        if not is_named:
            by_name = dict(zip(labels, (one.tensor for one in outputs), strict=True))
    if by_name.keys() != labels.keys():
        if not compares:
            return None
        if not several:
            raise _unlike(kind, [one.tensor for one in outputs], facts.label)
        shapes = {name: label.outputs for name, label in labels.items()}
        rule = f"gives other outputs than the data has labels:\n{_table(by_name, shapes)}"
        raise refuse("model", kind, rule, "name the last layers as the labels")
    for name, label in labels.items():
        tensor = by_name[name]
        by_step = len(tensor.shape) > 2 and tensor.shape[1] is None and label.shape
        if facts.buckets is not None and by_step and name not in facts.buckets.labels:
            of = f" for {name}" if name else ""
            rule = f"gives outputs{of} for any number of steps, and labels have {label.shape[0]}"
            hint = "bring labels as rows of the inputs' lengths; or leave out data.buckets"
            raise refuse("model", kind, rule, hint)
        if not _fits_label(tuple(tensor.shape[1:]), label):
            if not compares:
                return None
            raise _unlike(kind, [tensor], label, name)
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if "float" not in dtype:
            if not compares:
                return None
            rule = f"gives outputs of type {dtype}, and they must be floats"
            raise refuse("model", kind, rule, "end with what can be learnt, before any rounding")
    shapes = {name: tuple(by_name[name].shape[1:]) for name in labels}
    return shapes if several else shapes[""]


def _fits_label(shape: tuple[int | None, ...], label: Feature) -> bool:
    """Whether outputs of this shape can be compared with such labels."""
    if _fits(shape, label.outputs) or is_single_unit(shape, label):
        return True
    return _fits(shape, (*label.outputs, 1)) or _fits((*shape, 1), label.outputs)


def _unlike(kind: str, outputs: Sequence[Any], label: Feature, name: str = "") -> Refused:
    gives = " and ".join(str(list(x.shape[1:])) for x in outputs)
    of = f" for {name}" if name else ""
    wants = f"{label.described()} want outputs of shape {list(label.outputs)}"
    if len(label.outputs) == 1:
        hint = f"end with a dense layer of {label.outputs[0]} units"
    elif label.classes is not None:
        hint = f"end with a layer of {label.classes} units, or filters, at each place"
    else:
        hint = "end with as many outputs; loss=step compares as you like"
    return refuse("model", kind, f"gives outputs of shape {gives}{of}, and {wants}", hint)


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}".strip() for name, shape in shapes.items())


def _tried(model: keras.Model, kind: str, facts: Facts, batch_size: int) -> Any:
    """The outputs of a model for a batch of zeros."""
    try:
        return called_with_zeros(model, facts, batch_size)
    except CODE_ERRORS as error:  # whatever its layers raise
        rule = f"can't take inputs of shape {shapes_of(facts)}: {error}"
        raise refuse("model", kind, rule) from None


def _fits(taken: Sequence[int | None], shape: Sequence[int]) -> bool:
    pairs = zip(taken, shape, strict=False)
    return len(taken) == len(shape) and all(a in (None, b) for a, b in pairs)

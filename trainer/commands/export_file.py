"""The file of an export: written, read back, and compared with the network."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..data import Split
from ..data.trees import Tree, leaves, map_tree
from ..models.exports import Export
from .restored import Restored

if TYPE_CHECKING:
    import keras

    from ..engine.network import Network

COMPARED = 256
"""How many test examples the file and the network are compared on."""


TOLERANCE = {"float32": 1e-4, "mixed_float16": 1e-2, "mixed_bfloat16": 5e-2}
"""How far they may be apart, in shares of the greatest output or of 1, whichever is more.

By `run.precision`, since the file computes in float32 and the network may not.
"""


class ExportError(Exception):
    """The file could not be written, or does not do what the network does."""


class Written(NamedTuple):
    """What was written and compared, as the description beside the file says it."""

    max_difference: float
    """The largest difference between an output of the file and the network's."""
    compared_on: int
    """How many examples they were compared on."""
    of_the_data: bool
    """Whether these are test examples, and not made up for a network that takes other inputs."""
    inputs: Tree[dict[str, Any]]
    outputs: Tree[dict[str, Any]]


def write_compared(export: Export, this: Restored, data: Split, draft: Path) -> Written:
    """Writes the file, reads it back, and compares it with the network.

    Raises:
        ExportError: when it can't be written, or does something else than the network.
    """
    import numpy as np
    import tensorflow as tf

    network = this.network()
    inputs, raw = _examples(network, export, data)
    expected = _flat(network.raw_outputs(map_tree(tf.constant, inputs)))
    handed = map_tree(_as_read, data.preparation.undo(inputs)) if raw else inputs
    try:
        with warnings.catch_warnings():
            # Keras and tf2onnx call numpy in ways that it has told them to leave.
            warnings.simplefilter("ignore")
            model = this.model_of_raw() if raw else this.model()
            export.save(model, draft)
            outputs = _flat(export.load(draft)(_as_taken(network, model, handed)))
    except Exception as error:  # whatever a format's library raises
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(f"export={export.kind} failed: {why}") from error
    scale = max(1.0, *(float(np.abs(x).max()) for x in expected))
    alike = [x.shape for x in outputs] == [x.shape for x in expected]
    pairs = zip(outputs, expected, strict=True) if alike else ()
    difference = max((float(np.abs(a - b).max()) for a, b in pairs), default=np.inf)
    if not difference <= TOLERANCE[this.experiment.run.precision] * scale:
        hint = "\n  hint: export.inputs=prepared" if raw else ""
        raise ExportError(
            f"export={export.kind} failed: read back, its outputs for test examples are off by "
            f"{difference:.3g}, where the network's reach {scale:.3g}{hint}"
        )
    described = _described(network, inputs, expected)
    return Written(difference, len(leaves(inputs)[0]), network.takes_data, *described)


def _examples(network: Network, export: Export, data: Split) -> tuple[Tree[Any], bool]:
    """Inputs to compare on, and whether the file takes them as they were before preparation.

    They are test examples, or made up for a network that only a step knows how to call.

    Raises:
        ExportError: when the network can't be called with either.
    """
    import numpy as np

    from ..engine.forward import drawn_inputs

    if network.takes_data:
        inputs = map_tree(lambda array: np.asarray(array[:COMPARED]), data.test.inputs)
        return inputs, export.inputs == "raw"
    drawn = drawn_inputs(network.model, COMPARED)
    others = f"export={export.kind} failed: the network takes other inputs than the data has"
    if drawn is None:
        raise ExportError(f"{others}, and does not say which\n  hint: begin with keras.Input")
    prepares = any(getattr(one, "changes", True) for one in leaves(data.preparation.inputs))
    if export.inputs == "raw" and prepares:
        rule = "so what prepares the data is no part of it"
        raise ExportError(f"{others}, {rule}\n  hint: export.inputs=prepared")
    return map_tree(np.asarray, drawn), False


def _described(
    network: Network, inputs: Tree[Any], outputs: Sequence[Any]
) -> tuple[Tree[dict[str, Any]], Tree[dict[str, Any]]]:
    """What the file takes and gives, for people."""
    facts = network.facts
    if network.takes_data:
        takes = map_tree(
            lambda one: {"shape": [None, *one.shape], "dtype": one.dtype}, facts.inputs
        )
    else:
        takes = map_tree(lambda x: {"shape": [None, *x.shape[1:]], "dtype": x.dtype.name}, inputs)
    if network.is_compared:
        return takes, map_tree(
            lambda one: {"shape": [None, *one.outputs], "are": _meaning(one.classes)}, facts.labels
        )
    gives = [{"shape": [None, *x.shape[1:]], "are": "the network's own"} for x in outputs]
    return takes, gives[0] if len(gives) == 1 else {str(i): one for i, one in enumerate(gives)}


def _flat(outputs: Any) -> list[Any]:
    """The outputs of a network or a file, one after another, in float32."""
    import numpy as np
    import tensorflow as tf

    return [np.asarray(x, np.float32) for x in tf.nest.flatten(outputs)]


def _as_read(array: Any) -> Any:
    """A raw input as a file takes it: floats in 32 bits."""
    import numpy as np

    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _as_taken(network: Network, model: keras.Model, inputs: Tree[Any]) -> Any:
    """Inputs in the types, and by the names, that a model takes."""
    import tensorflow as tf

    from ..engine.forward import Forward
    from ..scheduled.keras_internals import structure

    nest = Forward(model, network.facts, network.loss).arranged(map_tree(tf.constant, inputs))
    symbolic = structure(model, "inputs")
    if symbolic is None:
        return nest
    types = tf.nest.map_structure(lambda x: x.dtype, symbolic)
    return tf.nest.map_structure(
        lambda x, dtype: x if dtype == "string" else tf.cast(x, dtype), nest, types
    )


def _meaning(classes: int | None) -> str:
    return "the numbers to predict" if classes is None else "a logit for each class"

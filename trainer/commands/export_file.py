"""The file of an export: written, read back, and compared with the network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..config.experiment import Experiment
from ..data import Preparation
from ..data.facts import Feature
from ..data.raw_data import RawData
from ..data.sources.in_memory import GivenData
from ..data.trees import Tree, leaves, map_tree, named_leaves
from ..models.exports import Export
from ..models.raw_inputs import raw_examples, raw_features
from ..models.signature import Signature
from .restored import MismatchError, Restored

if TYPE_CHECKING:
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


class Compared(NamedTuple):
    """The examples that the file and the network are compared on."""

    inputs: Tree[Any]
    """Prepared ones."""
    raw: Tree[Any] | None
    """The same as the data has them, where preparing can't be undone."""
    of_the_data: bool

    @classmethod
    def of(cls, experiment: Experiment) -> Self:
        """Test examples; of given data that is not here, others in the range of its own."""
        data = experiment.data
        if isinstance(data, GivenData) and data.kept:
            return cls(data.kept.drawn(COMPARED), None, of_the_data=False)
        split = data.load()
        of_columns = split.preparation.is_of_columns
        raw = data.raw_tests(COMPARED) if isinstance(data, RawData) and of_columns else None
        return cls(split.test.inputs, raw, of_the_data=True)


def write_compared(export: Export, this: Restored, examples: Compared, draft: Path) -> Written:
    """Writes the file, reads it back, and compares it with the network.

    Raises:
        ExportError: when it can't be written, or does something else than the network.
    """
    import numpy as np
    import tensorflow as tf

    from .signatures import named_outputs, signature_of

    try:
        network = this.network()
    except MismatchError as error:
        raise ExportError(f"the checkpoint does not fit: {error}") from error
    size = network.evaluation_size
    inputs, features, is_raw = _examples(network, export, this.preparation, examples)
    inputs = map_tree(lambda x: _some(x, size), inputs)
    expected = named_outputs(network, network.raw_outputs(map_tree(tf.constant, inputs)))
    handed = inputs
    if is_raw:
        raw = examples.raw
        raw = (
            this.preparation.undo(inputs)
            if raw is None
            else map_tree(lambda x: _some(x, size), raw)
        )
        handed, features = raw_examples(this.preparation, raw), raw_features(this.preparation)
    try:
        with warnings.catch_warnings():
            # Keras and tf2onnx call numpy in ways that it has told them to leave.
            warnings.simplefilter("ignore")
            model = this.model_of_raw() if is_raw else this.model()
            signature = signature_of(model, network, features)
            export.save(model, draft, signature)
            taken = zip(signature.inputs.items(), leaves(handed), strict=True)
            outputs = export.load(draft, signature)(
                {name: _as_taken(array, spec) for (name, spec), array in taken}
            )
    except Exception as error:  # whatever a format's library raises
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(f"export={export.kind} failed: {why}") from error
    pairs = [(_float(outputs[name]), _float(x)) for name, x in expected.items() if name in outputs]
    scale = max(1.0, *(float(np.abs(_float(x)).max()) for x in expected.values()))
    alike = outputs.keys() == expected.keys() and all(a.shape == b.shape for a, b in pairs)
    difference = max((float(np.abs(a - b).max()) for a, b in pairs if alike), default=np.inf)
    if not difference <= TOLERANCE[this.experiment.run.precision] * scale:
        hint = "\n  hint: export.inputs=prepared" if is_raw else ""
        raise ExportError(
            f"export={export.kind} failed: read back, its outputs for test examples are off by "
            f"{difference:.3g}, where the network's reach {scale:.3g}{hint}"
        )
    of_the_data = network.takes_data and examples.of_the_data
    return Written(
        difference,
        len(leaves(inputs)[0]),
        of_the_data,
        _takes(features, signature),
        _gives(network, expected),
    )


def _examples(
    network: Network, export: Export, preparation: Preparation, examples: Compared
) -> tuple[Tree[Any], Tree[Feature], bool]:
    """Inputs to compare on, what they are, and whether the file takes them before preparation.

    They are made up for a network that only a step knows how to call.

    Raises:
        ExportError: when the network can't be called with either.
    """
    import numpy as np

    from ..engine.forward import drawn_inputs

    if network.takes_data:
        return examples.inputs, preparation.features(), export.inputs == "raw"
    drawn = drawn_inputs(network.model, COMPARED)
    others = f"export={export.kind} failed: the network takes other inputs than the data has"
    if drawn is None:
        raise ExportError(f"{others}, and does not say which\n  hint: begin with keras.Input")
    prepares = any(getattr(one, "changes", True) for one in leaves(preparation.inputs))
    if export.inputs == "raw" and prepares:
        rule = "so what prepares the data is no part of it"
        raise ExportError(f"{others}, {rule}\n  hint: export.inputs=prepared")
    features = map_tree(lambda x: Feature(tuple(x.shape[1:]), x.dtype.name), drawn)
    return map_tree(np.asarray, drawn), features, False


def _some(array: Any, exactly: int | None) -> Any:
    """The first entries of an array; over again where fewer than `exactly` so many are there."""
    import numpy as np

    some = np.asarray(array[: exactly or COMPARED])
    return np.resize(some, (exactly, *some.shape[1:])) if exactly else some


def _takes(features: Tree[Feature], signature: Signature) -> Tree[dict[str, Any]]:
    """What the file takes, for people; where a column is called otherwise, that as well."""
    described: dict[str, dict[str, Any]] = {}
    pairs = zip(signature.inputs, named_leaves(features), strict=True)
    for called, (name, one) in pairs:
        column = {"column": name} if name not in ("", called) else {}
        described[called] = {"shape": [None, *one.shape], "dtype": one.dtype, **column}
    return described if isinstance(features, Mapping) else described.popitem()[1]


def _gives(network: Network, outputs: Mapping[str, Any]) -> Tree[dict[str, Any]]:
    """What the file gives, for people."""
    if network.is_compared:
        return map_tree(
            lambda one: {"shape": [None, *one.outputs], "are": _meaning(one.classes)},
            network.facts.labels,
        )
    gives: dict[str, dict[str, Any]] = {
        name: {"shape": [None, *x.shape[1:]], "are": "the network's own"}
        for name, x in outputs.items()
    }
    return gives.popitem()[1] if len(gives) == 1 else gives


def _float(output: Any) -> Any:
    import numpy as np

    return np.asarray(output, np.float32)


def _as_taken(array: Any, spec: Any) -> Any:
    """Examples in the type and the shape that a file takes."""
    import tensorflow as tf

    shape = [-1, *spec.shape[1:]]
    if None not in shape:
        array = array.reshape(shape)
    return tf.constant(array) if spec.dtype == tf.string else tf.cast(array, spec.dtype)


def _meaning(classes: int | None) -> str:
    return "the numbers to predict" if classes is None else "a logit for each class"

"""What a program draws from or writes to that no checkpoint has: going on can't be exact there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from ..scheduled.tensorflow_internals import written_variables

RANDOM = {
    *("RandomStandardNormal", "RandomUniform", "RandomUniformInt", "TruncatedNormal"),
    *("RandomShuffle", "Multinomial", "ParameterizedTruncatedNormal", "RandomGamma"),
    *("RandomPoisson", "RandomPoissonV2", "StatefulRandomBinomial", "NonDeterministicInts"),
    *("RngSkip", "RngReadAndSkip", "StatefulUniform", "StatefulUniformInt"),
    *("StatefulUniformFullInt", "StatefulStandardNormal", "StatefulStandardNormalV2"),
    *("StatefulTruncatedNormal", "SampleDistortedBoundingBox", "SampleDistortedBoundingBoxV2"),
    *("RandomCrop", "UniformCandidateSampler", "LogUniformCandidateSampler"),
    *("LearnedUnigramCandidateSampler", "FixedUnigramCandidateSampler"),
    *("ThreadUnsafeUnigramCandidateSampler", "AllCandidateSampler", "AnonymousRandomSeedGenerator"),
}
"""Operations of TensorFlow that draw from a state of the process, or of a variable."""
PYTHON = {"PyFunc", "EagerPyFunc", "PyFuncStateless"}
"""Operations that call Python, which may keep whatever it likes."""
FRAMES = ("while", "body", "cond", "PartitionedCall", "StatefulPartitionedCall", "inner")


def untold_state(function: Any, known: Iterable[Any]) -> Iterator[str]:
    """What a traced function has besides the `known` variables, a sentence each.

    It looks into all loops, branches and functions within it.
    """
    for node in _nodes(function):
        if node.op in RANDOM:
            yield f"{_place(node.name)} draws by {node.op}, whose state no checkpoint has"
        elif node.op in PYTHON:
            yield f"{_place(node.name)} calls Python ({node.op}), whose state no checkpoint has"
    held = {id(_plain(variable)) for variable in known}
    for variable in written_variables(function):
        if id(variable) not in held:
            yield f"the variable {variable.name} is assigned, and is not one of the model's"


def operations(function: Any) -> Counter[str]:
    """How many operations of each kind are in a traced function and in all functions within it."""
    return Counter(node.op for node in _nodes(function))


def _nodes(function: Any) -> Iterator[Any]:
    graph = function.graph.as_graph_def()
    yield from graph.node
    for inner in graph.library.function:
        yield from inner.node_def


def _plain(variable: Any) -> tf.Variable:
    return variable.value if isinstance(variable, keras.Variable) else variable


def _place(name: str) -> str:
    """The layers of an operation, as Keras' names of scopes tell them."""
    parts = [part for part in name.split("/") if part.rstrip("_0123456789") not in FRAMES]
    return "/".join(part for part in parts if part.rstrip("_0123456789")) or name

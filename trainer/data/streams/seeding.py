"""The graph of a `tf.data` pipeline with other seeds: those of a pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

SEED_INPUTS = {
    "AnonymousRandomSeedGenerator": 0,
    "AnonymousSeedGenerator": 0,
    "RandomDataset": 0,
    "RandomDatasetV2": 0,
    "SamplingDataset": 2,
    "ShuffleAndRepeatDataset": 2,
    "ShuffleAndRepeatDatasetV2": 2,
    "ShuffleDataset": 2,
    "ShuffleDatasetV3": 2,
}
"""The operations whose inputs from that place on are two seeds."""
STATELESS_FORMS = {
    "RandomDatasetV2": ("RandomDataset", 2),
    "ShuffleAndRepeatDatasetV2": ("ShuffleAndRepeatDataset", 5),
    "ShuffleDatasetV3": ("ShuffleDataset", 4),
}
"""Forms of these that draw by their seeds alone and no generator that outlives the pass, and how
many inputs they have."""
WITH_STATE = ("DummySeedGenerator", "EagerPyFunc", "GeneratorDataset", "PyFunc", "RngReadAndSkip")
CACHES = ("CacheDataset", "CacheDatasetV2")


class Pipeline:
    """The graph of a dataset, from which datasets with the seeds of any pass are made.

    Every operation that draws gets seeds of `(seed, pass)`, in the place of its own: those that it
    has may come of TensorFlow's seed for the process, and are then other ones where the pipeline
    is made again. What comes before a `cache` draws the same in every pass, as it does where the
    cache is filled once. A shuffle that is to be the same in every pass stays as it is, since tests
    may have been split off by it.
    """

    def __init__(self, dataset: tf.data.Dataset) -> None:
        self._dataset = dataset
        """Kept, since tables, variables and caches live as long as it does."""
        self._graph = tf.compat.v1.GraphDef()
        with suppress(
            tf.errors.OpError, DecodeError
        ):  # what can't be written down can't be given seeds
            serialized = tf.raw_ops.DatasetToGraphV2(
                input_dataset=dataset._variant_tensor,
                external_state_policy=1,  # what has a state of its own is taken as it is now
                strip_device_assignment=True,
            )
            self._graph.ParseFromString(serialized.numpy())
        self._readable = bool(self._graph.node)
        self._functions = {f.signature.name: f for f in self._graph.library.function}
        cached = self._before_caches()
        self._fixed_nodes = {node.name for node in cached}
        self._fixed_functions = {name for node in cached for name in _called(node, self._functions)}

    @property
    def operations(self) -> set[str]:
        """The names of all operations."""
        return {node.op for node, _ in _in_order(self._graph)}

    @property
    def varies(self) -> bool:
        """Whether examples themselves are drawn: there are random operations but for shuffles.

        So it is taken to be where the pipeline can't be looked into.
        """
        nodes = (node for node, _ in _in_order(self._graph))
        return not self._readable or any(map(_is_random, nodes))

    @property
    def has_state(self) -> bool:
        """Whether some operation is known to have a state that no iterator saves."""
        return self.varies or not self.operations.isdisjoint(WITH_STATE)

    def seeded(self, number: int, seed: int) -> tf.data.Dataset:
        """The dataset of a pass."""
        if not self.varies and self.operations.isdisjoint(SEED_INPUTS):
            return self._dataset
        if not self._readable:
            return self._dataset
        graph = tf.compat.v1.GraphDef()
        graph.CopyFrom(self._graph)
        for place, (node, function) in enumerate(list(_in_order(graph))):
            name = function.signature.name if function is not None else ""
            fixed = node.name in self._fixed_nodes if not name else name in self._fixed_functions
            owner = graph if function is None else function
            _seed(node, owner, 0 if fixed else number, seed, place)
        variant = tf.raw_ops.DatasetFromGraph(graph_def=graph.SerializeToString())
        return _FromGraph(variant, self._dataset.element_spec)

    def _before_caches(self) -> list[Any]:
        """The nodes that come before a cache."""
        by_name = {node.name: node for node in self._graph.node}
        found: dict[str, Any] = {}
        waiting = [node for node in self._graph.node if node.op in CACHES]
        while waiting:
            for name in waiting.pop().input:
                node = by_name[_node_name(name)]
                if node.name not in found:
                    found[node.name] = node
                    waiting.append(node)
        return list(found.values())


class _FromGraph(tf.data.Dataset):  # type: ignore[misc]  # TensorFlow is untyped
    """The dataset that a graph makes."""

    def __init__(self, variant: tf.Tensor, element_spec: Any) -> None:
        self._element_spec = element_spec
        super().__init__(variant)

    def _inputs(self) -> list[tf.data.Dataset]:
        return []

    @property
    def element_spec(self) -> Any:
        return self._element_spec


def _in_order(graph: Any) -> Iterator[tuple[Any, Any]]:
    """Yields every node, with the function that it is in; None for those outside.

    The order is that of the pipeline, the last steps first: names and the order of functions in a
    graph differ from process to process.
    """
    by_name = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    waiting = [node for node in graph.node if node.op == "_Retval"]
    seen = {node.name for node in waiting}
    yielded: set[str] = set()
    while waiting:
        node = waiting.pop()
        yield node, None
        for name in _called(node, functions):
            if name not in yielded:
                yielded.add(name)
                yield from ((inner, functions[name]) for inner in list(functions[name].node_def))
        for name in map(_node_name, node.input):
            if name not in seen:
                seen.add(name)
                waiting.append(by_name[name])


def _called(node: Any, functions: Mapping[str, Any]) -> list[str]:
    """The functions that a node calls, and those that these call, in a fixed order."""
    names: list[str] = []
    waiting = [node]
    while waiting:
        attributes = waiting.pop().attr
        for key in sorted(attributes):
            for function in (attributes[key].func, *attributes[key].list.func):
                if function.name in functions and function.name not in names:
                    names.append(function.name)
                    waiting.extend(functions[function.name].node_def)
    return names


def _node_name(source: str) -> str:
    """The node that an input comes from."""
    return source.partition(":")[0].lstrip("^")


def _is_random(node: Any) -> bool:
    """Whether an operation draws numbers by two seeds that it has as attributes."""
    return "seed" in node.attr and "seed2" in node.attr


def _seed(node: Any, owner: Any, number: int, seed: int, place: int) -> None:
    """Gives a node of a graph or a function the seeds of a pass."""
    seeds = _mixed(seed, number, 2 * place), _mixed(seed, number, 2 * place + 1)
    if _is_random(node):
        node.attr["seed"].i, node.attr["seed2"].i = seeds
    if node.op not in SEED_INPUTS:
        return
    if "reshuffle_each_iteration" in node.attr and not node.attr["reshuffle_each_iteration"].b:
        return
    in_function = hasattr(owner, "node_def")
    nodes = owner.node_def if in_function else owner.node
    for i, value in enumerate(seeds):
        constant = nodes.add()
        constant.op, constant.name = "Const", f"seed_{place}_{i}"
        constant.attr["dtype"].type = tf.int64.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, tf.int64))
        source = f"{constant.name}:output:0" if in_function else constant.name
        node.input[SEED_INPUTS[node.op] + i] = source
    if node.op in STATELESS_FORMS:
        node.op, inputs = STATELESS_FORMS[node.op]
        del node.input[inputs:]
        node.attr.pop("rerandomize_each_iteration", None)


def _mixed(*numbers: int) -> int:
    """A positive number of 62 bits that depends on every bit of these: SplitMix64's finalizer."""
    x = 0
    for number in numbers:
        x = (x + number + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        x ^= x >> 31
    return (x >> 2) + 1

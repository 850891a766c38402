"""What this package knows of the insides of TensorFlow: one function for each piece.

As `keras_internals.py` does for Keras. The source was read in TensorFlow 2.21.0;
`tests/scheduled/test_tensorflow_internals.py` tests what each function relies on.

TensorFlow is imported within the functions: declarations import this without it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

NUMBERS = 100_000
"""More than the functions, and what else is numbered with them, of a program and its trials."""


def random_operations() -> tuple[ModuleType, ModuleType]:
    """Returns the modules through whose names `tf.random` makes operations that keep a state.

    What is put in the place of one of their functions is what `tf.random`, `tf.image` and `tf.nn`
    call. Functions of `tf.raw_ops` are others.

    No public way: TensorFlow has one seed for all operations of a graph, and a kernel's state can
    be neither read nor set.
    Read: TensorFlow 2.21.0, `python/ops/random_ops.py`, `python/ops/stateful_random_ops.py`.
    """
    from tensorflow.python.ops import gen_random_ops, gen_stateful_random_ops

    return gen_random_ops, gen_stateful_random_ops


def written_variables(function: Any) -> list[tf.Variable]:
    """Returns the variables that a traced function, or one within it, may assign.

    No public way: a `ConcreteFunction` lists its variables, whether they are read or assigned.
    Read: TensorFlow 2.21.0, `python/framework/auto_control_deps_utils.py`.
    """
    from tensorflow.python.framework import auto_control_deps_utils as dependencies

    read = dependencies.get_read_only_resource_input_indices_graph(function.graph)
    written = {id(x) for i, x in enumerate(function.graph.inputs) if i not in read}
    outer = {id(captured) for captured, x in function.graph.captures if id(x) in written}
    return [variable for variable in function.graph.variables if id(variable.handle) in outer]


def rewrite_saved_model(path: Path, change: Callable[[Any], None]) -> None:
    """Lets a function change the definition of a SavedModel on the disk, and its fingerprint.

    No public way: TensorFlow's shapes have no names for axes, though the format has.
    Read: TensorFlow 2.21.0, `python/saved_model/fingerprinting_utils.py`.
    """
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.saved_model import fingerprinting_utils

    file = path / "saved_model.pb"
    definition = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    change(definition)
    file.write_bytes(definition.SerializeToString(deterministic=True))
    fingerprinting_utils.write_fingerprint(str(path))


def optimization_barrier(x: tf.Tensor) -> tf.Tensor:
    """Returns a tensor as it is, which XLA may not move or merge computations across.

    No public way: `tf.raw_ops` has no such operation. JAX' `jax2tf` takes it from the same module.
    Read: TensorFlow 2.21.0, `compiler/tf2xla/python/xla.py`.
    """
    from tensorflow.compiler.tf2xla.python import xla

    [same] = xla.optimization_barrier(x)
    return same


def number_functions_anew() -> None:
    """Lets the next function that is traced have a number that does not depend on those before it.

    The number is a part of its name, and the name of what XLA keeps a program by. The counter of
    the process goes on to the next multiple of `NUMBERS`, in a hundredth of a second.

    No public way: nothing public sets or reads the counter.
    Read: TensorFlow 2.21.0, `python/framework/ops.py`.
    """
    from tensorflow.python.framework import ops

    while ops.uid() % NUMBERS:
        pass

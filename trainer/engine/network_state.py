"""What the variables of a network hold: read, compared with a checkpoint, and told apart."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


def value_of(variable: Any) -> NDArray[Any]:
    """What a variable holds now, and later updates don't change.

    Asked by its handle, a plain one answers several times faster than through what TensorFlow and
    Keras put around it; a checkpoint reads all of them. What is read so is a tensor, from which
    TensorFlow keeps whatever is assigned to the variable later: it needs no copy, which of a large
    table would take as long as hundreds of updates.
    """
    held = variable.value if isinstance(variable, keras.Variable) else variable
    if not isinstance(held, tf.Variable) or isinstance(held, tf.distribute.DistributedValues):
        return np.asarray(variable).copy()
    return np.asarray(tf.raw_ops.ReadVariableOp(resource=held.handle, dtype=held.dtype))


def check_state(state: Mapping[str, NDArray[Any]], held: Mapping[str, Any]) -> None:
    """Whether a state of a checkpoint fits the variables that a network holds.

    Raises:
        ValueError: naming the first name, shape or type that differs.
    """
    if differing := sorted(held.keys() ^ state.keys()):
        raise ValueError(f"the checkpoint and this network differ in {', '.join(differing)}")
    for name, variable in held.items():
        saved, dtype = state[name], np.dtype(tf.as_dtype(variable.dtype).as_numpy_dtype)
        if (saved.shape, saved.dtype) != (tuple(variable.shape), dtype):
            raise ValueError(
                f"{name} is {saved.dtype}{list(saved.shape)} in the checkpoint "
                f"and {dtype}{list(variable.shape)} here"
            )


def fingerprint(variables: Mapping[str, Any]) -> str:
    """A digest of values and their names, equal only where every bit is."""
    digest = sha256()
    for path, variable in variables.items():
        digest.update(path.encode())
        digest.update(np.ascontiguousarray(value_of(variable)).data)
    return digest.hexdigest()

"""Random numbers of code that keeps no state which a checkpoint has.

`tf.random.normal`, `keras.random.normal` without a seed, and their like draw from states of the
process. Within `Draws.keyed` the same calls draw by a key instead: the run's seed, what is done,
the number of the update, its part and its replica, and the place of the call in the traced code. So
an update draws the same numbers whatever the process did before, and another one draws others.
Layers whose generators are among a network's variables draw from those, as checkpoints hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, wraps
from hashlib import sha256
from typing import Any, Literal

import keras
import tensorflow as tf

from .tensorflow_internals import random_operations

NESTED = 24
"""How many bits of a key count the draws of one batch within loops and functions of its own."""


class Draws:
    """What a network's code draws by."""

    def __init__(self, seed: int, model: keras.Model) -> None:
        self.place = 0
        """The rank of the replica."""
        self.is_shared = False
        """Whether one program is that of several runs, each of which should draw its own."""
        self._seed = seed
        self._kept = {id(variable) for variable in model.variables}
        self._counter = _counter(tf.zeros([]).device)

    @contextmanager
    def keyed(
        self, purpose: Literal["update", "evaluation"], number: tf.Tensor | int, *, fused: bool
    ) -> Iterator[None]:
        """Within the block, of code that is traced once, draws are those of batch `number`.

        `fused` says whether XLA compiles it: see `trainer.scheduled.layers.drawing`.
        """
        _install()
        token = _STREAM.set(_Stream(self, purpose, tf.cast(number, tf.int64), fused=fused))
        try:
            yield
        finally:
            _STREAM.reset(token)

    @property
    def counter(self) -> tf.Variable:
        """What loops and functions count their draws in, which every batch begins by setting."""
        return self._counter.variable


@dataclass
class _Counter:
    """A count of draws while a program runs.

    A `tf.function` stays as it was traced first, whatever network or program calls it later, and
    holds on to the variables that it saw then. So there is one for all networks on a device.
    """

    variable: tf.Variable
    is_used: bool = False


@cache
def _counter(device: str) -> _Counter:
    with tf.device(device):
        return _Counter(tf.Variable(tf.zeros([2], tf.int64), trainable=False, name="draws"))


class _Stream:
    """The draws of one batch, in the order of the traced code."""

    def __init__(self, draws: Draws, purpose: str, number: tf.Tensor, *, fused: bool) -> None:
        self._draws = draws
        self._word = f"{draws._seed}/{purpose}/{draws.place}"
        self._number = number
        self._fused = fused
        self._graph = tf.compat.v1.get_default_graph()
        self._count = 0
        self._begun = False
        if draws._counter.is_used:  # a function that was traced before asks for nothing here
            self._begin_nested()

    def key(self) -> dict[str, Any]:
        """The seed of the next draw, and the algorithm if it matters, as `tf.random` takes them.

        Raises:
            ValueError: in a program that several runs share.
        """
        if self._draws.is_shared:
            raise ValueError("it draws random numbers by tf.random, or by a generator of no layer")
        if tf.compat.v1.get_default_graph() is not self._graph:
            return {"seed": self._nested_key()}
        self._count += 1
        seed = tf.stack([_hashed(f"{self._word}/{self._count}"), self._number])
        return {"seed": seed, **({"alg": "threefry"} if self._fused else {})}

    def seed(self) -> tf.Tensor:
        """A seed of Keras' own, which makes it an int32 by leaving most of it out."""
        return tf.random.stateless_uniform([2], **self.key(), minval=None, dtype=tf.int32)

    def keeps(self, generator: keras.random.SeedGenerator) -> bool:
        """Whether a checkpoint has the generator's state."""
        return id(generator.state) in self._draws._kept

    def _nested_key(self) -> tf.Tensor:
        """The next of a count that goes on while the program runs.

        Code in a loop is traced once and runs often; and code in a `tf.function` can't refer to a
        tensor of the program around it, only to a variable.
        """
        self._begin_nested()
        return self._draws.counter.assign_add(tf.constant([0, 1], tf.int64), read_value=True)

    def _begin_nested(self) -> None:
        if not self._begun:
            self._begun = self._draws._counter.is_used = True
            with self._graph.as_default():
                word = _hashed(f"{self._word}/nested")
                self._draws.counter.assign(tf.stack([word, self._number * 2**NESTED]))


_STREAM: ContextVar[_Stream | None] = ContextVar("stream", default=None)


def _hashed(text: str) -> tf.Tensor:
    word = int.from_bytes(sha256(text.encode()).digest()[:8], "big", signed=True)
    return tf.constant(word, tf.int64)


@cache
def _install() -> None:
    """Lets TensorFlow and Keras ask for a stream, for good; outside of `keyed` nothing changes."""
    for module in random_operations():
        for name, stateless in KEYED.items():
            if hasattr(module, name):
                setattr(module, name, _or_keyed(getattr(module, name), stateless))
    keep = keras.random.SeedGenerator.next

    @wraps(keep)
    def following(generator: keras.random.SeedGenerator, ordered: bool = True) -> tf.Tensor:
        stream = _STREAM.get()
        if stream is None or stream.keeps(generator):
            return keep(generator, ordered)
        return stream.seed()

    keras.random.SeedGenerator.next = following


def _or_keyed(stateful: Callable[..., Any], stateless: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(stateful)
    def either(
        *args: Any, seed: int = 0, seed2: int = 0, name: str | None = None, **settings: Any
    ) -> Any:
        stream = _STREAM.get()
        if stream is not None:
            return stateless(stream.key(), *args, **settings)
        seeds = {} if stateless in _UNSEEDED else {"seed": seed, "seed2": seed2}
        return stateful(*args, **seeds, name=name, **settings)

    return either


def _normal(key: dict[str, Any], shape: Any, dtype: Any) -> tf.Tensor:
    return tf.random.stateless_normal(shape, **key, dtype=dtype)


def _truncated(key: dict[str, Any], shape: Any, dtype: Any) -> tf.Tensor:
    return tf.random.stateless_truncated_normal(shape, **key, dtype=dtype)


def _uniform(key: dict[str, Any], shape: Any, dtype: Any) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, **key, dtype=dtype)


def _uniform_int(key: dict[str, Any], shape: Any, minval: Any, maxval: Any) -> tf.Tensor:
    kind = tf.convert_to_tensor(minval).dtype
    return tf.random.stateless_uniform(shape, **key, minval=minval, maxval=maxval, dtype=kind)


def _shuffled(key: dict[str, Any], value: Any) -> tf.Tensor:
    # TensorFlow's stateless one is not for XLA.
    order = tf.random.stateless_uniform(tf.shape(value)[:1], **key, minval=None, dtype=tf.int32)
    return tf.gather(value, tf.argsort(order))


def _categorical(
    key: dict[str, Any], logits: Any, num_samples: Any, output_dtype: Any = tf.int64
) -> tf.Tensor:
    return tf.random.stateless_categorical(logits, num_samples, key["seed"], dtype=output_dtype)


def _parameterized(
    key: dict[str, Any], shape: Any, means: Any, stdevs: Any, minvals: Any, maxvals: Any
) -> tf.Tensor:
    return tf.random.stateless_parameterized_truncated_normal(
        shape, key["seed"], means, stdevs, minvals, maxvals
    )


def _gamma(key: dict[str, Any], shape: Any, alpha: Any) -> tf.Tensor:
    alpha = tf.convert_to_tensor(alpha)
    whole = tf.concat([shape, tf.shape(alpha)], 0)
    return tf.random.stateless_gamma(whole, key["seed"], alpha, dtype=alpha.dtype)


def _poisson(key: dict[str, Any], shape: Any, rate: Any, dtype: Any = tf.int64) -> tf.Tensor:
    whole = tf.concat([shape, tf.shape(rate)], 0)
    return tf.random.stateless_poisson(whole, key["seed"], rate, dtype=dtype)


def _generator_state(key: dict[str, Any], resource: Any, alg: Any, delta: Any) -> tf.Tensor:
    """The counter and the key of a `tf.random.Generator`, which so is never moved on."""
    return tf.random.stateless_uniform([3], **key, minval=None, dtype=tf.int64)


KEYED: dict[str, Callable[..., Any]] = {
    "random_standard_normal": _normal,
    "truncated_normal": _truncated,
    "random_uniform": _uniform,
    "random_uniform_int": _uniform_int,
    "random_shuffle": _shuffled,
    "multinomial": _categorical,
    "parameterized_truncated_normal": _parameterized,
    "random_gamma": _gamma,
    "random_poisson_v2": _poisson,
    "rng_read_and_skip": _generator_state,
}
"""TensorFlow's operations that draw from states of the process, and what draws by a key instead."""
_UNSEEDED = (_generator_state,)

"""What this package knows of the insides of Keras: one function for each piece.

No other module touches its private names; those of TensorFlow are in `tensorflow_internals.py`.
Each function says what it relies on and why nothing public serves. The source was read in Keras
3.13.0 and 3.15.1, the two ends of what `pyproject.toml` allows.
`tests/scheduled/test_keras_internals.py` tests what each function relies on, so that a new version
fails there first, by name.

Keras is imported within the functions: declarations import this without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


@cache
def stateless(rule: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """Returns a subclass of an optimizer's class that works within a `keras.StatelessScope`.

    Within that scope a variable's value is a tensor, and assigning goes to the scope. Keras'
    optimizers for TensorFlow hand `variable.value` to the distribution strategy and key their slots
    by the `tf.Variable`, both of which fail for a tensor. The subclass takes six methods from
    Keras' `BaseOptimizer` again, which has them for every backend: the public `assign`,
    `assign_add` and `assign_sub`, and the hooks `_apply_weight_decay`, `_backend_update_step` and
    `_var_key`. It keeps the class's name, which error messages and slots have.

    No public way: `stateless_apply` raises "not supported with the TensorFlow backend".
    Read: Keras 3.13.0 and 3.15.1, `src/backend/tensorflow/optimizer.py`,
    `src/optimizers/base_optimizer.py`.
    """
    # The rule's own methods come first, as Nadam's hook calls the next one's; Keras' for TensorFlow
    # come last.
    return type(rule.__name__, (rule, _for_any_backend()), {})


@cache
def _for_any_backend() -> type[keras.optimizers.Optimizer]:
    import keras
    from keras.src.optimizers.base_optimizer import BaseOptimizer

    class ForAnyBackend(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras is untyped
        assign = BaseOptimizer.assign
        assign_add = BaseOptimizer.assign_add
        assign_sub = BaseOptimizer.assign_sub
        _apply_weight_decay = BaseOptimizer._apply_weight_decay
        _backend_update_step = BaseOptimizer._backend_update_step
        _var_key = BaseOptimizer._var_key

    return ForAnyBackend


def variable_index(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Returns the place of a weight in the list that an optimizer was built with.

    `update_step` gets a weight as a Keras or as a TensorFlow variable; slots lie in lists by place.

    No public way: Keras' own optimizers call `_get_variable_index` for this.
    Read: Keras 3.13.0 and 3.15.1, `src/optimizers/base_optimizer.py`.
    """
    index: int = optimizer._get_variable_index(variable)
    return index


def held_variables(
    optimizer: keras.optimizers.Optimizer,
) -> Iterator[tuple[str, keras.Variable | None, keras.Variable]]:
    """Yields every variable of a built optimizer with the attribute that holds it, and its weight.

    Keras keeps slots in lists that run parallel to the weights, with None where a weight has no
    such slot. A variable outside of a list, such as the count of updates, has no weight.

    No public way: `optimizer.variables` is a flat list. The variables' own names don't tell them
    apart: Adafactor's row and column means share one, and Nadam's running product is numbered
    through the whole process.
    Read: Keras 3.13.0 and 3.15.1, `src/optimizers/*.py`.
    """
    variables = {id(variable) for variable in optimizer.variables}
    weights = optimizer._trainable_variables
    for attribute, value in vars(optimizer).items():
        if attribute == "_variables":
            continue  # all of them once more
        if isinstance(value, list):
            for weight, slot in zip(weights, value, strict=False):
                if id(slot) in variables:
                    yield attribute, weight, slot
        elif id(value) in variables:
            yield attribute, None, value


def substituted(
    optimizer: keras.optimizers.Optimizer, instead: Mapping[int, Any]
) -> keras.optimizers.Optimizer:
    """Returns an optimizer like this one, which has other objects in the place of some variables.

    `instead` has what stands for a weight or a slot, by the identity of what it stands for. The
    other variables, such as the count of updates, are shared with `optimizer`.

    No public way: an optimizer makes its slots itself, of the shapes of its weights.
    Read: Keras 3.13.0 and 3.15.1, `src/optimizers/base_optimizer.py`.
    """
    rule: Any = type(optimizer)
    twin = object.__new__(stateless(rule))
    attributes = dict(vars(optimizer))
    for attribute in {name for name, weight, _ in held_variables(optimizer) if weight is not None}:
        attributes[attribute] = [instead.get(id(x), x) for x in attributes[attribute]]
    weights = optimizer._trainable_variables
    indices = {id(weight): index for index, weight in enumerate(weights)}
    indices |= {id(instead[key]): index for key, index in indices.items() if key in instead}
    attributes["_trainable_variables_indices"] = indices
    vars(twin).update(attributes)
    return twin


def set_path(variable: keras.Variable, path: str) -> None:
    """Gives a variable another path.

    No public way: `Variable.path` has no setter. It is composed when the variable is made, of the
    names of layers, which Keras numbers through the whole process.
    Read: Keras 3.13.0 and 3.15.1, `src/backend/common/variables.py`.
    """
    variable._path = path


def all_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns a model and every layer within it, at any depth.

    No public way: `Model.layers` has the outermost layers only, and a layer has no list of those
    within it.
    Read: Keras 3.13.0 and 3.15.1, `src/layers/layer.py`.
    """
    return list(model._flatten_layers())


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers right within a layer, those within these not among them.

    No public way: as with `all_layers`; a layer that is no model has no public list at all.
    Read: Keras 3.13.0 and 3.15.1, `src/layers/layer.py`.
    """
    return list(layer._flatten_layers(include_self=False, recursive=False))


def class_stem(layer: keras.layers.Layer) -> str:
    """Returns what Keras names a layer of this class when nobody does, without the number.

    No public way: the same word is a part of the names within saved files.
    Read: Keras 3.13.0 and 3.15.1, `src/utils/naming.py`, `src/saving/saving_lib.py`.
    """
    from keras.src.utils.naming import to_snake_case

    return str(to_snake_case(type(layer).__name__))


def seed_states(model: keras.Model) -> list[keras.Variable]:
    """Returns the states of a model's random generators: `[seed, how often it was drawn from]`.

    No public way: a layer's generators stand at attributes of any name, and their states are known
    among its variables by what Keras calls them.
    Read: Keras 3.13.0 and 3.15.1, `src/random/seed_generator.py`.
    """
    variables = model.non_trainable_variables
    return [variable for variable in variables if variable.path.endswith("seed_generator_state")]


def replace_call(layer: keras.layers.Layer, call: Callable[..., tf.Tensor]) -> None:
    """Lets one layer compute by another function, which gets what the layer's `call` gets.

    Keras runs what it finds at the instance's `call`, with the arguments that the class's `call`
    takes, and saves the layer as one of its class.

    No public way: a subclass of Keras' layer is saved by its own module and name, which a program
    without this package can't load; and a layer of a model that is built can't be exchanged.
    Read: Keras 3.13.0 and 3.15.1, `src/ops/operation.py`, `src/layers/layer.py`,
    `src/saving/serialization_lib.py`.
    """
    layer.call = call


@contextmanager
def calling(replaced: Mapping[keras.layers.Layer, Callable[..., tf.Tensor]]) -> Iterator[None]:
    """Within the block layers compute by other functions, as `replace_call` lets them for good."""
    for layer, call in replaced.items():
        replace_call(layer, call)
    try:
        yield
    finally:
        for layer in replaced:
            del layer.call


def call_is_replaced(layer: keras.layers.Layer) -> bool:
    """Whether `replace_call` was applied to a layer."""
    return "call" in vars(layer)


def producer(tensor: Any) -> keras.Operation | None:
    """Returns the layer or operation that a model's symbolic tensor comes from; None if unknown.

    No public way: `Operation.output` leads from an operation to its tensor, and raises where a
    layer is used twice; nothing public leads back.
    Read: Keras 3.13.0 and 3.15.1, `src/ops/node.py`.
    """
    history = getattr(tensor, "_keras_history", None)
    return getattr(history, "operation", None)


def structure(model: keras.Model, what: Literal["inputs", "outputs"]) -> Any:
    """Returns a functional model's symbolic inputs or outputs as it was made with them.

    A dict or a list where it was made so; None for a model that does not know them before a call.

    No public way: `Model.inputs` and `Model.outputs` are flat lists, which have lost the keys.
    Read: Keras 3.13.0 and 3.15.1, `src/ops/function.py`, `src/models/sequential.py`.
    """
    functional = getattr(model, "_functional", None) or model
    return getattr(functional, f"_{what}_struct", None)


def mask_of(tensor: Any) -> tf.Tensor | None:
    """Returns the mask that Keras' layers have put on a tensor; None where there is none.

    No public way: `compute_mask` would have to be asked layer by layer.
    Read: Keras 3.13.0 and 3.15.1, `src/backend/common/masking.py`.
    """
    return getattr(tensor, "_keras_mask", None)


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Returns what a model was compiled with, as it was given, by the arguments of `compile`.

    `jit_compile` is None where it is what `auto` gives on this machine, and `auto_scale_loss` is
    False only where layers compute in float16.

    No public way: `get_compile_config` serialises all of it, and fails by one function of a user's.
    Read: Keras 3.13.0 and 3.15.1, `src/trainers/trainer.py`.
    """
    import keras
    import tensorflow as tf

    held = getattr(model, "_compile_config", None) if model.compiled else None
    arguments = dict(getattr(held, "config", {}))
    # Keras answers True on accelerators, until determinism is asked for, which a run does.
    accelerated = any(one.device_type != "CPU" for one in tf.config.list_physical_devices())
    jit = arguments.get("jit_compile")
    if jit == model._resolve_auto_jit_compile() or (jit and accelerated):
        arguments["jit_compile"] = None
    is_scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    in_float16 = model.dtype_policy.name == "mixed_float16"
    arguments["auto_scale_loss"] = is_scaled or not in_float16 or model.optimizer is None
    return arguments


def in_safe_mode() -> bool:
    """Whether Keras is loading something with `safe_mode=True`, which runs no code that it names.

    No public way: `from_config` is not told, and the scope that `load_model` opens is not exported.
    Read: Keras 3.13.0 and 3.15.1, `src/saving/serialization_lib.py`.
    """
    from keras.src.saving import serialization_lib

    return bool(serialization_lib.in_safe_mode())

"""What this package relies on in Keras beyond what it documents."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import trainer
from trainer.optimizers import keras_rules
from trainer.scheduled import keras_internals as internals

TAKEN_BACK = {
    *("assign", "assign_add", "assign_sub"),
    *("_apply_weight_decay", "_backend_update_step", "_var_key"),
}
"""What a stateless optimizer has from Keras' class for every backend."""
NOT_REACHED = {
    *("__init__", "add_variable_from_reference", "stateless_apply", "_clip_by_norm"),
    *("_distributed_tf_update_step", "_all_reduce_sum_gradients"),
    *("_overwrite_model_variables_with_average_value", "_backend_increment_gradient_accumulators"),
}
"""What the class for TensorFlow has besides, which no update within a scope fails by."""

RULES: dict[str, Callable[[Any], keras.optimizers.Optimizer]] = {
    "sgd": lambda made: made(keras.optimizers.SGD)(0.5, momentum=0.9, weight_decay=0.1),
    "adam": lambda made: made(keras.optimizers.Adam)(0.5, clipnorm=0.1),
    "nadam": lambda made: made(keras.optimizers.Nadam)(0.5, global_clipnorm=0.1),
    "ours": lambda made: made(keras_rules.Momentum)(learning_rate=0.5, momentum=0.9),
}


def weights() -> list[keras.Variable]:
    return [keras.Variable([[1.0, 2.0]], name="kernel"), keras.Variable([3.0, 4.0], name="bias")]


def gradients(factor: float | tf.Tensor = 1.0) -> list[tf.Tensor]:
    return [tf.constant([[1.0, -2.0]]) * factor, tf.constant([0.5, 0.25]) * factor]


def test_only_the_modules_of_internals_have_private_names_of_keras_and_tensorflow() -> None:
    modules = r"keras\.src|tensorflow\.(python|compiler)|__internal__|__class__ ="
    attributes = r"flatten_layers|keras_history|trainable_variables|get_variable_index|var_key"
    hooks = r"backend_update_step|apply_weight_decay|get_replica_id_in_sync_group"
    private = re.compile(rf"{modules}|\._({attributes}|{hooks})|\.call =|[^f]\._path =")
    homes = ("keras_internals.py", "tensorflow_internals.py")
    [root] = trainer.__path__
    found = [
        f"{path.name}: {line.strip()}"
        for path in Path(root).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if path.name not in homes and private.search(line)
    ]
    assert found == []


def test_keras_for_tensorflow_still_has_no_stateless_updates_of_its_own() -> None:
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build(weights())
    with pytest.raises(ValueError, match="not supported"):
        optimizer.stateless_apply(optimizer.variables, gradients(), weights())


def test_keras_overrides_for_tensorflow_just_the_hooks_that_a_stateless_optimizer_takes_back() -> (
    None
):
    derived = internals.stateless(keras.optimizers.SGD)
    [base] = [cls for cls in derived.__mro__ if cls.__name__ == "BaseOptimizer"]
    [for_tensorflow] = [cls for cls in derived.__mro__ if cls.__name__ == "TFOptimizer"]
    functions = {name for name, value in vars(for_tensorflow).items() if callable(value)}
    assert functions >= TAKEN_BACK
    assert functions <= TAKEN_BACK | NOT_REACHED
    for name in TAKEN_BACK:
        assert getattr(derived, name) is getattr(base, name), name


@pytest.mark.parametrize("rule", RULES)
def test_a_stateless_optimizer_does_in_a_scope_what_keras_does_to_variables(rule: str) -> None:
    changed = weights()
    plain = RULES[rule](lambda cls: cls)
    plain.build(changed)
    for _ in range(3):
        plain.apply(gradients())

    left_alone = weights()
    optimizer = RULES[rule](internals.stateless)
    optimizer.build(left_alone)
    variables = [*left_alone, *optimizer.variables]

    def updated(factor: tf.Tensor) -> list[tf.Tensor]:
        values = [tf.identity(variable.value) for variable in variables]
        for _ in range(3):
            with keras.StatelessScope(list(zip(variables, values, strict=True))) as scope:
                optimizer.apply(gradients(factor), left_alone)
                values = [scope.get_current_value(variable) for variable in variables]
        return values

    before = [np.asarray(variable) for variable in variables]
    values = tf.function(lambda: tf.vectorized_map(updated, tf.constant([7.0, 1.0])))()
    for variable, untouched in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, untouched)
    for value, expected in zip(values, [*changed, *plain.variables], strict=True):
        np.testing.assert_allclose(value[1], expected, rtol=1e-6, err_msg=expected.path)
    assert type(optimizer).__name__ == type(plain).__name__
    assert internals.stateless(type(plain)) is type(optimizer)


def test_an_optimizer_finds_a_weight_as_a_variable_of_keras_and_of_tensorflow() -> None:
    kernel, bias = weights()
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build([kernel, bias])
    assert internals.variable_index(optimizer, bias) == 1
    assert internals.variable_index(optimizer, bias.value) == 1


def test_an_optimizer_keeps_slots_in_lists_parallel_to_its_weights() -> None:
    kernel, bias = weights()
    optimizer = keras.optimizers.Adam(lambda: 0.5)
    optimizer.build([kernel, bias])
    held = [
        (attribute, None if weight is None else weight.path, tuple(slot.shape))
        for attribute, weight, slot in internals.held_variables(optimizer)
    ]
    assert sorted(held, key=str) == [
        ("_iterations", None, ()),
        ("_momentums", "bias", (2,)),
        ("_momentums", "kernel", (1, 2)),
        ("_velocities", "bias", (2,)),
        ("_velocities", "kernel", (1, 2)),
    ]


def test_an_optimizer_keeps_variables_that_belong_to_no_weight_outside_of_lists() -> None:
    optimizer = keras.optimizers.Nadam(lambda: 0.5)
    optimizer.build(weights())
    held = [(attribute, weight) for attribute, weight, _ in internals.held_variables(optimizer)]
    assert {name for name, weight in held if weight is None} == {"_iterations", "_u_product"}


def test_a_variable_has_the_path_that_it_was_given_and_no_public_way_to_it() -> None:
    variable = keras.Variable(1.0, name="dense_7")
    internals.set_path(variable, "dense/kernel")
    assert variable.path == "dense/kernel"
    with pytest.raises(AttributeError):
        variable.path = "other"


class Nest(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
    """A layer with a layer in it."""

    def __init__(self) -> None:
        super().__init__(name="nest")
        self.inner = keras.layers.Dropout(0.5, name="inner")

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.inner(inputs, training=training)


def nested() -> keras.Model:
    block = keras.Sequential([keras.Input((3,)), Nest()], name="block")
    return keras.Sequential([keras.Input((3,)), block], name="model")


def test_keras_knows_the_layers_within_layers_of_a_model() -> None:
    names = {layer.name for layer in internals.all_layers(nested())}
    assert {"model", "block", "nest", "inner"} <= names


def test_a_layer_keeps_its_seed_and_the_count_of_its_draws_in_a_variable_of_a_known_name() -> None:
    model = nested()
    [inner] = [layer for layer in internals.all_layers(model) if layer.name == "inner"]
    [state] = internals.seed_states(model)
    assert state is inner.seed_generator.state
    seed, drawn = np.asarray(state).tolist()
    x = np.ones((50, 3), np.float32)
    first, second = (np.asarray(model(x, training=True)) for _ in range(2))
    assert np.asarray(state).tolist() == [seed, drawn + 2]
    assert (first != second).any()
    state.assign([seed, drawn])
    np.testing.assert_array_equal(model(x, training=True), first)
    state.assign([seed + 1, drawn])
    assert (np.asarray(model(x, training=True)) != first).any()


def test_keras_runs_the_call_that_an_instance_of_a_layer_has() -> None:
    layer = keras.layers.Dropout(0.5, name="drop")
    model = keras.Sequential([keras.Input((3,)), layer])
    assert not internals.call_is_replaced(layer)
    internals.replace_call(layer, lambda inputs, training=False: inputs + (3 if training else 1))
    assert internals.call_is_replaced(layer)
    np.testing.assert_array_equal(model(np.zeros((1, 3)), training=True), [[3, 3, 3]])
    np.testing.assert_array_equal(model(np.zeros((1, 3)), training=False), [[1, 1, 1]])


def test_keras_saves_a_layer_by_its_class_whatever_call_it_has(tmp_path: Path) -> None:
    layer = keras.layers.Dropout(0.5, name="drop")
    plain = keras.saving.serialize_keras_object(layer)
    internals.replace_call(layer, lambda inputs, training=False: inputs)
    assert keras.saving.serialize_keras_object(layer) == plain
    keras.Sequential([keras.Input((3,)), layer]).save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").get_layer("drop")
    assert type(loaded) is keras.layers.Dropout
    assert not internals.call_is_replaced(loaded)


def test_keras_saves_a_subclass_of_its_layer_by_a_name_that_others_can_not_load() -> None:
    class Dropout(keras.layers.Dropout):  # type: ignore[misc]  # Keras is untyped
        pass

    saved = keras.saving.serialize_keras_object(Dropout(0.5, name="drop"))
    plain = keras.saving.serialize_keras_object(keras.layers.Dropout(0.5, name="drop"))
    assert plain["module"] == "keras.layers"
    assert saved["module"] != "keras.layers"


def test_a_symbolic_tensor_knows_the_layer_that_it_comes_from() -> None:
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(3, name="twice")
    first = shared(inputs)
    second = shared(first)
    assert internals.producer(second) is shared
    assert internals.producer(first + second).name.startswith("add")
    assert internals.producer(tf.zeros([3])) is None


def test_keras_tells_whether_it_loads_in_safe_mode() -> None:
    modes = []

    @keras.saving.register_keras_serializable(package="tests_of_internals")
    class Asking(keras.layers.Layer):  # type: ignore[misc]  # Keras is untyped
        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Asking:
            modes.append(internals.in_safe_mode())
            return cls(**config)

    saved = keras.saving.serialize_keras_object(Asking())
    for safe in (True, False):
        keras.saving.deserialize_keras_object(saved, safe_mode=safe)
    assert modes == [True, False]
    assert not internals.in_safe_mode()

"""What this package relies on in TensorFlow beyond what it documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from trainer.scheduled import tensorflow_internals as internals


def test_a_saved_model_may_be_changed_with_its_fingerprint(tmp_path: Path) -> None:
    module = tf.Module()
    module.double = tf.function(lambda x: 2 * x, [tf.TensorSpec([None])], autograph=False)
    tf.saved_model.save(module, tmp_path, signatures=module.double)
    read = tf.saved_model.experimental.read_fingerprint
    before = read(str(tmp_path))

    def name(definition: Any) -> None:
        for signature in definition.meta_graphs[0].signature_def.values():
            for tensor in signature.inputs.values():
                tensor.tensor_shape.dim[0].name = "batch"

    internals.rewrite_saved_model(tmp_path, name)
    assert b"batch" in (tmp_path / "saved_model.pb").read_bytes()
    after = read(str(tmp_path))
    assert after.graph_def_program_hash == before.graph_def_program_hash
    assert after.signature_def_hash != before.signature_def_hash
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_array_equal(loaded.double(tf.constant([3.0])), [6.0])


@pytest.mark.parametrize("xla", [False, True])
def test_a_barrier_changes_nothing(xla: bool) -> None:
    def through(x: tf.Tensor) -> tf.Tensor:
        return internals.optimization_barrier(x) * 2

    x = tf.constant([[1.0, 2.0]])
    compiled = tf.function(through, jit_compile=xla, autograph=False)
    np.testing.assert_array_equal(compiled(x), [[2.0, 4.0]])


def test_a_barrier_is_one_to_xla() -> None:
    compiled = tf.function(internals.optimization_barrier, jit_compile=True, autograph=False)
    assert "opt-barrier" in compiled.experimental_get_compiler_ir(tf.ones([2]))(stage="hlo")


def test_the_number_of_a_function_depends_on_none_before_it() -> None:
    def number() -> int:
        internals.number_functions_anew()
        traced = tf.function(lambda x: x + 1).get_concrete_function(tf.TensorSpec([]))
        return int(traced.name.decode().rpartition("_")[2])

    first = number()
    tf.function(lambda x: x * 2).get_concrete_function(tf.TensorSpec([]))
    assert first % internals.NUMBERS == number() % internals.NUMBERS

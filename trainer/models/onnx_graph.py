"""A Keras model as an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..scheduled.keras_internals import structure

OPSET = 17
"""The version of ONNX's operators: the first with layer normalization, in runtimes since 2022."""


def convert(model: keras.Model, path: Path) -> None:
    """Writes `model`, for any number of inputs at a time, to a file.

    Raises:
        ValueError: naming an operation that tf2onnx can't express.
    """
    import onnx  # onnx and tf2onnx come with the extra `onnx`
    import tf2onnx

    symbolic = structure(model, "inputs")
    flat = tf.nest.flatten(symbolic)
    names = ["inputs"] if len(flat) == 1 else [tensor.name for tensor in flat]
    signature = [
        tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name=name)
        for tensor, name in zip(flat, names, strict=True)
    ]

    def run(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(tf.nest.pack_sequence_as(symbolic, inputs), training=False)
        flat = tf.nest.flatten(outputs)
        keys = sorted(outputs) if isinstance(outputs, Mapping) else model.output_names
        return dict(zip(["outputs"] if len(flat) == 1 else keys, flat, strict=True))

    run = tf.autograph.experimental.do_not_convert(run)
    function = tf.function(run, input_signature=signature)
    graph, _ = tf2onnx.convert.from_function(
        function,
        input_signature=signature,
        opset=OPSET,
        custom_op_handlers={"Erfc": (_erfc, [])},
    )
    _embed_constants(graph, function.get_concrete_function())
    try:
        onnx.checker.check_model(graph)
    except (
        onnx.checker.ValidationError
    ) as error:  # tf2onnx leaves TensorFlow's operation in, with a log line
        raise ValueError(str(error).splitlines()[0]) from None
    path.write_bytes(graph.SerializeToString())


def _embed_constants(model: Any, function: Any) -> None:
    """Turns tensors that layers hold, such as positions, from inputs into constants."""
    from onnx import numpy_helper

    tensors = {inner.name: outer for outer, inner in function.graph.captures}
    inputs = model.graph.input
    for captured in [node for node in inputs if node.name in tensors]:
        array = numpy_helper.from_array(tensors[captured.name].numpy(), captured.name)
        model.graph.initializer.append(array)
        inputs.remove(captured)


def _erfc(context: Any, node: Any, name: str, _: Any) -> None:
    """Converts TensorFlow's `Erfc`, of Keras' gelu, to `1 - erf(x)`; ONNX has only `Erf`."""
    node.type = "Erf"
    (output,) = node.output
    constant = context.make_const(f"{name}_one", np.float32(1)).output[0]
    context.insert_new_node_on_output("Sub", output, name=f"{name}_sub", inputs=[constant, output])

"""A Keras model as an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .signature import BATCH, Signature

OPSET = 17
"""The version of ONNX's operators: the first with layer normalization, in runtimes since 2022."""


def convert(model: keras.Model, path: Path, signature: Signature) -> None:
    """Writes `model`, for any number of inputs at a time, to a file.

    Raises:
        ValueError: naming an operation that tf2onnx can't express.
    """
    import onnx  # onnx and tf2onnx come with the extra `onnx`
    import tf2onnx

    names, specs = list(signature.inputs), list(signature.inputs.values())

    def run(*inputs: tf.Tensor) -> Mapping[str, tf.Tensor]:
        return signature.called(model, dict(zip(names, inputs, strict=True)))

    run = tf.autograph.experimental.do_not_convert(run)
    function = tf.function(run, input_signature=specs)
    graph, _ = tf2onnx.convert.from_function(
        function,
        input_signature=specs,
        opset=OPSET,
        custom_op_handlers={"Erfc": (_erfc, [])},
    )
    _embed_constants(graph, function.get_concrete_function())
    for one in (*graph.graph.input, *graph.graph.output):
        first = one.type.tensor_type.shape.dim[:1]
        for axis in first:
            if not axis.dim_value:
                axis.dim_param = BATCH
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

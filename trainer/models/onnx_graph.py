"""A Keras model as an ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

OPSET = 17
"""The version of ONNX's operators: runtimes have had it since 2022, and it normalises layers."""


def convert(model: keras.Model, path: Path) -> None:
    """Writes `model`, for any number of inputs at a time, to a file.

    Raises:
        ValueError: naming an operation that tf2onnx can't express.
    """
    import onnx  # these two are an extra
    import tf2onnx

    def run(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": model(inputs, training=False)}

    signature = [tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name="inputs")]
    run = tf.autograph.experimental.do_not_convert(run)
    function = tf.function(run, input_signature=signature)
    graph, _ = tf2onnx.convert.from_function(
        function,
        input_signature=signature,
        opset=OPSET,
        custom_op_handlers={"Erfc": (_erfc, [])},
    )
    _embed(graph, function.get_concrete_function())
    try:
        onnx.checker.check_model(graph)
    except onnx.checker.ValidationError as error:  # tf2onnx puts in TensorFlow's, and only logs it
        raise ValueError(str(error).splitlines()[0]) from None
    path.write_bytes(graph.SerializeToString())


def _embed(model: Any, function: Any) -> None:
    """Puts in the tensors that layers hold, such as positions, which tf2onnx makes inputs of."""
    from onnx import numpy_helper

    held = {inner.name: outer for outer, inner in function.graph.captures}
    inputs = model.graph.input
    for given in [given for given in inputs if given.name in held]:
        array = numpy_helper.from_array(held[given.name].numpy(), given.name)
        model.graph.initializer.append(array)
        inputs.remove(given)


def _erfc(context: Any, node: Any, name: str, _: Any) -> None:
    """`1 - erf(x)`: Keras' gelu has an operation that ONNX has not."""
    node.type = "Erf"
    (output,) = node.output
    one = context.make_const(f"{name}_one", np.float32(1)).output[0]
    context.insert_new_node_on_output("Sub", output, name=f"{name}_sub", inputs=[one, output])

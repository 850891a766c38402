"""A Keras model as a SavedModel of TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from ..scheduled.tensorflow_internals import rewrite_saved_model
from .signature import BATCH, Signature


def save(model: keras.Model, path: Path, signature: Signature) -> None:
    """Writes `model`, for any number of inputs at a time, to a folder.

    Its function `serve` takes what the model is called with, and gives what the model returns; the
    signature `serving_default` takes and gives tensors by name.
    """

    # Keras' own export lets layers such as RandomFlip do as in training.
    def serve(inputs: Any) -> Any:
        return model(inputs, training=False)

    def by_name(inputs: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        return signature.called(model, inputs)

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, [signature.arranged(signature.inputs)])
    archive.add_endpoint("serving_default", by_name, [dict(signature.inputs)])
    archive.write_out(path, verbose=False)
    rewrite_saved_model(path, _name_batches)


def _name_batches(definition: Any) -> None:
    """Names the first axis of everything in the signatures that has any number of examples."""
    for graph in definition.meta_graphs:
        for signature in graph.signature_def.values():
            for tensor in (*signature.inputs.values(), *signature.outputs.values()):
                if tensor.tensor_shape.dim and tensor.tensor_shape.dim[0].size == -1:
                    tensor.tensor_shape.dim[0].name = BATCH

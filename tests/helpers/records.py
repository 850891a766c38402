"""TFRecord files for tests, written by TensorFlow itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def example(row: Mapping[str, Any]) -> bytes:
    """A `tf.train.Example`, serialized: bytes, text, whole numbers and fractions by their types."""
    import tensorflow as tf

    features = {}
    for name, value in row.items():
        values = [value] if isinstance(value, (bytes, str, int, float)) else list(value)
        if isinstance(values[0], (bytes, str)):
            coded = [one.encode() if isinstance(one, str) else one for one in values]
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=coded))
        elif all(isinstance(one, int) for one in values):
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        else:
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
    message = tf.train.Example(features=tf.train.Features(feature=features))
    return bytes(message.SerializeToString())


def write(path: Path, rows: Iterable[Mapping[str, Any] | bytes], packer: str | None = None) -> None:
    """Writes a file of examples, or of whatever bytes are given in their place."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path), packer) as file:
        for row in rows:
            file.write(row if isinstance(row, bytes) else example(row))

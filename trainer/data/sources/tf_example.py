"""`tf.train.Example`, read by protobuf alone: TensorFlow takes seconds to import."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def features(content: bytes) -> Mapping[str, Any]:
    """The features of a `tf.train.Example` by name."""
    example = _example()()
    example.ParseFromString(content)
    return example.features.feature  # type: ignore[no-any-return]  # made at run time


def value_of(feature: Any) -> bytes | NDArray[Any]:
    """The value of a feature: bytes, or a row of int64 or float32."""
    kind = feature.WhichOneof("kind")
    if kind == "bytes_list":
        return b"".join(feature.bytes_list.value)
    if kind == "int64_list":
        return np.array(feature.int64_list.value, np.int64)
    return np.array(feature.float_list.value, np.float32)


@lru_cache(maxsize=1)
def _example() -> Any:
    """The class of `tf.train.Example`, as tensorflow/core/example/example.proto has it."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="records.proto", package="records")

    def message(name: str, where: Any = file.message_type) -> Any:
        return where.add(name=name)

    lists = {"BytesList": field.TYPE_BYTES, "FloatList": field.TYPE_FLOAT,
             "Int64List": field.TYPE_INT64}  # fmt: skip
    for name, kind in lists.items():
        message(name).field.add(name="value", number=1, label=field.LABEL_REPEATED, type=kind)
    feature = message("Feature")
    feature.oneof_decl.add(name="kind")
    for number, (field_name, name) in enumerate(
        zip(("bytes_list", "float_list", "int64_list"), lists, strict=True), start=1
    ):
        feature.field.add(
            name=field_name, number=number, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE,
            type_name=f".records.{name}", oneof_index=0,
        )  # fmt: skip
    several = message("Features")
    entry = message("FeatureEntry", several.nested_type)
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE,
        type_name=".records.Feature",
    )  # fmt: skip
    several.field.add(
        name="feature", number=1, label=field.LABEL_REPEATED, type=field.TYPE_MESSAGE,
        type_name=".records.Features.FeatureEntry",
    )  # fmt: skip
    message("Example").field.add(
        name="features", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE,
        type_name=".records.Features",
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("records.Example"))

"""The messages of TensorBoard's HParams page, encoded without the tensorboard package.

Source: `tensorboard/plugins/hparams/plugin_data.proto` and `metadata.py`. A message is an
`HParamsPluginData` of version 0, with a `SessionStartInfo` or a `SessionEndInfo`. TensorBoard finds
the names of the metrics in the scalars of the same run.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

PLUGIN = "hparams"
SUCCESS, FAILURE = 1, 2
"""`Status` of the same file."""


def started(hparams: Mapping[str, Any], group: str, seconds: float) -> tuple[str, bytes]:
    """The tag and content for a run's hyperparameters and the time of its beginning."""
    entries = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, _value(value)))
        for name, value in hparams.items()
        if value is not None
    )
    info = entries + _field(4, group.encode()) + _double(5, seconds)
    return "_hparams_/session_start_info", _field(3, info)


def ended(well: bool, seconds: float) -> tuple[str, bytes]:
    """The tag and content for how and when a run ended."""
    status = _key(1, 0) + _varint(SUCCESS if well else FAILURE)
    return "_hparams_/session_end_info", _field(4, status + _double(2, seconds))


def _value(value: Any) -> bytes:
    """A `google.protobuf.Value`; what is neither number, text nor boolean is encoded as text."""
    if isinstance(value, bool):
        return _key(4, 0) + _varint(value)
    if isinstance(value, (int, float)):
        return _double(2, value)
    return _field(3, str(value).encode())


def _double(number: int, value: float) -> bytes:
    return _key(number, 1) + struct.pack("<d", value)


def _field(number: int, content: bytes) -> bytes:
    return _key(number, 2) + _varint(len(content)) + content


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes(encoded + bytes([value]))

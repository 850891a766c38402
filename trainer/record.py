"""What is written down while a run goes: `metrics.jsonl`, and TensorBoard's events."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Record:
    """The rows of a run, one JSON object a line, mirrored as TensorBoard scalars.

    A row with `"step": t` tells of update t; a row with `eval_…` values tells of the state after
    `step` updates.
    """

    def __init__(self, folder: Path, position: int) -> None:
        """Goes on after `position`, where a checkpoint left it; what was written later is dropped.

        Raises:
            EOFError: when the file is shorter than that, so that rows are missing.
        """
        self._file = (folder / "metrics.jsonl").open("a+b")
        if self._file.seek(0, os.SEEK_END) < position:
            self._file.close()
            raise EOFError(f"metrics.jsonl is shorter than the {position} bytes it had")
        self._file.truncate(position)
        self._board = Board(folder)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Adds rows; each has a `step`."""
        self._file.write("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows).encode())
        self._board.write(rows)

    def position(self) -> int:
        """How long the record is, once all of it is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)

    def show(self) -> None:
        """Lets readers see what was written so far."""
        self._file.flush()
        self._board.flush()

    def close(self) -> None:
        """Writes the last of it."""
        self._file.close()
        self._board.close()


class Board:
    """A TensorBoard event file of scalars, written without the tensorboard package.

    `tf.summary.scalar` raises where that package is absent; the records are plain `Event`
    messages, and TensorBoard has always read a `simple_value`.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._event = tf.compat.v1.Event
        self._summary = tf.compat.v1.Summary
        path = folder / f"events.out.tfevents.{time.time():.0f}.{os.getpid()}"
        self._writer = tf.io.TFRecordWriter(str(path))
        self._writer.write(
            self._event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString()
        )

    def write(self, rows: list[dict[str, Any]]) -> None:
        now = time.time()
        for row in rows:
            summary = self._summary(value=[self._value(*item) for item in _scalars(row)])
            event = self._event(wall_time=now, step=row["step"], summary=summary)
            self._writer.write(event.SerializeToString())

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _value(self, name: str, value: float) -> Any:
        return self._summary.Value(tag=name, simple_value=value)


def _scalars(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [
        (name.replace("eval_", "eval/", 1) if name.startswith("eval_") else name, value)
        for name, value in row.items()
        if name != "step" and value is not None
    ]

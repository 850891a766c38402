"""TensorBoard's scalars, written without the tensorboard package."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

Event, Summary, SessionLog = tf.compat.v1.Event, tf.compat.v1.Summary, tf.compat.v1.SessionLog


class Board:
    """An event file of scalars, which begins anew wherever a disk refused to go on with it.

    `tf.summary.scalar` raises where the tensorboard package is absent; the records are plain
    `Event` messages, and TensorBoard has always read a `simple_value`. They mirror what
    `metrics.jsonl` holds, so that a few lost to a full disk are no loss.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """Goes on from `step`: what earlier files tell of later ones, TensorBoard leaves out."""
        self._folder = folder
        self._files = 0
        self._writer: tf.io.TFRecordWriter | None = None
        self._write([Event(step=step, session_log=SessionLog(status=SessionLog.START))])

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows; each has a `step`."""
        self._write(
            Event(step=row["step"], summary=Summary(value=list(_scalars(row)))) for row in rows
        )

    def flush(self) -> None:
        """Lets TensorBoard see what was written so far."""
        self._write(())
        if self._writer:
            self._trying(self._writer.flush)

    def close(self) -> None:
        if self._writer:
            self._trying(self._writer.close)

    def _write(self, events: Iterable[Any]) -> None:
        now = time.time()

        def write() -> None:
            self._writer = self._writer or self._begun(now)
            for event in events:
                event.wall_time = now
                self._writer.write(event.SerializeToString())

        self._trying(write)

    def _begun(self, now: float) -> tf.io.TFRecordWriter:
        self._files += 1
        name = f"events.out.tfevents.{now:.0f}.{os.getpid()}.{self._files}"
        writer = tf.io.TFRecordWriter(str(self._folder / name))
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        return writer

    def _trying(self, act: Any) -> None:
        try:
            act()
        except tf.errors.OpError:
            self._writer = None


def _scalars(row: Mapping[str, Any]) -> Iterable[Any]:
    for name, value in row.items():
        if name != "step" and value is not None:
            tag = name.replace("eval_", "eval/", 1) if name.startswith("eval_") else name
            yield Summary.Value(tag=tag, simple_value=value)

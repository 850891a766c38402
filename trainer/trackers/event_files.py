"""TensorBoard's scalars, written without the tensorboard package."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from ..runs.identity import is_free
from . import Tracked, TrackerRun
from .hparams import PLUGIN, ended, started
from .rows import Rows, grouped

Event, Summary, SessionLog = tf.compat.v1.Event, tf.compat.v1.Summary, tf.compat.v1.SessionLog
FILES = "events.out.tfevents."
NOTHING = tf.make_tensor_proto([], tf.float32)
"""The value of a message that has only metadata."""
LARGEST = float(tf.float32.max)
"""Greater numbers are cut to this one."""


class Board(TrackerRun):
    """Event files of scalars. After a disk refused to write, a new file is begun.

    `tf.summary.scalar` raises where the tensorboard package is absent; the records are plain
    `Event` messages, and TensorBoard has always read a `simple_value`. Some may be lost to a full
    disk: `metrics.jsonl` has them all.
    """

    voids_evaluation = True

    def __init__(self, folder: Path, tracked: Tracked) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._tracked = tracked
        self._writer: tf.io.TFRecordWriter | None = None
        self.recorded_updates = _recorded_updates(folder)

    def go_on(self, step: int) -> None:
        """Makes TensorBoard leave out what earlier files have of `step` and later ones."""
        self._add(Event(step=step, session_log=SessionLog(status=SessionLog.START)))
        config = self._tracked.config.items()
        hparams = {path: value for path, value in config if not is_free(path)}
        self._add_hparams(started(hparams, self._tracked.name, time.time()))

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        now = time.time()
        self._write(event for part in grouped(rows) for event in _events(now, part))

    def show(self) -> None:
        if self._writer:
            self._unless_refused(self._writer.flush)

    def close(self, result: Mapping[str, Any] | None) -> None:
        # TensorBoard believes the first end that it reads; a run that stopped may go on.
        if result and result["status"] in ("done", "failed"):
            self._add_hparams(ended(result["status"] == "done", time.time()))
        if self._writer:
            self._unless_refused(self._writer.close)

    def _add_hparams(self, hparams: tuple[str, bytes]) -> None:
        """Writes a message for TensorBoard's HParams page."""
        tag, content = hparams
        data = tf.compat.v1.SummaryMetadata.PluginData(plugin_name=PLUGIN, content=content)
        metadata = tf.compat.v1.SummaryMetadata(plugin_data=data)
        value = Summary.Value(tag=tag, metadata=metadata, tensor=NOTHING)
        self._add(Event(summary=Summary(value=[value])))

    def _add(self, event: Any) -> None:
        event.wall_time = time.time()
        self._write([event.SerializeToString()])

    def _write(self, events: Iterable[bytes]) -> None:
        def write() -> None:
            self._writer = self._writer or self._new_file(time.time())
            for event in events:
                self._writer.write(event)

        self._unless_refused(write)

    def _new_file(self, now: float) -> tf.io.TFRecordWriter:
        # TensorBoard reads files in the order of their names, and a process may begin two a second.
        name = f"{FILES}{now:.6f}.{os.getpid()}"
        writer = tf.io.TFRecordWriter(str(self._folder / name))
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        return writer

    def _unless_refused(self, write: Callable[[], Any]) -> None:
        """Calls `write`; where the disk refuses, the next event begins a new file."""
        try:
            write()
        except tf.errors.OpError:
            self._writer = None


def _recorded_updates(folder: Path) -> int:
    """How many updates the files of earlier processes have; a file may end in the middle."""
    recorded = 0
    files = sorted(folder.glob(f"{FILES}*"), key=lambda path: path.stat().st_mtime_ns)
    for path in files[-1:]:
        with suppress(tf.errors.DataLossError):
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                if event.HasField("session_log"):
                    recorded = min(recorded or event.step, event.step)
                elif any(value.tag == "loss" for value in event.summary.value):
                    recorded = event.step + 1
    return recorded


def _events(wall_time: float, rows: Rows) -> Iterator[bytes]:
    """Yields an event for each row, with all but its step as scalars.

    The events differ in a few bytes only, at the same places where steps have as many digits, and
    messages of protobuf that are put one after another are one message. The bytes that all share
    are made once, and the numbers are put into all of them together, which is ten times as fast.
    """
    columns = rows.all_columns()
    steps = columns.pop("step").astype(np.int64)
    values = [np.clip(x, -LARGEST, LARGEST).astype("<f4") for x in columns.values()]
    header, body, places = _summary(tuple(columns))
    clock = Event(wall_time=wall_time).SerializeToString()
    digits = np.maximum(1, -(-np.frexp(steps.astype(np.float64))[1] // 7))
    for length in np.unique(digits):
        row_index = np.flatnonzero(digits == length)
        template = clock + b"\x10" + bytes(length) + header + body
        table = np.tile(np.frombuffer(template, np.uint8), (len(row_index), 1))
        start = len(clock) + 1
        varints = steps[row_index, None] >> 7 * np.arange(length) & 0x7F
        varints[:, :-1] |= 0x80  # more of the number follows
        table[:, start : start + length] = varints
        start += int(length) + len(header)
        for place, column in zip(places, values, strict=True):
            numbers = np.ascontiguousarray(column[row_index]).view(np.uint8).reshape(-1, 4)
            table[:, start + place : start + place + 4] = numbers
        content = table.tobytes()
        for offset in range(0, len(content), len(template)):
            yield content[offset : offset + len(template)]


@lru_cache(maxsize=64)
def _summary(names: tuple[str, ...]) -> tuple[bytes, bytes, list[int]]:
    """The header of a summary with these scalars, the summary, and where in it the numbers go."""
    scalars = [
        Summary(value=[Summary.Value(tag=_tag(name), simple_value=0.0)]).SerializeToString()
        for name in names
    ]
    body = b"".join(scalars)
    message = Event(summary=Summary.FromString(body)).SerializeToString()
    # The number is at the end of a scalar.
    places = [end - 4 for end in accumulate(map(len, scalars))]
    return message[: len(message) - len(body)], body, places


def _tag(name: str) -> str:
    return name.replace("eval_", "eval/", 1) if name.startswith("eval_") else name

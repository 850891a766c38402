"""TensorBoard's scalars, written without the tensorboard package."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from .rows import Rows, lots

Event, Summary, SessionLog = tf.compat.v1.Event, tf.compat.v1.Summary, tf.compat.v1.SessionLog
FILES = "events.out.tfevents."
NOTHING = tf.make_tensor_proto([], tf.float32)
"""What stands for the value of a message that is all metadata."""
LARGEST = float(tf.float32.max)


class Board(TrackerRun):
    """Event files of scalars, a new one wherever a disk refused to go on with the last.

    `tf.summary.scalar` raises where the tensorboard package is absent; the records are plain
    `Event` messages, and TensorBoard has always read a `simple_value`. They mirror what
    `metrics.jsonl` holds, so that a few lost to a full disk are no loss.
    """

    def __init__(self, folder: Path, tracked: Tracked) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._tracked = tracked
        self._files = 0
        self._writer: tf.io.TFRecordWriter | None = None
        self.has = _updates(folder)

    def go_on(self, step: int) -> None:
        """What earlier files tell of `step` and later ones, TensorBoard leaves out."""
        self._add(Event(step=step, session_log=SessionLog(status=SessionLog.START)))
        config = self._tracked.config.items()
        hparams = {path: value for path, value in config if not is_free(path)}
        self._tell(started(hparams, self._tracked.name, time.time()))

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        now = time.time()
        self._write(event for lot in lots(rows) for event in _events(now, lot))

    def show(self) -> None:
        if self._writer:
            self._trying(self._writer.flush)

    def close(self, result: Mapping[str, Any] | None) -> None:
        # TensorBoard believes the first end it is told of, so one that is none is not told.
        if result and result["status"] in ("done", "failed"):
            self._tell(ended(result["status"] == "done", time.time()))
        if self._writer:
            self._trying(self._writer.close)

    def _tell(self, hparams: tuple[str, bytes]) -> None:
        """Writes one of the messages of TensorBoard's HParams page."""
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
            self._writer = self._writer or self._begun(time.time())
            for event in events:
                self._writer.write(event)

        self._trying(write)

    def _begun(self, now: float) -> tf.io.TFRecordWriter:
        self._files += 1
        name = f"{FILES}{now:.0f}.{os.getpid()}.{self._files}"
        writer = tf.io.TFRecordWriter(str(self._folder / name))
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        return writer

    def _trying(self, act: Any) -> None:
        try:
            act()
        except tf.errors.OpError:
            self._writer = None


def _updates(folder: Path) -> int:
    """How many updates the files of earlier processes tell of; one may end in the middle."""
    known = 0
    files = sorted(folder.glob(f"{FILES}*"), key=lambda path: path.stat().st_mtime_ns)
    for path in files[-1:]:
        with suppress(tf.errors.DataLossError):
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                if event.HasField("session_log"):
                    known = min(known or event.step, event.step)
                elif any(value.tag == "loss" for value in event.summary.value):
                    known = event.step + 1
    return known


def _events(wall_time: float, lot: Rows) -> Iterator[bytes]:
    """An event for each row, in which it tells all but its step as scalars.

    Such events differ in a few bytes only, at the same places where steps have as many digits, and
    messages of protobuf that are put one after another are one message. So what they share is made
    once, and the numbers are put into all of them together, which is ten times as fast.
    """
    columns = lot.spread()
    steps = columns.pop("step").astype(np.int64)
    values = [np.clip(x, -LARGEST, LARGEST).astype("<f4") for x in columns.values()]
    lead, body, places = _packed(tuple(columns))
    clock = Event(wall_time=wall_time).SerializeToString()
    digits = np.maximum(1, -(-np.frexp(steps.astype(np.float64))[1] // 7))
    for few in np.unique(digits):
        chosen = np.flatnonzero(digits == few)
        whole = clock + b"\x10" + bytes(few) + lead + body
        table = np.tile(np.frombuffer(whole, np.uint8), (len(chosen), 1))
        start = len(clock) + 1
        sevens = steps[chosen, None] >> 7 * np.arange(few) & 0x7F
        sevens[:, :-1] |= 0x80  # more of the number follows
        table[:, start : start + few] = sevens
        start += int(few) + len(lead)
        for place, column in zip(places, values, strict=True):
            numbers = np.ascontiguousarray(column[chosen]).view(np.uint8).reshape(-1, 4)
            table[:, start + place : start + place + 4] = numbers
        content = table.tobytes()
        for at in range(0, len(content), len(whole)):
            yield content[at : at + len(whole)]


@lru_cache(maxsize=64)
def _packed(names: tuple[str, ...]) -> tuple[bytes, bytes, list[int]]:
    """What announces a summary with these scalars, the summary, and where in it the numbers go."""
    scalars = [
        Summary(value=[Summary.Value(tag=_tag(name), simple_value=0.0)]).SerializeToString()
        for name in names
    ]
    body = b"".join(scalars)
    whole = Event(summary=Summary.FromString(body)).SerializeToString()
    # A number is the last that a scalar has.
    places = [end - 4 for end in accumulate(map(len, scalars))]
    return whole[: len(whole) - len(body)], body, places


def _tag(name: str) -> str:
    return name.replace("eval_", "eval/", 1) if name.startswith("eval_") else name

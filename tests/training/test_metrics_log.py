"""The rows of a run: as text, and as the events that mirror it."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainer.runs.atomic_files import Lines, WriteError
from trainer.trackers import Rows, Tracked
from trainer.trackers.delivery import Trackers
from trainer.trackers.event_files import Board
from trainer.training.metrics_log import MetricsLog


def message(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def begun(folder: Path) -> MetricsLog:
    record = MetricsLog(folder, Trackers())
    record.go_on(0, 0, again=True)
    return record


def test_rows_come_in_order_and_the_position_is_that_of_the_next_one(tmp_path: Path) -> None:
    record = begun(tmp_path)
    for call in range(50):
        steps, losses = np.arange(3 * call, 3 * call + 3), 1 / np.arange(1, 4)
        record.write(Rows({"step": steps, "loss": losses}))
        if call % 7 == 0:
            position = record.position()
            assert position == (tmp_path / "metrics.jsonl").stat().st_size
            assert len(message(tmp_path)) == 3 * call + 3
    record.close()
    assert [row["step"] for row in message(tmp_path)] == list(range(150))


def test_what_the_disk_refused_for_too_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = begun(tmp_path)

    def refusing(lines: Lines, text: str) -> None:
        raise WriteError("no line")

    monkeypatch.setattr(Lines, "add", refusing)
    with pytest.raises(WriteError):
        record.write(Rows.single({"step": 0, "loss": 0.5}))
    record.close()


def test_a_number_that_json_lacks_is_null_in_the_file(tmp_path: Path) -> None:
    record = begun(tmp_path)
    record.write(Rows({"step": np.arange(2), "loss": np.array([np.nan, 2.0])}))
    record.close()
    assert [row["loss"] for row in message(tmp_path)] == [None, 2.0]


def test_rows_in_columns_are_text_that_reads_back_to_the_same_bits(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    columns = {
        "step": np.arange(95, 145),
        "loss": random.normal(size=50).astype(np.float32),
        "groups.50%.learning_rate": 10 ** random.uniform(-40, 30, 50),
    }
    rows = Rows(columns, {"updates_per_second": 1e5 / 3})
    dicts = list(rows)
    lines = [json.loads(line) for line in rows.json_lines().splitlines()]
    assert lines == dicts
    assert [list(line) for line in lines] == [list(rows.names)] * 50
    assert [row["step"] for row in dicts] == list(range(95, 145))
    assert [np.float32(row["loss"]) for row in dicts] == columns["loss"].tolist()
    assert {row["updates_per_second"] for row in dicts} == {1e5 / 3}
    assert [rows[7], rows[-1]] == [dicts[7], dicts[-1]]
    assert [*rows[:9], *rows[9:]] == dicts
    assert list(Rows.concatenated([rows[:9], Rows.single(dicts[9]), rows[10:]])) == dicts


def test_the_events_of_many_updates_are_the_messages_of_each(tmp_path: Path) -> None:
    """Numbers of steps have one to five bytes there, and each length its own layout."""
    random = np.random.default_rng(2)
    steps = np.array([0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28, 2**35 - 1, 2**35])
    losses, rates = random.normal(size=len(steps)), 10 ** random.uniform(-9, 0, len(steps))
    board = Board(tmp_path, Tracked(tmp_path, "tensorboard", {}, {}))
    board.write(Rows({"step": steps, "loss": losses, "learning_rate": rates}, {"speed": 5.0}))
    board.close(None)
    message = events(tmp_path)[1:]
    assert [event.step for event in message] == steps.tolist()
    assert all(0 <= time.time() - event.wall_time < 60 for event in message)
    for event, loss, rate in zip(message, losses, rates, strict=True):
        assert [value.tag for value in event.summary.value] == ["loss", "learning_rate", "speed"]
        found = [value.simple_value for value in event.summary.value]
        assert found == [np.float32(loss), np.float32(rate), 5.0]


def test_events_hold_every_scalar_of_every_row(tmp_path: Path) -> None:
    rows = [
        {"step": 0, "loss": 0.1, "learning_rate": 1e-30},
        {"step": 2**40, "loss": 1e300, "learning_rate": -1e300},
        {"step": 3, "eval_loss": 0.25, "eval_accuracy": 0.0},
        {"step": 4, "loss": None, "learning_rate": 3.0},
    ]
    board = Board(tmp_path, Tracked(tmp_path, "tensorboard", {}, {}))
    board.write(rows)
    board.close(None)
    found = [
        {"step": e.step} | {v.tag.replace("/", "_"): v.simple_value for v in e.summary.value}
        for e in events(tmp_path)[1:]
    ]
    largest = np.finfo(np.float32).max
    expected = [
        {
            name: np.float32(np.clip(x, -largest, largest))
            for name, x in row.items()
            if x is not None
        }
        for row in rows
    ]
    assert [{**row, "step": np.float32(row["step"])} for row in found] == expected


def events(folder: Path) -> list[tf.compat.v1.Event]:
    (path,) = folder.glob("events.out.tfevents*")
    return list(tf.compat.v1.train.summary_iterator(str(path)))

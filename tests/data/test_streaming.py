"""Examples that stream: the same bits as from the device, in whatever way they are read."""

from __future__ import annotations

from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest

from schedules import Refused
from schedules.declaration import ABSENT, refuse
from tests.helpers import records
from tests.helpers.runs import experiment, result, rows, trained
from trainer.data import Data, Examples, Preparation
from trainer.data.feeds.order import ExampleOrder
from trainer.data.feeds.prefetch import PartReader, Prefetcher
from trainer.data.feeds.select import make_feed
from trainer.data.feeds.streaming import Streaming, batches_per_call
from trainer.data.input_preparation import InputPreparation
from trainer.data.kept_rows import KeptRows, Place
from trainer.data.on_disk import Stored, available_memory

RANDOM = np.random.default_rng(8)
LABELS = np.arange(90) % 3
SPOTS = RANDOM.integers(0, 40, (90, 4, 4, 1)) + 80 * LABELS[:, None, None, None]
KINDS = {
    "bytes": SPOTS.astype(np.uint8),
    "float32": RANDOM.normal(LABELS[:, None], 1, (90, 7)).astype(np.float32),
    "float64": RANDOM.normal(LABELS[:, None] + 5, 2, (90, 7)),
    "int64": RANDOM.integers(-5, 5, (90, 7)) + LABELS[:, None],
}
RUN = ("data.batch_size=20", "run.length=23", "evaluate.every=7", "run.steps_per_call=4")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def same(here: Path, *asked: str) -> None:
    """Whether a run with streaming data has the bits of one with data on the device."""
    for keep in ("device", "stream"):
        assert trained(here / keep, *RUN, *asked, f"data.keep={keep}") == 0
    first, second = result(here / "device"), result(here / "stream")
    assert first["weights_digest"] == second["weights_digest"]
    assert first["data_digest"] == second["data_digest"]
    assert rows(here / "device") == rows(here / "stream")


@pytest.mark.parametrize(
    ("kind", "normalise", "more"),
    [
        ("bytes", "pixels", ("run.micro_batches=2",)),
        ("float32", "standardise", ("run.compile=xla",)),
        ("float64", "scale", ()),
    ],
)
def test_streaming_gives_the_bits_of_data_on_the_device(
    kind: str, normalise: str, more: tuple[str, ...], here: Path
) -> None:
    np.savez("a.npz", inputs=KINDS[kind], labels=LABELS)
    same(here, "data=npz", "data.path=a.npz", f"data.normalise={normalise}", *more)


def test_records_stream_too(here: Path) -> None:
    records.write(
        Path("a.tfrecord"),
        [{"image": KINDS["float32"][i].tolist(), "label": int(LABELS[i])} for i in range(90)],
    )
    same(here / "records", "data=tfrecord", "data.path=a.tfrecord", "data.normalise=standardise")


def test_a_stop_and_going_on_the_other_way_leaves_no_trace(here: Path) -> None:
    np.savez("a.npz", inputs=KINDS["bytes"], labels=LABELS)
    asked = (*RUN, "data=npz", "data.path=a.npz", "data.normalise=pixels")
    trained(here / "whole", *asked)
    trained(here / "broken", *asked, "data.keep=stream", "run.stop_after=9")
    trained(here / "broken", *asked, "data.keep=device", "run.stop_after=14")
    trained(here / "broken", *asked, "data.keep=stream")
    assert result(here / "broken")["weights_digest"] == result(here / "whole")["weights_digest"]
    assert rows(here / "broken") == rows(here / "whole")


def ahead(longest: int = 6, examples: int = 50) -> tuple[Prefetcher, ExampleOrder, Any]:
    inputs = RANDOM.normal(size=(examples, 3)).astype(np.float32)
    labels = np.arange(examples, dtype=np.int32)
    stream = ExampleOrder(seed=2, examples=examples, batch_size=8)
    return (
        Prefetcher(PartReader("train", Examples(inputs, labels)), stream, longest),
        stream,
        inputs,
    )


def test_reading_ahead_gives_what_the_stream_says_in_whatever_pieces() -> None:
    reader, stream, inputs = ahead()
    step = 0
    asked = [0, 3, 3, 1, 6, 2, 0, 5, 1, 1, 4]
    for jump, count in [*((0, n) for n in asked), (-7, 3), (40, 6), (0, 2), (-40, 2)]:
        step += jump
        found = reader.take(step, count, count)
        expected = stream.indices(step, count)
        np.testing.assert_array_equal(found.labels, expected)
        np.testing.assert_array_equal(found.inputs, inputs[expected])
        step += count


def test_the_next_batches_are_read_before_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, _, _ = ahead()
    filled = []
    fill = PartReader.fill

    def counted(self: PartReader, numbers: Any, *into: Any) -> None:
        if self is reader._reader:  # and not one whose reading ahead goes on from another test
            filled.append(len(numbers))
        fill(self, numbers, *into)

    monkeypatch.setattr(PartReader, "fill", counted)
    reader.take(0, 2, 2)
    reader._pool.shutdown(wait=True)
    assert sum(filled) == 2 * 2 * 8


def test_what_is_given_stays_until_the_call_after_the_next() -> None:
    reader, stream, _ = ahead()
    first = reader.take(0, 4, 4).labels
    second = reader.take(4, 4, 4).labels
    np.testing.assert_array_equal(second, stream.indices(4, 4))
    assert not np.shares_memory(first, second)


class Rows:
    """Rows that are made of their numbers but for one, each of them noted."""

    def __init__(self, count: int, spoilt: int) -> None:
        self.shape, self.dtype = (count, 2), np.dtype(np.uint8)
        self.made: list[int] = []
        self._spoilt = spoilt

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        row_index = np.arange(len(self))[key]
        if self._spoilt in row_index:
            raise refuse("path", ABSENT, "can't be decoded")
        self.made += row_index.tolist()
        return np.repeat(row_index.astype(np.uint8)[:, None], 2, axis=1)


@pytest.mark.parametrize(("longest", "batches"), [(2, 6), (3, 6), (9, 0)])
def test_what_is_read_before_the_first_call_is_what_the_calls_take(
    longest: int, batches: int, tmp_path: Path
) -> None:
    order = ExampleOrder(seed=2, examples=56, batch_size=8)
    spoilt = int(order.indices(4, 1)[0, 3])
    made = Rows(56, spoilt)
    inputs = Stored(KeptRows(made, Place(tmp_path, 1.0), "a" * 32), InputPreparation((2,)))
    examples = Examples(inputs, np.arange(56, dtype=np.int32))
    reader = Prefetcher(PartReader("train", examples), order, longest)
    with reader.reading_ahead(0):
        reader.take(0, 0, longest)
        for _ in range(10_000):
            if len(made.made) == batches * 8:  # without that which can't be read, or its task's
                break
            sleep(0.001)
        assert len(made.made) == batches * 8
    for step, count in ((0, 1), (1, 1), (2, 2)):  # which it does not end
        found = reader.take(step, count, count)
        expected = order.indices(step, count)
        np.testing.assert_array_equal(found.labels, expected)
        np.testing.assert_array_equal(found.inputs[..., 0], expected)
    assert sorted(made.made) == sorted(set(made.made))
    with pytest.raises(Refused, match="can't be decoded"):
        reader.take(4, 1, 1)


def test_calls_are_bounded_in_bytes() -> None:
    inputs = np.broadcast_to(np.float32(0), (100, 512, 512, 3))
    large = Examples(inputs, np.zeros(100, np.int32))
    assert batches_per_call(large, 4) == 2  # of 12.6 MB each
    assert batches_per_call(large, 64) == 1
    small = Examples(np.zeros((100, 8), np.float32), np.zeros(100, np.int32))
    assert batches_per_call(small, 4) > 2000


def test_what_does_not_fit_streams_by_itself(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez("a.npz", inputs=KINDS["float32"], labels=LABELS)
    data = Data.declared({"kind": "npz", "path": "a.npz"})
    assert not isinstance(data.load().train.inputs, Stored)
    monkeypatch.setattr("trainer.data.on_disk.available_memory", lambda: 4 * 90 * 7 * 4 - 1)
    split = data.load()
    assert isinstance(split.train.inputs, Stored)
    assert isinstance(make_feed(data, split, ExampleOrder(1, 72, 8)), Streaming)
    device = data.model_copy(update={"keep": "device"})
    assert not isinstance(device.load().train.inputs, Stored)
    assert 2**20 < available_memory() < 2**50


def test_a_packed_archive_streams_from_memory(here: Path) -> None:
    np.savez_compressed("a.npz", inputs=KINDS["bytes"], labels=LABELS)
    split = Data.declared({"kind": "npz", "path": "a.npz", "keep": "stream"}).load()
    assert split.train.inputs.raw.inputs.dtype == np.uint8
    np.savez("b.npz", inputs=KINDS["bytes"], labels=LABELS)
    assert split.digest == Data.declared({"kind": "npz", "path": "b.npz"}).load().digest


def test_a_value_that_is_not_finite_stops_the_run_by_its_example(here: Path) -> None:
    spoilt = KINDS["float32"].copy()
    spoilt[41, 3] = np.nan
    np.savez("a.npz", inputs=spoilt, labels=LABELS)
    np.savez("b.npz", inputs=KINDS["float32"], labels=LABELS)
    asked = ("data=npz", "data.path=a.npz", "data.test=b.npz", "data.keep=stream")
    assert trained(here / "run", *RUN, *asked) == 1
    ended = result(here / "run")
    assert ended["status"] == "failed"
    assert "data.train: has a value that is not finite, in example 41" in ended["reason"]


def test_the_fingerprint_of_large_data_is_of_some_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.data import Split, examples

    monkeypatch.setattr(examples, "DIGEST_ALL_BYTES", 1000)
    monkeypatch.setattr(examples, "DIGEST_SAMPLES", 10)
    inputs = RANDOM.normal(size=(100, 5)).astype(np.float32)

    def digest(row: int | None, label: int | None = None) -> str:
        changed, labels = inputs.copy(), np.zeros(100, np.int32)
        if row is not None:
            changed[row] += 1
        if label is not None:
            labels[label] = 1
        return Split(
            Examples(changed, labels), Examples(inputs, labels), Preparation(inputs.shape[1:])
        ).digest

    assert digest(0) != digest(None) == digest(1)
    assert digest(None, label=1) != digest(None)


def test_keeping_data_elsewhere_is_the_same_run() -> None:
    from trainer.runs.identity import is_free

    assert is_free("data.keep")
    assert not is_free("data.kind")
    assert experiment("data.keep=stream").data.keep == "stream"

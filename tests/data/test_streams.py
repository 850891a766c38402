"""Streams: the examples of any update, found again in another process; what is read ahead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from threading import get_ident
from time import sleep
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from schedules.batch_sizes import BatchSizes
from trainer.commands.data_part import part_of
from trainer.data import Split
from trainer.data.feeds import stream_reader
from trainer.data.feeds.order import ExampleOrder
from trainer.data.feeds.stream_reader import StreamReader
from trainer.data.sources.in_memory import GivenData
from trainer.data.streams.indexed import PyDatasetSource, ThreadedPass

N, BATCH = 50, 8
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
Y = np.arange(N) % 3
TEST = X[:9], Y[:9]
UPDATES = 20
"""More than three passes."""


def noisy(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return x + tf.random.normal(tf.shape(x)), y


def doubled(x: Any, y: Any) -> tuple[Any, Any]:
    return 2 * x, y


def plain() -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, Y))


def shuffled_anew(epoch: int) -> Iterator[Any]:
    for i in np.random.default_rng(epoch).permutation(N):
        yield X[i], int(Y[i])


def in_batches() -> Iterator[Any]:
    for start in range(0, N, 7):
        yield X[start : start + 7], Y[start : start + 7]


class Batches(keras.utils.PyDataset):
    """Batches that are shuffled after every pass, as keras.io teaches."""

    def __init__(self, **reading: Any) -> None:
        super().__init__(**reading)
        self._random = np.random.default_rng(3)
        self._order = np.arange(N)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, i: int) -> Any:
        rows = self._order[i * 7 : (i + 1) * 7]
        return X[rows], Y[rows]

    def on_epoch_end(self) -> None:
        self._random.shuffle(self._order)


class Unhurried(Batches):
    """The same, some of whose batches take longer than the next ones do."""

    def __init__(self, **reading: Any) -> None:
        super().__init__(**reading)
        self.readers: set[int] = set()

    def __getitem__(self, i: int) -> Any:
        sleep(0.004 if i % 3 == 0 else 0.0)
        self.readers.add(get_ident())
        return super().__getitem__(i)


STREAMS: dict[str, Callable[[], Any]] = {
    "random map": lambda: plain().map(noisy),
    "random map, batched": lambda: plain().shuffle(N).batch(6).map(noisy),
    "shuffled": lambda: plain().shuffle(13).filter(lambda x, y: y < 5),
    "shuffled by a seed, endless": lambda: plain().shuffle(13, seed=4).repeat().batch(5),
    "Python within": lambda: (
        plain()
        .map(
            lambda x, y: (tf.ensure_shape(tf.numpy_function(lambda v: v, [x], tf.float32), [3]), y)
        )
        .filter(lambda x, y: y < 5)
    ),
    "cache after a random map": lambda: plain().map(noisy).cache().shuffle(N),
    "PyDataset": Batches,
    "PyDataset of threads": lambda: Unhurried(workers=3, max_queue_size=4),
    "function": lambda: shuffled_anew,
    "function of batches": lambda: in_batches,
}


def reader(stream: Any, seed: int = 1, batch_sizes: BatchSizes | None = None) -> StreamReader:
    split = loaded(stream)
    assert split.stream is not None
    size = batch_sizes.now if batch_sizes else BATCH
    order = ExampleOrder(seed, split.stream.facts.examples, size, batch_sizes)
    return StreamReader(split.stream, order)


def loaded(stream: Any, **settings: Any) -> Split:
    return GivenData(**settings).of((stream, TEST)).load()


def taken(from_reader: StreamReader, first: int, last: int, each: int = 3) -> list[Any]:
    """The inputs and labels of updates, taken some at a time."""
    arrays = []
    for step in range(first, last, each):
        for batch in from_reader.take(step, min(each, last - step)):
            arrays += [np.array(array) for array in batch.distinct()]
    return arrays


def same(one: list[Any], other: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(autouse=True)
def marks_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_reader, "MARK_SECONDS", 0.0)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("stop", [2, 13])
def test_a_stream_goes_on_with_the_very_examples(name: str, stop: int) -> None:
    whole = taken(reader(STREAMS[name]()), 0, UPDATES)
    first = reader(STREAMS[name]())
    head = taken(first, 0, stop)
    position = first.position(stop)
    second = reader(STREAMS[name]())
    second.restore(position)
    assert same(whole, head + taken(second, stop, UPDATES, each=2))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_goes_back_as_measuring_and_rewinding_do(name: str) -> None:
    this = reader(STREAMS[name]())
    first = taken(this, 0, 4)
    assert same(first, taken(this, 0, 4, each=1))


def test_a_checkpoint_without_a_place_is_read_up_to() -> None:
    whole = taken(reader(shuffled_anew), 0, UPDATES)
    this = reader(shuffled_anew)
    this.restore({})
    assert same(whole[2 * 9 :], taken(this, 9, UPDATES))


def test_a_place_is_counted_in_examples_where_the_batch_size_changed() -> None:
    sizes = BatchSizes(((0, 10), (4, 5)))
    rows = np.concatenate(taken(reader(in_batches, batch_sizes=sizes), 4, 6)[::2])
    np.testing.assert_array_equal(rows, X[40:50])


def test_all_passes_have_every_example_and_no_batch_is_smaller() -> None:
    arrays = taken(reader(plain().shuffle(N).map(doubled).filter(lambda x, y: y < 5)), 0, 25)
    assert {len(array) for array in arrays} == {BATCH}
    rows = np.concatenate(arrays[::2])  # 200 examples: four passes
    for number in range(4):
        part = rows[number * N : (number + 1) * N]
        np.testing.assert_array_equal(np.sort(part[:, 0]), np.sort(2 * X[:, 0]))


@pytest.mark.parametrize("name", ["random map", "random map, batched"])
def test_a_random_map_draws_anew_in_every_pass(name: str) -> None:
    rows = np.concatenate(taken(reader(STREAMS[name]()), 0, 25)[::2])
    firsts = [set(rows[number * N : (number + 1) * N, 0].tolist()) for number in range(4)]
    assert not firsts[0] & firsts[1]
    assert not firsts[1] & firsts[2]


def test_what_is_cached_after_a_random_map_is_drawn_once() -> None:
    rows = np.concatenate(taken(reader(STREAMS["cache after a random map"]()), 0, 25)[::2])
    passes = [sorted(rows[number * N : (number + 1) * N, 0].tolist()) for number in range(4)]
    assert passes[0] == passes[1] == passes[3]


def test_a_pydataset_does_between_passes_what_it_does_in_fit() -> None:
    this = Batches()
    rows = np.concatenate(taken(reader(this), 0, 12)[::2])
    np.testing.assert_array_equal(rows[:N], X)
    this.on_epoch_end()
    np.testing.assert_array_equal(rows[N : N + 46], X[this._order][:46])


def test_a_pydataset_gives_the_same_whatever_number_of_workers_reads_it() -> None:
    one, several = Batches(), Unhurried(workers=3, max_queue_size=2)
    assert same(taken(reader(one), 0, UPDATES), taken(reader(several), 0, UPDATES))
    read_by_threads = PyDatasetSource(several).open(0, 1)
    for _ in range(8):
        read_by_threads.next()
    assert isinstance(read_by_threads, ThreadedPass)
    assert len(read_by_threads._items.readers) > 1
    with pytest.raises(StopIteration):
        read_by_threads.next()


def test_a_fault_of_a_worker_is_raised_at_its_batch() -> None:
    class Broken(Unhurried):
        def __getitem__(self, i: int) -> Any:
            if i == 5:
                raise ValueError("no such file")
            return super().__getitem__(i)

    this = reader(Broken(workers=3))
    assert len(taken(this, 0, 4, each=1)) == 8
    with pytest.raises(Refused, match="no such file"):
        taken(this, 4, 8)


class _Counting:
    """An iterator with a state, as grain's are."""

    def __init__(self) -> None:
        self.at = 0

    def __next__(self) -> Any:
        self.at += 1
        if self.at > N:
            raise StopIteration
        return X[self.at - 1], Y[self.at - 1]

    def get_state(self) -> dict[str, Any]:
        return {"at": np.int64(self.at)}

    def set_state(self, state: dict[str, Any]) -> None:
        self.at = state["at"]


class _IterDataset:
    def __iter__(self) -> Any:
        return _Counting()


class _MapDataset:
    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        return X[i % N] + i // N, Y[i % N]


@pytest.mark.parametrize("kind", [_IterDataset, _MapDataset])
def test_grain_goes_on_by_its_state_or_by_numbers(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    grain = SimpleNamespace(MapDataset=_MapDataset, IterDataset=_IterDataset)
    monkeypatch.setitem(sys.modules, "grain", grain)
    whole = taken(reader(kind()), 0, UPDATES)
    first, second = reader(kind()), reader(kind())
    head = taken(first, 0, 9)
    second.restore(first.position(9))
    assert same(whole, head + taken(second, 9, UPDATES))


class _Rows:
    """A stand-in for an `IterableDataset` of one step, as its package calls it."""

    def __init__(self, step: str, generator: Any = None) -> None:
        self._ex_iterable = type(step, (), {"generator": generator})()
        self._epoch = self._at = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        order = np.random.default_rng(self._epoch).permutation(N)
        while self._at < N:
            row = order[self._at]
            self._at += 1
            yield {"x": X[row].tolist(), "y": int(Y[row])}

    def state_dict(self) -> dict[str, Any]:
        return {"at": self._at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._at = state["at"]


NAMED_TESTS = {"x": X[:9]}, Y[:9]


@pytest.mark.parametrize(
    ("step", "how"),
    [("ArrowExamplesIterable", "state"), ("BufferShuffledExamplesIterable", "replay")],
)
def test_rows_of_hugging_face_go_on_by_a_state_that_is_exact_or_again(
    step: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(IterableDataset=_Rows))
    seeded = np.random.default_rng(1)

    def reading() -> StreamReader:
        split = GivenData().of((_Rows(step, seeded), NAMED_TESTS)).load()
        assert split.stream is not None
        assert split.stream.source.how == how
        return StreamReader(split.stream, ExampleOrder(1, None, BATCH))

    whole = taken(reading(), 0, UPDATES)
    expected = [np.random.default_rng(epoch).permutation(N) for epoch in range(3)]
    np.testing.assert_array_equal(np.concatenate(whole[::2])[:150], X[np.concatenate(expected)])
    first, second = reading(), reading()
    head = taken(first, 0, 9)
    position = first.position(9)
    assert ("state" in position) == (how == "state")
    second.restore(position)
    assert same(whole, head + taken(second, 9, UPDATES))


def test_rows_whose_columns_or_order_are_not_known_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(IterableDataset=_Rows))
    with pytest.raises(Refused, match="with the columns x, y, and the tests don't say"):
        GivenData().of((_Rows("ArrowExamplesIterable"), TEST))
    unseeded = _Rows("BufferShuffledExamplesIterable", np.random.default_rng())
    with pytest.raises(Refused, match="shuffled without a seed") as caught:
        GivenData().of((unseeded, NAMED_TESTS))
    assert caught.match(r"shuffle\(seed=1")


def _pipelines(datasets: Any) -> dict[str, Any]:
    """Pipelines of Hugging Face's, and how a run goes on with each."""
    rows = datasets.Dataset.from_dict({"x": X.tolist(), "y": Y.tolist()})
    plain_rows = rows.to_iterable_dataset(num_shards=3)
    return {
        "state": {
            "plain": plain_rows,
            "mapped": plain_rows.map(lambda row: {"x": [2 * v for v in row["x"]]}),
            "filtered": plain_rows.filter(lambda row: row["y"] != 1),
            "numpy": plain_rows.with_format("numpy"),
            "part": plain_rows.skip(2).take(30),
        },
        "replay": {
            "shuffled": plain_rows.shuffle(seed=1, buffer_size=16),
            "mapped in batches": plain_rows.map(lambda rows: rows, batched=True, batch_size=7),
            "several": datasets.interleave_datasets([plain_rows, plain_rows]),
        },
    }


@pytest.mark.parametrize("how", ["state", "replay"])
def test_pipelines_of_hugging_face_go_on_with_the_very_rows(how: str) -> None:
    datasets = pytest.importorskip("datasets", reason="an extra")
    for name, pipeline in _pipelines(datasets)[how].items():
        split = GivenData().of((pipeline, NAMED_TESTS)).load()
        assert split.stream is not None
        assert split.stream.source.how == how, name

        def reading(split: Split = split) -> StreamReader:
            assert split.stream is not None
            return StreamReader(split.stream, ExampleOrder(1, None, BATCH))

        whole = taken(reading(), 0, UPDATES)
        for stop in (2, 5, 13):
            first, second = reading(), reading()
            head = taken(first, 0, stop)
            second.restore(first.position(stop))
            assert same(whole, head + taken(second, stop, UPDATES)), name


def test_another_seed_draws_other_numbers() -> None:
    one, other = (taken(reader(STREAMS["random map"](), seed), 0, 2) for seed in (1, 2))
    assert not same(one, other)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Where a run was trained before, TensorFlow asks for a seed to shuffle by."""
    tf.random.set_seed(1)


@pytest.mark.parametrize(
    "name", [name for name in STREAMS if "unction" not in name and "PyDataset" not in name]
)
def test_seeds_of_the_process_change_nothing(name: str) -> None:
    """A run sets them, and a pipeline that is made after it in the same process would differ."""
    whole = taken(reader(STREAMS[name]()), 0, 6)
    tf.random.set_seed(5)
    made_later = STREAMS[name]()
    assert same(whole, taken(reader(made_later), 0, 6))


def test_tests_that_a_shuffle_split_off_stay_apart() -> None:
    """TensorFlow's own order is the oracle."""
    split = plain().shuffle(N, seed=4, reshuffle_each_iteration=False)
    test = {float(x[0]) for x, _ in split.skip(30)}
    train = split.take(30).shuffle(30).filter(lambda x, y: y < 5)
    rows = np.concatenate(taken(reader(train), 0, 15)[::2])
    assert len(set(rows[:, 0].tolist())) == 30
    assert not set(rows[:, 0].tolist()) & test


def test_no_more_is_read_ahead_than_the_next_call_takes() -> None:
    count = 0

    def counted() -> Iterator[Any]:
        nonlocal count
        while True:
            count += 1
            yield X[count % N], int(Y[count % N])

    this = reader(counted)
    for step in range(0, 40, 4):
        this.take(step, 4)
        this.position(step + 4)
    this.close()
    assert count <= 40 * BATCH + 4 * BATCH + 2  # and one to look at, before


def test_a_fault_is_raised_where_its_batch_is_needed() -> None:
    def broken() -> Iterator[Any]:
        for i in range(20):
            yield X[i], int(Y[i])
        raise OSError("the disk is gone")

    this = reader(broken)
    this.take(0, 2)
    with pytest.raises(Refused, match="fails after example 20: it raised OSError: the disk is"):
        this.take(2, 1)


def changing(at: int, x: Any, y: Any) -> Callable[[], Iterator[Any]]:
    def examples() -> Iterator[Any]:
        for i in range(N):
            yield (x, y) if i == at else (X[i], int(Y[i]))

    return examples


@pytest.mark.parametrize(
    ("x", "y", "rule"),
    [
        (np.zeros(4), 1, r"inputs of shape \[4\] in example 11, and gave \[3\] before"),
        (np.full(3, np.nan), 1, "a value that is not finite, in example 11"),
        (np.zeros(3), 3, "the label 3, outside 0 to 2"),
        (np.zeros(3), 0.5, "label 0.5"),
        ({"a": np.zeros(3)}, 1, "other inputs in example 11 than before"),
    ],
)
def test_what_can_not_be_learnt_from_is_refused_where_it_comes(x: Any, y: Any, rule: str) -> None:
    with pytest.raises(Refused, match=rule):
        reader(changing(11, x, y)).take(0, 2)


def test_a_pass_of_nothing_ends_the_run() -> None:
    def once(epoch: int) -> Iterator[Any]:
        if epoch == 0:
            yield from in_batches()

    this = reader(once)
    with pytest.raises(Refused, match="gave nothing in pass 1"):
        this.take(0, 8)


@pytest.mark.parametrize("batch", [None, 7, 50])
def test_a_dataset_that_is_the_same_in_every_pass_is_read_into_memory(batch: int | None) -> None:
    """With the same digest, batched or not: that of the arrays."""
    given = [plain() if batch is None else plain().batch(batch), (X, Y)]
    one, other = (GivenData().of((data, TEST)) for data in given)
    assert one.load().stream is None
    assert (one.digest, one.load().digest) == (other.digest, other.load().digest)


@pytest.mark.parametrize(
    ("data", "rule", "hint"),
    [
        (plain().map(noisy), "none can be held out", r"data=\(stream, \(test_inputs"),
        (
            (in_batches(), TEST),
            "can be gone through only once",
            "the function that makes it, in its place",
        ),
        ((in_batches, (np.zeros([5, 2, 3, 4]), Y[:5])), r"test has \[2, 3, 4\]", "or batches"),
        ((plain().map(noisy), plain().repeat()), "never ends", "take"),
        (
            (Batches(workers=2, use_multiprocessing=True), TEST),
            "use_multiprocessing=True, and threads read it",
            "use_multiprocessing=False, workers=2",
        ),
        ((Batches(workers=2, max_queue_size=0), TEST), "bounds nothing", "max_queue_size=10"),
    ],
)
def test_what_is_no_stream_to_train_on_is_refused(data: Any, rule: str, hint: str) -> None:
    with pytest.raises(Refused, match=rule) as caught:
        GivenData().of(data).load()
    assert caught.match(hint)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"normalise": "standardise"}, "is worked out on all examples that train"),
        ({"keep": "device"}, "is for examples that end"),
    ],
)
def test_what_needs_all_examples_is_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(Refused, match=rule):
        loaded(in_batches, **settings)


@pytest.mark.parametrize("part", ["train", "all"])
def test_predictions_of_what_a_stream_trains_on_are_refused(part: str) -> None:
    with pytest.raises(Refused, match="read as training goes"):
        part_of(loaded(in_batches), part)
    assert len(part_of(loaded(in_batches), "test")) == 9


def test_an_epoch_is_for_streams_alone() -> None:
    with pytest.raises(Refused, match="is for examples that come one after another"):
        GivenData(epoch=20).of((X, Y)).load()


@pytest.mark.parametrize(
    ("stream", "examples"),
    [
        (plain().map(noisy), N),
        (plain().batch(8).map(noisy), N),
        (plain().batch(8, drop_remainder=True).map(noisy), 48),
        (plain().batch(8).map(noisy).prefetch(1), N),
        (plain().map(noisy).filter(lambda x, y: y < 5), None),
        (plain().map(noisy).repeat(), None),
        (in_batches, None),
        (Batches(), N),
    ],
)
def test_the_length_of_a_pass_is_known_where_it_can_be(stream: Any, examples: int | None) -> None:
    assert GivenData().of((stream, TEST)).facts().examples == examples


class ByName(keras.utils.PyDataset):
    """Named inputs and weights, whose last batch is smaller."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, i: int) -> Any:
        rows = slice(10 * i, min(10 * i + 10, 25))
        return {"x": X[rows]}, Y[rows], np.ones(N, np.float32)[rows]


def test_a_pydataset_is_read_whole_to_evaluate_by() -> None:
    test = GivenData().of((Batches(), Batches())).load().test
    np.testing.assert_array_equal(test.inputs, X)
    test = GivenData().of((({"x": X}, Y, np.ones(N, np.float32)), ByName())).load().test
    np.testing.assert_array_equal(test.inputs["x"], X[:25])
    np.testing.assert_array_equal(test.labels, Y[:25])
    with pytest.raises(Refused, match="a generator to evaluate by"):
        GivenData().of((Batches(), in_batches))

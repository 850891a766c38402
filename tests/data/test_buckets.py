"""Batches of rows of like lengths: their order, their shapes, and what they train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.batch_sizes import BatchSizes
from tests.helpers.runs import result
from tests.helpers.splits import assert_refused, refused
from trainer import Experiment, train
from trainer.data import Data
from trainer.data.feeds.bucketed import BucketedOrder
from trainer.data.summary import summary
from trainer.sweeps.vectorized.grouping import why_not_vectorizable

N = 44
RANDOM = np.random.default_rng(4)
LENGTHS = np.array([*RANDOM.integers(1, 9, N - 1), 9])
TOKENS = [RANDOM.integers(1, 12, n).tolist() for n in LENGTHS]
STEPS = [RANDOM.normal(3, 2, (n, 2)).tolist() for n in LENGTHS]
TAGS = [[token % 3 for token in row] for row in TOKENS]
LABELS = np.arange(N) % 2
TESTS = 8
RAGGED = {"length": "longest"}


def declared(inputs: Any, labels: Any = LABELS, **config: Any) -> Any:
    """The data of a program, with the first eight examples for tests."""
    data: Any = Data.declared({"kind": "given", "ragged": RAGGED, **config})
    return data.of(((inputs, labels), (inputs[:TESTS], labels[:TESTS])))


def composed(*asked: str, **fields: str) -> Experiment:
    listed = "".join(f", {name}: {value}" for name, value in fields.items())
    return Experiment.composed(
        f"data={{kind: given, ragged: {{length: longest}}, batch_size: 8{listed}}}",
        "run.compile=graph", *asked,
    )  # fmt: skip


def parts(inputs: Any, labels: Any = LABELS) -> Any:
    return (inputs, labels), (inputs[:TESTS], labels[:TESTS])


@st.composite
def orders(draw: st.DrawFn) -> BucketedOrder:
    bucket_of = np.array(draw(st.lists(st.integers(0, 3), min_size=1, max_size=50)))
    first, second = draw(st.integers(1, 60)), draw(st.integers(1, 60))
    sizes = BatchSizes(((0, first),)).going_on(draw(st.integers(1, 9)), second)
    return BucketedOrder(draw(st.integers(0, 2**31 - 1)), bucket_of, second, sizes)


@given(orders(), st.integers(1, 20))
def test_every_epoch_shows_every_example_once_whatever_the_batch_sizes(
    order: BucketedOrder, count: int
) -> None:
    before = [
        BucketedOrder(order.seed, order._bucket_of, size, BatchSizes(((0, size),)))
        for _, size in order._batch_sizes.since[:1]
    ]
    changed = order._batch_sizes.changed_at
    row = np.concatenate([
        *(one.indices(0, changed).ravel() for one in before if changed),
        order.indices(changed, count).ravel(),
    ])  # fmt: skip
    n = len(order._bucket_of)
    for start in range(0, len(row) - n + 1, n):
        assert sorted(row[start : start + n].tolist()) == list(range(n))


@given(orders())
def test_a_batch_is_of_one_bucket_but_where_one_is_filled_up_by_the_next(
    order: BucketedOrder,
) -> None:
    n, size, kinds = len(order._bucket_of), order.batch_size, len(set(order._bucket_of.tolist()))
    begin = order._batch_sizes.changed_at
    first = -(-order.first_example(begin) // n) + 1  # an epoch after the change
    steps = [begin + i for i in range(n * 5) if order.first_example(begin + i) >= first * n]
    within = [s for s in steps if order.first_example(s + 1) <= (first + 1) * n]
    mixed = [len(set(order._bucket_of[order.indices(s, 1)[0]].tolist())) - 1 for s in within]
    assert sum(mixed) <= kinds - 1
    assert len(within) in (n // size, max(0, n // size - 1))


def test_the_number_of_updates_an_epoch_is_what_it_is_without_buckets() -> None:
    order = BucketedOrder(1, np.arange(20) % 3, 8)
    assert order.epochs(5) == 2.0
    np.testing.assert_array_equal(
        np.concatenate([order.indices(0, 3), order.indices(3, 2)]), order.indices(0, 5)
    )


def network(inputs: Any, labels: Any) -> Any:
    """A masked network for any number of steps."""
    import keras

    by_step = isinstance(labels, list)
    layers = keras.layers
    if isinstance(inputs[0][0], list):
        flow = [keras.Input((None, 2)), layers.Masking(0.0)]
    else:
        flow = [keras.Input((None,)), layers.Embedding(12, 2, mask_zero=True)]
    flow += [] if by_step else [layers.GlobalAveragePooling1D()]
    flow += [layers.Dense(3 if by_step else 2)]
    return keras.Sequential(flow)


CASES = {
    "tokens": (TOKENS, LABELS),
    "a label at each step": (TOKENS, TAGS),
    "steps of numbers": (STEPS, LABELS),
}


@pytest.mark.parametrize(
    "case",
    [
        CASES["tokens"],
        CASES["a label at each step"],
        pytest.param(CASES["steps of numbers"], marks=pytest.mark.slow),
    ],
    ids=CASES,
)
def test_updates_are_those_of_keras_with_the_cut_batches(
    case: tuple[Any, Any], tmp_path: Path
) -> None:
    import keras

    inputs, labels = case
    model = network(inputs, labels)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    asked = {"buckets": 3, "batch_size": 8, "task": "classification"}
    data = declared(inputs, labels, **asked)
    split, buckets = data.load(), data.facts().buckets
    fields = ", ".join(f"{name}: {value}" for name, value in asked.items())
    experiment = Experiment.composed(
        f"data={{kind: given, ragged: {{length: longest}}, {fields}}}", "optimizer=sgd",
        "schedule=constant", "schedule.value=0.1", "run.compile=graph", "run.length=7",
    )  # fmt: skip
    found: list[float] = []
    train(experiment, tmp_path / "run", model=model, data=parts(inputs, labels), quiet=True,
          callback=lambda call: found.extend(call.losses.tolist()))  # fmt: skip
    order = BucketedOrder(experiment.run.seed, buckets.of(split.train.lengths), 8)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(keras.optimizers.SGD(0.1), entropy)
    expected, lengths = [], set()
    for step in range(7):
        [rows] = order.indices(step, 1)
        length = min(n for n in buckets.lengths if n >= split.train.lengths[rows].max())
        x, y = split.train.inputs[rows][:, :length], split.train.labels[rows]
        twin.reset_metrics()
        expected.append(float(twin.train_on_batch(x, y[:, :length] if y.ndim > 1 else y)))
        lengths.add(length)
    assert lengths == {*buckets.lengths}
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_network_is_traced_once_for_each_length(tmp_path: Path) -> None:
    """Whichever batches come, its compiled updates see no other shapes than the buckets'."""
    import keras

    met: list[Any] = []

    class Seen(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                met.append(x.shape[1])
            return x

    inputs = keras.Input((None,))
    x = keras.layers.Embedding(12, 2)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.ops.mean(Seen()(x), axis=1)))
    met.clear()
    train(composed("run.length=20", "run.steps_per_call=4", buckets="[3, 6]"), tmp_path / "run",
          model=model, data=parts(TOKENS), quiet=True)  # fmt: skip
    assert sorted(met) == [3, 6, 9]


@pytest.mark.parametrize("keep", ["device", pytest.param("stream", marks=pytest.mark.slow)])
def test_a_stopped_run_goes_on_with_the_same_bits(keep: str, tmp_path: Path) -> None:
    """Stopped at steps within epochs, and with examples streamed or not."""
    import keras

    asked = ("run.length=13", "optimizer=adam")
    for folder, stops in (("whole", ()), ("parts", (7,))):
        for stop in (*stops, None):
            stopping = () if stop is None else (f"run.stop_after={stop}",)
            fields = {"buckets": "3", **({"keep": keep} if folder == "parts" else {})}
            keras.utils.set_random_seed(1)
            train(composed(*asked, *stopping, **fields), tmp_path / folder, quiet=True,
                  model=network(TOKENS, LABELS), data=parts(TOKENS))  # fmt: skip
    whole, gone_on = result(tmp_path / "whole"), result(tmp_path / "parts")
    assert gone_on["weights_digest"] == whole["weights_digest"]


def test_boundaries_follow_from_the_lengths_that_train() -> None:
    data = declared(TOKENS, buckets=4)
    expected = sorted({*np.quantile(LENGTHS, [0.25, 0.5, 0.75], method="inverted_cdf"), 9})
    assert list(data.facts().buckets.lengths) == expected
    assert declared(TOKENS, buckets=[3, 6]).facts().buckets.lengths == (3, 6, 9)


def test_the_first_lines_say_how_much_fills_up() -> None:
    filled = {3: 0, 6: 0, 9: 0}
    for n in LENGTHS:
        filled[3 if n <= 3 else 6 if n <= 6 else 9] += 1
    steps = sum(n * count for n, count in filled.items())
    share, without = 1 - LENGTHS.sum() / steps, 1 - LENGTHS.sum() / (9 * N)
    [line] = [x for x in summary(declared(TOKENS, buckets=[3, 6])) if x.startswith("buckets")]
    assert line == (
        f"buckets   batches of up to 3, 6, 9 steps, of which {share:.0%} fill up rows; "
        f"{without:.0%} without buckets"
    )


@pytest.mark.slow
def test_columns_of_text_are_batched_by_their_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [" ".join("abcdefgh"[i % 8] for i in range(n)) for n in LENGTHS]
    rows = [f"{text},{'yes' if 'c' in text else 'no'}" for text in words]
    Path("a.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    asked = ("data=csv", "data.path=a.csv", "data.target=label", "data.buckets=[3,6]",
             "data.columns.text={kind: text, length: 20}", "data.batch_size=8", "model=text",
             "model.width=4", "model.heads=2", "model.depth=1", "run.length=6",
             "run.compile=graph")  # fmt: skip
    experiment = Experiment.composed(*asked)
    buckets = experiment.data.facts().buckets
    assert buckets is not None
    assert buckets.lengths[:2] == (3, 6)
    assert 6 < buckets.lengths[-1] <= 9
    outcome = train(experiment, Path("run"), quiet=True)
    # Evaluations and predictions are of the whole length, whose filling is masked.
    assert np.isfinite(outcome.predict({"text": np.array(words[:5])})).all()


REFUSALS: dict[str, tuple[Callable[[], object], str, str, str]] = {
    "rows of one length": (
        lambda: declared(np.ones((N, 4)), ragged=None, buckets=3).facts(), "buckets",
        "all have one", "ragged: {length: longest}",
    ),
    "a bound that no row reaches": (
        lambda: declared(TOKENS, buckets=[4, 9]).facts(), "buckets", "bound 9", "buckets: [4]",
    ),
    "all of one length": (
        lambda: declared([[1, 2]] * (N - 1) + [[1]], ragged={"length": 2}, buckets=2).facts(),
        "buckets", "would all be one", "leave it out",
    ),
    "bounds that descend": (
        lambda: Data.declared({"kind": "npz", "path": "a", "buckets": [6, 3, 3]}), "buckets",
        "must ascend", "data.buckets=[3,6]",
    ),
    "windows": (
        lambda: Data.declared({"kind": "npz", "path": "a", "buckets": 2, "window": {"length": 3}}),
        "buckets", "all windows have one", "leave out",
    ),
    "filling before the beginning": (
        lambda: Data.declared({"kind": "npz", "path": "a", "buckets": 2,
                               "ragged": {"length": 3, "side": "pre"}}),
        "buckets", "side pre", "data.ragged.side=post",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_buckets_that_make_no_difference_are_refused(
    case: tuple[Callable[[], object], str, str, str],
) -> None:
    assert_refused(*case)


def test_networks_for_one_length_are_refused(tmp_path: Path) -> None:
    import keras

    mlp = refused(lambda: train(composed("model=mlp", buckets="3"), tmp_path / "a",
                                data=parts(TOKENS)))  # fmt: skip
    assert (mlp.path, mlp.hint) == ("data.buckets", "leave it out; or model=rnn, or model=text")
    fixed = keras.Sequential([keras.Input((9,)), keras.layers.Dense(2)])
    problem = refused(lambda: train(composed(buckets="3"), tmp_path / "b", model=fixed,
                                    data=parts(TOKENS)))  # fmt: skip
    assert problem.hint == "begin with keras.Input((None,))"
    dense = [[1] * 9 for _ in TOKENS]  # labels that are filled up already
    problem = refused(lambda: train(composed(buckets="3", task="classification", classes="3"),
                                    tmp_path / "c", data=parts(TOKENS, dense),
                                    model=network(TOKENS, dense)))  # fmt: skip
    assert "bring labels as rows" in problem.hint


def test_jobs_with_buckets_share_no_program() -> None:
    assert "data.buckets" in str(why_not_vectorizable(composed(buckets="3")))

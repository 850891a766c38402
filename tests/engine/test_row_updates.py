"""Updates of the rows that a batch names: what they touch and cost, and which rule they are."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from schedules import Refused
from tests.helpers.runs import result
from trainer import Experiment, train
from trainer.config.plan import Plan
from trainer.engine.gradients import summed
from trainer.engine.parameter_groups import Groups
from trainer.engine.row_updates import looking_up
from trainer.models.in_memory import GivenModel
from trainer.optimizers import Optimizer
from trainer.runs.checkpoints import Checkpoints
from trainer.scheduled.dials import Dials

RANDOM = np.random.default_rng(21)
ROWS, WIDTH, UPDATES = 9, 3, 5
TABLE = RANDOM.normal(size=(ROWS, WIDTH)).astype(np.float32)
IDS = RANDOM.integers(0, ROWS - 2, size=(UPDATES, 6))  # the last rows are never looked up
SLICES = RANDOM.normal(size=(UPDATES, 6, WIDTH)).astype(np.float32)
DENSE = RANDOM.normal(size=(UPDATES, WIDTH)).astype(np.float32)
RATES = [0.1, 0.05, 0.2, 0.1, 0.0]
SAME: dict[str, dict[str, Any]] = {"sgd": {}, "adagrad": {}}
LAZY: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9},
    "adadelta": {},
    "rmsprop": {"momentum": 0.5, "centered": True},
    "ftrl": {},
    "adam": {"amsgrad": True},
    "adamw": {},
    "adamax": {},
    "nadam": {},
}
CLIPS: list[dict[str, float]] = [
    {},
    {"clipnorm": 0.5},
    {"clipvalue": 0.2},
    {"global_clipnorm": 0.5},
]


class Tabled(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="m")
        self.table = self.add_weight(name="table", shape=TABLE.shape)
        self.bias = self.add_weight(name="bias", shape=(WIDTH,), initializer="zeros")
        self.table.assign(TABLE)


class Updated:
    """A table and a bias under the groups of a declared optimizer."""

    def __init__(self, kind: str, **settings: Any) -> None:
        self.model = Tabled()
        dials = Dials(["learning_rate"])
        declared = Optimizer.declared({"kind": kind, **settings})
        self.groups = Groups(declared, self.model, dials)

        @tf.function(autograph=False)
        def update(rate: Any, ids: Any, rows: Any, bias: Any, whole: bool) -> None:
            slices = tf.IndexedSlices(rows, ids, tf.constant(TABLE.shape))
            gradients = {"table": summed(slices, self.model.table, dense=whole), "bias": bias}
            with dials.showing(tf.reshape(rate, [1])):
                weights = self.model.trainable_variables
                self.groups.apply([gradients[w.name] for w in weights], weights)

        self.traced = update

    def after(self, *, whole: bool = False) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """The table and all slots after the updates, by slices or by `whole` gradients."""
        for rate, ids, rows, bias in zip(RATES, IDS, SLICES, DENSE, strict=True):
            arguments = [tf.constant(x) for x in (np.float32(rate), ids, rows, bias)]
            self.traced(*arguments, whole)
        slots = {n: np.asarray(v).copy() for n, v in self.groups.slots().items()}
        return np.asarray(self.model.table).copy(), slots


@pytest.mark.parametrize("clip", CLIPS, ids=str)
@pytest.mark.parametrize("kind", SAME)
def test_where_the_row_rule_is_the_dense_one_it_gives_the_same(
    kind: str, clip: dict[str, float]
) -> None:
    table, slots = Updated(kind, **SAME[kind], **clip).after()
    expected, dense_slots = Updated(kind, **SAME[kind], **clip).after(whole=True)
    np.testing.assert_allclose(table, expected, rtol=2e-6, atol=2e-7)
    for name, slot in dense_slots.items():
        np.testing.assert_allclose(slots[name], slot, rtol=2e-6, atol=2e-7, err_msg=name)


@pytest.mark.parametrize("kind", LAZY)
def test_without_lazy_every_rule_moves_all_rows_as_for_a_whole_gradient(kind: str) -> None:
    table, _ = Updated(kind, **LAZY[kind]).after()
    expected, _ = Updated(kind, **LAZY[kind]).after(whole=True)
    np.testing.assert_allclose(table, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("decay", [None, 0.25])
@pytest.mark.parametrize("kind", LAZY)
def test_a_lazy_row_is_a_small_table_of_its_own_that_only_its_batches_update(
    kind: str, decay: float | None
) -> None:
    """Keras' own rule over the rows of each batch alone, with the run's count of updates."""
    settings = {**LAZY[kind], **({"weight_decay": decay} if decay else {})}
    table, _ = Updated(kind, sparse="lazy", **settings).after()
    expected = TABLE.copy()
    for row in range(ROWS):
        alone = keras.Variable(TABLE[row : row + 1], name="row")
        rate = [0.0]
        declared = Optimizer.declared({"kind": kind, **settings})
        optimizer = declared.build({"learning_rate": lambda rate=rate: tf.constant(rate[0])})
        optimizer.build([alone])
        product = getattr(optimizer, "_u_product", None)
        for t in range(UPDATES):
            rate[0] = RATES[t]
            optimizer.iterations.assign(t)
            if product is not None and t:  # Nadam's goes on with every update of the run
                steps = np.arange(1, t + 1, dtype=np.float64)
                product.assign(np.prod(0.9 * (1 - 0.5 * 0.96**steps)))
                # It multiplies by the factor of the coming update itself.
            if row in IDS[t]:
                gradient = SLICES[t][IDS[t] == row].sum(axis=0, keepdims=True)
                optimizer.apply([tf.constant(gradient)], [alone])
        expected[row] = np.asarray(alone)[0]
    np.testing.assert_allclose(table, expected, rtol=2e-5, atol=2e-6)


def test_lazy_adam_is_the_sparse_adam_of_torch() -> None:
    """`torch.optim.SparseAdam`, 2.13, in numpy: the rule of the coalesced rows alone."""
    table, _ = Updated("adam", sparse="lazy", epsilon=1e-8).after()
    w, m, v = TABLE.astype(np.float64), np.zeros(TABLE.shape), np.zeros(TABLE.shape)
    for t, (rate, ids, slices) in enumerate(zip(RATES, IDS, SLICES, strict=True), 1):
        rows = np.unique(ids)
        g = np.stack([slices[ids == row].sum(axis=0) for row in rows])
        m[rows] += (g - m[rows]) * (1 - 0.9)
        v[rows] += (g**2 - v[rows]) * (1 - 0.999)
        step = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        w[rows] -= step * m[rows] / (np.sqrt(v[rows]) + 1e-8)
    np.testing.assert_allclose(table, w, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", ["adafactor", "muon", "lamb", "schedule_free_adamw"])
def test_a_rule_that_looks_at_a_whole_table_can_not_be_lazy(kind: str) -> None:
    with pytest.raises(Refused, match="needs a rule that works out each row by itself"):
        Optimizer.declared({"kind": kind, "sparse": "lazy"})


COUNT, LENGTH, BATCH = 101, 5, 8
X = RANDOM.integers(0, COUNT, size=(32, LENGTH)).astype(np.int32)
Y = RANDOM.integers(0, 2, size=32)


def reader(rows: int = COUNT) -> keras.Model:
    keras.utils.set_random_seed(6)
    embedding = layers.Embedding(rows, 4, name="table")
    body = [embedding, layers.GlobalAveragePooling1D(), layers.Dense(2, name="end")]
    return keras.Sequential([keras.Input((LENGTH,), dtype="int32"), *body])


PLAIN = ("schedule=constant", "schedule.value=0.05", f"data.batch_size={BATCH}", "run.length=9")


def learn(folder: Path, *asked: str) -> Any:
    given = Experiment.composed(*PLAIN, "run.compile=graph", *asked)
    return train(given, folder, model=reader(), data=((X, Y), (X, Y)), quiet=True)


SETTINGS: dict[str, tuple[str, ...]] = {
    "sgd": ("optimizer=sgd",),
    "adagrad, clipped": ("optimizer=adagrad", "optimizer.global_clipnorm=0.1"),
    "adam": ("optimizer=adam", "optimizer.sparse=lazy", "ema={momentum: 0.5}"),
    "a group": (
        "optimizer=adam",
        "optimizer.groups={tables: {paths: ['table/*'], sparse: lazy}}",
        "optimizer.global_clipnorm=0.1",
        "run.on_nonfinite=skip",
    ),
}


def operations_of_the_size(program: Any, shape: tuple[int, ...]) -> set[str]:
    """The operations of a traced update that have a tensor of a shape among what they give."""
    graphs, seen = [program._program(()).graph], set()
    found: set[str] = set()
    while graphs:
        graph = graphs.pop()
        if id(graph) in seen:
            continue
        seen.add(id(graph))
        for operation in graph.get_operations():
            if any(tuple(x.shape.as_list()) == shape for x in operation.outputs
                   if x.shape.rank is not None):  # fmt: skip
                found.add(operation.type)
        graphs += [f.graph for f in graph._functions.values() if hasattr(f, "graph")]
    return found


@pytest.mark.parametrize("case", SETTINGS)
def test_no_operation_of_an_update_has_a_tensor_of_the_whole_table(case: str) -> None:
    from trainer.data.feeds.order import ExampleOrder
    from trainer.data.feeds.select import make_feed
    from trainer.data.sources.in_memory import GivenData
    from trainer.engine.declared_network import declared_network
    from trainer.engine.program import Program

    asked = Experiment.composed(*PLAIN, "run.compile=graph", *SETTINGS[case])
    fields = {name: getattr(asked, name) for name in type(asked).model_fields}
    parts = {"model": GivenModel.from_model(reader()),
             "data": GivenData(batch_size=BATCH).of(((X, Y), (X, Y)))}  # fmt: skip
    given = Experiment.declared({**fields, **parts})
    data = given.data.load()
    network = declared_network(given, list(Plan.of(given).curves), data.train.labels)
    feed = make_feed(given.data, data, ExampleOrder(1, 32, BATCH))
    skips = given.run.on_nonfinite == "skip"
    program = Program(network, feed, "graph", 9, 1, skips)
    assert operations_of_the_size(program, (COUNT, 4)) == set()


@pytest.mark.slow
def test_nothing_between_two_checkpoints_grows_with_a_table(tmp_path: Path) -> None:
    """Of all that numpy holds during updates, rows and looks at them nothing has a table's size."""
    model, peaks = reader(2**20), []

    def look(call: Any) -> None:
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()

    given = Experiment.composed(*PLAIN, "run.compile=graph", "run.steps_per_call=1", "log.every=1",
                                "checkpoint.every=100%", "optimizer=sgd")  # fmt: skip
    tracemalloc.start()
    try:
        train(given, tmp_path, model=model, data=((X, Y), (X, Y)), quiet=True, callback=look)
    finally:
        tracemalloc.stop()
    assert len(peaks) > 3
    assert max(peaks[2:-1]) - min(peaks) < 2**20


@pytest.mark.parametrize("case", SETTINGS)
def test_a_run_stopped_on_the_way_ends_in_the_same_bits(case: str, tmp_path: Path) -> None:
    whole = learn(tmp_path / "whole", *SETTINGS[case])
    learn(tmp_path / "broken", *SETTINGS[case], "run.stop_after=4")
    broken = learn(tmp_path / "broken", *SETTINGS[case], "run.steps_per_call=2")
    for one, other in zip(whole.model.weights, broken.model.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_averages_of_lazy_rows_move_with_the_rows(tmp_path: Path) -> None:
    asked = ("optimizer=adam", "optimizer.sparse=lazy", "ema={momentum: 0.5}", "run.length=1")
    start = np.asarray(reader().weights[0]).copy()
    learn(tmp_path, *asked)
    saved, _ = Checkpoints(tmp_path / "checkpoints", 1).newest()
    assert saved
    [now] = [x for name, x in saved.arrays.items() if name.startswith("model/") and "emb" in name]
    [mean] = [
        x for name, x in saved.arrays.items() if name.startswith("average/") and "emb" in name
    ]
    moved = (now != start).any(axis=1)
    assert 0 < moved.sum() < COUNT
    np.testing.assert_allclose(mean[moved], (start + now)[moved] / 2, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(mean[~moved], start[~moved])


@pytest.mark.parametrize(("rows", "tried"), [(COUNT, True), (40_000, False)])
def test_xla_is_not_tried_for_a_table_far_larger_than_a_batch(
    rows: int, tried: bool, tmp_path: Path
) -> None:
    given = Experiment.composed(*PLAIN, "run.compile=auto", "run.compile_cache=false",
                                "optimizer=sgd", "run.length=1")  # fmt: skip
    train(given, tmp_path, model=reader(rows), data=((X, Y), (X, Y)), quiet=True)
    measured = result(tmp_path)["compile_measured"]
    assert measured["xla"].startswith("not tried") is not tried
    assert "updates/s" in measured["graph"]


def test_an_id_below_zero_counts_from_the_end_as_in_keras() -> None:
    model, ids = reader(), tf.constant([[-1, 0, 1, -2, 2]])
    expected = model(ids)
    with looking_up(model):
        np.testing.assert_array_equal(model(ids), expected)
    assert "call" not in vars(model.get_layer("table"))

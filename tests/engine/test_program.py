"""The compiled program: micro-batches, live layers, and one trace for all schedules."""

from functools import partial
from time import perf_counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.continuation import goes_on_exactly
from tests.helpers.networks import Trained
from tests.helpers.runs import experiment
from trainer.scheduled.dials import Dials
from trainer.scheduled.layers import LiveDropout, drawing, dropout

BOTH = pytest.mark.parametrize("compiled", ["graph", "xla"])
EVERYTHING = (
    "optimizer=adamw",
    "schedule.initial_value=0.003",
    "optimizer.layer_decay=0.8",
    "optimizer.global_clipnorm={kind: linear, initial_value: 1, end_value: 2}",
    "optimizer.groups={biases: {paths: ['*/bias'], weight_decay: 0}, head: {paths: ['logits/*'],"
    " learning_rate_factor: {kind: linear, initial_value: 1, end_value: 0.1},"
    " beta_1: {kind: linear, initial_value: 0.8, end_value: 0.9}, frozen_until: 20}}",
    "ema={momentum: {kind: linear, initial_value: 0.5, end_value: 0.95}}",
    "loss.label_smoothing={kind: linear, initial_value: 0.2, end_value: 0}",
    "model.dropout={kind: linear, initial_value: 0, end_value: 0.5}",
    "run.micro_batches=4",
)


@BOTH
@pytest.mark.parametrize("parts", [2, 64])
def test_micro_batches_give_the_weights_of_the_whole_batch(parts, compiled):
    whole = Trained(compiled=compiled)
    split = Trained(f"run.micro_batches={parts}", compiled=compiled)
    losses = [run.update(0, 30) for run in (whole, split)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    for path, weight in whole.weights().items():
        np.testing.assert_allclose(split.weights()[path], weight, rtol=1e-3, atol=1e-5)


def test_schedules_tick_once_an_update_whatever_the_micro_batches():
    run = Trained("run.micro_batches=8")
    run.update(0, 7)
    assert int(run.network.global_step) == 7
    assert [int(count) for count in run.network.groups.applied()] == [7]


def test_clipping_comes_after_micro_batches_are_averaged():
    """Clipped apart, gradients that point apart would not cancel as those of the batch do."""
    runs = [
        Trained("optimizer=sgd", "optimizer.global_clipnorm=0.05", parts)
        for parts in ("run.micro_batches=1", "run.micro_batches=16")
    ]
    moved = []
    for run in runs:
        before = run.weights()
        run.update(0, 1)
        moved.append({path: w - before[path] for path, w in run.weights().items()})
    norm = np.sqrt(sum(np.sum(np.square(m)) for m in moved[1].values()))
    assert norm == pytest.approx(0.05 * runs[1].curves["learning_rate"](0), rel=1e-4)
    for path, m in moved[0].items():
        np.testing.assert_allclose(moved[1][path], m, rtol=1e-3, atol=1e-8)


def test_micro_batches_that_do_not_divide_the_batch_are_refused():
    with pytest.raises(Refused) as refused:
        experiment("run.micro_batches=3", "data.batch_size=8").curves()
    assert str(refused.value) == (
        "run.micro_batches = 3: must divide data.batch_size = 8\n  hint: known: 1, 2, 4, 8"
    )


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9])
def test_live_dropout_draws_as_that_of_keras(rate):
    x = tf.constant(np.random.default_rng(1).normal(size=(50, 40)), tf.float32)
    dials = Dials(["dropout"])
    ours = LiveDropout(dials["dropout"])
    ours.seed_generator = keras.random.SeedGenerator(11)
    theirs = keras.layers.Dropout(rate, seed=11)
    with dials.showing(tf.constant([rate])):
        drawn = ours(x, training=True)
    np.testing.assert_allclose(drawn, theirs(x, training=True), rtol=1e-6)
    np.testing.assert_array_equal(ours(x), x)


@BOTH
@pytest.mark.parametrize("live", [False, True])
def test_dropout_leaves_out_its_share_anew_in_every_update(live, compiled):
    """Whatever draws the masks: each is kept to its rate, and no two are the same."""
    keras.utils.set_random_seed(7)
    dials = Dials(["dropout"])
    layer = dropout(dials["dropout"] if live else 0.3, "dropout")
    x = tf.ones([200, 100])

    @partial(tf.function, jit_compile=compiled == "xla", autograph=False)
    def dropped():
        with drawing(fused=compiled == "xla"), dials.showing(tf.constant([0.3])):
            return layer(x, training=True)

    first, second = (np.asarray(dropped()) for _ in range(2))
    for mask in (first, second):
        np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-6)
        assert np.mean(mask == 0) == pytest.approx(0.3, abs=0.015)
        for axis in (0, 1):
            assert np.std(np.mean(mask == 0, axis=axis)) < 0.08
    assert np.mean(first != second) == pytest.approx(2 * 0.3 * 0.7, abs=0.02)


def test_dropout_at_a_fixed_rate_is_saved_as_that_of_keras():
    assert type(dropout(0.5, "dropout")) is keras.layers.Dropout
    np.testing.assert_array_equal(dropout(0.5, "dropout")(np.ones(9)), np.ones(9))


@pytest.mark.parametrize("rate", ["0.5", "{kind: constant, value: 0.5}"])
def test_dropout_under_xla_keeps_most_of_the_rate_of_updates(rate):
    """Drawn by what Keras draws with, masks took a hundred times as long as all the rest."""
    runs = [Trained(f"model.dropout={it}", compiled="xla") for it in ("0.0", rate)]
    seconds = []
    for run in runs:
        run.update(0, 1)
        times = []
        for i in range(3):
            began = perf_counter()
            run.update(1 + 30 * i, 30)
            times.append(perf_counter() - began)
        seconds.append(min(times))
    assert seconds[1] < 20 * seconds[0]


def test_the_state_has_the_seeds_of_live_dropout():
    run = Trained("model.dropout={kind: constant, value: 0.5}")
    seeds = [name for name in run.network.state() if "seed" in name]
    before = {name: run.network.state()[name] for name in seeds}
    run.update(0, 1)
    assert seeds
    assert all((run.network.state()[name] != before[name]).any() for name in seeds)


@BOTH
def test_the_updates_are_traced_once_a_stretch_with_everything_scheduled(compiled):
    run = Trained(*EVERYTHING, compiled=compiled)
    assert run.program.traces == 0
    for step, count, traces in ((0, 1, 1), (1, 5, 1), (6, 14, 1), (20, 6, 2), (6, 30, 2)):
        run.update(step, count)
        assert run.program.traces == traces


def test_the_curves_come_in_a_fixed_order_with_the_learning_rate_first():
    assert list(experiment(*EVERYTHING).curves()) == [
        "learning_rate",
        "global_clipnorm",
        "groups.head.learning_rate_factor",
        "groups.head.beta_1",
        "groups.head.frozen",
        "label_smoothing",
        "dropout",
        "ema_momentum",
    ]


@pytest.mark.parametrize("mode", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_stopping_and_going_on_with_everything_on_ends_in_the_same_bits(mode, tmp_path):
    asked = ("run.length=40", f"run.compile={mode}", "checkpoint.every=9", *EVERYTHING)
    goes_on_exactly(tmp_path, *asked, stops=(13, 25))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        pytest.param(("model=rnn", "model.units=2", "model.mask=0"), "[{},2]", id="a loop"),
        pytest.param(
            ("model=vit", "model.width=8", "model.depth=1"),
            "[{},8,1]",
            id="attention",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_update_has_as_many_operations_however_long_sequences_and_the_run_are(model, shape):
    counts = []
    for steps, length in ((8, 50), (24, 10**6)):
        data = ("data=synthetic", f"data.shape={shape.format(steps)}", "data.examples=70")
        run = Trained(*data, *model, f"run.length={length}", "data.batch_size=4")
        run.update(0, 1)
        counts.append(run.program.operations())
    assert counts[0] == counts[1]

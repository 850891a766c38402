"""The door for `model.fit`: the curve's float32 values, however TensorFlow runs."""

from fractions import Fraction
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.config import disable_op_determinism

from schedules import Clock, Refused, load
from schedules.declaration.yaml_files import read_mapping
from trainer import keras_schedule
from trainer.keras_schedule import KerasSchedule

CONF = Path(__file__).parents[2] / "conf" / "schedule"
RUN = Clock(total_steps=20_000, batch_size=64, examples_per_epoch=55_000)
BILLION = 10**9
COSINE = {"kind": "cosine", "initial_value": 0.1}
STAIRS = {"kind": "exponential", "initial_value": 0.1, "decay_steps": 41, "decay_rate": 0.5,
          "staircase": True}  # fmt: skip
NOISE = {"kind": "noise", "std": 0.1, "schedule": COSINE}


FILES = [
    pytest.param(config, id=file.stem)
    for file in sorted(CONF.glob("*.yaml"))
    if not load(config := read_mapping(file), RUN).reacts
]


def modes(rate):
    """The schedule as TensorFlow may run it, for steps of any shape."""
    anything = tf.TensorSpec(None, tf.int64)
    graph = tf.function(rate, input_signature=[anything])
    return {"eager": rate, "graph": graph, "xla": tf.function(rate, jit_compile=True)}


def agree(rate, steps):
    """Whether the schedule gives the curve's float32 values at the steps, in every mode."""
    steps = np.asarray(steps)
    expected = rate.curve(steps).astype(np.float32).view(np.int32)
    for mode, run in modes(rate).items():
        found = run(tf.constant(steps, tf.int64)).numpy()
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found.view(np.int32), expected, err_msg=mode)
        for step in (0, int(steps[len(steps) // 2]), int(steps[-1])):
            assert run(tf.constant(step, tf.int64)).numpy() == np.float32(rate.curve(step)), mode
    return True


@pytest.mark.parametrize("config", FILES)
def test_a_schedule_of_conf_has_the_curves_values_at_every_step(config):
    assert agree(KerasSchedule(config, RUN), np.arange(20_001))


@pytest.mark.parametrize("name", ["cosine_restarts", "mnist_tf1", "noise", "sequence"])
def test_a_long_run_has_the_same_values_from_pieces(name, monkeypatch):
    monkeypatch.setattr(keras_schedule, "MAX_TABLE_STEPS", 0)
    assert agree(KerasSchedule(read_mapping(CONF / f"{name}.yaml"), RUN), np.arange(20_001))


def restarts(first, growth):
    """The steps at which cycles begin, each `growth` times as long as the one before."""
    start, length = Fraction(0), Fraction(first)
    while start <= BILLION:
        yield -(-start.numerator // start.denominator)
        start, length = start + length, length * growth


LONG = {
    "stairs": (
        {**STAIRS, "decay_steps": "100001/3", "decay_rate": 0.9999},
        [-(-i * 100_001 // 3) for i in range(0, 29_999, 7)],
    ),
    "cosine": (COSINE, [1 << i for i in range(30)]),
    "cosine_restarts": (
        {"kind": "cosine_restarts", "initial_value": 0.1, "first_decay_steps": 1000, "t_mul": 1.1},
        list(restarts(1000, Fraction(11, 10))),
    ),
    "sequence": (
        {
            "kind": "sequence",
            "parts": {
                "warmup": {
                    "kind": "linear",
                    "initial_value": 0.0,
                    "end_value": 0.1,
                    "length": "5%",
                },
                "stable": {"kind": "constant", "value": 0.1},
                "decay": {**COSINE, "alpha": 0.1, "length": "10%"},
            },
        },
        [BILLION // 20, BILLION // 10 * 9],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_a_billion_steps_are_exact_at_every_boundary_and_anywhere(name):
    config, boundaries = LONG[name]
    anywhere = np.random.default_rng(0).integers(0, BILLION + 1, 200_000)
    beside = np.add.outer([-1, 0, 1], boundaries).ravel().clip(0, BILLION)
    steps = np.unique(np.concatenate([anywhere, beside, [BILLION]]))
    assert agree(KerasSchedule(config, Clock(BILLION)), steps)


def test_a_boundary_that_keras_misses_once_compiled_is_met():
    rate = KerasSchedule(STAIRS, Clock(1000))
    keras_own = keras.optimizers.schedules.ExponentialDecay(0.1, 41, 0.5, staircase=True)
    at = tf.constant(41)
    assert tf.function(keras_own, jit_compile=True)(at).numpy() == np.float32(0.1)
    assert tf.function(rate, jit_compile=True)(at).numpy() == np.float32(0.05)


@pytest.mark.parametrize(
    "step",
    [
        41,
        np.int64(41),
        tf.constant(41, tf.int32),
        tf.constant(41, tf.int64),
        tf.constant(41, tf.uint8),
        keras.Variable(41, dtype="int64"),
    ],
)
def test_a_step_may_be_any_integer(step):
    assert KerasSchedule(STAIRS, Clock(1000))(step).numpy() == np.float32(0.05)


def test_steps_may_have_any_shape():
    assert KerasSchedule(STAIRS, Clock(1000))([[40, 41, 42]] * 2).shape == (2, 3)


def test_the_value_at_the_end_of_the_run_holds():
    line = {"kind": "linear", "initial_value": 1.0, "end_value": 0.25}
    steps = [99, 100, 101, 2**31 - 1, 2**40]
    for config in (line, {**line, "decay_steps": 200}):
        rate = KerasSchedule(config, Clock(100))
        assert rate(steps).numpy().tolist() == [rate(99), *[rate(100)] * 4]
        assert rate(100) == np.float32(rate.curve(100))


def test_a_clock_without_an_end_gives_many_steps():
    rate = KerasSchedule({**STAIRS, "decay_steps": 1 << 20})
    steps = [(1 << 20) - 1, 1 << 20, (1 << 24) - 1, 1 << 24]
    assert rate(steps).numpy().tolist() == rate.curve(steps).astype(np.float32).tolist()


def test_the_first_call_may_be_inside_a_compiled_function():
    rate = KerasSchedule(COSINE, Clock(100))
    assert tf.function(rate, jit_compile=True)(tf.constant(3)) == rate(3)


class Rates(keras.callbacks.Callback):
    """The learning rates that updates applied: plain descent by a gradient of 1, from 0."""

    def __init__(self):
        super().__init__()
        self.applied = []

    def on_train_batch_begin(self, batch, logs=None):
        self.model.layers[-1].kernel.assign([[0.0]])

    def on_train_batch_end(self, batch, logs=None):
        self.applied.append(-float(self.model.layers[-1].kernel.numpy()[0, 0]))


def net(rate, **settings):
    traces = []

    def slope(_, predicted):
        traces.append(predicted)
        return predicted

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(rate), slope, **settings)
    return model, traces


@pytest.fixture
def any_kernel():
    """Other tests' runs leave this process deterministic, where Keras won't compile by XLA."""
    disable_op_determinism()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_applies_the_curve_and_traces_once(jit_compile, any_kernel):
    rate, rates = KerasSchedule(STAIRS | {"decay_steps": "12/5"}, Clock(30)), Rates()
    model, traces = net(rate, jit_compile=jit_compile)
    ones = np.ones((10, 1), np.float32)
    model.fit(ones, ones, batch_size=1, verbose=0, callbacks=[rates])
    traced = len(traces)
    model.fit(ones, ones, batch_size=1, epochs=2, verbose=0, callbacks=[rates])
    assert rates.applied == rate.curve(range(30)).astype(np.float32).tolist()
    assert len(traces) == traced
    assert model.optimizer.learning_rate == np.float32(rate.curve(30))


@pytest.mark.parametrize("config", FILES)
def test_a_schedule_survives_its_config(config):
    rate = KerasSchedule(config, Clock(Fraction(40_001, 2), 64, 55_000))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(rate))
    assert again.curve.clock == rate.curve.clock
    assert again.get_config() == rate.get_config()
    assert again(12_345) == rate(12_345)


# Keras itself, while saving, asks variables for arrays as numpy 1 did.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_model_trains_on_with_its_schedule(tmp_path):
    rate, rates = KerasSchedule(STAIRS | {"decay_steps": 4}, Clock(20)), Rates()
    model, _ = net(rate)
    ones = np.ones((10, 1), np.float32)
    model.fit(ones, ones, batch_size=1, verbose=0)
    model.compile(model.optimizer, "mean_absolute_error")  # a loss that the file can name
    model.save(tmp_path / "net.keras")
    again = keras.saving.load_model(tmp_path / "net.keras")
    assert isinstance(again.optimizer._learning_rate, KerasSchedule)
    again.fit(ones, -ones, batch_size=1, verbose=0, callbacks=[rates])
    assert rates.applied == rate.curve(range(10, 20)).astype(np.float32).tolist()


def test_a_warmup_that_wraps_is_saved_too():
    from schedules.kinds.sequences import Wrapped

    warmup = {"kind": "linear", "initial_value": 0.0, "end_value": 1.0, "length": 10}
    rate = KerasSchedule(Wrapped.declared({"warmup": warmup, "schedule": COSINE}), Clock(100))
    again = KerasSchedule.from_config(rate.get_config())
    assert again(5) == rate(5) == np.float32(0.05)


def test_a_file_does_not_run_code_in_safe_mode(tmp_path, monkeypatch):
    tmp_path.joinpath("halves.py").write_text("def half(steps):\n    return 0.5 + 0 * steps\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = {"kind": "scale", "factor": 1.0, "schedule": {"kind": "custom", "call": "halves:half"}}
    saved = keras.saving.serialize_keras_object(KerasSchedule(config, Clock(10)))
    with pytest.raises(Refused, match=r"schedule\.call = 'halves:half': .* safe mode"):
        keras.saving.deserialize_keras_object(saved)
    assert keras.saving.deserialize_keras_object(saved, safe_mode=False)(3).numpy() == 0.5


@pytest.mark.parametrize("name", ["plateau", "manual", "warmup_plateau"])
def test_a_schedule_that_reacts_is_refused_by_name(name):
    with pytest.raises(Refused, match=r"kind = '(plateau|manual)': reacts") as refused:
        KerasSchedule(read_mapping(CONF / f"{name}.yaml"), RUN)
    path = "parts.main.kind" if name == "warmup_plateau" else "kind"
    assert [problem.path for problem in refused.value.problems] == [path]


def test_a_step_that_is_no_integer_is_refused():
    with pytest.raises(Refused, match="step = 'float64': must be an integer"):
        KerasSchedule(COSINE, Clock(10))(1.5)


@pytest.mark.parametrize("step", [5.7, [1, 2.5], np.float32(3), np.array([4.0]), True])
def test_a_number_that_is_no_integer_is_refused_whatever_holds_it(step):
    with pytest.raises(Refused, match="must be an integer or a tensor of them"):
        KerasSchedule(STAIRS, Clock(1000))(step)


@pytest.mark.parametrize("step", [-1, [3, -2], tf.constant(-1)])
def test_a_step_below_0_is_refused(step):
    with pytest.raises(Refused, match=r"step = -[12]: must be at least 0"):
        KerasSchedule(STAIRS, Clock(1000))(step)


def test_a_step_below_0_fails_in_a_graph():
    rate = tf.function(KerasSchedule(STAIRS, Clock(1000)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="steps are counted from 0"):
        rate(tf.constant(-1))


def test_noise_over_a_very_long_run_is_refused_with_its_size():
    rate = KerasSchedule(NOISE, Clock(BILLION))
    with pytest.raises(Refused, match=r"total_steps = 1000000000: is too long .* take 64 MB"):
        rate(0)


def test_a_curve_brings_its_clock():
    curve = load(COSINE, Clock(10))
    assert KerasSchedule(curve)(5) == np.float32(curve(5))
    with pytest.raises(Refused, match=r"clock = .*: comes with the curve"):
        KerasSchedule(curve, Clock(10))

"""The rules of TensorFlow 1, in its own optimizers and in ours, on the same gradients."""

import shlex

import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.kinds import built
from tests.helpers.runs import experiment
from trainer.optimizers import Optimizer, keras_rules
from trainer.scheduled.dials import Dials

UPDATES = 200
RATES = np.repeat([0.1, 0.01], UPDATES // 2).astype(np.float32)
RANDOM = np.random.default_rng(1)
START = RANDOM.normal(size=(3, 4)).astype(np.float32)
NOISE = RANDOM.normal(size=(UPDATES, 3, 4)).astype(np.float32)

tf1 = tf.compat.v1.train


def in_tensorflow_1(make_optimizer):
    """The weights after each gradient `NOISE[t] + w`, from a graph in a session."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        rate = tf.compat.v1.placeholder(tf.float32, [])
        noise = tf.compat.v1.placeholder(tf.float32, START.shape)
        weights = tf.compat.v1.Variable(START)
        update = make_optimizer(rate).apply_gradients([(noise + weights, weights)])
        session.run(tf.compat.v1.global_variables_initializer())
        for t in range(UPDATES):
            session.run(update, {rate: RATES[t], noise: NOISE[t]})
        return session.run(weights)


def declared(config, prepare=lambda optimizer: None, jit=False, rates=RATES):
    """The same weights from the declared optimizer in a compiled loop."""
    dials = Dials(["learning_rate"])
    optimizer = Optimizer.declared(config).build(dials)
    weights = tf.keras.Variable(START)
    optimizer.build([weights])
    prepare(optimizer)

    @tf.function(jit_compile=jit)
    def train():
        for t in tf.range(UPDATES):
            gradient = tf.constant(NOISE)[t] + weights
            with dials.showing(tf.constant(rates)[t, None]):
                optimizer.apply([gradient], [weights])

    train()
    return weights.numpy()


def mean_squares_from_one(optimizer):
    """TensorFlow 1 starts them there and Keras at 0; the rules are the same from then on."""
    for velocity in optimizer._velocities:
        velocity.assign(tf.ones_like(velocity))


@pytest.mark.parametrize(
    ("config", "make_optimizer"),
    [
        ({"kind": "sgd"}, tf1.GradientDescentOptimizer),
        ({"kind": "momentum", "momentum": 0.9}, lambda lr: tf1.MomentumOptimizer(lr, 0.9)),
        (
            {"kind": "nesterov", "momentum": 0.9},
            lambda lr: tf1.MomentumOptimizer(lr, 0.9, use_nesterov=True),
        ),
        ({"kind": "adagrad", "epsilon": 0}, tf1.AdagradOptimizer),
        ({"kind": "adadelta", "epsilon": 1e-8}, lambda lr: tf1.AdadeltaOptimizer(lr, rho=0.95)),
        ({"kind": "adam", "epsilon": 1e-8}, tf1.AdamOptimizer),
        ({"kind": "ftrl"}, tf1.FtrlOptimizer),
    ],
    ids=lambda config: config["kind"] if isinstance(config, dict) else "",
)
def test_a_rule_gives_the_weights_of_its_namesake_in_tensorflow_1(config, make_optimizer):
    expected = in_tensorflow_1(make_optimizer)
    assert np.abs(expected - START).max() > 1e-3
    np.testing.assert_allclose(declared(config), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_is_tensorflow_1s_but_for_where_its_mean_squares_start(momentum, centered):
    config = {"kind": "rmsprop", "momentum": momentum, "epsilon": 1e-10, "centered": centered}
    expected = in_tensorflow_1(
        lambda lr: tf1.RMSPropOptimizer(lr, momentum=momentum, centered=centered)
    )
    actual = declared(config, mean_squares_from_one)
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6)
    assert not np.allclose(declared(config), expected, rtol=2e-5, atol=2e-6)


def test_a_lower_rate_acts_at_once_on_momentum_and_later_on_keras_sgd():
    """Three gradients of 1, the rate 1 and then 0: what is left of the velocity still moves SGD."""

    def weights(kind):
        dials = Dials(["learning_rate"])
        optimizer = Optimizer.declared({"kind": kind, "momentum": 0.5}).build(dials)
        weight = tf.keras.Variable(0.0)
        moves = []
        for rate in (1.0, 0.0, 0.0):
            with dials.showing(tf.constant([rate])):
                optimizer.apply([tf.constant(1.0)], [weight])
            moves.append(float(weight.numpy()))
        return moves

    assert weights("momentum") == [-1.0, -1.0, -1.0]
    assert weights("sgd") == [-1.0, -1.5, -1.75]


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
def test_adafactor_keeps_its_head_where_a_row_and_a_column_have_no_gradient(jit):
    gradient = np.outer([1.0, 2.0, 0.0], [1.0, 3.0, 0.0, 1.0]).astype(np.float32)

    def trained(optimizer):
        weights = tf.keras.Variable(START)
        optimizer.build([weights])

        @tf.function(jit_compile=jit)
        def train():
            for _ in tf.range(3):
                optimizer.apply([tf.constant(gradient)], [weights])

        train()
        return weights.numpy()

    keras_own = trained(tf.keras.optimizers.Adafactor(0.1))
    ours = trained(keras_rules.Adafactor(learning_rate=0.1))
    still = gradient == 0
    assert np.isnan(keras_own[still]).any()
    np.testing.assert_array_equal(ours[still], START[still])
    assert (ours[~still] < START[~still]).all()


def adafactor_of_the_paper(rates, scale_parameter):
    """Algorithms 4 and 2 of Shazeer and Stern, in float64, with sums where ours has means."""
    w = START.astype(np.float64)
    rows, columns = np.zeros((len(w), 1)), np.zeros((1, w.shape[1]))
    for t, rate in enumerate(rates, start=1):
        g = NOISE[t - 1] + w
        beta_2, square = 1 - t**-0.8, g**2 + 1e-30
        rows = beta_2 * rows + (1 - beta_2) * square.sum(1, keepdims=True)
        columns = beta_2 * columns + (1 - beta_2) * square.sum(0, keepdims=True)
        u = g / np.sqrt(rows @ columns / rows.sum())
        u = u / max(1.0, np.sqrt(np.mean(u**2)))
        size = max(1e-3, np.sqrt(np.mean(w**2))) if scale_parameter else 1.0
        w = w - size * rate * u
    return w


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("scale_parameter", [True, False])
def test_adafactor_takes_the_steps_of_its_paper_at_the_rates_it_is_given(scale_parameter, jit):
    """In the second half they are above the paper's relative step, which nobody asked for."""
    config = {"kind": "adafactor", "scale_parameter": scale_parameter}
    rates = np.array([0.01, 0.1], np.float32).repeat(UPDATES // 2)
    expected = adafactor_of_the_paper(rates.astype(np.float64), scale_parameter)
    actual = declared(config, jit=jit, rates=rates)
    np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5)


def test_the_relative_step_of_adafactor_is_a_schedule_that_the_refusal_gives():
    with pytest.raises(Refused) as refused:
        experiment("optimizer=adafactor", "+optimizer.relative_step=true")
    hint = refused.value.problems[0].hint
    overrides = shlex.split(hint.partition("for true: ")[2])
    rates = experiment("optimizer=adafactor", "run.length=20000", *overrides).curves()
    t = np.arange(1, 20001)
    np.testing.assert_allclose(
        rates["learning_rate"](t - 1), np.minimum(0.01, 1 / np.sqrt(t)), rtol=1e-15
    )


@pytest.mark.parametrize("updates", [0, 10**6])
@pytest.mark.parametrize("kind", built())
def test_twice_the_learning_rate_is_twice_the_step_however_late_it_is(kind, updates):
    """So what a row says was applied was applied; the weights are 0, so that nothing decays."""

    def step(rate):
        dials = Dials(["learning_rate"])
        required = {"momentum": 0.9} if kind in {"momentum", "nesterov"} else {}
        optimizer = Optimizer.declared({"kind": kind, **required}).build(dials)
        weight = tf.keras.Variable(np.zeros_like(START))
        optimizer.build([weight])
        optimizer.iterations.assign(updates)
        with dials.showing(tf.constant([rate])):
            optimizer.apply([tf.constant(NOISE[0])], [weight])
        return weight.numpy()

    once, twice = step(0.25), step(0.5)
    assert np.abs(once).max() > 1e-6
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", built())
def test_gradients_of_0_leave_weights_finite(kind):
    dials = Dials(["learning_rate"])
    required = {"momentum": 0.9} if kind in {"momentum", "nesterov"} else {}
    optimizer = Optimizer.declared({"kind": kind, **required}).build(dials)
    weights = [tf.keras.Variable(START), tf.keras.Variable(np.zeros(4), dtype="float32")]
    for _ in range(3):
        with dials.showing(tf.constant([0.1])):
            optimizer.apply([tf.zeros_like(weight) for weight in weights], weights)
    assert all(np.isfinite(weight.numpy()).all() for weight in weights)


@pytest.mark.parametrize("kind", built())
def test_the_gradients_of_an_embedding_are_taken(kind):
    """They come as slices of the rows that were looked up."""
    dials = Dials(["learning_rate"])
    required = {"momentum": 0.9} if kind in {"momentum", "nesterov"} else {}
    optimizer = Optimizer.declared({"kind": kind, **required}).build(dials)
    table = tf.keras.Variable(START, name="embedding")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.gather(table.value, [0, 2, 2]) ** 2)
    gradient = tape.gradient(loss, table.value)
    assert isinstance(gradient, tf.IndexedSlices)
    with dials.showing(tf.constant([0.1])):
        optimizer.apply([gradient], [table])
    assert (table.numpy()[[0, 2]] != START[[0, 2]]).all()


@pytest.mark.parametrize("jit", [False, True])
def test_schedule_free_adamw_keeps_the_plain_average_of_its_iterates(jit):
    """In float64, holding x as the mean of all z, which the rule in float32 has to work out."""
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8
    w = z = START.astype(np.float64)
    v, iterates = np.zeros_like(w), []
    for t, lr in enumerate(RATES.astype(np.float64), start=1):
        g = NOISE[t - 1] + w
        v = beta_2 * v + (1 - beta_2) * g**2
        z = z - lr * g / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        iterates.append(z)
        w = (1 - beta_1) * z + beta_1 * np.mean(iterates, axis=0)
    config = {"kind": "schedule_free_adamw", "weight_decay": None}
    np.testing.assert_allclose(declared(config, jit=jit), w, rtol=1e-4, atol=1e-5)

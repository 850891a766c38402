"""Live values: what a compiled loop shows is what its updates use."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Clock, Refused, load
from tests.helpers.kinds import built
from trainer.engine.probe import probe
from trainer.optimizers import Optimizer
from trainer.scheduled.dials import Dials

CLIPS = ["clipnorm", "clipvalue", "global_clipnorm"]
BOTH = pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])

# Binary fractions: float32 holds them, their halves and their complements exactly, so that what
# Keras works out from a Python float and from a live value are the same bits.
FIRST = {
    "epsilon": 0.125,
    "epsilon_1": 0.125,
    "epsilon_2": 4.0,
    "weight_decay": 0.125,
    "adam_weight_decay": 0.125,
    "l1_regularization_strength": 0.125,
    "learning_rate_power": -0.5,
    "beta_2_decay": -0.5,
    "muon_a": 3.5,
    "muon_b": -4.75,
    "muon_c": 2.0,
}
UPDATES = 200
HALF = UPDATES // 2
RANDOM = np.random.default_rng(3)
SHAPES = {"kernel": (3, 4), "bias": (4,)}
START = {path: RANDOM.normal(size=shape).astype(np.float32) for path, shape in SHAPES.items()}
NOISE = [RANDOM.normal(size=(UPDATES, *shape)).astype(np.float32) for shape in SHAPES.values()]


def declare(kind, **settings):
    required = {"momentum": 0.9} if kind in {"momentum", "nesterov"} else {}
    # Of Muon's iterations one is enough here; with coefficients as odd as these, five diverge.
    required |= {"ns_steps": 1} if kind == "muon" else {}
    return Optimizer.declared({"kind": kind, **required, **settings})


def schedulable(kind):
    return [name for name in declare(kind).bounds() if name != "learning_rate"]


def halved(first):
    """A schedule that steps from `first` to its half after half of the updates."""
    return {
        "kind": "exponential",
        "initial_value": first,
        "decay_steps": HALF,
        "decay_rate": 0.5,
        "staircase": True,
    }


def fresh_weights():
    return [keras.Variable(value, name=path) for path, value in START.items()]


def gradients(t, weights):
    noise = [tf.constant(values)[t] for values in NOISE]
    return [n + w for n, w in zip(noise, weights, strict=True)]


def on_schedules(kind, fields, jit):
    """The weights after one compiled call in which every field steps halfway."""
    declared = declare(kind, **{name: halved(FIRST.get(name, 0.5)) for name in fields})
    clock = Clock(total_steps=UPDATES)
    columns = [
        load(schedule, clock)(np.arange(UPDATES)) for schedule in declared.scheduled().values()
    ]
    tape = tf.constant(np.stack([np.full(UPDATES, 2**-4), *columns], axis=1), tf.float32)
    dials = Dials(["learning_rate", *declared.scheduled()])
    optimizer, weights = declared.build(dials), fresh_weights()
    optimizer.build(weights)

    @tf.function(jit_compile=jit)
    def train():
        for t in tf.range(UPDATES):
            with dials.showing(tape[t]):
                optimizer.apply(gradients(t, weights), weights)

    train()
    return [weight.numpy() for weight in weights]


def by_hand(kind, fields, jit):
    """The same in two programs of Keras' own, whose fields are floats set before each.

    And what the first program makes of all updates, where nothing steps.
    """
    first = {name: FIRST.get(name, 0.5) for name in fields}
    dials = Dials(["learning_rate"])
    optimizer, weights = declare(kind, **first).build(dials), fresh_weights()
    optimizer.build(weights)

    def program():
        @tf.function(jit_compile=jit)
        def train(start, end):
            for t in tf.range(start, end):
                with dials.showing(tf.constant([2**-4])):
                    optimizer.apply(gradients(t, weights), weights)

        return lambda start, end: train(tf.constant(start), tf.constant(end))

    before = program()
    before(0, HALF)
    variables = [*weights, *optimizer.variables]
    halfway = [variable.numpy() for variable in variables]
    before(HALF, UPDATES)
    stayed = [weight.numpy() for weight in weights]

    for variable, value in zip(variables, halfway, strict=True):
        variable.assign(value)
    for name, value in first.items():
        setattr(optimizer, name, value / 2)
    program()(HALF, UPDATES)
    return [weight.numpy() for weight in weights], stayed


def assert_steps_as_by_hand(kind, fields, jit):
    scheduled = on_schedules(kind, fields, jit)
    stepped, stayed = by_hand(kind, fields, jit)
    for weight, hand in zip(scheduled, stepped, strict=True):
        assert np.isfinite(hand).all()
        np.testing.assert_allclose(weight, hand, rtol=1e-5, atol=1e-6)
    moved = [np.abs(a - b).max() for a, b in zip(scheduled, stayed, strict=True)]
    assert max(moved) > 1e-5


@pytest.mark.parametrize("kind", built())
def test_fields_that_step_together_equal_two_runs_set_by_hand(kind):
    fields = [name for name in schedulable(kind) if name not in CLIPS[:2]]
    assert_steps_as_by_hand(kind, fields, jit=False)


@pytest.mark.parametrize("kind", ["sgd", "momentum", "rmsprop", "adamw"])
def test_fields_that_step_together_equal_two_runs_set_by_hand_under_xla(kind):
    fields = [name for name in schedulable(kind) if name not in CLIPS[:2]]
    assert_steps_as_by_hand(kind, fields, jit=True)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        pytest.param(*kind.values, field, marks=kind.marks)
        for kind in built()
        for field in schedulable(*kind.values)
    ],
)
def test_a_field_that_steps_halfway_equals_two_runs_set_by_hand(kind, field, jit):
    assert_steps_as_by_hand(kind, [field], jit)


@BOTH
def test_other_values_and_other_counts_of_updates_retrace_nothing(jit):
    traces = 0
    dials = Dials(["learning_rate", "momentum"])
    optimizer = declare("sgd", momentum=halved(0.5)).build(dials)
    weight = keras.Variable(0.0)
    optimizer.build([weight])

    @tf.function(
        jit_compile=jit,
        input_signature=[tf.TensorSpec([4, 2], tf.float32), tf.TensorSpec([], tf.int32)],
    )
    def train(tape, updates):
        nonlocal traces
        traces += 1
        for i in tf.range(updates):
            with dials.showing(tape[i]):
                optimizer.apply([tf.constant(1.0)], [weight])

    train(tf.constant([[1.0, 0.0]] * 4), tf.constant(3))
    assert float(weight.numpy()) == -3.0
    train(tf.constant([[0.5, 1.0]] * 4), tf.constant(2))
    # The velocity was -1: one update makes it -1.5, the next -2.
    assert float(weight.numpy()) == -6.5
    assert traces == 1


@pytest.mark.parametrize("kind", built())
def test_a_schedule_adds_no_variable_but_the_slots_that_its_field_needs(kind):
    fields = [name for name in schedulable(kind) if name not in CLIPS[:2]]
    variables = []
    for settings in (
        {name: halved(FIRST.get(name, 0.5)) for name in fields},
        {name: FIRST.get(name, 0.5) for name in fields},
    ):
        declared = declare(kind, **settings)
        optimizer = declared.build(Dials(["learning_rate", *declared.scheduled()]))
        optimizer.build(fresh_weights())
        variables.append([(v.shape, v.dtype) for v in optimizer.variables])
    assert variables[0] == variables[1]


def test_a_dial_shows_a_row_within_the_block_and_nothing_outside():
    dials = Dials(["learning_rate", "momentum"])
    momentum = dials["momentum"]
    with dials.showing(tf.constant([1.0, 0.5])):
        assert float(momentum()) == 0.5
        with dials.showing(tf.constant([1.0, 0.25])):
            assert float(tf.convert_to_tensor(momentum)) == 0.25
        assert float(momentum()) == 0.5
    with pytest.raises(RuntimeError, match=r"momentum is live.*only within Dials\.showing"):
        momentum()


def test_a_dial_computes_as_the_number_it_shows():
    dials = Dials(["x"])
    x = dials["x"]
    with dials.showing(tf.constant([0.5])):
        results = [-x, x + 1, 1 + x, x - 2, 2 - x, x * 3, 3 * x, x / 4, 4 / x]
        assert [float(r) for r in results] == [-0.5, 1.5, 1.5, -1.5, 1.5, 1.5, 1.5, 0.125, 8.0]
        assert tf.cast(x, tf.bfloat16).dtype == tf.bfloat16
        assert tf.convert_to_tensor(x, tf.float64).dtype == tf.float64


def test_a_dial_that_shows_0_is_still_there():
    dials = Dials(["momentum"])
    with dials.showing(tf.constant([0.0])):
        assert dials["momentum"] > 0
        assert dials["momentum"] > 0.0
        assert dials["momentum"] != 0
        assert bool(dials["momentum"])


COMPARISONS: dict[str, Callable[[Any], Any]] = {
    "x > 1": lambda x: x > 1,
    "x > 0.5": lambda x: 0.5 < x,  # noqa: SIM300
    "x > -1": lambda x: x > -1,
    "x >= 0": lambda x: x >= 0,
    "x <= 1": lambda x: x <= 1,
    "x < 0": lambda x: x < 0,
    "x < 1": lambda x: 1 > x,  # noqa: SIM300
    "x == 1": lambda x: x == 1,
    "x == 0.5": lambda x: x != 0.5,
    "x == np.float32(0.5)": lambda x: x == np.float32(0.5),
}


@pytest.mark.parametrize("asked", COMPARISONS)
def test_a_dial_compares_with_nothing_but_0(asked):
    with pytest.raises(TypeError) as refused:
        COMPARISONS[asked](Dials(["x"])["x"])
    assert str(refused.value) == (
        f"{asked} can't be decided while a step is traced, because x may change with every update; "
        "a live value only compares with 0"
    )


def test_a_dial_does_not_compare_with_a_tensor_but_its_value_does():
    dials = Dials(["x"])
    x = dials["x"]
    with dials.showing(tf.constant([0.5])):
        for compare in (lambda: x > tf.constant(0.0), lambda: x == tf.constant(0.5)):
            with pytest.raises(TypeError, match="can't be decided"):
                compare()
        assert x() == 0.5


def test_a_dial_equals_itself_alone():
    dials = Dials(["x"])
    x, same_name = dials["x"], dials["x"]
    assert x == x
    assert x != same_name
    assert x != None  # noqa: E711
    assert x != "x"
    assert x in {x}
    assert same_name not in {x}


def test_the_probe_refuses_a_field_that_a_rule_compares_with_a_number(monkeypatch):
    step = keras.optimizers.SGD.update_step

    def comparing(self, gradient, variable, learning_rate):
        return step(self, gradient, variable, learning_rate) if self.momentum < 1 else None

    monkeypatch.setattr(keras.optimizers.SGD, "update_step", comparing)
    with pytest.raises(Refused, match=r"momentum: cannot be scheduled for sgd, .*momentum < 1"):
        probe(declare("sgd", momentum=halved(0.5)))


def test_a_row_of_another_length_is_an_error():
    dials = Dials(["a", "b"])
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        dials.showing(tf.constant([1.0, 2.0, 3.0])).__enter__()


@pytest.mark.parametrize("kind", built())
def test_every_schedulable_field_passes_the_probe(kind):
    settings = {name: halved(FIRST.get(name, 0.5)) for name in schedulable(kind)}
    for clip in CLIPS:
        probe(declare(kind, **{n: s for n, s in settings.items() if n == clip or n not in CLIPS}))


def test_the_probe_refuses_a_field_that_a_rule_copies_when_it_is_built(monkeypatch):
    build = keras.optimizers.Adam.build

    def copying(self, variables):
        build(self, variables)
        self.beta_1 = 0.9

    monkeypatch.setattr(keras.optimizers.Adam, "build", copying)
    with pytest.raises(Refused) as refused:
        probe(declare("adam", beta_1=halved(0.5), beta_2=halved(0.5)))
    assert str(refused.value) == (
        "beta_1: cannot be scheduled for adam, because no update takes note of it"
    )


def test_the_probe_refuses_a_field_that_a_rule_takes_for_a_float(monkeypatch):
    build = keras.optimizers.SGD.build

    def converting(self, variables):
        self.momentum = float(self.momentum)
        build(self, variables)

    monkeypatch.setattr(keras.optimizers.SGD, "build", converting)
    with pytest.raises(Refused, match="momentum: cannot be scheduled for sgd, because the rule"):
        probe(declare("sgd", momentum=halved(0.5)))


def test_the_probe_is_not_misled_by_a_declared_threshold():
    """With every weight held at 0 by l1, nothing else in the rule can be seen to matter."""
    probe(declare("ftrl", l1_regularization_strength=1e9, beta=halved(0.5)))


def test_the_probe_leaves_the_random_state_alone():
    def draws(before=lambda: None):
        keras.utils.clear_session(free_memory=False)  # or Keras may go on drawing as it was
        keras.utils.set_random_seed(7)
        before()
        return keras.random.normal([3]).numpy().tolist(), np.random.rand()

    assert draws(lambda: probe(declare("adam", beta_1=halved(0.5)))) == draws()

"""Optimizers as they are declared, and as Keras has them."""

import inspect
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

from schedules import Refused
from schedules.declaration import within
from schedules.declaration.docstrings import field_docs
from tests.helpers.kinds import KINDS, built
from tests.helpers.runs import experiment
from trainer.optimizers import Optimizer, slots
from trainer.scheduled.dials import Dials
from trainer.scheduled.keras_internals import set_path

CONF = Path(__file__).parents[2] / "conf" / "optimizer"
OURS = {"momentum", "nesterov"}
KERAS = [kind for kind in KINDS if kind not in OURS]

# What Keras' optimizers take besides: the schedule's, the loop's, and two that do nothing here.
ELSEWHERE = {
    "learning_rate",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "name",
    "kwargs",
    "warmup_steps",
    "relative_step",
}

BESIDES = {"scale_parameter", "sparse"}
"""What Keras' optimizers lack."""

# Settings beside the defaults, so that every branch of a rule is taken by some kind.
SETTINGS = {
    "sgd": {"momentum": 0.9, "nesterov": True, "clipvalue": 0.5},
    "rmsprop": {"momentum": 0.9, "centered": True, "weight_decay": 0.01},
    "adam": {"amsgrad": True, "global_clipnorm": 1.0},
    "adamw": {"beta_1": 0.8, "clipnorm": 1.0},
    "ftrl": {"l1_regularization_strength": 0.01, "beta": 0.1},
    "muon": {"exclude_layers": ["head"]},
}

UPDATES = 200
RANDOM = np.random.default_rng(2)
SHAPES = {"kernel": (3, 4), "head": (4, 2), "bias": (4,)}
START = {path: RANDOM.normal(size=shape).astype(np.float32) for path, shape in SHAPES.items()}
NOISE = [RANDOM.normal(size=(UPDATES, *shape)).astype(np.float32) for shape in SHAPES.values()]


def declare(kind, **settings):
    required = {"momentum": 0.9} if kind in OURS else {}
    return Optimizer.declared({"kind": kind, **required, **settings})


def refusal(**config):
    with pytest.raises(Refused) as refused, within("optimizer"):
        Optimizer.declared(config)
    return refused.value


def keras_class(kind):
    found = getattr(keras.optimizers, Optimizer.kinds[kind].__name__, None)
    return found or pytest.skip("the rule is ours, and this Keras has none of its name")


def train(optimizer, *, jit, first=0, until=UPDATES, showing=None, weights=None):
    """Updates with gradients `noise + w`, in one compiled call."""
    weights = weights or [keras.Variable(value, name=path) for path, value in START.items()]
    optimizer.build(weights)

    def update(t):
        noise = [tf.constant(values)[t] for values in NOISE]
        optimizer.apply([n + w for n, w in zip(noise, weights, strict=True)], weights)

    @tf.function(jit_compile=jit)
    def updates():
        for t in tf.range(first, until):
            if showing:
                with showing(t):
                    update(t)
            else:
                update(t)

    updates()
    return weights


def test_declaring_an_optimizer_imports_neither_tensorflow_nor_keras():
    code = (
        "import sys; from trainer.optimizers import Optimizer;"
        "Optimizer.declared({'kind': 'adam', 'beta_1': {'kind': 'constant', 'value': 0.9}});"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CONF.parent.parent)


@pytest.mark.parametrize("kind", built(KERAS))
def test_a_kind_has_the_parameters_and_defaults_of_its_keras_class(kind):
    parameters = inspect.signature(keras_class(kind)).parameters
    theirs = {name: p.default for name, p in parameters.items() if name not in ELSEWHERE}
    ours = declare(kind).model_dump(exclude={"kind", "layer_decay", "groups", *BESIDES})
    if kind == "muon":
        ours["exclude_layers"] = ours["exclude_layers"] or None
    assert ours == theirs


def test_there_is_a_kind_for_every_optimizer_of_keras_that_updates_by_a_rule_of_its_own():
    wrappers = {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"}
    classes = {
        name
        for name, found in vars(keras.optimizers).items()
        if isinstance(found, type) and issubclass(found, keras.optimizers.Optimizer)
    }
    assert classes - wrappers <= {Optimizer.kinds[kind].__name__ for kind in KERAS}
    theirs = [kind for kind in KERAS if Optimizer.kinds[kind].rules == "keras.optimizers"]
    assert {Optimizer.kinds[kind].__name__ for kind in theirs} <= classes


@pytest.mark.parametrize("kind", KINDS)
def test_the_conf_file_of_a_kind_declares_it_without_repeating_defaults(kind):
    config = OmegaConf.to_container(OmegaConf.load(CONF / f"{kind}.yaml"))
    assert config["kind"] == kind
    fields = Optimizer.kinds[kind].model_fields
    assert not [name for name in config if name != "kind" and fields[name].default == config[name]]
    Optimizer.declared(config)


def test_there_is_a_kind_for_every_conf_file():
    assert sorted(path.stem for path in CONF.glob("*.yaml")) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_declared_is_declared_again_by_its_dump(kind):
    declared = declare(kind, weight_decay={"kind": "constant", "value": 0.25})
    assert Optimizer.declared(declared.model_dump(mode="json")) == declared


def test_every_field_is_documented():
    for kind, declared in Optimizer.kinds.items():
        assert declared.model_fields.keys() - field_docs(declared).keys() <= {"kind"}, kind


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (0.1, "schedule=constant schedule.value=0.1"),
        (3e-05, "schedule=constant schedule.value=3e-05"),
        (1, "schedule=constant schedule.value=1"),
        (-0.1, "schedule=constant schedule.value=0.01"),
        ("fast", "schedule=constant schedule.value=0.01"),
    ],
)
@pytest.mark.parametrize("key", ["learning_rate", "lr"])
def test_a_learning_rate_is_refused_with_the_override_that_gives_that_one(key, value, hint):
    [problem] = refusal(kind="sgd", **{key: value}).problems
    assert (problem.path, problem.rule) == (f"optimizer.{key}", "is no known key")
    assert problem.hint == hint
    curve = experiment(*hint.split(), "data=digits", "model=mlp").schedule
    assert curve.kind == "constant"
    assert curve.value == (value if value != "fast" and value > 0 else 0.01)


@pytest.mark.parametrize(
    ("config", "path", "rule"),
    [
        ({"kind": "sgd", "momentum": 1.5}, "momentum", "must be at least 0 and at most 1"),
        ({"kind": "adam", "beta_2": 1}, "beta_2", "must be at least 0 and below 1"),
        ({"kind": "lion", "beta_1": 0}, "beta_1", "must be above 0 and at most 1"),
        ({"kind": "adam", "clipnorm": 0}, "clipnorm", "must be above 0"),
        ({"kind": "ftrl", "learning_rate_power": 1}, "learning_rate_power", "must be at most 0"),
        ({"kind": "sgd", "momentum": True}, "momentum", "must be a number"),
        ({"kind": "sgd", "momentum": "0.9"}, "momentum", "must be a number"),
        ({"kind": "sgd", "momentum": float("nan")}, "momentum", "must be finite"),
        ({"kind": "momentum"}, "momentum", "is required"),
        ({"kind": "adamw", "weight_decay": None}, "weight_decay", "must be a number"),
        ({"kind": "muon", "ns_steps": 2.5}, "ns_steps", "must be a whole number"),
    ],
)
def test_a_bad_number_is_refused_by_its_override_path(config, path, rule):
    [problem] = refusal(**config).problems
    assert (problem.path, problem.rule.split(",")[0]) == (f"optimizer.{path}", rule)


def test_a_bad_schedule_is_refused_by_the_path_inside_it():
    schedule = {"kind": "linear", "initial_value": "x"}
    problems = refusal(kind="adam", beta_1=schedule, epsilon=-1).problems
    assert {problem.path for problem in problems} == {
        "optimizer.beta_1.initial_value",
        "optimizer.beta_1.end_value",
        "optimizer.epsilon",
    }


@pytest.mark.parametrize(
    ("kind", "field", "reason"),
    [
        ("adagrad", "initial_accumulator_value", "it is where the accumulators start"),
        ("muon", "ns_steps", "it is the length of the compiled program"),
        ("schedule_free_adamw", "beta_1", "the average is worked out from the weights"),
    ],
)
def test_a_number_that_cannot_be_scheduled_is_refused_with_the_reason(kind, field, reason):
    [problem] = refusal(kind=kind, **{field: {"kind": "constant", "value": 0.5}}).problems
    assert problem.path == f"optimizer.{field}"
    assert problem.rule.startswith(f"cannot be scheduled: {reason}")


def test_only_one_way_of_clipping_is_taken():
    [problem] = refusal(kind="sgd", clipnorm=1, global_clipnorm=2).problems
    assert problem.path == "optimizer.global_clipnorm"
    assert problem.rule == "cannot be combined with clipnorm"


def test_the_scheduled_fields_are_named_in_order():
    stay = {"kind": "constant", "value": 0.5}
    declared = declare("adam", epsilon=stay, beta_1=stay, clipnorm=stay)
    assert list(declared.scheduled()) == ["clipnorm", "beta_1", "epsilon"]


def test_bounds_tell_what_a_schedule_may_give():
    bounds = declare("ftrl").bounds()
    assert next(iter(bounds)) == "learning_rate"
    assert bounds["learning_rate"].admit([0.0, 1e-3]).tolist() == [False, True]
    assert bounds["learning_rate_power"].admit([-1.0, 0.0, 0.5]).tolist() == [True, True, False]
    assert declare("sgd").bounds()["learning_rate"].admit(0.0)
    assert "initial_accumulator_value" not in bounds


@pytest.mark.parametrize(
    "jit", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["graph", "xla"]
)
@pytest.mark.parametrize("kind", built({*KERAS} - {"schedule_free_adamw"}))  # Keras' has a fault
def test_constant_fields_give_the_weights_of_keras(kind, jit):
    settings = SETTINGS.get(kind, {})
    half = UPDATES // 2
    theirs = keras_class(kind)(learning_rate=0.05, **settings)
    weights = train(theirs, jit=jit, until=half)
    theirs.learning_rate = 0.005
    expected = train(theirs, jit=jit, first=half, weights=weights)

    dials = Dials(["learning_rate"])
    rates = tf.constant([[0.05]] * half + [[0.005]] * half)
    ours = declare(kind, **settings).build(dials)
    actual = train(ours, jit=jit, showing=lambda t: dials.showing(rates[t]))

    for a, b, start in zip(actual, expected, START.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert np.abs(b - start).max() > 1e-3


@pytest.mark.parametrize("kind", built())
def test_a_built_optimizer_counts_updates_in_64_bits_and_keeps_no_learning_rate(kind):
    dials = Dials(["learning_rate"])
    optimizer = declare(kind).build(dials)
    train(optimizer, jit=False, showing=lambda t: dials.showing(tf.constant([0.01])), until=7)
    assert optimizer.iterations.dtype == "int64"
    assert int(optimizer.iterations) == 7
    assert not [v.path for v in optimizer.variables if "learning_rate" in v.path]


@pytest.mark.parametrize("kind", built())
def test_slots_name_every_variable_and_alike_in_every_optimizer_of_a_kind(kind):
    names = []
    for _ in range(2):
        optimizer = declare(kind).build(Dials(["learning_rate"]))
        optimizer.build([keras.Variable(value, name=path) for path, value in START.items()])
        named = slots(optimizer)
        assert {id(slot) for slot in named.values()} == {id(v) for v in optimizer.variables}
        names.append(list(named))
    assert names[0] == names[1]


def test_slots_are_named_by_what_they_are_for_and_the_path_of_their_weight():
    optimizer = declare("adafactor").build(Dials(["learning_rate"]))
    kernel = keras.Variable(np.ones((2, 3)), dtype="float32", name="kernel")
    optimizer.build([kernel])
    shapes = {name: tuple(slot.shape) for name, slot in slots(optimizer).items()}
    assert shapes == {"iterations": (), "rows/kernel": (2,), "columns/kernel": (3,)}


def test_weights_of_one_name_are_refused_where_slots_are_named():
    optimizer = declare("adam").build(Dials(["learning_rate"]))
    optimizer.build([keras.Variable(0.0, name="twin"), keras.Variable(0.0, name="twin")])
    with pytest.raises(ValueError, match="Adam has variables that can't be told apart"):
        slots(optimizer)


@pytest.mark.parametrize(
    ("glob", "excluded"),
    [("logits", ["model/logits/kernel"]), ("*logits", ["model/logits/kernel"]),
     ("dense_?/", ["model/dense_1/kernel"]), ("de[", []), ("(", [])],
)  # fmt: skip
def test_layers_that_muon_leaves_to_adamw_are_named_by_globs(glob, excluded):
    optimizer = declare("muon", exclude_layers=[glob]).build(Dials(["learning_rate"]))
    weights = [keras.Variable(np.zeros((2, 2)), name="kernel") for _ in range(2)]
    for weight, layer in zip(weights, ("dense_1", "logits"), strict=True):
        set_path(weight, f"model/{layer}/kernel")
    assert [w.path for w in weights if optimizer._should_use_adamw(w)] == excluded

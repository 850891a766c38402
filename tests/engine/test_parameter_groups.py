"""Parameter groups, against runs in which each group's optimizer is written out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.networks import Trained
from tests.helpers.runs import experiment, trained
from trainer.data import Facts
from trainer.engine.parameter_groups import Groups
from trainer.optimizers import Optimizer, matches
from trainer.scheduled.dials import Dials

BOTH = pytest.mark.parametrize("compiled", ["graph", "xla"])
KERNELS = ["model/dense_1/kernel", "model/logits/kernel"]
BIASES = ["model/dense_1/bias", "model/logits/bias"]
DENSE, HEAD = (
    [f"model/{layer}/{name}" for name in ("kernel", "bias")] for layer in ("dense_1", "logits")
)
CONSTANT = ("schedule=constant", "schedule.value=0.01")
UPDATES = 12


def by_hand(run, optimizers, *, before=lambda t: None, clip=None):
    """Trains the model of `run` with (optimizer, paths) pairs, outside of the trainer's loop."""
    model = run.network.model
    weights = {w.path: w for w in model.trainable_variables}
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for optimizer, paths in optimizers:
        optimizer.build([weights[path] for path in paths])
    for t in range(UPDATES):
        before(t)
        inputs, labels = run.batch(t)
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, model(inputs, training=True))
        gradients = dict(zip(weights, tape.gradient(loss, list(weights.values())), strict=True))
        if clip:
            gradients = clip(gradients)
        for optimizer, paths in optimizers:
            chosen = [gradients[path] for path in paths]
            optimizer.apply(chosen, [weights[path] for path in paths])
    return run.weights()


def assert_alike(run, expected):
    start = Trained().weights()
    for path, weight in run.weights().items():
        np.testing.assert_allclose(weight, expected[path], rtol=1e-3, atol=1e-5, err_msg=path)
    moved = max(np.abs(run.weights()[path] - start[path]).max() for path in start)
    assert moved > 1e-3


@BOTH
def test_groups_equal_two_optimizers_by_hand(compiled):
    asked = (
        "optimizer=adamw",
        "optimizer.weight_decay=0.5",
        *CONSTANT,
        "optimizer.groups={biases: {paths: ['*/bias'], weight_decay: 0, beta_1: 0.5,"
        " learning_rate_factor: 0.25}}",
    )
    run = Trained(*asked, compiled=compiled)
    run.update(0, UPDATES)
    kernels = keras.optimizers.AdamW(0.01, weight_decay=0.5)
    biases = keras.optimizers.AdamW(0.0025, weight_decay=0.0, beta_1=0.5)
    assert_alike(run, by_hand(Trained(*asked), [(kernels, KERNELS), (biases, BIASES)]))


@BOTH
def test_scheduled_groups_equal_optimizers_set_by_hand(compiled):
    halving = "kind: exponential, decay_steps: 6, decay_rate: 0.5, staircase: true"
    bias_rate = f"{{{halving}, initial_value: 0.1}}"
    factor, decay = (f"{{{halving}, initial_value: {value}}}" for value in (2, 0.25))
    asked = (
        "optimizer=sgd",
        "optimizer.weight_decay=0.5",
        *CONSTANT,
        f"optimizer.groups={{own: {{paths: ['*/bias'], learning_rate: {bias_rate}}},"
        f" scaled: {{paths: ['logits/*'], learning_rate_factor: {factor},"
        f" weight_decay: {decay}}}}}",
    )
    run = Trained(*asked, compiled=compiled)
    run.update(0, UPDATES)
    own = keras.optimizers.SGD(0.1, weight_decay=0.5)
    scaled = keras.optimizers.SGD(0.02, weight_decay=0.25)
    rest = keras.optimizers.SGD(0.01, weight_decay=0.5)

    def before(t):
        if t == 6:
            own.learning_rate, scaled.learning_rate, scaled.weight_decay = 0.05, 0.01, 0.125

    pairs = [(own, BIASES), (scaled, ["model/logits/kernel"]), (rest, ["model/dense_1/kernel"])]
    assert_alike(run, by_hand(Trained(*asked), pairs, before=before))


@BOTH
def test_frozen_weights_begin_as_if_nothing_had_been_before(compiled):
    asked = (
        "optimizer=adam",
        *CONSTANT,
        "optimizer.groups={late: {paths: ['logits/*'], frozen_until: 5}}",
    )
    run = Trained(*asked, compiled=compiled)
    start, slots = run.weights(), run.network.state()
    run.update(0, 5)
    for path in HEAD:
        np.testing.assert_array_equal(run.weights()[path], start[path])
    late = [name for name in slots if name.startswith("optimizer/late/")]
    assert len(late) == 5
    for name in late:
        np.testing.assert_array_equal(run.network.state()[name], slots[name])
    run.update(5, UPDATES - 5)

    class Late(keras.optimizers.Adam):
        def apply(self, gradients, weights):
            nonlocal asked_for
            asked_for += 1
            if asked_for > 5:
                super().apply(gradients, weights)

    asked_for = 0
    pairs = [(keras.optimizers.Adam(0.01), DENSE), (Late(0.01), HEAD)]
    assert_alike(run, by_hand(Trained(*asked), pairs))


def test_freezing_ends_at_the_first_step_of_its_duration():
    asked = "optimizer.groups={late: {paths: ['logits/*'], frozen_until: 1.5 epochs}}"
    curve = experiment("run.length=3 epochs", asked).curves()["groups.late.frozen"]
    # 1,438 examples in batches of 64: an epoch and a half ends within update 33.
    assert curve([0, 33, 34, 60]).tolist() == [1.0, 1.0, 0.0, 0.0]


@BOTH
def test_the_global_norm_is_over_all_groups(compiled):
    asked = (
        "optimizer=sgd",
        "optimizer.global_clipnorm=0.1",
        *CONSTANT,
        "optimizer.groups={biases: {paths: ['*/bias'], learning_rate_factor: 0.5}}",
    )
    run = Trained(*asked, compiled=compiled)
    run.update(0, UPDATES)

    def clip(gradients):
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients.values()))
        return {path: g * (0.1 / max(norm, 0.1)) for path, g in gradients.items()}

    pairs = [(keras.optimizers.SGD(0.01), KERNELS), (keras.optimizers.SGD(0.005), BIASES)]
    assert_alike(run, by_hand(Trained(*asked), pairs, clip=clip))


def test_the_gradients_of_frozen_weights_do_not_count_for_the_global_norm():
    asked = (
        "optimizer=sgd",
        "optimizer.global_clipnorm=0.1",
        *CONSTANT,
        "optimizer.groups={late: {paths: ['logits/*'], frozen_until: 100%}}",
    )
    run = Trained(*asked)
    start = run.weights()
    run.update(0, 1)
    norm = np.sqrt(sum(np.sum(np.square(w - start[path])) for path, w in run.weights().items()))
    assert norm == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_layers_before_the_last_take_smaller_and_smaller_steps():
    asked = ("optimizer=sgd", *CONSTANT, "model.hidden=[8, 8]", "model.activation=tanh")
    plain, decayed = Trained(*asked), Trained(*asked, "optimizer.layer_decay=0.5")
    steps = []
    for run in (plain, decayed):
        start = run.weights()
        run.update(0, 1)
        steps.append({path: w - start[path] for path, w in run.weights().items()})
    for layer, share in (("dense_1", 0.25), ("dense_2", 0.5), ("logits", 1.0)):
        for name in ("kernel", "bias"):
            path = f"model/{layer}/{name}"
            expected = share * steps[0][path]
            np.testing.assert_allclose(steps[1][path], expected, rtol=1e-4, atol=1e-7)


def test_a_layer_decay_and_a_factor_multiply():
    groups = "optimizer.groups={biases: {paths: ['*/bias'], learning_rate_factor: 0.5}}"
    asked = ("optimizer=sgd", *CONSTANT)
    steps = []
    for more in ((), ("optimizer.layer_decay=0.5", groups)):
        run = Trained(*asked, *more)
        start = run.weights()
        run.update(0, 1)
        steps.append({path: w - start[path] for path, w in run.weights().items()})
    shares = dict(zip([*DENSE, *HEAD], (0.5, 0.25, 1.0, 0.5), strict=True))
    for path, share in shares.items():
        np.testing.assert_allclose(steps[1][path], share * steps[0][path], rtol=1e-4, atol=1e-7)


def test_a_weight_that_layers_share_belongs_to_the_last_of_them():
    shared = keras.layers.Dense(8, name="shared")
    inner = keras.Sequential([keras.Input((8,)), shared], name="inner")
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(shared(inner(inputs))))
    declared = Optimizer.declared({"kind": "adam", "layer_decay": 0.5})
    slots = Groups(declared, model, Dials(["learning_rate"])).slots()
    assert {name.split("/")[0] for name in slots} == {"head", "shared"}


def test_without_groups_there_is_one_optimizer_under_the_names_it_always_had():
    state = Trained("optimizer=adam").network.state()
    named = sorted(name for name in state if name.startswith("optimizer/"))
    assert named[:2] == ["optimizer/iterations", "optimizer/momentums/model/dense_1/bias"]
    assert len(named) == 1 + 2 * 4


def test_a_weight_belongs_to_the_first_group_that_means_it():
    asked = (
        "optimizer=adam",
        "optimizer.groups={b: {paths: ['*/bias']}, head: {paths: ['logits/*']}}",
    )
    state = Trained(*asked).network.state()
    owners = {name.split("/")[1] for name in state if name.endswith("logits/bias")}
    assert owners >= {"b"}
    assert "head" not in owners
    assert "optimizer/head/momentums/model/logits/kernel" in state
    assert "optimizer/momentums/model/dense_1/kernel" in state


@pytest.mark.parametrize(
    ("glob", "path", "means"),
    [
        ("*/bias", "model/dense_1/bias", True),
        ("dense_1/*", "model/dense_1/kernel", True),
        ("model/dense_1/*", "model/dense_1/kernel", True),
        ("*/dense_?/*", "model/dense_1/kernel", True),
        ("dense_1", "model/dense_1/kernel", False),
        ("*/Bias", "model/dense_1/bias", False),
    ],
)
def test_globs_are_over_whole_paths_with_or_without_the_name_of_the_model(glob, path, means):
    assert matches(glob, path) == means


def built(groups, *overrides):
    declared = experiment(f"optimizer.groups={groups}", *overrides)
    dials = Dials(list(declared.curves()))
    return Groups(
        declared.optimizer, declared.model.build(Facts.of(1, (8, 8, 1), 10), dials), dials
    )


def refusal(groups, *overrides):
    """Why an optimizer with these groups is refused, before or after the model is there."""
    with pytest.raises(Refused) as refused:
        built(groups, *overrides)
    return str(refused.value)


def test_a_glob_that_means_nothing_is_refused_with_the_paths():
    assert refusal("{head: {paths: ['head/*'], learning_rate_factor: 2}}") == (
        "optimizer.groups.head.paths = 'head/*': means no weight\n"
        "  hint: the weights are model/dense_1/kernel, model/dense_1/bias, "
        "model/logits/kernel, model/logits/bias"
    )


def test_a_glob_whose_weights_are_all_taken_is_refused_with_their_owner():
    message = refusal("{b: {paths: ['*/bias']}, late: {paths: ['dense_1/bias']}}")
    assert message.startswith(
        "optimizer.groups.late.paths = 'dense_1/bias': means only weights that b has\n"
    )


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("{x: {momentum: 2}}", "optimizer.groups.x.momentum = 2: must be at least 0 and at most 1"),
        ("{x: {beta_1: 0.5}}", "optimizer.groups.x.beta_1 = 0.5: is no known key\n  hint: known: "),
        (
            "{x: {learning_rate_facto: 2}}",
            "optimizer.groups.x.learning_rate_facto = 2: is no known key\n"
            "  hint: did you mean learning_rate_factor?",
        ),
        (
            "{x: {global_clipnorm: 2}}",
            "optimizer.groups.x.global_clipnorm = 2: holds for all weights alike\n"
            "  hint: optimizer.global_clipnorm=…",
        ),
        (
            "{x: {learning_rate: 0.1, learning_rate_factor: 2}}",
            "optimizer.groups.x.learning_rate_factor = 2.0: is of the experiment's learning rate,",
        ),
        ("{x: {learning_rate: -1}}", "optimizer.groups.x.learning_rate = -1: must be at least 0"),
        ("{x: {frozen_until: -1}}", "optimizer.groups.x.frozen_until = -1: must not be negative"),
        ("{x: {frozen_until: 0}}", "optimizer.groups.x.frozen_until = 0: must be longer than 0"),
        (
            "{x: {momentum: {kind: linear, initial_value: 0}}}",
            "optimizer.groups.x.momentum.end_value: is required",
        ),
        ("{x: {paths: 3}}", "optimizer.groups.x.paths = 3: must be a list"),
        ("{x: 3}", "optimizer.groups.x = 3: must be a mapping"),
    ],
)
def test_a_group_that_cannot_be_is_refused_by_its_override_path(groups, message):
    assert refusal(groups).startswith(message)


def test_a_group_without_a_name_is_refused():
    with pytest.raises(Refused, match=r"^groups = '': must have a name"):
        Optimizer.declared({"kind": "sgd", "groups": {"": {"momentum": 0.5}}})


def test_a_rate_that_the_rule_cannot_follow_is_refused():
    message = refusal("{x: {learning_rate: 0}}", "optimizer=ftrl")
    assert message.startswith("optimizer.groups.x.learning_rate = 0.0: must be above 0")


def test_what_was_declared_is_declared_again_by_its_dump():
    declared = experiment(
        "optimizer.groups={late: {paths: ['logits/*'], frozen_until: 2 epochs, weight_decay: 0.5,"
        " momentum: {kind: linear, initial_value: 0.5, end_value: 0.9}}}"
    ).optimizer
    assert Optimizer.declared(declared.model_dump(mode="json")) == declared


def test_what_a_group_applied_is_in_the_rows(tmp_path):
    factor = "{kind: linear, initial_value: 1, end_value: 0.5}"
    asked = f"optimizer.groups={{b: {{paths: ['*/bias'], learning_rate_factor: {factor}}}}}"
    trained(tmp_path, "run.length=4", asked)
    message = (tmp_path / "metrics.jsonl").read_text().splitlines()[1]
    assert '"groups.b.learning_rate_factor": 0.875' in message


def test_a_glob_may_be_the_name_of_its_group():
    declared = Optimizer.declared({"kind": "sgd", "groups": {"*/bias": {"weight_decay": 0.5}}})
    model = experiment().model.build(Facts.of(1, (8, 8, 1), 10), Dials([]))
    named = Groups(declared, model, Dials(["learning_rate"])).slots()
    assert {"*/bias/iterations", "iterations"} <= named.keys()

"""What a given model was told by `compile`, or by its own methods, beside what the config says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from schedules.declaration import ABSENT, Problem, Refused

from ..config.experiment import Experiment
from ..losses import Auto, Loss, suited_loss
from ..metrics import Metric
from ..scheduled.keras_internals import compile_arguments
from .compiled_optimizer import optimizer_problems

if TYPE_CHECKING:
    import keras

METRICS = {
    "acc": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "binary_accuracy": "accuracy",
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "crossentropy": "cross_entropy",
}
"""What Keras calls metrics, and what they are called here."""
STEPS = {
    "train_step": "train(…, loss=step), where step(model, batch) returns what it makes small",
    "compute_loss": (
        "train(…, loss=step), where step(model, batch) returns model.compute_loss("
        "x=batch[0], y=batch[1], y_pred=model(batch[0], training=True))"
    ),
    "test_step": "train(…, loss=step), where step(model, batch, training) returns what it measures",
    "compute_metrics": "metrics.NAME={…}; or a step that returns such numbers beside its loss",
}
"""Methods by which `fit` trains otherwise, and what to write instead."""


def check_given_model(model: keras.Model, experiment: Experiment, *, has_step: bool) -> None:
    """Checks that nothing which a model was told for `fit` is ignored.

    A given step takes the place of the model's methods and of its compiled loss. The learning rate
    and other settings of an optimizer are the config's.

    Raises:
        Refused: with the override, or the step, that says the same.
    """
    problems = [] if has_step else list(_overridden(model))
    if model.compiled:
        compiled = compile_arguments(model)
        if not problems and not has_step:
            problems += _loss(_serialized(compiled.get("loss")), experiment)
            problems += _loss_weights(compiled.get("loss_weights"), model, experiment)
        problems += optimizer_problems(compiled.get("optimizer"), experiment)
        problems += _metrics(_serialized(compiled.get("metrics")), experiment)
        problems += _metrics(_serialized(compiled.get("weighted_metrics")), experiment)
        problems += _unweighted(compiled.get("metrics"), experiment)
        problems += _execution(compiled, experiment)
    if problems:
        raise Refused(problems)


def _overridden(model: keras.Model) -> Iterator[Problem]:
    import keras

    for name, hint in STEPS.items():
        if getattr(type(model), name) is not getattr(keras.Model, name):
            rule = f"has a {name} of its own, which is for fit"
            yield Problem("model", type(model).__qualname__, rule, hint)


def _serialized(argument: Any) -> Any:
    """An argument of `compile` as Keras serialises it, or as it is where Keras can't."""
    import keras

    if isinstance(argument, (list, tuple)):
        return [_serialized(one) for one in argument]
    if isinstance(argument, Mapping):
        return {name: _serialized(one) for name, one in argument.items()}
    try:
        return keras.saving.serialize_keras_object(argument)
    except Exception:  # such as of a function that nobody registered
        return argument


def _loss(compiled: Any, experiment: Experiment) -> Iterator[Problem]:
    if compiled is None:
        return
    declared = experiment.loss
    if isinstance(compiled, (list, tuple, Mapping)) and "class_name" not in compiled:
        if declared == Auto():
            hint = "loss.outputs.NAME={kind: …} and loss.weights.NAME=…, for each label"
            yield Problem("loss", declared.kind, "is not what the model was compiled with", hint)
        return
    name, settings = _named(compiled)
    kind = Loss.foreign_names.get(_plain(name), _snake(name))
    own = suited_loss(declared, experiment.data.facts(), None)
    if own.kind != kind:
        hint = f"loss={kind}" if Loss.find(kind) else STEPS["train_step"]
        rule = f"is {own.kind} here, and the model was compiled with {name}"
        yield Problem("loss", declared.kind, rule, hint)
        return
    logits = bool(settings.get("from_logits", False))
    if hasattr(own, "from_logits") and own.from_logits != logits:
        rule = f"is {own.from_logits} here, and {logits} in what the model was compiled with"
        yield Problem(
            "loss.from_logits", own.from_logits, rule, f"loss.from_logits={str(logits).lower()}"
        )


def _loss_weights(compiled: Any, model: keras.Model, experiment: Experiment) -> Iterator[Problem]:
    """Problems for the weights of losses by output, which are 1 unless something else is said."""
    if compiled is None:
        return
    labels = experiment.data.facts().labels
    names = list(getattr(model, "output_names", []))
    if isinstance(labels, Mapping) and sorted(names) != sorted(labels):
        names = list(labels)
    names = names or ["the only one"]
    if not isinstance(compiled, Mapping):
        listed = compiled if isinstance(compiled, (list, tuple)) else [compiled]
        compiled = dict(zip(names, listed, strict=False))
    declared = getattr(experiment.loss, "weights", {})
    for name, weight in compiled.items():
        if not isinstance(labels, Mapping):
            if weight != 1:
                rule = f"counts as 1, and the model was compiled with loss_weights of {weight:g}"
                hint = "compile without loss_weights; a step may multiply its loss"
                yield Problem("loss", experiment.loss.kind, rule, hint)
        elif (here := declared.get(name, 1.0)) != weight:
            rule = f"is not {weight:g}, which the model was compiled with"
            yield Problem(f"loss.weights.{name}", here, rule, f"loss.weights.{name}={weight:g}")


def _unweighted(compiled: Any, experiment: Experiment) -> Iterator[Problem]:
    """The problem of metrics for which all examples count alike, where they have weights."""
    if compiled and experiment.data.facts().weighted:
        rule = "count examples by their weights, and the model was compiled with metrics that don't"
        yield Problem("metrics", ABSENT, rule, "compile with weighted_metrics in place of metrics")


def _execution(compiled: Mapping[str, Any], experiment: Experiment) -> Iterator[Problem]:
    """Problems for how the loop of `fit` was to be run."""
    run = experiment.run
    if compiled.get("run_eagerly"):
        rule = "compiles the loop, and the model was compiled with run_eagerly=True"
        hint = "compile with run_eagerly=False; tf.print prints in a compiled loop, too"
        yield Problem("run.compile", run.compile, rule, hint)
    steps = compiled.get("steps_per_execution") or 1
    if steps not in (1, run.steps_per_call):
        rule = f"is not {steps}, which the model was compiled with as steps_per_execution"
        yield Problem("run.steps_per_call", run.steps_per_call, rule, f"run.steps_per_call={steps}")
    jit = compiled.get("jit_compile")
    way = None if jit is None or compiled.get("run_eagerly") else "xla" if jit else "graph"
    if way not in (None, run.compile):
        rule = f"is not {way}, and the model was compiled with jit_compile={jit}"
        yield Problem("run.compile", run.compile, rule, f"run.compile={way}")
    if not compiled.get("auto_scale_loss", True):
        rule = "scales the loss, and the model was compiled with auto_scale_loss=False"
        hint = "compile without auto_scale_loss=False; or mixed_bfloat16, which needs no scale"
        yield Problem("run.precision", run.precision, rule, hint)


def _metrics(compiled: Any, experiment: Experiment) -> Iterator[Problem]:
    if not compiled:
        return
    facts = experiment.data.facts()
    loss = suited_loss(experiment.loss, facts, None)
    measured = experiment.metrics.for_data(facts, loss)
    entries = compiled.values() if isinstance(compiled, Mapping) else compiled
    for entry in entries:
        if isinstance(entry, (list, tuple)):
            yield from _metrics(entry, experiment)
            continue
        name = _snake(_named(entry)[0])
        name = METRICS.get(name, name)
        if name == "accuracy" and loss.marks():
            name = "binary_accuracy"
        kinds = {metric.kind for metric in measured.values()}
        if name not in kinds and name not in ("loss", "mean_squared_error", "cross_entropy"):
            rule = f"has no {name}, which the model was compiled with"
            hint = f"metrics.{name}={{}}"
            if not Metric.find(name):
                hint = "metrics.NAME={kind: python, call: module:function}; or compile without it"
            yield Problem("metrics", ", ".join(measured), rule, hint)


def _named(compiled: Any) -> tuple[str, Mapping[str, Any]]:
    """The name of a class or a function of Keras, and its settings."""
    if isinstance(compiled, Mapping):
        settings = compiled.get("config")
        if isinstance(settings, Mapping):
            return compiled["class_name"], settings
        return str(settings), {}
    return str(getattr(compiled, "__name__", compiled)), {}


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()

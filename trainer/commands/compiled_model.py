"""What a given model was told by `compile`, or by its own methods, beside what the config says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from schedules.declaration import ABSENT, Problem

from ..config.experiment import Experiment
from ..losses import Loss, suited_loss
from ..losses.several import Several
from ..metrics import Metric
from ..scheduled.keras_internals import compile_arguments
from .compiled_optimizer import optimizer_problems

if TYPE_CHECKING:
    import keras

    from ..data.facts import Feature
    from ..data.trees import Tree

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


def compile_problems(
    model: keras.Model, experiment: Experiment, asked: Experiment
) -> list[Problem]:
    """What a model was told for `fit` that an experiment does not say, with what would say it.

    A given step takes the place of the model's methods and of its compiled loss. The learning rate
    is the config's where `asked`, of which the experiment was made, says one or an optimizer.
    """
    has_step = experiment.loss.measures_unknown
    problems = [] if has_step else list(_overridden(model))
    if not model.compiled:
        return problems
    compiled = compile_arguments(model)
    if not problems and not has_step:
        problems += _losses(_serialized(compiled.get("loss")), model, experiment)
        problems += _loss_weights(compiled.get("loss_weights"), model, experiment)
    problems += optimizer_problems(compiled.get("optimizer"), experiment, asked)
    for argument in ("metrics", "weighted_metrics"):
        problems += _metrics(_serialized(compiled.get(argument)), model, experiment)
    problems += _unweighted(compiled.get("metrics"), experiment)
    problems += _execution(compiled, experiment)
    return list(dict.fromkeys(problems))


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


def _losses(compiled: Any, model: keras.Model, experiment: Experiment) -> Iterator[Problem]:
    if compiled is None:
        return
    facts = experiment.data.facts()
    suited = suited_loss(experiment.loss, facts, None)
    if isinstance(suited, Several):
        for label, entry in _by_label(compiled, model, facts.labels).items():
            if entry is not None and label in suited.outputs:
                yield from _loss(entry, suited.outputs[label], f"loss.outputs.{label}")
        return
    if isinstance(compiled, Mapping) and "class_name" not in compiled:
        compiled = list(compiled.values())
    is_list_of_one = isinstance(compiled, (list, tuple)) and len(compiled) == 1
    yield from _loss(compiled[0] if is_list_of_one else compiled, suited, "loss")


def _loss(compiled: Any, own: Loss, path: str) -> Iterator[Problem]:
    """The problem of a loss, unless what was compiled is the loss that is used."""
    name, settings = _named(compiled)
    kind = Loss.foreign_names.get(_plain(name), _snake(name))
    logits = bool(settings.get("from_logits", False))
    if own.kind != kind:
        hint = STEPS["train_step"]
        if found := Loss.find(kind):
            hint = f"{path}={kind}"
            if "." in path and not logits and "from_logits" in found.model_fields:
                hint = f"{path}={{kind: {kind}, from_logits: false}}"
        rule = f"is {own.kind} here, and the model was compiled with {name}"
        yield Problem(path, own.kind, rule, hint)
    elif hasattr(own, "from_logits") and own.from_logits != logits:
        rule = f"is {own.from_logits} here, and {logits} in what the model was compiled with"
        hint = f"{path}.from_logits={str(logits).lower()}"
        if "." in path:
            hint = f"{path}={{kind: {kind}, from_logits: {str(logits).lower()}}}"
        yield Problem(f"{path}.from_logits", own.from_logits, rule, hint)


def _by_label(compiled: Any, model: keras.Model, labels: Tree[Feature] | None) -> Mapping[str, Any]:
    """What was compiled for each output, by the names of the labels, or in their order."""
    names = _output_names(model, labels)
    if isinstance(compiled, Mapping) and "class_name" not in compiled:
        return compiled
    if isinstance(compiled, (list, tuple)):
        return dict(zip(names, compiled, strict=False))
    return dict.fromkeys(names, compiled)


def _output_names(model: keras.Model, labels: Tree[Feature] | None) -> list[str]:
    """The names of a model's outputs in their order; those of the labels where they are others."""
    names = list(getattr(model, "output_names", []))
    if isinstance(labels, Mapping) and sorted(names) != sorted(labels):
        names = list(labels)
    return names or ["the only one"]


def _loss_weights(compiled: Any, model: keras.Model, experiment: Experiment) -> Iterator[Problem]:
    """Problems for the weights of losses by output, which are 1 unless something else is said."""
    if compiled is None:
        return
    labels = experiment.data.facts().labels
    if not isinstance(compiled, Mapping):
        listed = compiled if isinstance(compiled, (list, tuple)) else [compiled]
        compiled = dict(zip(_output_names(model, labels), listed, strict=False))
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


def _metrics(compiled: Any, model: keras.Model, experiment: Experiment) -> Iterator[Problem]:
    if not compiled:
        return
    facts = experiment.data.facts()
    loss = suited_loss(experiment.loss, facts, None)
    measured = experiment.metrics.for_data(facts, loss)
    if isinstance(facts.labels, Mapping):
        for label, entries in _by_label(compiled, model, facts.labels).items():
            if label in facts.labels:
                own = {name: one for name, one in measured.items() if one.label == label}
                marks = loss.marks(label) and facts.for_label(label).task == "numbers"
                yield from _of_label(entries, own, marks=marks, label=label)
        return
    entries = list(compiled.values()) if isinstance(compiled, Mapping) else compiled
    marks = loss.marks() and facts.labels is not None and facts.task == "numbers"
    yield from _of_label(entries, measured, marks=marks)


def _of_label(
    compiled: Any, measured: Mapping[str, Metric], *, marks: bool, label: str | None = None
) -> Iterator[Problem]:
    """The problem of each metric that was compiled for a label, and is not measured."""
    if compiled is None:
        return
    if isinstance(compiled, (list, tuple)):
        for entry in compiled:
            yield from _of_label(entry, measured, marks=marks, label=label)
        return
    name = _snake(_named(compiled)[0])
    name = METRICS.get(name, name)
    if name == "accuracy" and marks:
        name = "binary_accuracy"
    kinds = {metric.kind for metric in measured.values()}
    if name in kinds or name in ("loss", "mean_squared_error", "cross_entropy"):
        return
    rule = f"has no {name}, which the model was compiled with"
    hint = "metrics.NAME={kind: python, call: module:function}; or compile without it"
    if Metric.find(name):
        hint = f"metrics.{name}={{}}"
        if label is not None:
            hint = f"metrics.{label}_{name}={{kind: {name}, label: {label}}}"
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

"""What a given model was told by `compile`, or by its own methods, beside what the config says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from schedules.declaration import Problem, Refused

from ..config.experiment import Experiment
from ..losses import Auto, Loss, suited_loss
from ..metrics import Metric

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
DESCENT = ("sgd", "momentum", "nesterov")
UNSAID = "rmsprop"
"""What `compile` takes where it is told of no optimizer."""
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
        compiled = _compile_config(model)
        if not problems and not has_step:
            problems += _loss(compiled.get("loss"), experiment)
        problems += _optimizer(compiled.get("optimizer"), experiment)
        problems += _metrics(compiled.get("metrics"), experiment)
        problems += _metrics(compiled.get("weighted_metrics"), experiment)
    if problems:
        raise Refused(problems)


def _overridden(model: keras.Model) -> Iterator[Problem]:
    import keras

    for name, hint in STEPS.items():
        if getattr(type(model), name) is not getattr(keras.Model, name):
            rule = f"has a {name} of its own, which is for fit"
            yield Problem("model", type(model).__qualname__, rule, hint)


def _compile_config(model: keras.Model) -> Mapping[str, Any]:
    try:
        return model.get_compile_config() or {}
    except Exception:  # what Keras can't serialize, such as a function that nobody registered
        return {"loss": model.loss, "optimizer": None, "metrics": None}


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


def _optimizer(compiled: Any, experiment: Experiment) -> Iterator[Problem]:
    if compiled is None:
        return
    name, settings = _named(compiled)
    kind, declared = _plain(name), experiment.optimizer.kind
    if kind in (UNSAID, declared) or (kind in DESCENT and declared in DESCENT):
        return
    hint = f"optimizer={kind}"
    if isinstance(rate := settings.get("learning_rate"), float):
        hint += f" schedule=constant schedule.value={rate:g}"
    rule = f"is not {name}, which the model was compiled with"
    yield Problem("optimizer", declared, rule, hint)


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

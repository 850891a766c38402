"""The optimizer that a given model was compiled with, beside the one that is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schedules.declaration import Problem

from ..config.experiment import Experiment

DESCENT = ("sgd", "momentum", "nesterov")
UNSAID = "rmsprop"
"""What `compile` takes where it is told of no optimizer."""
ELSEWHERE = ("name", "learning_rate", "ema_momentum", "inner_optimizer", "initial_scale")
"""Settings of Keras that are told apart below, or mean nothing here."""


def optimizer_problems(
    compiled: Any, experiment: Experiment, asked: Experiment
) -> Iterator[Problem]:
    """Problems for each setting of a compiled optimizer that the config does not have.

    A setting that is Keras' own default was not asked for. The learning rate, where it is a number,
    is the config's where `asked` says a schedule: that drives it.
    """
    import keras

    optimizer = keras.optimizers.get(compiled)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    if optimizer is None:
        return
    name, declared = type(optimizer).__name__, experiment.optimizer.kind
    settings = optimizer.get_config()
    kind = name.replace("_", "").lower()
    rate = settings.get("learning_rate")
    constant = f"schedule=constant schedule.value={rate:g}" if isinstance(rate, float) else ""
    is_left = asked.composition.leaves_unsaid("optimizer") and kind != UNSAID
    is_descent = kind in DESCENT and declared in DESCENT and not is_left
    if not (kind in (UNSAID, declared) or is_descent):
        hint = f"optimizer={kind} {constant}".strip()
        rule = f"is not {name}, which the model was compiled with"
        yield Problem("optimizer", declared, rule, hint)
        return
    if constant and kind != UNSAID and asked.composition.leaves_unsaid(constant):
        here = experiment.schedule
        if here.kind != "constant" or f"{here.value:g}" != f"{rate:g}":  # type: ignore[attr-defined]
            rule = f"is not {rate:g}, which the model was compiled with"
            yield Problem("schedule", here.kind, rule, constant)
    if not isinstance(rate, float):
        curve = rate.get("class_name", "a schedule") if isinstance(rate, Mapping) else "a schedule"
        rule = f"is not {curve}, which the model was compiled with"
        hint = "schedule=cosine, or another of the group; and compile with a number"
        yield Problem("schedule", experiment.schedule.kind, rule, hint)
    usual = type(optimizer)().get_config()
    for setting, value in settings.items():
        if setting not in ELSEWHERE and value != usual.get(setting):
            yield from _setting(setting, value, settings, experiment)


def _setting(
    name: str, value: Any, settings: Mapping[str, Any], experiment: Experiment
) -> Iterator[Problem]:
    """The problem of a setting that is not Keras' default, unless the config has it."""
    optimizer = experiment.optimizer
    rule = f"is not {value}, which the model was compiled with"
    if name == "use_ema":
        memory = settings["ema_momentum"]
        kept = None if experiment.ema is None else experiment.ema.momentum
        if kept != memory:
            rule = f"is not {memory}, with which the model was compiled to average its weights"
            yield Problem("ema.momentum", kept, rule, f"ema.momentum={memory:g}")
    elif name == "gradient_accumulation_steps":
        parts, batch = experiment.run.micro_batches, experiment.data.batch_size
        if parts != value:
            hint = f"run.micro_batches={value} data.batch_size={value * batch}"
            rule = f"{rule}, for gradients of so many batches together"
            yield Problem("run.micro_batches", parts, rule, hint)
    elif name == "nesterov" and optimizer.kind in ("momentum", "nesterov"):
        if optimizer.kind != "nesterov":
            yield Problem("optimizer", optimizer.kind, rule, "optimizer=nesterov")
    elif name in type(optimizer).model_fields:
        here = getattr(optimizer, name)
        if here != value:
            yield Problem(f"optimizer.{name}", here, rule, f"optimizer.{name}={value}")
    else:
        rule = f"has no {name}, which the model was compiled with as {value}"
        yield Problem("optimizer", optimizer.kind, rule, f"compile without {name}")

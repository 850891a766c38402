"""Which experiments one compiled program can serve: those that differ in numbers alone.

A number that may be scheduled reaches the program as a live value, whether a schedule drives it
or not. Settings of when to evaluate, to save and to stop are left to each run's own loop.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from typing import Any

from schedules import Schedule
from schedules.declaration import Declaration

from ...config.devices import Several
from ...config.experiment import Experiment
from ...scheduled.fields import Value, bounds

SCHEDULABLE_PARTS = ("optimizer", "loss", "model", "ema")
"""The parts of an experiment that have numbers that may be scheduled."""
PER_RUN_SETTINGS = (
    *("schedule", "warmup", "cooldown"),
    *("log", "evaluate", "checkpoint", "resume", "export", "allow_code"),
    *("run.seed", "run.length", "run.stop_after", "run.replay"),
    *("run.rewind_factor", "run.rewind_limit"),
)
"""Other settings in which runs of one program may differ: the compiled update is the same."""

Path = tuple[str, ...]


def why_not_vectorizable(experiment: Experiment) -> str | None:
    """Why an experiment can't share its program with any other; None if it can."""
    if experiment.mode != "train":
        return f"mode={experiment.mode} is no training"
    if isinstance(experiment.device, Several):
        return f"device={experiment.device.kind} has several devices work on one network"
    if experiment.run.profile:
        return "run.profile looks at one run at a time"
    if experiment.run.precision == "mixed_float16":
        return "run.precision=mixed_float16 tries each of its updates at a scale of its own"
    if getattr(experiment.data, "buckets", None) is not None:
        return "data.buckets has batches of several lengths, each a branch of the program"
    if experiment.init_from:
        return "init_from is read for one network at a time"
    if "stateless" not in signature(experiment.optimizer.build).parameters:
        kind = experiment.optimizer.kind
        return f"optimizer={kind} is built by code of its own, for one network alone"
    frozen = [n for n, group in experiment.optimizer.groups.items() if group.frozen_until]
    if frozen:
        return f"its group {frozen[0]} is frozen for a while, which is a branch of the program"
    return None


def compile_key(experiment: Experiment) -> str:
    """A text that is equal for two experiments if one compiled program can serve both."""
    declared = experiment.model_dump(mode="json")
    per_run = [tuple(setting.split(".")) for setting in PER_RUN_SETTINGS]
    for path in [*per_run, *schedulable_paths(experiment)]:
        mask(declared, path)
    for value in experiment.driven().values():
        if value.path:  # the learning rate's is empty
            mask(declared, value.path)
    declared["run"]["on_nonfinite"] = experiment.run.on_nonfinite == "skip"
    return json.dumps(declared, sort_keys=True)


def shared_experiment(experiments: Sequence[Experiment]) -> Experiment:
    """An experiment whose program serves all `experiments`, which have the same `compile_key`.

    The result is the first experiment with more numbers scheduled: each that is scheduled in any
    experiment, or differs between two. Which schedule it is does not matter, as every run has a
    tape of its own.
    """
    shared = experiments[0]
    for path in schedulable_paths(shared):
        values = [value_at(experiment, path) for experiment in experiments]
        schedules = [value for value in values if isinstance(value, Schedule)]
        if schedules or len(set(map(repr, values))) > 1:
            part, field = path
            schedule = schedules[0] if schedules else constant_schedule(values[0])
            changed_part = getattr(shared, part).model_copy(update={field: schedule})
            shared = shared.model_copy(update={part: changed_part})
    return shared


def schedulable_paths(experiment: Experiment) -> Iterator[Path]:
    """The paths, as (part, field), of an experiment's numbers that are or may be schedules."""
    for part in SCHEDULABLE_PARTS:
        declaration = getattr(experiment, part)
        if isinstance(declaration, Declaration):
            for field in type(declaration).model_fields:
                if bounds(type(declaration), field) and getattr(declaration, field) is not None:
                    yield part, field


def value_at(experiment: Experiment, path: Path) -> Value:
    """The number, or the schedule, that an experiment has at one of its `schedulable_paths`."""
    part, field = path
    value: Value = getattr(getattr(experiment, part), field)
    return value


def constant_values(experiment: Experiment, shared: Experiment) -> Mapping[str, float]:
    """The values, by name, that are scheduled in `shared` and constant in `experiment`.

    `shared` is the `shared_experiment` of this experiment and others.
    """
    scheduled = experiment.driven()
    return {
        name: float(value_at(experiment, driven.path))  # type: ignore[arg-type]  # not a Schedule
        for name, driven in shared.driven().items()
        if name not in scheduled
    }


def constant_schedule(value: Value) -> Schedule:
    """A schedule that stays at a value."""
    return Schedule.declared({"kind": "constant", "value": value})


def mask(tree: Any, path: Path) -> None:
    """Replaces the value at a path in a tree of mappings by a mark that is always the same."""
    *parents, last = path
    for name in parents:
        tree = tree[name]
    tree[last] = "…"

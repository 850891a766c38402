"""Which experiments one compiled program can serve: those that differ in numbers alone.

A number that may be scheduled reaches the program as a live value, whether a schedule drives it
or not; what only decides when to look, to save and to stop is left to each run's own loop.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from schedules import Schedule
from schedules.declaration import Declaration

from ...config.devices import Several
from ...config.experiment import Experiment
from ...scheduled.fields import Value, bounds

PARTS = ("optimizer", "loss", "model", "ema")
"""What has numbers that may be scheduled."""
OWN = (
    *(
        "schedule",
        "warmup",
        "cooldown",
        "log",
        "evaluate",
        "checkpoint",
        "resume",
        "export",
        "allow_code",
    ),
    *(f"run.{name}" for name in ("seed", "length", "stop_after", "replay")),
    *(f"run.{name}" for name in ("rewind_factor", "rewind_limit")),
)
"""What each run may have of its own, besides numbers: no update is compiled otherwise for it."""

Path = tuple[str, ...]


def alone(experiment: Experiment) -> str | None:
    """Why an experiment can share its program with no other, if so."""
    if experiment.mode != "train":
        return f"mode={experiment.mode} is no training"
    if isinstance(experiment.device, Several):
        return f"device={experiment.device.kind} has several devices work on one network"
    if experiment.run.profile:
        return "run.profile looks at one run at a time"
    if experiment.run.precision == "mixed_float16":
        return "run.precision=mixed_float16 tries each of its updates at a scale of its own"
    frozen = [n for n, group in experiment.optimizer.groups.items() if group.frozen_until]
    if frozen:
        return f"its group {frozen[0]} is frozen for a while, which is a branch of the program"
    return None


def likeness(experiment: Experiment) -> str:
    """What experiments must have in common, to the letter, to be served by one program."""
    declared = experiment.model_dump(mode="json")
    for path in [*(tuple(own.split(".")) for own in OWN), *numbers(experiment)]:
        _put(declared, path)
    for value in experiment.driven().values():
        if value.path:  # the learning rate's is the whole
            _put(declared, value.path)
    declared["run"]["on_nonfinite"] = experiment.run.on_nonfinite == "skip"
    return json.dumps(declared, sort_keys=True)


def shared(experiments: Sequence[Experiment]) -> Experiment:
    """An experiment whose program serves all of these, which are alike.

    It is the first of them, but whatever is scheduled in one, or another number than in another,
    is scheduled in it. What by is of no account: each run has a tape of its own.
    """
    found = experiments[0]
    for path in numbers(found):
        values = [at(experiment, path) for experiment in experiments]
        curves = [value for value in values if isinstance(value, Schedule)]
        if curves or len(set(map(repr, values))) > 1:
            part, field = path
            driven = curves[0] if curves else constant(values[0])
            changed = getattr(found, part).model_copy(update={field: driven})
            found = found.model_copy(update={part: changed})
    return found


def numbers(experiment: Experiment) -> Iterator[Path]:
    """Where an experiment has a number that might be a schedule, or is one."""
    for part in PARTS:
        declaration = getattr(experiment, part)
        if isinstance(declaration, Declaration):
            for field in type(declaration).model_fields:
                if bounds(type(declaration), field) and getattr(declaration, field) is not None:
                    yield part, field


def at(experiment: Experiment, path: Path) -> Value:
    """The number, or the schedule, that an experiment has at a path of `numbers`."""
    part, field = path
    value: Value = getattr(getattr(experiment, part), field)
    return value


def fixed(experiment: Experiment, whole: Experiment) -> Mapping[str, float]:
    """The numbers that are scheduled in `whole`, which is `shared`, and constant here, by name."""
    own = experiment.driven()
    values = {n: at(experiment, v.path) for n, v in whole.driven().items() if n not in own}
    return {name: float(value) for name, value in values.items()}  # type: ignore[arg-type]


def constant(value: Value) -> Schedule:
    """A schedule that stays at a value."""
    return Schedule.declared({"kind": "constant", "value": value})


def _put(tree: Any, path: Path) -> None:
    """Makes a mark of what a tree of mappings has at a path."""
    *above, last = path
    for name in above:
        tree = tree[name]
    tree[last] = "…"

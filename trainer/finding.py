"""`mode=lr_find`: a range test from its declaration to the override that it suggests."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from schedules import Curve, Schedule
from schedules.axes import written
from schedules.compose import Wrapped
from schedules.preview import chunks, horizon
from schedules.refusal import refuse

from .durable import write
from .experiment import Experiment
from .folder import Folder
from .range_picture import svg
from .range_test import peaking
from .training import DONE, FAILED, diverted

NEAR = 0.06
"""How far off a peak may be: two digits are as coarse as that."""


def find(experiment: Experiment, folder: Folder) -> int:
    """Sweeps a fresh network, leaves `lr_find.csv` and `lr_find.svg`, and says what to type.

    Gives the exit code: 0, or 1 where no learning rate lowered the loss.

    Raises:
        Refused: when the sweep begins where a network can't learn.
    """
    swept = experiment.lr_find
    print(f"{experiment.summary()}, tried out at rates from {swept.start:g} to {swept.end:g}")
    with diverted(folder.chatter):
        from .sweep import sweep

        reading = sweep(experiment)
    if len(reading.rates) < 2:
        rule = "is a rate at which the first update already breaks the network"
        raise refuse("lr_find.start", swept.start, rule, "lr_find.start=1e-6")
    write(folder.path / "lr_find.csv", reading.csv())
    write(folder.path / "lr_find.svg", svg(reading))
    ended = "where the loss diverged" if reading.diverged else "the end of the sweep"
    print(f"{len(reading.rates)} updates, up to {written(reading.rates[-1])}, {ended}")
    print(f"lr_find.csv and lr_find.svg are in {folder.path}")
    if reading.suggested is None:
        print("no learning rate lowered the loss; try another lr_find.start or a longer sweep")
        return FAILED
    lowest = written(reading.rates[reading.best])
    print(
        f"suggested: {written(reading.suggested)}, a tenth of where the loss was lowest ({lowest})"
    )
    print(f"  type: {typed(experiment, reading.suggested)}")
    return DONE


def typed(experiment: Experiment, rate: float) -> str:
    """The overrides with which the chosen schedule reaches `rate`, and no higher."""
    config = experiment.schedule.model_dump(mode="json")
    before = _peak(experiment, experiment.schedule)
    for changes in peaking(config, rate / before) if before > 0 else ():
        changed = Schedule.declared(_with(config, changes))
        if changes and abs(_peak(experiment, changed) / rate - 1) < NEAR:
            return " ".join(f"schedule.{path}={_shown(value)}" for path, value in changes.items())
    return f"a schedule whose greatest value is {rate:g}, instead of {before:g}"


def _peak(experiment: Experiment, schedule: Schedule) -> float:
    wrapped = Wrapped(warmup=experiment.warmup, schedule=schedule, cooldown=experiment.cooldown)
    clock = experiment.clock()
    return max(float(values.max()) for _, values in chunks(Curve(wrapped, clock), horizon(clock)))


def _with(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    changed = deepcopy(config)
    for path, value in changes.items():
        *keys, last = path.split(".")
        inner = changed
        for key in keys:
            inner = inner[key]
        inner[last] = value
    return changed


def _shown(value: float | list[float]) -> str:
    return f"[{','.join(map(repr, value))}]" if isinstance(value, list) else repr(value)

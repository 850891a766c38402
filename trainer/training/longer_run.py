"""A run that is made longer: whether what was applied and measured so far stays as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from schedules import Curve, Duration
from schedules.analysis.preview import walk
from schedules.declaration import join_path, refuse

from ..config.plan import Plan

if TYPE_CHECKING:
    from .run_config import Difference

STEPS_AT_ONCE = 100_000
"""Steps of a schedule that are compared at a time."""
CADENCES = {"log.every": "logging", "evaluate.every": "evaluation"}
"""What of a config says when a row is written, and the cadence that follows from it."""


def is_lengthened(differences: Iterable[Difference], plan: Plan) -> bool:
    """Whether a config differs in the length of the run, and in nothing but what hangs on that.

    Lengths in per cent do, which may be given in steps to stay what they were.
    """
    paths = {difference.path for difference in differences}
    schedules = {join_path(*value.path) for value in plan.driven.values()} - {""}
    prefixes = tuple(f"{path}." for path in ("schedule", "warmup", "cooldown", *schedules))
    others = paths - {"run.length", *CADENCES}
    return "run.length" in paths and all(path.startswith(prefixes) for path in others)


def check_applied(done: int, before: Plan, now: Plan) -> None:
    """Refuses a length under which one of `done` updates would have applied another value.

    Or under which another update would have been logged or evaluated.

    Raises:
        Refused: with the first step that differs, and what keeps everything as it was.
    """
    length, was = str(now.experiment.run.length), before.experiment.run.length
    hint = "resume.policy=config goes on all the same"
    for name, old in before.curves.items():
        new = now.curves[name]
        for start in range(0, done, STEPS_AT_ONCE):
            steps = np.arange(start, min(start + STEPS_AT_ONCE, done))
            if (changed := old(steps) != new(steps)).any():
                t = int(steps[changed.argmax()])
                rule = (
                    f"was {was}, and would change values that were "
                    f"applied: {name} was {old(t):g} at step {t}, and would have been {new(t):g}"
                )
                raise refuse("run.length", length, rule, f"{_keeping(old, new)}; {hint}")
    for path, cadence in CADENCES.items():
        old_steps, new_steps = (
            {step for step in getattr(plan, cadence).within(0, done) if step < plan.total_steps}
            for plan in (before, now)
        )
        if old_steps - {done} != new_steps - {done}:
            every = before.clock.steps(_every(before, path))
            rule = f"was {was}, and would change at which steps {path} has been due"
            keeping = f"{path}={Duration(every).config_value()}"
            raise refuse("run.length", length, rule, f"{keeping} keeps them; {hint}")


def _every(plan: Plan, path: str) -> Duration:
    experiment = plan.experiment
    return experiment.log.every if path == "log.every" else experiment.evaluate.every


def _keeping(before: Curve, now: Curve) -> str:
    """What keeps the values of a curve as they were: its lengths that have changed, in steps."""
    overrides = []
    for old, new in zip(_lengths(before), _lengths(now), strict=False):
        if old[1:] == new[1:]:
            continue
        path, steps, is_list = old
        values = [str(Duration(length).config_value()) for length in steps]
        if is_list is None:
            return "lengths in steps or epochs in the place of per cent keep them"
        overrides.append(f"{path}=[{','.join(values)}]" if is_list else f"{path}={values[0]}")
    return f"{' '.join(overrides)} keeps them"


def _lengths(curve: Curve) -> Iterator[tuple[str, list[Fraction], bool | None]]:
    """The lengths of a curve by their override paths, and whether those are lists of them.

    None for lengths inside of other values.
    """
    for path, schedule, clock in walk(curve.schedule, curve.clock):
        for name, same_name in groupby(schedule.lengths(clock), key=itemgetter(0)):
            steps = [length for _, _, length in same_name]
            value: Any = getattr(schedule, name, None)
            is_list = isinstance(value, tuple)
            is_plain = not is_list or all(isinstance(item, Duration) for item in value)
            yield join_path(*curve.path, *path, name), steps, is_list if is_plain else None

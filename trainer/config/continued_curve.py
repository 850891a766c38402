"""A scheduled value of a run that goes on with another batch size: where its curve goes on."""

from __future__ import annotations

from fractions import Fraction

from schedules import Clock, Curve, Refused
from schedules.analysis.preview import walk
from schedules.declaration import join_path, refuse

from ..scheduled.fields import Driven
from .run_length import RunLength

LONGER = Fraction(1000, 1001)
"""What the batch size is multiplied by to see which lengths are counted in examples."""


def continued(name: str, value: Driven, length: RunLength) -> Curve:
    """The curve of a scheduled value whose run went on with another batch size.

    Where all lengths are numbers of steps, it is a curve over the updates, as ever. Where all are
    numbers of epochs or examples, it is one over the examples that were seen.

    Raises:
        Refused: when it counts both.
    """
    clock, sizes = length.clock(), length.batch_sizes
    assert sizes
    assert clock.batch_size
    by_steps = clock.total_steps if length.run.length.unit == "steps" else None
    total = length.horizon()
    now = Clock(by_steps or Fraction(total, sizes.now), sizes.now, clock.examples_per_epoch)
    size = sizes.now * LONGER
    longer = Clock(by_steps or total / size, size, clock.examples_per_epoch)  # type: ignore[arg-type]
    try:
        before, after = _lengths(value, now), _lengths(value, longer)
    except Refused:  # lengths in steps and in epochs leave no room for one another
        before, after = [Fraction(1), Fraction(1)], [Fraction(1), Fraction(2)]
    counts_steps = any(schedule.counts_steps for _, schedule in value.schedule.tree())
    if before == after:
        return Curve(value.schedule, clock, value.path)
    if [steps * LONGER for steps in after] == before and not counts_steps:
        return Curve(value.schedule, now, value.path, sizes)
    was, changed_at = sizes.since[-2][1], sizes.changed_at
    also = "counts single steps" if counts_steps else "has lengths in steps"
    rule = (
        f"was {was} up to step {changed_at}, and {name} {also} besides lengths in epochs: "
        "it can't be where it was in both"
    )
    where = join_path(*value.path) or "schedule"
    hint = f"data.batch_size={was}, or give all lengths of {where} in steps"
    raise refuse("data.batch_size", sizes.now, rule, hint)


def _lengths(value: Driven, clock: Clock) -> list[Fraction]:
    """Every length of a schedule in steps of a clock, those inside it included."""
    return [
        steps
        for _, schedule, own_clock in walk(value.schedule, clock)
        for _, _, steps in schedule.lengths(own_clock)
    ]

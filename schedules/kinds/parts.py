"""Parts: schedules with lengths, placed one after another, each with its own clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_serializer,
    model_validator,
)

from ..clock import Clock, Duration
from ..declaration import (
    ABSENT,
    Declaration,
    Refused,
    as_pydantic_error,
    join_path,
    problems_from,
    refuse,
    within,
)
from ..moments import Moments
from ..schedule import Length, Path, Schedule


class Part(Declaration):
    """A schedule and how long it is in force, written flat: `{kind: …, length: …, …}`.

    A kind that has a `length` of its own is written `{schedule: {…}, length: …}` instead.
    """

    schedule: Schedule
    """What is in force."""
    length: Length | None = None
    """How long; left out, what the other parts leave."""

    _path: Path = PrivateAttr(default=("schedule",))

    @property
    def path(self) -> Path:
        """Where the schedule's own keys are, inside the part."""
        return self._path

    @model_validator(mode="wrap")
    @classmethod
    def _from_flat(cls, config: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(config, Mapping):
            return handler(config)
        if "schedule" in config and "kind" not in config:
            return handler(config)
        schedule = dict(config)
        kind = Schedule.find(schedule.get("kind"))
        length = {}
        if "length" in schedule and not (kind and "length" in kind.model_fields):
            length["length"] = schedule.pop("length")
        try:
            part = handler({"schedule": schedule, **length})
        except ValidationError as error:
            refused = Refused(
                replace(problem, path=problem.path.removeprefix("schedule."))
                for problem in problems_from(error, cls)
            )
            raise as_pydantic_error(refused) from None
        part._path = ()
        return part

    @model_serializer(mode="plain")
    def _to_config(self) -> dict[str, Any]:
        schedule = self.schedule.model_dump(mode="json")
        length = {} if self.length is None else {"length": self.length.config_value()}
        return {"schedule": schedule, **length} if self._path else {**schedule, **length}


class LabelledPart(NamedTuple):
    """A part, with the name that a picture gives it and its path inside the whole schedule."""

    label: str
    path: Path
    part: Part


@dataclass(frozen=True)
class PlacedPart:
    """A part on the time line: in force from `start` on, with a clock that counts from there."""

    label: str
    path: Path
    schedule: Schedule
    start: Fraction
    clock: Clock

    def local(self, t: Moments) -> Moments:
        """The moments `t` on the part's own clock."""
        return (t - self.start).on(self.clock)


def lay_out(parts: Sequence[LabelledPart], clock: Clock) -> list[PlacedPart]:
    """The parts one after another on `clock`; one without a length takes what the others leave.

    Raises:
        Refused: where they do not fit the clock's span, or several leave their length out.
    """
    lengths: list[Fraction | None] = []
    for _, path, part in parts:
        with within(*path, "length"):
            lengths.append(None if part.length is None else clock.steps(part.length))
    left = _steps_left(parts, lengths, clock)
    placed, start = [], Fraction(0)
    for (label, path, part), length in zip(parts, lengths, strict=True):
        span = left if length is None else length
        schedule_path = (*path, *part.path)
        placed.append(PlacedPart(label, schedule_path, part.schedule, start, clock.spanning(span)))
        start += span or 0
    return placed


def _steps_left(
    parts: Sequence[LabelledPart], lengths: Sequence[Fraction | None], clock: Clock
) -> Fraction | None:
    """The steps that the stated lengths leave of the clock's span, None on a clock without one."""
    paths = [join_path(*part.path, "length") for part in parts]
    open_ended = [i for i, length in enumerate(lengths) if length is None]
    if len(open_ended) > 1:
        first, second = paths[open_ended[0]], paths[open_ended[1]]
        rule = f"is required, since {first} is left out too"
        hint = f"only one part can take what the others leave; write {second}=10%, say"
        raise refuse(second, ABSENT, rule, hint)
    if clock.total_steps is None:
        if open_ended and open_ended[0] < len(parts) - 1:
            rule = "is required before other parts on a clock without total_steps"
            raise refuse(paths[open_ended[0]], ABSENT, rule, "give the length in steps")
        return None
    stated = {i: length for i, length in enumerate(lengths) if length is not None}
    left = clock.total_steps - sum(stated.values(), Fraction(0))
    if left < 0 or (open_ended and not left):
        sizes = ", ".join(f"{parts[i].label} {_number(length)}" for i, length in stated.items())
        taken, span = _number(clock.total_steps - left), _number(clock.total_steps)
        rule = f"must fit: the parts take {taken} steps ({sizes}) of a span of {span}"
        if open_ended:
            rule += f" and leave nothing for {parts[open_ended[0]].label}"
        longest = max(stated, key=lambda i: stated[i])
        duration = parts[longest].part.length
        raise refuse(paths[longest], duration and duration.config_value(), rule, "make it shorter")
    return left


def _number(steps: Fraction | int) -> str:
    return str(Duration(Fraction(steps))).partition(" ")[0]


def in_force(
    parts: Sequence[PlacedPart], t: Moments
) -> Iterator[tuple[PlacedPart, NDArray[np.bool_], Moments]]:
    """Each part in force at some of the moments `t`: a mask of these, and their local moments."""
    part_index = t.passed([part.start for part in parts]) - 1
    for i, part in enumerate(parts):
        mask = part_index == i
        if mask.any():
            yield part, mask, part.local(t[mask])

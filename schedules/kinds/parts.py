"""Parts: schedules with lengths, laid out one after another, each on a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

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
from ..declaration import ABSENT, Declaration, Refused, carried, joined, problems, refuse, within
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
    def _as_written(cls, config: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        wrapped = isinstance(config, Mapping) and "schedule" in config and "kind" not in config
        if wrapped or not isinstance(config, Mapping):
            return handler(config)
        flat = dict(config)
        kind = Schedule.called(flat.get("kind"))
        length = {}
        if "length" in flat and not (kind and "length" in kind.model_fields):
            length["length"] = flat.pop("length")
        try:
            part = handler({"schedule": flat, **length})
        except ValidationError as error:
            raise carried(
                Refused(
                    replace(problem, path=problem.path.removeprefix("schedule."))
                    for problem in problems(cls, error)
                )
            ) from None
        part._path = ()
        return part

    @model_serializer(mode="plain")
    def _written(self) -> dict[str, Any]:
        schedule = self.schedule.model_dump(mode="json")
        length = {} if self.length is None else {"length": self.length.written()}
        return {"schedule": schedule, **length} if self._path else {**schedule, **length}


@dataclass(frozen=True)
class Placed:
    """A part on the time line: in force from `start` on, reading `clock` from 0 there."""

    label: str
    path: Path
    schedule: Schedule
    start: Fraction
    clock: Clock

    def on(self, t: Moments) -> Moments:
        """The moments as this part sees them."""
        return (t - self.start).on(self.clock)


def lay_out(parts: Sequence[tuple[str, Path, Part]], clock: Clock) -> list[Placed]:
    """Parts, by label and path, one after another on `clock`; one without length takes the rest.

    Raises:
        Refused: where they do not fit the clock's span, or more than one leaves its length out.
    """
    lengths: list[Fraction | None] = []
    for _, path, part in parts:
        with within(*path, "length"):
            lengths.append(None if part.length is None else clock.steps(part.length))
    left = _left(parts, lengths, clock)
    placed, start = [], Fraction(0)
    for (label, path, part), length in zip(parts, lengths, strict=True):
        span = left if length is None else length
        placed.append(
            Placed(label, (*path, *part.path), part.schedule, start, clock.spanning(span))
        )
        start += span or 0
    return placed


def _left(
    parts: Sequence[tuple[str, Path, Part]], lengths: Sequence[Fraction | None], clock: Clock
) -> Fraction | None:
    """What the named lengths leave of the clock's span to the part that names none."""
    labels = [label for label, _, _ in parts]
    paths = [joined(*path, "length") for _, path, _ in parts]
    rest = [i for i, length in enumerate(lengths) if length is None]
    if len(rest) > 1:
        rule = f"is required, since {paths[rest[0]]} is left out too"
        hint = f"only one part can take what the others leave; write {paths[rest[1]]}=10%, say"
        raise refuse(paths[rest[1]], ABSENT, rule, hint)
    if clock.total_steps is None:
        if rest and rest[0] < len(parts) - 1:
            rule = "is required before other parts on a clock without total_steps"
            raise refuse(paths[rest[0]], ABSENT, rule, "give the length in steps")
        return None
    named = {i: length for i, length in enumerate(lengths) if length is not None}
    left = clock.total_steps - sum(named.values(), Fraction(0))
    if left < 0 or (rest and not left):
        sizes = ", ".join(f"{labels[i]} {_number(length)}" for i, length in named.items())
        taken, span = _number(clock.total_steps - left), _number(clock.total_steps)
        rule = f"must fit: the parts take {taken} steps ({sizes}) of a span of {span}"
        if rest:
            rule += f" and leave nothing for {labels[rest[0]]}"
        longest = max(named, key=lambda i: named[i])
        written = parts[longest][2].length
        raise refuse(paths[longest], written and written.written(), rule, "make it shorter")
    return left


def _number(steps: Fraction | int) -> str:
    return str(Duration(Fraction(steps))).partition(" ")[0]


def in_force(
    placed: Sequence[Placed], t: Moments
) -> Iterator[tuple[Placed, NDArray[np.bool_], Moments]]:
    """Each part that rules at some of the moments, which of them, and how it sees those."""
    ruling = t.passed([part.start for part in placed]) - 1
    for i, part in enumerate(placed):
        chosen = ruling == i
        if chosen.any():
            yield part, chosen, part.on(t[chosen])

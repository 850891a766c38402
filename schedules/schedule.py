"""What a schedule is: a frozen declaration with a formula."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from .clock import Clock, Duration
from .declaration import Declaration, Kind, Problem, Refused, join_path, within
from .moments import Moments, Values

Metrics = float | Mapping[str, float]
"""The results of an evaluation: one number, or several by name."""

Path = tuple[str | int, ...]
"""The keys that lead from a schedule to a schedule inside it."""


def _positive(duration: Duration) -> Duration:
    if not duration.amount:
        hint = "such as 1, for a single step, or '10 epochs'"
        raise PydanticCustomError("length", "must be longer than 0", {"hint": hint})
    return duration


Length = Annotated[Duration, AfterValidator(_positive)]
"""A duration longer than 0."""

WHOLE = Duration(Fraction(100), "%")
"""The whole of the enclosing span: the default of most lengths."""


class EvaluationRefused(Refused):
    """A schedule can't compute a value. `part` is the schedule, which does not know its path."""

    def __init__(self, part: Schedule, problem: Problem) -> None:
        super().__init__([problem])
        self.part = part


class Schedule(Kind, family=True):
    """A value as a function of the step, `at(t)`, for any quantity that changes in training.

    A subclass states a `kind`, its parameters and the formula, and nothing else. The moments carry
    a clock that converts durations (`t / self.decay_steps`), so the formula in the code looks like
    the formula in the docstring. A schedule that reacts keeps what it has observed in private
    attributes, and returns it as `state`.
    """

    closed_form: ClassVar[bool] = True
    """Whether the value depends on the step alone."""
    counts_steps: ClassVar[bool] = False
    """Whether the value depends on the number of the step itself, not only on shares of lengths."""

    @abstractmethod
    def at(self, t: Moments) -> Values:
        """The values at the moments `t`, one float64 each."""

    def children(self) -> Iterator[tuple[Path, Schedule]]:
        """The schedules that this one is made of, each with its path inside this one."""
        for name in type(self).model_fields:
            field = getattr(self, name)
            if isinstance(field, Schedule):
                yield (name,), field
            elif isinstance(field, tuple):
                for i, item in enumerate(field):
                    if isinstance(item, Schedule):
                        yield (name, i), item

    def tree(self) -> Iterator[tuple[Path, Schedule]]:
        """The schedule and all inside it, however deep, each with its path from here."""
        yield (), self
        for path, child in self.children():
            for inner_path, schedule in child.tree():
                yield (*path, *inner_path), schedule

    def code(self) -> Iterator[tuple[str, str]]:
        for path, child in self.children():
            for inner_path, name in child.code():
                yield join_path(*path, inner_path), name

    def check(self, clock: Clock) -> None:
        """Refuses what this clock can't honour; a composite also checks what it is made of.

        Raises:
            Refused: with the path inside this schedule.
        """
        self.check_lengths(clock)
        for path, child, child_clock in self.clocks(clock):
            with within(*path):
                child.check(child_clock)

    def check_lengths(self, clock: Clock) -> None:
        """Refuses a duration of this schedule whose unit the clock can't convert."""
        for _ in self.lengths(clock):
            pass

    def clocks(self, clock: Clock) -> Iterator[tuple[Path, Schedule, Clock]]:
        """The schedules that this one is made of, each with its path and its clock."""
        for path, child in self.children():
            yield path, child, clock

    def lengths(self, clock: Clock) -> Iterator[tuple[str, Duration, Fraction]]:
        """The durations of the schedule, and those of its parts: path, duration, steps.

        Durations in a list have the path of the list.
        """
        for path, duration in _durations((), self):
            with within(*path):
                steps = clock.steps(duration)
            yield join_path(*(key for key in path if isinstance(key, str))), duration, steps

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        """The named moments where the curve changes its course, for previews and lint."""
        for _, child, child_clock in self.clocks(clock):
            yield from child.marks(child_clock)

    def observe(self, metrics: Metrics, t: Moments | None) -> None:
        """Reacts to the results of an evaluation at `t`; other schedules pass them on."""
        for path, child in self.children():
            with within(*path):
                child.observe(metrics, t)

    def set_manual(self, value: float | None) -> bool:
        """Sets the `manual` schedules in here to `value`, or back to their declared value.

        Returns whether there is a `manual` schedule.
        """
        was_set = False
        for _, child in self.children():
            if child.set_manual(value):
                was_set = True
        return was_set

    def has_manual(self) -> bool:
        """Whether a schedule in here is set by hand."""
        return any(child.has_manual() for _, child in self.children())

    def reacts(self) -> bool:
        """Whether this schedule, or one inside it, depends on more than the step."""
        return not self.closed_form or any(child.reacts() for _, child in self.children())

    def state(self) -> dict[str, Any]:
        """The state of the reacting schedules in here, by path; JSON can hold it."""
        return {
            join_path(*path, inner_path): child_state
            for path, child in self.children()
            for inner_path, child_state in child.state().items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` returned."""
        for path, child in self.children():
            prefix = join_path(*path)
            child.restore(
                {
                    key[len(prefix) :].removeprefix("."): child_state
                    for key, child_state in state.items()
                    if key == prefix or key.startswith(prefix + ".")
                }
            )


def _durations(path: Path, field: object) -> Iterator[tuple[Path, Duration]]:
    """Every duration in `field`, without those of the schedules inside it."""
    if isinstance(field, Duration):
        yield path, field
        return
    items: Iterable[tuple[str | int, Any]] = ()
    inside = bool(path)
    if isinstance(field, Declaration) and not (inside and isinstance(field, Schedule)):
        items = field
    elif isinstance(field, Mapping):
        items = field.items()
    elif isinstance(field, tuple):
        items = enumerate(field)
    for key, item in items:
        yield from _durations((*path, key), item)

"""What a schedule is: a frozen declaration with a formula."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from .clock import Clock, Duration
from .declaration import Declaration, Kind, Problem, Refused, joined, within
from .moments import Moments, Values

Metrics = float | Mapping[str, float]
"""What an evaluation found: one number, or several by name."""

Path = tuple[str | int, ...]
"""The keys that lead from a schedule to one that it is made of."""


def _positive(duration: Duration) -> Duration:
    if not duration.amount:
        hint = "leave out what is to have no length"
        raise PydanticCustomError("length", "must be longer than 0", {"hint": hint})
    return duration


Length = Annotated[Duration, AfterValidator(_positive)]
"""A duration longer than 0."""

WHOLE = Duration(Fraction(100), "%")
"""The whole of the enclosing span: what a length that was left out means."""


class Failed(Refused):
    """What a schedule raises in the middle of its curve, where it does not know its own path."""

    def __init__(self, part: Schedule, problem: Problem) -> None:
        super().__init__([problem])
        self.part = part


class Schedule(Kind, family=True):
    """A value as a function of the step, `at(t)`, for any quantity that changes in training.

    Subclasses state a `kind`, their parameters and the formula, and nothing else: durations are
    read on the clock that the moments carry (`t / self.decay_steps`), so the formula in the code
    looks like the formula in the docstring. A schedule that reacts keeps what it has heard in
    private attributes and hands it over as `state`.
    """

    closed_form: ClassVar[bool] = True
    """Whether the value depends on the step alone."""

    @abstractmethod
    def at(self, t: Moments) -> Values:
        """The values at the moments `t`, one float64 each."""

    def children(self) -> Iterator[tuple[Path, Schedule]]:
        """The schedules this one is made of, each with its path inside this one."""
        for name in type(self).model_fields:
            field = getattr(self, name)
            if isinstance(field, Schedule):
                yield (name,), field
            elif isinstance(field, tuple):
                for i, item in enumerate(field):
                    if isinstance(item, Schedule):
                        yield (name, i), item

    def tree(self) -> Iterator[tuple[Path, Schedule]]:
        """Itself and all that it is made of, however deep, each with its path inside this one."""
        yield (), self
        for path, child in self.children():
            for inner, part in child.tree():
                yield (*path, *inner), part

    def code(self) -> Iterator[tuple[str, str]]:
        for path, child in self.children():
            for inner, name in child.code():
                yield joined(*path, inner), name

    def check(self, clock: Clock) -> None:
        """Refuses what this clock can't honour; a composite also checks what it is made of.

        Raises:
            Refused: with the path inside this schedule.
        """
        self.check_lengths(clock)
        for path, child, own in self.clocks(clock):
            with within(*path):
                child.check(own)

    def check_lengths(self, clock: Clock) -> None:
        """Reads every duration of this schedule's own once, so that a bad unit is named."""
        for _ in self.lengths(clock):
            pass

    def clocks(self, clock: Clock) -> Iterator[tuple[Path, Schedule, Clock]]:
        """The schedules this one is made of, each with its path and the clock it reads."""
        for path, child in self.children():
            yield path, child, clock

    def lengths(self, clock: Clock) -> Iterator[tuple[str, Duration, Fraction]]:
        """Its own durations, its parts' included: path, what was written, the steps it means.

        Those in a list have the path of the list.
        """
        for path, duration in _durations((), self):
            with within(*path):
                steps = clock.steps(duration)
            yield joined(*(key for key in path if isinstance(key, str))), duration, steps

    def marks(self, clock: Clock) -> Iterator[tuple[str, Fraction]]:
        """The named moments where the curve changes its course, for previews and lint."""
        for _, child, own in self.clocks(clock):
            yield from child.marks(own)

    def observe(self, metrics: Metrics, t: Moments | None) -> None:
        """Hears what an evaluation at `t` found; schedules that don't react pass it on."""
        for path, child in self.children():
            with within(*path):
                child.observe(metrics, t)

    def turn(self, value: float | None) -> bool:
        """Sets what a hand can set in here to `value`, or back to what it was declared as.

        False where there is no such part.
        """
        turned = [child.turn(value) for _, child in self.children()]
        return any(turned)

    def manual(self) -> bool:
        """Whether a part of it is set by hand."""
        return any(child.manual() for _, child in self.children())

    def reacts(self) -> bool:
        """Whether this schedule, or one it is made of, depends on more than the step."""
        return not self.closed_form or any(child.reacts() for _, child in self.children())

    def state(self) -> dict[str, Any]:
        """What the reacting schedules in here have heard, by path; JSON holds it."""
        return {
            joined(*path, inner): heard
            for path, child in self.children()
            for inner, heard in child.state().items()
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state` gave."""
        for path, child in self.children():
            prefix = ".".join(map(str, path))
            child.restore(
                {
                    key[len(prefix) :].removeprefix("."): heard
                    for key, heard in state.items()
                    if key == prefix or key.startswith(prefix + ".")
                }
            )


def _durations(path: Path, field: object) -> Iterator[tuple[Path, Duration]]:
    """Every duration in a field, as far as the schedules that it holds, which have their own."""
    if isinstance(field, Duration):
        yield path, field
        return
    inner: Iterable[tuple[str | int, Any]] = ()
    if isinstance(field, Declaration) and (not path or not isinstance(field, Schedule)):
        inner = field
    elif isinstance(field, Mapping):
        inner = field.items()
    elif isinstance(field, tuple):
        inner = enumerate(field)
    for key, item in inner:
        yield from _durations((*path, key), item)

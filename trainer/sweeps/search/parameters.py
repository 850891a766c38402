"""The parameters of a search: overrides whose value is drawn from choices or from a range."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor, inf, log
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep

from schedules.declaration import refuse

from ...config.sweep_words import MAX_JOBS, ZIP, too_many
from ..axes import path_of, typed_value, value_count

if TYPE_CHECKING:
    import optuna

EXAMPLE = "'schedule.initial_value=tag(log,interval(0.001,0.5))'"


@dataclass(frozen=True)
class DrawnOverride:
    """An override whose value is drawn; `key` is its path as typed, with any `+` before it."""

    key: str

    @property
    def name(self) -> str:
        """The override path."""
        return self.key.lstrip("+")


@dataclass(frozen=True)
class Choices(DrawnOverride):
    """One of several values, as they are written in an override."""

    values: tuple[str, ...]

    def suggest(self, trial: optuna.trial.Trial) -> str:
        """The value that Optuna draws for a trial."""
        return str(trial.suggest_categorical(self.name, self.values))

    def value_at(self, fraction: float) -> str:
        """The value at a fraction, from 0 up to 1, of the way from the first to the last."""
        return self.values[min(floor(fraction * len(self.values)), len(self.values) - 1)]

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.values)

    def __str__(self) -> str:
        return f"choice({','.join(self.values)})"


@dataclass(frozen=True)
class NumberRange(DrawnOverride):
    """A number from `low` to `high`, both included; whole or not, evenly or by its logarithm."""

    low: float
    high: float
    step: float | None = None
    logarithmic: bool = False
    whole: bool = False

    def suggest(self, trial: optuna.trial.Trial) -> str:
        """The value that Optuna draws for a trial."""
        if self.whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return str(trial.suggest_int(self.name, low, high, step=step, log=self.logarithmic))
        value = trial.suggest_float(
            self.name, self.low, self.high, step=self.step, log=self.logarithmic
        )
        return self._rounded(value)

    def value_at(self, fraction: float) -> str:
        """The value at a fraction, from 0 up to 1, of the way from `low` to `high`."""
        if self.logarithmic:
            value = exp(log(self.low) + fraction * (log(self.high) - log(self.low)))
        else:
            value = self.low + fraction * (self.high - self.low)
        if step := self.step or (1 if self.whole else None):
            value = self.low + floor((value - self.low) / step + 1e-9) * step
        return str(int(value)) if self.whole else self._rounded(value)

    @property
    def values(self) -> tuple[str, ...]:
        """All values.

        Raises:
            Refused: when there are infinitely many, or more than a sweep may have jobs.
        """
        if self.size == inf:
            rule = "is a range without steps, of which a grid can't try every value"
            raise refuse(self.name, str(self), rule, "logspace(1e-4,1e-1,7) has seven")
        if self.size > MAX_JOBS:
            raise too_many(self.name, str(self), self.size, "hydra.sweeper.sampler=tpe draws some")
        values = (self.low + i * (self.step or 1) for i in range(int(self.size)))
        return tuple(str(int(value)) if self.whole else self._rounded(value) for value in values)

    @property
    def size(self) -> float:
        """How many values there are."""
        step = self.step or (1 if self.whole else 0)
        return floor((self.high - self.low) / step + 1e-9) + 1 if step else inf

    def __str__(self) -> str:
        ends = f"{self.low:g},{self.high:g}"
        text = f"range({ends},{self.step:g})" if self.step else f"interval({ends})"
        text = f"int({text})" if self.whole else text
        return f"tag(log,{text})" if self.logarithmic else text

    def _rounded(self, value: float) -> str:
        """The value with six digits, which are pleasant to type, and within the ends."""
        return repr(min(max(float(f"{value:.6g}"), self.low), self.high))


Parameter = Choices | NumberRange


def parse_parameter(override: Override) -> Parameter:
    """The parameter that a sweep override of Hydra's grammar declares.

    Raises:
        Refused: when it declares a range that can't be searched.
    """
    key = override.get_key_element()
    value: Any = override.value()
    if isinstance(value, IntervalSweep):
        whole = type(value.start) is int  # int(interval(…)) makes both ends whole
        return _number_range(
            key, value, float(value.start or 0), float(value.end or 0), None, whole
        )
    if isinstance(value, RangeSweep) and value.step > 0:
        low, step = float(value.start or 0), float(value.step)
        high = low + (value_count(override) - 1) * step
        return _number_range(key, value, low, high, step, isinstance(value.range(), range))
    if isinstance(value, Sweep):
        _check_tags(override.key_or_group, value)
    if (count := value_count(override)) > MAX_JOBS:
        raise too_many(path_of(override), typed_value(override), count, "give fewer values")
    return Choices(key, tuple(dict.fromkeys(override.sweep_string_iterator())))


def _number_range(
    key: str, sweep: Any, low: float, high: float, step: float | None, whole: bool
) -> NumberRange:
    """The range between two ends, once they are checked.

    Raises:
        Refused: when the ends are the wrong way round, or the range has no logarithm.
    """
    written = f"{type(sweep).__name__.removesuffix('Sweep').lower()}({low:g},{high:g})"
    name = key.lstrip("+")
    _check_tags(name, sweep, "log")
    logarithmic = "log" in sweep.tags
    if not low < high and step is None:
        raise refuse(name, written, "must have its lower end first", f"interval({high:g},{low:g})")
    if logarithmic and low <= 0:
        rule = "must begin above 0, as it is drawn by its logarithm"
        raise refuse(name, written, rule, EXAMPLE)
    if logarithmic and step not in (None, 1):
        rule = "can't have both steps and a logarithm"
        raise refuse(name, written, rule, "tag(log,int(interval(1,1000)))")
    return NumberRange(key, low, high, step, logarithmic, whole)


def _check_tags(name: str, sweep: Sweep, *known: str) -> None:
    """Whether the tags of a sweep mean something.

    Raises:
        Refused: when one doesn't.
    """
    if ZIP in sweep.tags:
        rule = "varies together with others, and a search draws each value by itself"
        raise refuse(name, f"{ZIP}(…)", rule, "choice(…); hydra/sweeper=grid zips")
    if unknown_tags := sorted(sweep.tags - set(known)):
        rule = "has a tag that means nothing here"
        hint = "tag(log,interval(0.001,0.5)) is the only one"
        raise refuse(name, f"tag({unknown_tags[0]},…)", rule, hint)

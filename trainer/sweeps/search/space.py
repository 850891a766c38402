"""What a search looks through: overrides that stay, and values that are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from math import ceil, exp, floor, inf, log, prod
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import FloatRange, IntervalSweep, Override, RangeSweep

from schedules.declaration import Refused, refuse

if TYPE_CHECKING:
    import optuna

EXAMPLE = "'schedule.initial_value=tag(log,interval(0.001,0.5))'"


@dataclass(frozen=True)
class Choices:
    """One of several values, as they are written in an override."""

    key: str
    values: tuple[str, ...]

    def drawn(self, trial: optuna.trial.Trial) -> str:
        return str(trial.suggest_categorical(self.name, self.values))

    def at(self, share: float) -> str:
        """The value that lies at a share from 0 up to 1 of the way through."""
        return self.values[min(floor(share * len(self.values)), len(self.values) - 1)]

    @property
    def size(self) -> float:
        """How many values there are."""
        return len(self.values)

    @property
    def name(self) -> str:
        """The override path."""
        return self.key.lstrip("+")

    def __str__(self) -> str:
        return f"choice({','.join(self.values)})"


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`, both included; whole or not, evenly or by its logarithm."""

    key: str
    low: float
    high: float
    step: float | None = None
    logarithmic: bool = False
    whole: bool = False

    def drawn(self, trial: optuna.trial.Trial) -> str:
        if self.whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return str(trial.suggest_int(self.name, low, high, step=step, log=self.logarithmic))
        found = trial.suggest_float(
            self.name, self.low, self.high, step=self.step, log=self.logarithmic
        )
        return self._written(found)

    def at(self, share: float) -> str:
        """The value that lies at a share from 0 up to 1 of the way through."""
        if self.logarithmic:
            value = exp(log(self.low) + share * (log(self.high) - log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        if step := self.step or (1 if self.whole else None):
            value = self.low + floor((value - self.low) / step + 1e-9) * step
        return str(int(value)) if self.whole else self._written(value)

    @property
    def values(self) -> tuple[str, ...]:
        """All of them, where they can be counted.

        Raises:
            Refused: where they can't.
        """
        if self.size == inf:
            rule = "is a range without steps, of which a grid can't try every value"
            raise refuse(self.name, str(self), rule, "logspace(1e-4,1e-1,7) has seven")
        values = (self.low + i * (self.step or 1) for i in range(int(self.size)))
        return tuple(str(int(value)) if self.whole else self._written(value) for value in values)

    @property
    def size(self) -> float:
        """How many values there are."""
        step = self.step or (1 if self.whole else 0)
        return floor((self.high - self.low) / step + 1e-9) + 1 if step else inf

    @property
    def name(self) -> str:
        """The override path."""
        return self.key.lstrip("+")

    def __str__(self) -> str:
        ends = f"{self.low:g},{self.high:g}"
        told = f"range({ends},{self.step:g})" if self.step else f"interval({ends})"
        told = f"int({told})" if self.whole else told
        return f"tag(log,{told})" if self.logarithmic else told

    def _written(self, value: float) -> str:
        """Six digits, as are pleasant to type again, and within the ends."""
        return repr(min(max(float(f"{value:.6g}"), self.low), self.high))


Drawn = Choices | Between


@dataclass(frozen=True)
class Space:
    """The overrides of every trial, in their order: some fixed, and some with a value to draw."""

    parts: tuple[str | Drawn, ...]

    @classmethod
    def parsed(cls, overrides: Sequence[str], loader: ConfigLoader | None = None) -> Space:
        """Reads overrides in Hydra's grammar of sweeps.

        >>> space = Space.parsed(["run.seed=1", "optimizer.momentum=interval(0.5,0.99)"])
        >>> space.searched[0].at(0.5)
        '0.745'

        Raises:
            Refused: when nothing is to be searched, or a range can't be.
        """
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        space = cls(tuple(map(_part, parsed)))
        if not space.searched:
            rule = "is a search, and no value is left open"
            raise refuse("hydra/sweeper", "optuna", rule, f"say which: {EXAMPLE}")
        return space

    @property
    def searched(self) -> list[Drawn]:
        return [part for part in self.parts if not isinstance(part, str)]

    @property
    def fixed(self) -> list[str]:
        return [part for part in self.parts if isinstance(part, str)]

    def overrides(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """All overrides of the trial that drew `values`, by their paths."""
        return tuple(
            part if isinstance(part, str) else f"{part.key}={values[part.name]}"
            for part in self.parts
        )

    def drawn(self, trial: optuna.trial.Trial) -> dict[str, str]:
        """What a trial is to try, by override path; drawn anew only if it was not before."""
        return {part.name: part.drawn(trial) for part in self.searched}

    def points(self) -> Iterator[dict[str, str]]:
        """Every combination of the searched values; the last one varies fastest.

        Raises:
            Refused: when there are infinitely many.
        """
        names = [part.name for part in self.searched]
        for values in product(*(part.values for part in self.searched)):
            yield dict(zip(names, values, strict=True))

    def counted(self) -> Space:
        """The same with every value written out.

        Raises:
            Refused: when there are infinitely many.
        """
        return Space(
            tuple(
                part if isinstance(part, str) else Choices(part.key, part.values)
                for part in self.parts
            )
        )

    @property
    def size(self) -> float:
        """How many combinations there are; infinitely many where a range has no steps."""
        return prod(part.size for part in self.searched)

    def told(self) -> dict[str, str]:
        """What is searched, by override path, as it may be typed."""
        return {part.name: str(part) for part in self.searched}


def _part(override: Override) -> str | Drawn:
    if not override.is_sweep_override():
        return str(override.input_line)
    key = override.get_key_element()
    value: Any = override.value()
    try:
        if isinstance(value, IntervalSweep):
            whole = type(value.start) is int  # int(interval(…)) makes both so
            return _between(key, value, float(value.start or 0), float(value.end or 0), None, whole)
        if isinstance(value, RangeSweep) and value.step > 0:
            counted = value.range()
            if isinstance(counted, range):
                first, last = float(counted[0]), float(counted[-1])
            else:
                first, last = _ends(counted)
            whole = isinstance(counted, range)
            return _between(key, value, first, last, float(value.step), whole)
    except IndexError:
        raise _unfit(override, "is a range that holds nothing", "range(1,10)") from None
    return Choices(key, tuple(dict.fromkeys(override.sweep_string_iterator())))


def _between(
    key: str, sweep: Any, low: float, high: float, step: float | None, whole: bool
) -> Between:
    """A range, once it is known to be one.

    Raises:
        Refused: when its ends are the wrong way round, or it has no logarithm.
    """
    written = f"{type(sweep).__name__.removesuffix('Sweep').lower()}({low:g},{high:g})"
    name = key.lstrip("+")
    if strange := sorted(sweep.tags - {"log"}):
        raise refuse(
            name, f"tag({strange[0]},…)", "has a tag that means nothing here", "tag(log,…)"
        )
    logarithmic = "log" in sweep.tags
    if not low < high and step is None:
        raise refuse(name, written, "must have its lower end first", f"interval({high:g},{low:g})")
    if logarithmic and low <= 0:
        rule = "must begin above 0, as it is drawn by its logarithm"
        raise refuse(name, written, rule, EXAMPLE)
    if logarithmic and step not in (None, 1):
        rule = "can't have both steps and a logarithm"
        raise refuse(name, written, rule, "tag(log,int(interval(1,1000)))")
    return Between(key, low, high, step, logarithmic, whole)


def _ends(counted: FloatRange) -> tuple[float, float]:
    """The first and the last value of a range, which ends before its `stop`."""
    start, stop, step = (Decimal(part) for part in (counted.start, counted.stop, counted.step))
    count = ceil((stop - start) / step)
    if count < 1:
        raise IndexError
    return float(start), float(start + (count - 1) * step)


def _unfit(override: Override, rule: str, hint: str) -> Refused:
    key = override.get_key_element().lstrip("+")
    return refuse(key, str(override.input_line).partition("=")[2], rule, hint)

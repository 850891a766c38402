"""The space of a search: overrides that stay fixed, and parameters whose values are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser

from schedules.declaration import refuse

from .parameters import EXAMPLE, Choices, Parameter, parse_parameter

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Space:
    """The overrides of every trial, in their order: fixed ones, and parameters to draw."""

    parts: tuple[str | Parameter, ...]

    @classmethod
    def parse(cls, overrides: Sequence[str], loader: ConfigLoader | None = None) -> Space:
        """Reads overrides in Hydra's grammar of sweeps.

        >>> space = Space.parse(["run.seed=1", "optimizer.momentum=interval(0.5,0.99)"])
        >>> space.parameters[0].value_at(0.5)
        '0.745'

        Raises:
            Refused: when there is no parameter, or a range can't be searched.
        """
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(overrides))
        space = cls(
            tuple(
                parse_parameter(override)
                if override.is_sweep_override()
                else str(override.input_line)
                for override in parsed
            )
        )
        if not space.parameters:
            rule = "is a search, and no value is left open"
            raise refuse("hydra/sweeper", "optuna", rule, f"say which: {EXAMPLE}")
        return space

    @property
    def parameters(self) -> list[Parameter]:
        """The overrides whose values are drawn."""
        return [part for part in self.parts if not isinstance(part, str)]

    @property
    def fixed_overrides(self) -> list[str]:
        """The overrides that all trials have in common."""
        return [part for part in self.parts if isinstance(part, str)]

    def overrides(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """All overrides of the trial with these `values`, which are keyed by override path."""
        return tuple(
            part if isinstance(part, str) else f"{part.key}={values[part.name]}"
            for part in self.parts
        )

    def suggest(self, trial: optuna.trial.Trial) -> dict[str, str]:
        """The values of a trial by override path; Optuna draws only those it has not drawn yet."""
        return {parameter.name: parameter.suggest(trial) for parameter in self.parameters}

    def grid_points(self) -> Iterator[dict[str, str]]:
        """Every combination of the parameters' values; the last one varies fastest.

        Raises:
            Refused: when there are infinitely many.
        """
        names = [parameter.name for parameter in self.parameters]
        for values in product(*(parameter.values for parameter in self.parameters)):
            yield dict(zip(names, values, strict=True))

    def enumerated(self) -> Space:
        """The same space with every value of its ranges written out as choices.

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
        return prod(parameter.size for parameter in self.parameters)

    def descriptions(self) -> dict[str, str]:
        """Each parameter by override path, as a user may type it."""
        return {parameter.name: str(parameter) for parameter in self.parameters}

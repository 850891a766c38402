"""The axes of a sweep: each takes its values in turn, and is crossed with all others.

Most axes are one override. Those that are zipped, `a=zip(1,2) b=zip(3,4)`, are one axis together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from math import ceil, prod

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep

from schedules.declaration import refuse

from ..config.sweep_words import MAX_JOBS, ZIP, too_many

RANGE = "range(1,10)"
"""A range as one may type it."""


@dataclass(frozen=True)
class Axis:
    """Overrides that take their values together: the first of each, then the second, and so on."""

    overrides: tuple[Override, ...]

    @property
    def size(self) -> int:
        """How many values each override has.

        Raises:
            Refused: when they have different numbers of values, or a range has none.
        """
        first, *others = [value_count(override) for override in self.overrides]
        for override, count in zip(self.overrides[1:], others, strict=True):
            if count != first:
                partner = path_of(self.overrides[0])
                rule = f"has {_values(count)}, and {partner}, with which it varies, has {first}"
                raise refuse(path_of(override), typed_value(override), rule, "give each as many")
        return first


def parse_axes(
    arguments: Sequence[str], loader: ConfigLoader | None = None
) -> tuple[list[Override], list[Axis]]:
    """All overrides, and the axes of those that have several values.

    Raises:
        Refused: when a value can't be enumerated, or there are more combinations than a sweep may
            have jobs; nothing is enumerated before that.
    """
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(list(arguments))
    by_tags: dict[object, list[Override]] = {}
    for number, override in enumerate(overrides):
        if override.is_sweep_override():
            _check(override)
            tags = _tags(override)
            by_tags.setdefault(frozenset(tags) if ZIP in tags else number, []).append(override)
    axes = [Axis(tuple(group)) for group in by_tags.values()]
    _check_count(axes)
    return overrides, axes


def _check_count(axes: Sequence[Axis]) -> None:
    """Whether the axes have no more combinations than a sweep may have jobs.

    Raises:
        Refused: with the override that has the most values.
    """
    sizes = [axis.size for axis in axes]
    if (count := prod(sizes)) > MAX_JOBS:
        longest = axes[sizes.index(max(sizes))].overrides[0]
        is_range = isinstance(longest.value(), RangeSweep)
        hint = "hydra/sweeper=optuna draws values from it" if is_range else "give fewer values"
        raise too_many(path_of(longest), typed_value(longest), count, hint)


def combination_count(arguments: Sequence[str], loader: ConfigLoader | None = None) -> int:
    """How many combinations there are of the values that overrides leave open.

    Raises:
        Refused: as `parse_axes` does.
    """
    return prod(axis.size for axis in parse_axes(arguments, loader)[1])


def values(override: Override) -> list[str]:
    """The overrides that one with several values stands for, each with a single value."""
    key = override.get_key_element()
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def value_count(override: Override) -> int:
    """How many values an override has, without making them.

    Raises:
        Refused: when it is a range that has none, or no end.
    """
    value = override.value()
    count: int | None
    if isinstance(value, RangeSweep):
        count = _range_count(value)
        if count is None:
            rule = "is a range without an end"
            raise refuse(path_of(override), typed_value(override), rule, RANGE)
    else:
        count = sum(1 for _ in override.sweep_iterator())
    if count < 1:
        kind, hint = ("range", RANGE) if isinstance(value, RangeSweep) else ("choice", "glob(*)")
        rule = f"is a {kind} that holds nothing"
        raise refuse(path_of(override), typed_value(override), rule, hint)
    return count


def path_of(override: Override) -> str:
    """The override path."""
    return str(override.get_key_element()).lstrip("+~")


def typed_value(override: Override) -> str:
    """What stands behind the `=`, with zipped values as they are typed."""
    value = str(override.input_line).partition("=")[2]
    for written in (f"tag({ZIP},choice(", f"tag({ZIP},"):
        if value.startswith(written):
            return f"{ZIP}({value.removeprefix(written)[: -written.count('(')]})"
    return value


def _check(override: Override) -> None:
    """Whether every value of an override can be tried, and every word that it says can be meant.

    Raises:
        Refused: when not.
    """
    value, path = override.value(), path_of(override)
    if isinstance(value, IntervalSweep):
        rule = "is a range without steps, which needs a search"
        hint = "logspace(1e-4,1e-1,7) has seven; hydra/sweeper=optuna searches"
        raise refuse(path, typed_value(override), rule, hint)
    tags = _tags(override)
    if tags and ZIP not in tags:
        rule = f"has the tag {min(tags)}, which means nothing where every value is tried"
        hint = "leave it out; hydra/sweeper=optuna draws by tag(log,…)"
        raise refuse(path, typed_value(override), rule, hint)


def _tags(override: Override) -> set[str]:
    value = override.value()
    return value.tags if isinstance(value, Sweep) else set()


def _range_count(sweep: RangeSweep) -> int | None:
    """How many numbers a range has; None for infinitely many."""
    start, stop, step = (Decimal(x or 0) for x in (sweep.start, sweep.stop, sweep.step))
    try:
        return max(ceil((stop - start) / step), 0)
    except (DecimalException, OverflowError, ValueError):
        return None


def _values(count: int) -> str:
    return f"{count} value" if count == 1 else f"{count} values"

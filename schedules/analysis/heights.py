"""How high a schedule goes, and what to type for it to go as high as one wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from ..curve import Curve
from ..declaration import Refused
from ..kinds.sequences import Wrapped
from ..schedule import Schedule
from .preview import chunks, horizon

NEAR = 0.06
"""How far off a peak may be: two digits are as coarse as that."""
PEAKS = ("max_value", "initial_value", "value", "factor")
"""The fields that alone may set how high a schedule goes, the likeliest first."""
HEIGHTS = {*PEAKS[:3], "end_value", "base_value", "min_value", "values"}
"""The fields by which, all together, a schedule grows and shrinks."""


def peak(curve: Curve) -> float:
    """The greatest value over the whole run."""
    return max(float(values.max()) for _, values in chunks(curve, horizon(curve.clock)))


def reaching(curve: Curve, height: float) -> str:
    """The overrides with which the `schedule` of a run, drawn by `curve`, goes up to `height`.

    One field changes where one will do, else all that have the dimension of a value.

    >>> from schedules import Clock, load
    >>> line = load({"kind": "linear", "initial_value": 0.2, "end_value": 0.0}, Clock(10))
    >>> reaching(line, 0.01)
    'schedule.initial_value=0.01'
    """
    whole, before = curve.schedule, peak(curve)
    wrapped = whole if isinstance(whole, Wrapped) else Wrapped(schedule=whole)
    config = wrapped.schedule.model_dump(mode="json")
    for changes in _candidates(config, height / before) if before > 0 else ():
        try:
            changed = Schedule.declared(_with(config, changes))
            now = peak(Curve(wrapped.model_copy(update={"schedule": changed}), curve.clock))
        except Refused:  # the new value does not go with the others
            continue
        if changes and abs(now / height - 1) < NEAR:
            return " ".join(f"schedule.{path}={_written(to)}" for path, to in changes.items())
    return f"a schedule whose greatest value is {height:g}, instead of {before:g}"


def rounded(value: float) -> float:
    """To two digits.

    >>> rounded(0.03172)
    0.032
    """
    return float(f"{value:.2g}")


def _candidates(config: Mapping[str, Any], ratio: float) -> Iterator[dict[str, Any]]:
    """Changes by path that might make the peak `ratio` times as high."""
    for name in PEAKS:
        if isinstance(height := config.get(name), float):
            yield {name: rounded(height * ratio)}
    yield dict(_scaled(config, ratio))


def _scaled(config: Mapping[str, Any], ratio: float, path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _scaled(value, ratio, f"{path}{key}.")
        elif key in HEIGHTS and isinstance(value, list):
            yield path + key, [rounded(height * ratio) for height in value]
        elif key in HEIGHTS and value:
            yield path + key, rounded(value * ratio)


def _with(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    changed = deepcopy(dict(config))
    for path, value in changes.items():
        *keys, last = path.split(".")
        inner = changed
        for key in keys:
            inner = inner[key]
        inner[last] = value
    return changed


def _written(value: float | list[float]) -> str:
    return f"[{','.join(map(repr, value))}]" if isinstance(value, list) else repr(value)

"""How high a schedule goes, and what to type to make it go as high as a given height."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from ..curve import Curve
from ..declaration import Refused
from ..kinds.sequences import Wrapped
from ..schedule import Schedule
from .preview import Look, horizon

PEAK_TOLERANCE = 0.06
"""How far, relatively, a peak may be from the height: overrides are rounded to two digits."""
PEAK_FIELDS = ("max_value", "initial_value", "value", "factor")
"""The fields that alone may set how high a schedule goes, the likeliest first."""
HEIGHT_FIELDS = {
    *("max_value", "initial_value", "value"),
    *("end_value", "base_value", "min_value", "values"),
}
"""The fields that have the dimension of a value: scaling all of them scales the curve."""


def peak(curve: Curve) -> float:
    """The greatest value over the whole run, by its `seen_steps`."""
    return float(Look.at(curve, horizon(curve.clock)).values.max())


def overrides_for_peak(curve: Curve, height: float) -> str:
    """The overrides with which the `schedule` of a run, drawn by `curve`, goes up to `height`.

    One field changes where that suffices, else all that have the dimension of a value.

    >>> from schedules import Clock, load
    >>> line = load({"kind": "linear", "initial_value": 0.2, "end_value": 0.0}, Clock(10))
    >>> overrides_for_peak(line, 0.01)
    'schedule.initial_value=0.01'
    """
    root, old_peak = curve.schedule, peak(curve)
    wrapped = root if isinstance(root, Wrapped) else Wrapped(schedule=root)
    config = wrapped.schedule.model_dump(mode="json")
    for changes in _candidates(config, height / old_peak) if old_peak > 0 else ():
        try:
            schedule = Schedule.declared(_with_changes(config, changes))
            changed = wrapped.model_copy(update={"schedule": schedule})
            new_peak = peak(Curve(changed, curve.clock))
        except Refused:  # the new value does not go with the others
            continue
        if changes and abs(new_peak / height - 1) < PEAK_TOLERANCE:
            return " ".join(f"schedule.{path}={_text(value)}" for path, value in changes.items())
    return f"a schedule whose greatest value is {height:g}, instead of {old_peak:g}"


def two_digits(value: float) -> float:
    """`value` rounded to two significant digits.

    >>> two_digits(0.03172)
    0.032
    """
    return float(f"{value:.2g}")


def _candidates(config: Mapping[str, Any], ratio: float) -> Iterator[dict[str, Any]]:
    """Changes, by path, that might make the peak `ratio` times as high."""
    for name in PEAK_FIELDS:
        if isinstance(height := config.get(name), float):
            yield {name: two_digits(height * ratio)}
    yield dict(_scaled(config, ratio))


def _scaled(config: Mapping[str, Any], ratio: float, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field with the dimension of a value, by path, multiplied by `ratio`."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _scaled(value, ratio, f"{path}{key}.")
        elif key in HEIGHT_FIELDS and isinstance(value, list):
            yield path + key, [two_digits(height * ratio) for height in value]
        elif key in HEIGHT_FIELDS and value:
            yield path + key, two_digits(value * ratio)


def _with_changes(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    changed = deepcopy(dict(config))
    for path, value in changes.items():
        *keys, last = path.split(".")
        inner = changed
        for key in keys:
            inner = inner[key]
        inner[last] = value
    return changed


def _text(value: float | list[float]) -> str:
    return f"[{','.join(map(repr, value))}]" if isinstance(value, list) else repr(value)

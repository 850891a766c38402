"""Composable schedules for any training hyperparameter, exact at every boundary."""

from .interrupt import leave_while_importing

leave_while_importing()

from .declaration.gc_pause import gc_paused  # noqa: E402

with gc_paused():
    from . import kinds  # noqa: F401  # registers every kind
    from .clock import Clock, Duration
    from .curve import Curve, load
    from .declaration import Flag, Number, Problem, Refused, Whole, refuse
    from .moments import Moments, Values
    from .schedule import WHOLE, Length, Schedule
    from .schema import json_schema

__all__ = [
    "WHOLE",
    "Clock",
    "Curve",
    "Duration",
    "Flag",
    "Length",
    "Moments",
    "Number",
    "Problem",
    "Refused",
    "Schedule",
    "Values",
    "Whole",
    "json_schema",
    "load",
    "refuse",
]

"""Composable schedules for any training hyperparameter, exact at every boundary."""

from .declaration.gc_pause import gc_paused

with gc_paused():
    from .clock import Clock, Duration
    from .curve import Curve, load
    from .declaration import Problem, Refused
    from .kinds import (  # noqa: F401  # each registers its kinds
        anneals,
        arithmetic,
        custom,
        cyclic,
        decays,
        noise,
        piecewise,
        reactive,
        sequences,
    )
    from .schedule import Schedule
    from .schema import json_schema

__all__ = ["Clock", "Curve", "Duration", "Problem", "Refused", "Schedule", "json_schema", "load"]

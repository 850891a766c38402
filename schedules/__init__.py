"""Composable schedules for any training hyperparameter, exact at every boundary."""

from .collector import spared

with spared():
    from . import (  # noqa: F401  # each registers its kinds
        anneals,
        combine,
        compose,
        cyclic,
        decays,
        given,
        piecewise,
        reactive,
        stochastic,
    )
    from .clock import Clock, Duration
    from .curve import Curve, load
    from .refusal import Problem, Refused
    from .schedule import Schedule
    from .schema import json_schema

__all__ = ["Clock", "Curve", "Duration", "Problem", "Refused", "Schedule", "json_schema", "load"]

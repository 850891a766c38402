"""Composable schedules for any training hyperparameter, exact at every boundary."""

from . import decays  # noqa: F401  # registers its kinds
from .clock import Clock, Duration
from .refusal import Problem, Refused
from .schedule import Curve, Schedule, load

__all__ = ["Clock", "Curve", "Duration", "Problem", "Refused", "Schedule", "load"]

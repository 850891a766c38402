"""Every kind of schedule, in families: one class each, with its formula, bounds and source.

Sees `declaration`, `clock`, `moments` and `schedule`.
"""

from ..schedule import Schedule

Schedule.kinds.declared_in(
    __name__,
    "anneals",
    "arithmetic",
    "custom",
    "cyclic",
    "decays",
    "noise",
    "piecewise",
    "reactive",
    "sequences",
)

"""Every kind of schedule, in families: one class each, with its formula, bounds and source.

Sees `declaration`, `clock`, `moments` and `schedule`.
"""

from . import (  # noqa: F401  # each registers its kinds
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

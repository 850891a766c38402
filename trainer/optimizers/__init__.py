"""Optimizers, declared: every numeric field takes a number or a schedule.

In the formulas w is a weight, g its gradient after clipping, lr the learning rate and t the number
of the update, from 1. The learning rate is no field: the experiment's `schedule` sets it.

Sees `scheduled`; modules import no Keras, methods do.
"""

from .group import Group, matches
from .optimizer import Optimizer
from .slots import slots

Optimizer.kinds.declared_in(__name__, "adam", "adaptive", "descent", "large")

__all__ = ["Group", "Optimizer", "matches", "slots"]

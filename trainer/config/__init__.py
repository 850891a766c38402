"""The whole config as frozen models, and how Hydra, Python and files compose it.

Sees the families (`data models losses optimizers metrics trackers`) and what they see, and no
TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.declaration.lazy import lazy_getattr

if TYPE_CHECKING:
    from .experiment import Experiment
    from .hydra import compose

__all__ = ["Experiment", "compose"]
__getattr__ = lazy_getattr(__name__, {"Experiment": "experiment", "compose": "hydra"})

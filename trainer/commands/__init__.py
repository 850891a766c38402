"""What a door can have done: a run, a look at rates or the machine, an export, a prediction.

Sees `training` and what that sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.declaration.lazy import lazy_getattr

if TYPE_CHECKING:
    from .api import train

__all__ = ["train"]
__getattr__ = lazy_getattr(__name__, {"train": "api"})

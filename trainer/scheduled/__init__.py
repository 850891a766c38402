"""A number that a schedule drives: its field, the tape it is read from, the dial it is read by.

Sees `schedules` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.declaration.lazy import lazy_getattr

if TYPE_CHECKING:
    from .dials import Dials
    from .fields import Bounds, Driven, Value
    from .tape import Tape

__all__ = ["Bounds", "Dials", "Driven", "Tape", "Value"]
__getattr__ = lazy_getattr(
    __name__,
    {"Bounds": "fields", "Dials": "dials", "Driven": "fields", "Tape": "tape", "Value": "fields"},
)

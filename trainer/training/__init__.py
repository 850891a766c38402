"""The host's side of a run: put together, the loop, what it obeys, how it goes on.

Sees `engine` and what that sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.declaration.lazy import lazy_getattr

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Session"]
__getattr__ = lazy_getattr(__name__, {"Session": "session"})

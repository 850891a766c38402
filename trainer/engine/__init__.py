"""The compiled program of one network, on one device or several, and how to compile it.

Sees `config`, the families, `scheduled` and `runs`; knows nothing of the loop around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.declaration.lazy import lazy_getattr

if TYPE_CHECKING:
    from .network import Network
    from .program import Program

__all__ = ["Network", "Program"]
__getattr__ = lazy_getattr(__name__, {"Network": "network", "Program": "program"})

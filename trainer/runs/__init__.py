"""Run folders on the disk: read, written, reported, with their letters and checkpoints.

Sees `schedules` alone, so that a tool reads a folder without the config and TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.declaration.lazy import lazy_getattr

if TYPE_CHECKING:
    from .atomic_files import write
    from .checkpoints import Checkpoints
    from .folder import Folder

__all__ = ["Checkpoints", "Folder", "write"]
__getattr__ = lazy_getattr(
    __name__,
    {
        "Checkpoints": "checkpoints",
        "Folder": "folder",
        "write": "atomic_files",
    },
)

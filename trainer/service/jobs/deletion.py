"""Runs that are deleted: moved to a folder of the root, from where they can be moved back."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from ...runs.atomic_files import flush_folder
from ...runs.run_folders import TRASH
from ..problems import ServiceError
from .queue import Queue


def delete(queue: Queue, run: str, path: Path) -> Path:
    """Moves the folder of a run into the trash, below the path that it had; gives where it is.

    Raises:
        ServiceError: a 409 for a run that has a place.
        OSError: when the disk refuses.
    """
    with queue.lock:
        entry = queue.entries.get(run)
        if entry and entry.is_started:
            raise ServiceError(409, "it is being trained; stop it first")
        place = queue.root / TRASH / path.relative_to(queue.root)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in count(1):
            if not place.exists():
                break
            place = place.with_name(f"{path.name}~{number}")
        path.rename(place)
        flush_folder(place.parent)
        queue.drop(run)
    queue.notify([])
    return place

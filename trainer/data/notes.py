"""What checks of files found, in the user's cache, so that they need not be opened again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from schedules.declaration.plain_files import json_value, read_plain

from ..runs.atomic_files import write

MAX_NOTES = 1000
"""How many notes are kept, the newest ones."""
MAX_BYTES = 2**16


class Notes:
    """Small files of JSON in one folder. What can't be read or written costs another check."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> Any:
        """What was noted; None where nothing was."""
        try:
            return json_value(read_plain(self._file(name), MAX_BYTES, follow_links=False))
        except (OSError, ValueError):
            return None

    def write(self, name: str, found: Any) -> None:
        """Notes what was found, in the place of the oldest note where there are too many."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            write(self._file(name), json.dumps(found))
            notes = sorted(self._folder.glob("note-*.json"), key=lambda file: file.stat().st_mtime)
            for note in notes[:-MAX_NOTES]:
                note.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"note-{name[:32]}.json"

"""All rows of one run as columns, brought up to its file piece by piece."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from schedules.declaration.plain_files import read_plain

from .cursor import Cursor
from .growing_array import FileArray, MemoryArray
from .parsing import EVALUATIONS, KINDS, UPDATES, parsed
from .rows_file import opened
from .table import Growing, Make, Table

PIECE_BYTES = 2**18
"""How much is parsed at once, in a few milliseconds; others are answered between one piece and the
next."""
LONGEST_LINE = 2**21
"""A line of more bytes is none of a row."""
KEPT_BYTES = 2**22
"""From how many bytes of rows on their columns are kept in files."""
SAVED_BYTES = 2**26
"""After how many bytes of rows it is noted how far the kept columns are."""
NOTE = "columns-1.json"
"""The number in it is raised when columns are kept in another way than before."""


class RunRows:
    """The columns of `metrics.jsonl` as far as they are read; one thread at a time may use it."""

    def __init__(self, file: Path, kept: Path | None) -> None:
        """`kept` is the folder for the columns of a long file; None for none."""
        self.file = file
        self.lock = threading.RLock()
        self.cursor = Cursor.start()
        """Up to where the file is read."""
        self._kept = kept
        self._is_kept = False
        self._saved = 0
        self.tables = self._empty()
        self._adopt()

    @property
    def bytes(self) -> int:
        """The memory that the columns take."""
        return sum(table.bytes for table in self.tables.values())

    @property
    def names(self) -> list[str]:
        """The names of all series, those of updates first."""
        return [*self.tables[UPDATES].names, *self.tables[EVALUATIONS].names]

    def missing(self) -> int:
        """How many bytes are not read yet, as far as that is known without looking at them."""
        with suppress(OSError):
            size = self.file.lstat().st_size
            return size - self.cursor.offset if size >= self.cursor.offset else size
        return 0

    def advance(self, budget: int) -> bool:
        """Reads about so many bytes more; whether the end was reached.

        What was read is forgotten where the file was cut back or is another one.

        Raises:
            OSError: when the file can't be read.
        """
        try:
            with self.lock, opened(self.file) as (descriptor, size):
                if not self.cursor.holds(descriptor):
                    self._forget()
                end = min(size, self.cursor.offset + budget)
                while self.cursor.offset < end:
                    piece = os.pread(descriptor, PIECE_BYTES, self.cursor.offset)
                    whole = piece.rfind(b"\n") + 1
                    if not whole:  # a long line, one that is still being written, or none at all
                        piece = os.pread(descriptor, LONGEST_LINE, self.cursor.offset)
                        whole = piece.find(b"\n") + 1
                    if not whole:
                        if len(piece) < LONGEST_LINE:
                            break
                        whole = len(piece)
                    if not self._is_kept and size > KEPT_BYTES and self._kept:
                        self._keep()
                    for kind, block in parsed(piece[:whole]).items():
                        self.tables[kind].append(block)
                    self.cursor = Cursor.at(descriptor, self.cursor.offset + whole)
                    if self.cursor.offset - self._saved > SAVED_BYTES:
                        self._save()
                is_whole = self.cursor.offset >= size or end == size
                if is_whole and self.cursor.offset > self._saved:
                    self._save()
                return is_whole
        except FileNotFoundError:
            with self.lock:
                if self.cursor.offset:
                    self._forget()
            return True

    def _empty(self) -> dict[str, Table]:
        return {kind: Table(self._maker(kind)) for kind in KINDS}

    def _maker(self, kind: str) -> Make:
        def make(name: str, dtype: Any, length: int) -> Growing:
            if not self._is_kept or not self._kept:
                return MemoryArray(dtype)
            return FileArray(self._kept / f"{kind}.{name.encode().hex()[:200]}", dtype, length)

        return make

    def _forget(self) -> None:
        self.cursor = Cursor.start()
        self._saved = 0
        if self._is_kept and self._kept:
            with suppress(OSError):
                (self._kept / NOTE).unlink()
        self.tables = self._empty()

    def _keep(self) -> None:
        """Begins to keep columns in files, with those that were in memory."""
        assert self._kept
        before = self.tables
        try:
            self._kept.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._is_kept = True
            self.tables = self._empty()
            for kind, table in before.items():
                self.tables[kind].append(table.block())
        except OSError:  # the disk does not allow it
            self._is_kept, self._kept = False, None
            self.tables = before

    def _save(self) -> None:
        """Notes how far the kept columns are."""
        self._saved = self.cursor.offset
        if not self._is_kept or not self._kept:
            return
        note = {
            "cursor": str(self.cursor),
            "tables": {kind: {"rows": table.rows, "names": table.names}
                       for kind, table in self.tables.items()},
        }  # fmt: skip
        draft = self._kept / f"{NOTE}.draft"
        with suppress(OSError):
            draft.write_text(json.dumps(note))
            draft.replace(self._kept / NOTE)

    def _adopt(self) -> None:
        """Goes on with the columns that were kept, if they are those of the file."""
        if self._kept is None:
            return
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(read_plain(self._kept / NOTE, 2**20, follow_links=False))
            cursor = Cursor.parse(note["cursor"])
            with opened(self.file) as (descriptor, _):
                if not cursor.holds(descriptor):
                    return
            self._is_kept = True
            try:
                tables = {
                    kind: Table(self._maker(kind), known["names"], known["rows"])
                    for kind, known in note["tables"].items()
                }
            except (OSError, KeyError, TypeError):
                self._is_kept = False
                raise
            self.tables, self.cursor, self._saved = tables, cursor, cursor.offset

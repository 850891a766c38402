"""Checkpoints: written atomically, checked when read, and removed when no longer to be kept.

A checkpoint is a folder such as `step-0000000625` with the arrays in `state.npz` and their size
and checksum in `manifest.json`. The folder is written under another name, flushed to the disk and
then renamed: a process that is killed at any moment leaves whole checkpoints only.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .atomic_files import flush_folder
from .checkpoint_files import (
    FORMAT,
    STATE,
    DamagedCheckpointError,
    FingerprintedFile,
    Manifest,
    Saved,
    check_rows,
    digest,
    read,
    read_manifest,
)

BUFFER_BYTES = 2**20
"""How much of a state waits in memory for the disk: all of a small network's."""


class CheckpointMismatchError(Exception):
    """A checkpoint that was made by another kind of run than the one that is to go on from it."""


class CheckpointId(NamedTuple):
    """Which checkpoint of a run: after how many updates it was made, and after how many rewinds.

    The one made after more rewinds is the newer one, whatever its step.

    >>> CheckpointId(625), CheckpointId(625, 2).name
    (CheckpointId(step=625, rewinds=0), 'step-0000000625-rewind-2')
    >>> CheckpointId.parse("step-0000000625-rewind-2")
    CheckpointId(step=625, rewinds=2)
    """

    step: int
    rewinds: int = 0

    @property
    def name(self) -> str:
        return f"step-{self.step:010d}" + (f"-rewind-{self.rewinds}" if self.rewinds else "")

    @property
    def age_key(self) -> tuple[int, int]:
        """A key to sort by, from the oldest to the newest."""
        return self.rewinds, self.step

    @classmethod
    def parse(cls, name: str) -> CheckpointId | None:
        """Reads the name of a checkpoint's folder; None for any other name."""
        match = re.fullmatch(r"step-([0-9]{1,18})(?:-rewind-([0-9]{1,18}))?", name)
        return cls(int(match[1]), int(match[2] or 0)) if match else None


class Retention(NamedTuple):
    """Which checkpoints stay and which go; those of permanent steps are in neither set."""

    kept: set[CheckpointId]
    removable: set[CheckpointId]


class Checkpoints:
    """The checkpoints of one run, in one folder."""

    def __init__(
        self, folder: Path, keep: int, is_permanent: Callable[[int], bool] = lambda step: False
    ) -> None:
        """Keeps the newest `keep`, and those of the steps for which `is_permanent` is true."""
        self.folder = folder
        self.keep = keep
        self.is_permanent = is_permanent

    def save(
        self,
        checkpoint: CheckpointId,
        arrays: Mapping[str, NDArray[Any]],
        about: Mapping[str, Any],
        protected_steps: Collection[int] = (),
    ) -> Path:
        """Writes a checkpoint unless it is there already, and removes those that may go.

        Checkpoints of the `protected_steps` stay.

        Raises:
            OSError: when the disk refuses; every earlier checkpoint is then still whole.
        """
        path = self.write(checkpoint, arrays, about)
        self.remove(self.retention(self.ids(), protected_steps).removable)
        return path

    def write(
        self,
        checkpoint: CheckpointId,
        arrays: Mapping[str, NDArray[Any]],
        about: Mapping[str, Any],
    ) -> Path:
        """Writes a checkpoint unless it is there already, and removes none.

        Raises:
            OSError: when the disk refuses.
        """
        self.folder.mkdir(exist_ok=True)
        path = self.folder / checkpoint.name
        if not path.exists():
            self._write(path, checkpoint.step, arrays, about)
        return path

    def ids(self) -> list[CheckpointId]:
        """The checkpoints in the folder, newest first."""
        return list(self._by_path().values())

    def retention(
        self, checkpoints: Iterable[CheckpointId], protected_steps: Collection[int]
    ) -> Retention:
        """Which of some checkpoints are kept for now, and which may be removed."""
        newest_first = sorted(checkpoints, key=lambda checkpoint: checkpoint.age_key, reverse=True)
        newest, older = newest_first[: self.keep], newest_first[self.keep :]
        kept = {*newest, *(old for old in older if old.step in protected_steps)}
        removable = {old for old in older if old not in kept and not self.is_permanent(old.step)}
        return Retention(kept, removable)

    def remove(self, removable: Collection[CheckpointId]) -> list[CheckpointId]:
        """Removes checkpoints, but none of the newest `keep`; returns those left in the folder.

        Raises:
            OSError: when the disk refuses.
        """
        remaining = self._by_path()
        for path, checkpoint in list(remaining.items())[self.keep :]:
            if checkpoint in removable:
                renamed = path.rename(path.with_name(f".{path.name}.{os.getpid()}"))
                shutil.rmtree(renamed, ignore_errors=True)
                del remaining[path]
        return list(remaining.values())

    def newest(
        self,
        accepts_step: Callable[[int], bool] = lambda step: True,
        *,
        rows: int | None = None,
        set_aside: bool = True,
    ) -> tuple[Saved | None, list[str]]:
        """The newest whole checkpoint of an accepted step, and what is wrong with newer ones.

        With `rows`, the bytes that `metrics.jsonl` has, a checkpoint that was made after more of
        them is wrong too. With `set_aside`, wrong checkpoints are renamed. They then no longer
        count as kept, and the next checkpoint of the same step can take the name. Whoever only
        reads leaves them.
        """
        wrong: list[str] = []
        for path, checkpoint in self._by_path().items():
            if not accepts_step(checkpoint.step):
                continue
            try:
                saved = read(path)
                check_rows(saved.about, rows)
                return saved, wrong
            except DamagedCheckpointError as reason:
                wrong.append(f"{path.name}: {reason}")
                if set_aside:
                    _set_aside(path)
        return None, wrong

    def manifest(self, rows: int) -> Manifest | None:
        """That of the checkpoint which `newest(rows=rows)` most likely gives; no array is read.

        Raises:
            DamagedCheckpointError: when `metrics.jsonl` has fewer rows than any checkpoint needs.
        """
        too_new: DamagedCheckpointError | None = None
        for path in self._by_path():
            try:
                manifest = read_manifest(path)
            except DamagedCheckpointError:
                continue
            try:
                check_rows(manifest.about, rows)
            except DamagedCheckpointError as error:
                too_new = too_new or error
                continue
            return manifest
        if too_new:
            raise too_new
        return None

    def set_aside_after(self, saved: Saved | None) -> None:
        """Renames every checkpoint that is newer than the one that a run goes on from."""
        last = CheckpointId(saved.step, saved.about["rewinds"]).age_key if saved else (0, -1)
        for path, checkpoint in self._by_path().items():
            if checkpoint.age_key > last:
                _set_aside(path)

    def newest_step(self) -> int:
        """The step of the newest checkpoint, by the folder's name alone; 0 if there is none."""
        return next((checkpoint.step for checkpoint in self._by_path().values()), 0)

    def clean(self) -> None:
        """Removes what a killed process left half written or half removed."""
        for leftover in self.folder.glob(".step-*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _write(
        self, path: Path, step: int, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]
    ) -> None:
        draft = self.folder / f".{path.name}.{os.getpid()}"
        if draft.exists():
            shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            # With a small buffer, each array would cost several system calls.
            with (draft / STATE).open("wb", BUFFER_BYTES) as file:
                content = FingerprintedFile(file)
                np.savez(content, **arrays)  # type: ignore[arg-type]  # the stubs take no mapping
                file.flush()
                os.fsync(file.fileno())
            body = {
                "format": FORMAT,
                "step": step,
                "files": {STATE: content.fingerprint()},
                "about": dict(about),
            }
            with (draft / "manifest.json").open("w", encoding="utf-8") as file:
                json.dump({"body": body, "sha256": digest(body)}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            flush_folder(draft)
            draft.rename(path)
            flush_folder(self.folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _by_path(self) -> dict[Path, CheckpointId]:
        """The folders with the name of a checkpoint, newest first."""
        parsed = ((path, CheckpointId.parse(path.name)) for path in self.folder.glob("step-*"))
        checkpoints = [(path, checkpoint) for path, checkpoint in parsed if checkpoint]
        return dict(sorted(checkpoints, key=lambda item: item[1].age_key, reverse=True))


def _set_aside(path: Path) -> None:
    path.rename(path.with_name(f"damaged-{path.name}-{secrets.token_hex(3)}"))

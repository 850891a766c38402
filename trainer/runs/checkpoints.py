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
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration.plain_files import json_value, read_plain

from .atomic_files import flush_folder

FORMAT = 2
STATE = "state.npz"
MAX_MANIFEST_BYTES = 64 * 2**20
Arrays = dict[str, NDArray[Any]]


class CheckpointMismatchError(Exception):
    """A checkpoint that was made by another kind of run than the one that is to go on from it."""


class DamagedCheckpointError(Exception):
    """A checkpoint that can't be trusted, and why."""


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


@dataclass(frozen=True)
class Saved:
    """The content of a checkpoint: arrays by name, and the run's state in JSON."""

    step: int
    arrays: Arrays
    about: dict[str, Any]


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
        self, accepts_step: Callable[[int], bool] = lambda step: True, *, set_aside: bool = True
    ) -> tuple[Saved | None, list[str]]:
        """The newest whole checkpoint of an accepted step, and what is wrong with newer ones.

        With `set_aside`, damaged checkpoints are renamed. They then no longer count as kept, and
        the next checkpoint of the same step can take the name. Whoever only reads leaves them.
        """
        damaged: list[str] = []
        for path, checkpoint in self._by_path().items():
            if not accepts_step(checkpoint.step):
                continue
            try:
                return read(path), damaged
            except DamagedCheckpointError as reason:
                damaged.append(f"{path.name}: {reason}")
                if set_aside:
                    path.rename(path.with_name(f"damaged-{path.name}-{secrets.token_hex(3)}"))
        return None, damaged

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
            content = BytesIO()  # in a file, each array would cost several system calls
            np.savez(content, **arrays)  # type: ignore[arg-type]  # the stubs take no mapping
            with (draft / STATE).open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            body = {
                "format": FORMAT,
                "step": step,
                "files": {STATE: _fingerprint(content.getbuffer())},
                "about": dict(about),
            }
            with (draft / "manifest.json").open("w", encoding="utf-8") as file:
                json.dump({"body": body, "sha256": _digest(body)}, file, indent=1)
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


def read(path: Path) -> Saved:
    """Reads the checkpoint in a folder and checks every byte of it.

    Raises:
        DamagedCheckpointError: when the files differ from what the manifest says.
    """
    try:
        manifest = json_value(
            read_plain(path / "manifest.json", MAX_MANIFEST_BYTES, follow_links=False)
        )
        body = manifest["body"]
        if manifest["sha256"] != _digest(body):
            raise DamagedCheckpointError("manifest.json does not match its own checksum")
        if body["format"] != FORMAT:
            raise DamagedCheckpointError(
                f"is of format {body['format']}, and this version reads {FORMAT}"
            )
        size = body["files"][STATE]["bytes"]
        content = read_plain(path / STATE, size, follow_links=False)
        if body["files"] != {STATE: _fingerprint(content)}:
            raise DamagedCheckpointError(f"{STATE} does not match its checksum")
        with np.load(path / STATE, allow_pickle=False) as arrays:
            return Saved(body["step"], {name: arrays[name] for name in arrays}, body["about"])
    except DamagedCheckpointError:
        raise
    except OSError as error:
        raise DamagedCheckpointError(
            f"{Path(error.filename or path).name}: {error.strerror}"
        ) from None
    except Exception as error:
        raise DamagedCheckpointError(f"{type(error).__name__}: {error}") from None


def _digest(body: Any) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _fingerprint(content: bytes | memoryview) -> dict[str, int | str]:
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}

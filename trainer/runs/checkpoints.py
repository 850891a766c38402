"""Checkpoints: atomic, checked, and only those kept that are asked for.

A checkpoint is a folder `step-0000000625` with the arrays in `state.npz` and a `manifest.json`
that holds the sizes and checksums of it all. It is written beside its final name, flushed to the
disk and renamed, so that a process killed at any moment leaves whole checkpoints only.
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

from .atomic_files import flush_folder

FORMAT = 2
STATE = "state.npz"
Arrays = dict[str, NDArray[Any]]


class CheckpointMismatchError(Exception):
    """A checkpoint that was made by another kind of run than the one that is to go on from it."""


class DamagedCheckpointError(Exception):
    """A checkpoint that can't be trusted, and why."""


class At(NamedTuple):
    """When a checkpoint was made: `step` updates done, after so many rewinds.

    One made after more rewinds is newer, whatever its step.

    >>> At(625), At(625, 2).name, At.named("step-0000000625-rewind-2")
    (At(step=625, rewinds=0), 'step-0000000625-rewind-2', At(step=625, rewinds=2))
    """

    step: int
    rewinds: int = 0

    @property
    def name(self) -> str:
        return f"step-{self.step:010d}" + (f"-rewind-{self.rewinds}" if self.rewinds else "")

    @property
    def order(self) -> tuple[int, int]:
        """What is greater the newer it is."""
        return self.rewinds, self.step

    @classmethod
    def named(cls, name: str) -> At | None:
        found = re.fullmatch(r"step-(\d+)(?:-rewind-(\d+))?", name)
        return cls(int(found[1]), int(found[2] or 0)) if found else None


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: arrays by name, and what JSON says besides."""

    step: int
    arrays: Arrays
    about: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, in one folder."""

    def __init__(
        self, folder: Path, keep: int, forever: Callable[[int], bool] = lambda step: False
    ) -> None:
        """Keeps the newest `keep`, and those of the steps that `forever` picks."""
        self.folder = folder
        self.keep = keep
        self.forever = forever

    def save(
        self,
        at: At,
        arrays: Mapping[str, NDArray[Any]],
        about: Mapping[str, Any],
        spared: Collection[int] = (),
    ) -> Path:
        """Writes one checkpoint and removes those that need no longer be kept.

        Those of the `spared` steps stay. A checkpoint that is there already is not written again.

        Raises:
            OSError: when the disk refuses; every earlier checkpoint is then still whole.
        """
        final = self.write(at, arrays, about)
        self.retire(self.sift(self.held(), spared)[1])
        return final

    def write(self, at: At, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> Path:
        """Writes one that is not there already, and removes none.

        Raises:
            OSError: when the disk refuses.
        """
        self.folder.mkdir(exist_ok=True)
        final = self.folder / at.name
        if not final.exists():
            self._write(final, at.step, arrays, about)
        return final

    def held(self) -> list[At]:
        """Those that are there, newest first."""
        return list(self._found().values())

    def sift(self, ats: Iterable[At], spared: Collection[int]) -> tuple[set[At], set[At]]:
        """Those that stay for now, and those that are to go; one that stays for good is neither."""
        newest = sorted(ats, key=lambda at: at.order, reverse=True)
        older = newest[self.keep :]
        staying = {*newest[: self.keep], *(at for at in older if at.step in spared)}
        return staying, {at for at in older if at not in staying and not self.forever(at.step)}

    def retire(self, going: Collection[At]) -> list[At]:
        """Removes those that are to go, but none of the newest `keep`; gives those that are left.

        Raises:
            OSError: when the disk refuses.
        """
        found = self._found()
        for old, at in list(found.items())[self.keep :]:
            if at in going:
                gone = old.rename(old.with_name(f".{old.name}.{os.getpid()}"))
                shutil.rmtree(gone, ignore_errors=True)
                del found[old]
        return list(found.values())

    def newest(
        self, among: Callable[[int], bool] = lambda step: True, *, set_aside: bool = True
    ) -> tuple[Saved | None, list[str]]:
        """The newest whole checkpoint of the steps `among`, and what was wrong with newer ones.

        Damaged ones are `set_aside` under another name, so that they neither count as kept nor
        stand in the way of the same step's next one; whoever only reads leaves them.
        """
        damaged: list[str] = []
        for path, at in self._found().items():
            if not among(at.step):
                continue
            try:
                return read(path), damaged
            except DamagedCheckpointError as reason:
                damaged.append(f"{path.name}: {reason}")
                if set_aside:
                    path.rename(path.with_name(f"damaged-{path.name}-{secrets.token_hex(3)}"))
        return None, damaged

    def step(self) -> int:
        """How far the newest one got, going by its name."""
        return next((at.step for at in self._found().values()), 0)

    def clean(self) -> None:
        """Removes what a killed process left half written or half removed."""
        for litter in self.folder.glob(".step-*"):
            shutil.rmtree(litter, ignore_errors=True)

    def _write(
        self, final: Path, step: int, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]
    ) -> None:
        draft = self.folder / f".{final.name}.{os.getpid()}"
        if draft.exists():
            shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            content = BytesIO()  # of a file, each array would take several calls to the system
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
            draft.rename(final)
            flush_folder(self.folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _found(self) -> dict[Path, At]:
        """The folders that bear a checkpoint's name, newest first."""
        named = ((path, At.named(path.name)) for path in self.folder.glob("step-*"))
        found = [(path, at) for path, at in named if at]
        return dict(sorted(found, key=lambda item: item[1].order, reverse=True))


def read(path: Path) -> Saved:
    """The checkpoint in a folder, every byte of it checked.

    Raises:
        Damaged: when it isn't what its manifest says.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        body = manifest["body"]
        if manifest["sha256"] != _digest(body):
            raise DamagedCheckpointError("manifest.json does not match its own checksum")
        if body["format"] != FORMAT:
            raise DamagedCheckpointError(
                f"is of format {body['format']}, and this version reads {FORMAT}"
            )
        if body["files"] != {STATE: _fingerprint((path / STATE).read_bytes())}:
            raise DamagedCheckpointError(f"{STATE} does not match its checksum")
        with np.load(path / STATE, allow_pickle=False) as arrays:
            return Saved(body["step"], {name: arrays[name] for name in arrays}, body["about"])
    except DamagedCheckpointError:
        raise
    except Exception as error:
        raise DamagedCheckpointError(f"{type(error).__name__}: {error}") from None


def _digest(body: Any) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _fingerprint(content: bytes | memoryview) -> dict[str, int | str]:
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}

"""Checkpoints: atomic, checked, and only the newest few kept.

A checkpoint is a folder `step-0000000625` with the arrays in `state.npz` and a `manifest.json`
that holds the sizes and checksums of it all. It is written beside its final name, flushed to the
disk and renamed, so that a process killed at any moment leaves whole checkpoints only.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
Arrays = dict[str, NDArray[Any]]


class Damaged(Exception):  # noqa: N818  # a finding, passed on as such
    """A checkpoint that can't be trusted, and why."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: arrays by name, and what JSON says besides."""

    step: int
    arrays: Arrays
    about: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, in one folder."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> Path:
        """Writes one checkpoint and removes those that `keep` leaves out.

        Raises:
            OSError: when the disk refuses; every earlier checkpoint is then still whole.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        final = self.folder / f"step-{step:010d}"
        draft = self.folder / f".{final.name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            with (draft / "state.npz").open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]  # the stubs take no mapping
                os.fsync(file.fileno())
            body = {
                "format": FORMAT,
                "step": step,
                "files": {"state.npz": _fingerprint(draft / "state.npz")},
                "about": dict(about),
            }
            with (draft / "manifest.json").open("w", encoding="utf-8") as file:
                json.dump({"body": body, "sha256": _digest(body)}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            _flush_folder(draft)
            draft.rename(final)
            _flush_folder(self.folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        for old in self._found()[self.keep :]:
            shutil.rmtree(old, ignore_errors=True)
        return final

    def newest(self) -> tuple[Saved | None, list[str]]:
        """The newest whole checkpoint, and what was wrong with each newer one.

        Damaged ones are set aside under another name, so that they neither count as kept nor
        stand in the way of the same step's next one.
        """
        damaged: list[str] = []
        for path in self._found():
            try:
                return read(path), damaged
            except Damaged as reason:
                damaged.append(f"{path.name}: {reason}")
                path.rename(path.with_name(f"damaged-{path.name}-{secrets.token_hex(3)}"))
        return None, damaged

    def _found(self) -> list[Path]:
        """The folders that bear a checkpoint's name, newest first."""
        return sorted(self.folder.glob("step-*"), reverse=True)


def read(path: Path) -> Saved:
    """The checkpoint in a folder, every byte of it checked.

    Raises:
        Damaged: when it isn't what its manifest says.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        body = manifest["body"]
        if manifest["sha256"] != _digest(body):
            raise Damaged("manifest.json does not match its own checksum")
        if body["format"] != FORMAT:
            raise Damaged(f"is of format {body['format']}, and this version reads {FORMAT}")
        for name, fingerprint in body["files"].items():
            if _fingerprint(path / name) != fingerprint:
                raise Damaged(f"{name} does not match its checksum")
        with np.load(path / "state.npz", allow_pickle=False) as arrays:
            return Saved(body["step"], {name: arrays[name] for name in arrays}, body["about"])
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None


def _digest(body: Any) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _fingerprint(path: Path) -> dict[str, int | str]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

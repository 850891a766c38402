"""A run's folder: what it was declared as, who writes to it, and how it ended."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from schedules.declaration import ABSENT, refuse
from schedules.declaration.yaml_files import read_bounded


class Folder:
    """The files of one run, by what they are for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.chosen = path / "chosen.json"
        self.result = path / "result.json"
        self.checkpoints = path / "checkpoints"
        self.preparation = path / "preparation.json"
        self.picture = path / "schedule.svg"
        self.chatter = path / "tensorflow.log"

    def written(self) -> dict[str, Any]:
        """What the config holds, its interpolations as they are written."""
        try:
            before = yaml.safe_load(read_bounded(self.config))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            rule = f"can't be read: {str(error).splitlines()[0]}"
            raise refuse(str(self.config), ABSENT, rule, "is it another program's?") from None
        if not isinstance(before, dict):
            raise refuse(str(self.config), ABSENT, "holds no mapping")
        return before

    def begun(self) -> bool:
        """Whether an update was made here; a run that was refused before binds nobody."""
        metrics = self.path / "metrics.jsonl"
        written = metrics.exists() and metrics.stat().st_size > 0
        return written or any(self.checkpoints.glob("step-*"))

    def ended(self) -> dict[str, Any] | None:
        """What the last process on this folder left in `result.json`."""
        if not self.result.exists():
            return None
        ended: dict[str, Any] = json.loads(self.result.read_text(encoding="utf-8"))
        return ended

    @contextmanager
    def locked(self, said: str = "hydra.run.dir") -> Iterator[None]:
        """Makes this process the folder's only writer; a dead one's lock is free.

        `said` is the override by which the folder was chosen.

        Raises:
            Refused: naming the host and process that is writing.
        """
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                rule = f"is being written to by {file.read().strip() or 'another process'}"
                raise refuse(said, str(self.path), rule, "choose another") from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield

    def owner(self) -> str:
        """Who is writing to the folder, or nothing."""
        try:
            with (self.path / ".lock").open("r", encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read().strip() or "another process"
        except FileNotFoundError:
            pass
        return ""


def near(path: Path) -> Path:
    """A path as it is best told: from the folder one stands in, where it is inside."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path

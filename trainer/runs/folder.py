"""A run's folder: the names of its files, its config and result, and the lock of its writer."""

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

from schedules.declaration import ABSENT, Refused, refuse
from schedules.declaration.yaml_files import read_bounded

from .known_secrets import holds_secret


class Folder:
    """The files of one run, by what they are for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.compile_choice = path / "chosen.json"
        """How the loop is compiled, where that was chosen by measuring."""
        self.result = path / "result.json"
        self.checkpoints = path / "checkpoints"
        self.preparation = path / "preparation.json"
        self.picture = path / "schedule.svg"
        self.tensorflow_log = path / "tensorflow.log"
        """What TensorFlow writes to the standard error."""

    def read_config(self) -> dict[str, Any]:
        """The values of `config.yaml`, with interpolations unresolved.

        Raises:
            Refused: when the file can't be read, or holds no mapping.
        """
        try:
            config = yaml.safe_load(read_bounded(self.config))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            rule = f"can't be read: {str(error).splitlines()[0]}"
            raise refuse(str(self.config), ABSENT, rule, "is it another program's?") from None
        if not isinstance(config, dict):
            raise refuse(str(self.config), ABSENT, "holds no mapping")
        return config

    def has_updates(self) -> bool:
        """Whether an update was made here; if not, the folder is free for any other run."""
        metrics = self.path / "metrics.jsonl"
        logged = metrics.exists() and metrics.stat().st_size > 0
        return logged or any(self.checkpoints.glob("step-*"))

    def read_result(self) -> dict[str, Any] | None:
        """What the last process on this folder left in `result.json`; None if there is none."""
        if not self.result.exists():
            return None
        result: dict[str, Any] = json.loads(self.result.read_text(encoding="utf-8"))
        return result

    def check_name(self, override: str = "hydra.run.dir") -> None:
        """Checks whether the path may be shown, printed and sent.

        Raises:
            Refused: when a secret is in it, as `${hydra.job.override_dirname}` could bring one.
        """
        if holds_secret(str(self.path)):
            rule = "names a folder after a secret"
            raise refuse(override, ABSENT, rule, f"{override}=runs/first")

    @contextmanager
    def locked(self, override: str = "hydra.run.dir") -> Iterator[None]:
        """Makes this process the folder's only writer; the lock of a dead process is free.

        `override` is the name of the override by which the folder was chosen.

        Raises:
            Refused: naming the host and process that is writing.
        """
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._taken(override, self.owner()) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield

    def owner(self) -> str:
        """The process that is writing to the folder, as its lock names it; "" if none is."""
        try:
            with (self.path / ".lock").open("r", encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    return file.read().strip() or "another process"
        except FileNotFoundError:
            pass
        return ""

    def check_free(self, override: str = "hydra.run.dir") -> None:
        """Whether a process could make this folder its own.

        Raises:
            Refused: naming the host and process that is writing, or as there is a file.
        """
        if self.path.exists() and not self.path.is_dir():
            raise refuse(override, str(self.path), "is a file", "choose another")
        if owner := self.owner():
            raise self._taken(override, owner)

    def _taken(self, override: str, owner: str) -> Refused:
        rule = f"is being written to by {owner or 'another process'}"
        return refuse(override, str(self.path), rule, "choose another")


def display_path(path: Path) -> Path:
    """A path relative to the working folder where it is inside, else the absolute one."""
    path, working_folder = path.resolve(), Path.cwd()
    return path.relative_to(working_folder) if path.is_relative_to(working_folder) else path

"""Exports and predictions: short processes that make files of a run, like jobs without a queue."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from schedules.declaration.plain_files import read_plain

from ...runs.atomic_files import write
from ...runs.process_identity import ProcessIdentity
from ...runs.provenance import usable_cores
from ...runs.run_folders import QUEUE
from ...sweeps.places import ERRORS, Place, last_lines
from ..problems import ServiceError
from .settings import TASKS

ABOUT = "task.json"
CODE = "exit_code"
PREDICTIONS = "predictions.csv"
MOST_RUNNING = 2
"""How many tasks run at a time; each imports TensorFlow."""
MOST_KEPT = 100
"""Of how many tasks the files are kept, the newest."""
MAX_BYTES = 2**16
NOTED = ("/bin/sh", "-c", 'code=$0; "$@"; echo $? >"$code.part" && mv "$code.part" "$code"')
"""Runs a command and leaves its exit code in a file, whoever is there to wait for it."""
State = Literal["running", "done", "failed"]
TASK_ID = "^[0-9a-f]{32}$"


class About(BaseModel):
    """What a task is, as it was recorded."""

    model_config = ConfigDict(frozen=True)

    run: str
    """The id of the run."""
    kind: Literal["export", "predict"]
    created: float
    process: ProcessIdentity | None = None


class Tasks:
    """The tasks of a root, each in a private folder of the queue's."""

    def __init__(self, root: Path) -> None:
        self._folder = root / QUEUE / TASKS
        self._lock = threading.Lock()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def folder(self, task: str) -> Path:
        """The folder of a task.

        Raises:
            ServiceError: a 404 where none has the id.
        """
        folder = self._folder / task
        if not re.fullmatch(TASK_ID, task) or not (folder / ABOUT).is_file():
            raise ServiceError(404, f"no task has the id {task[:40]}")
        return folder

    def start(
        self,
        run: str,
        kind: Literal["export", "predict"],
        arguments: Sequence[str],
        upload: tuple[str, bytes] | None = None,
    ) -> str:
        """Starts `python -m trainer.KIND` with arguments, in which `{folder}` is the task's own.

        `upload` is the name and the content of a file that is put there before. Gives the id.

        Raises:
            ServiceError: a 503 where enough of them run.
            OSError: when the disk refuses.
        """
        with self._lock:
            self._reap()
            if len(self._running) >= MOST_RUNNING:
                raise ServiceError(503, f"{MOST_RUNNING} exports and predictions run already")
            self._forget_old()
            task = secrets.token_hex(16)
            folder = self._folder / task
            folder.mkdir(mode=0o700, parents=True)
            try:
                if upload:
                    (folder / upload[0]).write_bytes(upload[1])
                about = About(run=run, kind=kind, created=time.time())
                write(folder / ABOUT, about.model_dump_json())
                own = [argument.replace("{folder}", str(folder)) for argument in arguments]
                place = Place(tuple(usable_cores()))
                command = [*NOTED, str(folder / CODE), *self.command(kind, own)]
                process = place.start(command, folder)
                self._running[task] = process
                identity = ProcessIdentity.of(process.pid)
                about = about.model_copy(update={"process": identity})
                write(folder / ABOUT, about.model_dump_json())
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            threading.Thread(
                target=self._wait, args=(task, process), name="task", daemon=True
            ).start()
            return task

    @staticmethod
    def command(kind: str, arguments: Sequence[str]) -> list[str]:
        """What a task's process is."""
        return [sys.executable, "-m", f"trainer.{kind}", *arguments]

    def look(self, task: str) -> tuple[About, State, str]:
        """What a task is, its state, and why it failed.

        Raises:
            ServiceError: a 404 where none has the id.
        """
        folder = self.folder(task)
        try:
            about = About.model_validate(json.loads(read_plain(folder / ABOUT, MAX_BYTES)))
        except (OSError, ValueError, ValidationError):
            raise ServiceError(404, "the task's files can't be read") from None
        lives = about.process is not None and about.process.lives()  # before its last word
        with suppress(OSError, ValueError):
            code = int(read_plain(folder / CODE, 16))
            error = last_lines(folder, ERRORS, 8) or f"ended with exit code {code}"
            return about, "failed" if code else "done", error if code else ""
        is_beginning = about.process is None and task in self._running
        if lives or is_beginning:
            return about, "running", ""
        return about, "failed", "its process is gone"

    def _wait(self, task: str, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        with self._lock:
            self._running.pop(task, None)

    def _reap(self) -> None:
        for task, process in list(self._running.items()):
            if process.poll() is not None:
                del self._running[task]

    def _forget_old(self) -> None:
        """Removes the files of the oldest tasks, which nobody has saved until now."""
        found: list[tuple[float, Path]] = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            found = [(entry.stat().st_mtime, Path(entry.path)) for entry in entries]
        for _, folder in sorted(found)[: max(0, len(found) - MOST_KEPT + 1)]:
            if folder.name not in self._running:
                shutil.rmtree(folder, ignore_errors=True)


def made_files(folder: Path) -> list[dict[str, Any]]:
    """The files in a folder that a task has made, with their sizes in bytes."""
    if not folder.is_dir():
        return []
    return [{"name": file.relative_to(folder).as_posix(), "size": file.lstat().st_size}
            for file in sorted(folder.rglob("*"))
            if file.is_file() and not file.is_symlink()]  # fmt: skip

"""What holds for a queue as a whole, kept in its root: whether it is paused, what it runs on."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schedules.declaration.plain_files import read_plain

from ...runs.atomic_files import write
from ...runs.provenance import usable_cores
from ...runs.run_folders import QUEUE
from ...sweeps.places import automatic_count, gpu_names

SETTINGS = "settings.json"
LOCK = "lock"
DRAFTS = "drafts"
TASKS = "tasks"
MAX_BYTES = 2**16


class Settings(BaseModel):
    """What a person has said of a queue; None stands for what this machine has."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    paused: bool = False
    """Whether no further job starts."""
    at_once: Annotated[int | None, Field(ge=1, le=1000)] = None
    cores: list[int] | None = None
    gpus: list[str] | None = None


class Machine:
    """What this machine has, and how much of it a queue takes."""

    def __init__(self) -> None:
        self.cores = usable_cores()
        self.gpus = gpu_names()

    def used_cores(self, settings: Settings) -> list[int]:
        """The cores that jobs run on."""
        return list(settings.cores or self.cores)

    def used_gpus(self, settings: Settings) -> list[str]:
        """The GPUs that jobs run on."""
        return list(self.gpus if settings.gpus is None else settings.gpus)

    def at_once(self, settings: Settings) -> int:
        """How many jobs run at a time."""
        automatic = automatic_count(self.used_cores(settings), self.used_gpus(settings))
        return settings.at_once or automatic


def read_settings(root: Path) -> Settings:
    """The settings of a root's queue; what nobody has said, or can't be read, is the default."""
    with suppress(OSError, ValueError, ValidationError):
        content = read_plain(root / QUEUE / SETTINGS, MAX_BYTES, follow_links=False)
        return Settings.model_validate(json.loads(content))
    return Settings()


def write_settings(root: Path, settings: Settings) -> None:
    """Keeps settings.

    Raises:
        OSError: when the disk refuses.
    """
    write(root / QUEUE / SETTINGS, f"{settings.model_dump_json()}\n")


def remove_drafts(root: Path) -> None:
    """Removes what servers that died have begun to make."""
    with suppress(OSError):
        for draft in (root / QUEUE / DRAFTS).iterdir():
            shutil.rmtree(draft, ignore_errors=True)


class LaunchRight:
    """The right to start jobs below a root, which one server at a time has, by a lock."""

    def __init__(self, root: Path) -> None:
        self._folder = root / QUEUE
        self._root = root
        self._descriptor: int | None = None
        self.why = "the queue has not been looked at yet"
        """Why this server has no right to; "" where it has it."""

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    @property
    def is_open(self) -> bool:
        """Whether this server has the right, or would have it once something is submitted."""
        return self.is_held or not self.why

    def take(self, *, may_make: bool) -> bool:
        """Whether this server has the right from now on.

        Where nothing was ever submitted, nothing is made in the root unless it `may_make` that.
        """
        if self.is_held:
            return True
        try:
            if not os.access(self._root, os.W_OK):
                self.why = "this server may not write to the folder of the runs"
                return False
            if not may_make and not self._folder.exists():
                self.why = ""
                return False
            self._folder.mkdir(mode=0o700, exist_ok=True)
            status = self._folder.lstat()
            if status.st_uid != os.getuid() or status.st_mode & 0o022:
                self.why = f"{self._folder} is not this user's alone"
                return False
            descriptor = os.open(
                self._folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BaseException:
                os.close(descriptor)
                raise
        except BlockingIOError:
            self.why = "another server of this folder starts its jobs"
            return False
        except OSError as error:
            self.why = f"the queue can't be kept: {error.filename or LOCK}: {error.strerror}"
            return False
        self._descriptor, self.why = descriptor, ""
        return True

    def release(self) -> None:
        """Lets another server have it; jobs go on."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self.why = None, "this server ends"

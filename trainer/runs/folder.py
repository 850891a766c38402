"""A run's folder: the names of its files, its config and result, and the lock of its writer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from schedules.declaration import ABSENT, Refused, refuse
from schedules.declaration.yaml_files import read_bounded, read_mapping

from .atomic_files import remove_drafts, write
from .known_secrets import holds_secret
from .lock import Lock
from .result_file import read_result

# Ten times as fast as the one in Python, where PyYAML was built with it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Folder:
    """The files of one run, by what they are for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = Lock(path)
        self.config = path / "config.yaml"
        self.compile_choice = path / "chosen.json"
        """How the loop is compiled, where that was chosen by measuring."""
        self.result = path / "result.json"
        self.checkpoints = path / "checkpoints"
        self.preparation = path / "preparation.json"
        self.given_data = path / "given_data.json"
        """What is known of arrays that a program gave."""
        self.given_model = path / "given_model.keras"
        """The network that a program gave, as it was before the first update."""
        self.picture = path / "schedule.svg"
        self.tensorflow_log = path / "tensorflow.log"
        """What TensorFlow writes to the standard error."""

    def read_config(self) -> dict[str, Any]:
        """The values of `config.yaml`, with interpolations unresolved.

        Raises:
            Refused: when the file can't be read, or holds no mapping.
        """
        try:
            config = yaml.load(read_bounded(self.config, follow_links=False), _LOADER)
        except Refused:
            raise
        except OSError as error:
            rule = f"can't be read: {error.strerror}"
            raise refuse(str(self.config), ABSENT, rule) from None
        except (ValueError, yaml.YAMLError) as error:
            rule = f"can't be read: {str(error).splitlines()[0]}"
            raise refuse(str(self.config), ABSENT, rule, "is it another program's?") from None
        if not isinstance(config, dict):
            raise refuse(str(self.config), ABSENT, "holds no mapping")
        return config

    def unresolved_config(self) -> dict[str, Any]:
        """As `read_config`, with numbers as Hydra reads them.

        Raises:
            Refused: when the file can't be read, or holds no mapping.
        """
        return read_mapping(self.config, resolve=False, option="config.yaml", follow_links=False)

    def has_config(self) -> bool:
        """Whether there is anything under the name of the config."""
        return os.path.lexists(self.config)

    def has_new_result(self) -> bool:
        """Whether a result was written since a process took the folder."""
        try:
            return self.result.lstat().st_mtime_ns >= self.lock.path.lstat().st_mtime_ns
        except OSError:
            return False

    def has_updates(self) -> bool:
        """Whether an update was made here; if not, the folder is free for any other run."""
        return self.rows_size() > 0 or any(self.checkpoints.glob("step-*"))

    def rows_size(self) -> int:
        """How many bytes of rows there are."""
        metrics = self.path / "metrics.jsonl"
        return metrics.stat().st_size if metrics.exists() else 0

    def read_result(self) -> dict[str, Any] | None:
        """What the last process on this folder left in `result.json`; None if there is none.

        Raises:
            Refused: when the file is damaged.
        """
        return read_result(self.result)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Writes `result.json` anew.

        Raises:
            OSError: when the disk refuses.
            LockLostError: when another process may be writing to the folder.
        """
        self.lock.check()
        write(self.result, json.dumps(result, indent=1) + "\n")

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
        with ExitStack() as held:
            try:
                held.enter_context(self.lock.held())
            except BlockingIOError:
                raise self._taken(override, self.owner()) from None
            except OSError as error:
                rule = f"can't be locked: {self.lock.path.name}: {error.strerror}"
                raise refuse(override, str(self.path), rule, "choose another") from None
            remove_drafts(self.path)
            yield

    def owner(self) -> str:
        """The process that is writing to the folder, as its lock names it; "" if none is."""
        return self.lock.owner()

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

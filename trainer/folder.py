"""A run's folder: what it was declared as, who writes to it, and how it ended."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from schedules.refusal import ABSENT, Problem, Refused, refuse

from .experiment import Experiment

FREE = ("run.stop_after", "run.steps_per_call", "checkpoint.every", "checkpoint.keep")
"""What may change between a stop and going on, since no update depends on it."""


class Folder:
    """The files of one run, by what they are for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.chosen = path / "chosen.json"
        self.result = path / "result.json"
        self.checkpoints = path / "checkpoints"
        self.picture = path / "schedule.svg"
        self.chatter = path / "tensorflow.log"

    def declare(self, experiment: Experiment) -> None:
        """Writes the config, complete with every default.

        Raises:
            Refused: when the folder holds a run that was declared otherwise.
        """
        declared = experiment.model_dump(mode="json")
        if self.config.exists():
            before = yaml.safe_load(self.config.read_text(encoding="utf-8"))
            differences = list(_differences(_flat(before), _flat(declared)))
            if differences:
                raise Refused(differences)
        header = "# The whole config of this run, every default included.\n"
        write(self.config, header + yaml.safe_dump(declared, sort_keys=False, allow_unicode=True))

    def ended(self) -> dict[str, Any] | None:
        """What the last process on this folder left in `result.json`."""
        if not self.result.exists():
            return None
        ended: dict[str, Any] = json.loads(self.result.read_text(encoding="utf-8"))
        return ended

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes this process the folder's only writer; a dead one's lock is free.

        Raises:
            Refused: naming the host and process that is writing.
        """
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                rule = f"is being written to by {file.read().strip() or 'another process'}"
                raise refuse("hydra.run.dir", str(self.path), rule, "choose another") from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield


def write(path: Path, text: str) -> None:
    """Replaces a file by one rename, so that a reader sees the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Problem]:
    for path in sorted(before.keys() | now.keys()):
        old, new = before.get(path, ABSENT), now.get(path, ABSENT)
        if old != new and path not in FREE:
            was = "was not set" if old is ABSENT else f"was {old}"
            hint = "the run in this folder goes on only as it began; hydra.run.dir=… begins another"
            yield Problem(path, new, f"{was} when this folder's run began", hint)


def _flat(tree: Any, path: str = "") -> dict[str, Any]:
    """A tree of mappings as one mapping from override paths to values."""
    if not isinstance(tree, Mapping):
        return {path: tree}
    leaves: dict[str, Any] = {}
    for key, branch in tree.items():
        leaves.update(_flat(branch, f"{path}.{key}" if path else str(key)))
    return leaves

"""A run's folder: what it was declared as, who writes to it, and how it ended."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from schedules.declaration import ABSENT, refuse, shown
from schedules.declaration.yaml_files import bounded, mapping

from ..config.experiment import Experiment
from .atomic_files import write
from .checkpoints import Checkpoints
from .redaction import Path as At
from .redaction import concealed

FREE = (
    "run.stop_after",
    "run.steps_per_call",
    "run.compile_cache",
    "run.profile",
    "checkpoint.",
    "resume.",
    "log.",
    "export",
    "data.keep",
)
"""What may change between a stop and going on, since no update depends on it."""
BOUND = ("log.every",)
"""What may not all the same: the rows from before would be others than those to come."""
AT_ONCE = 100_000
"""Steps of a schedule that are compared at a time."""


class Difference(NamedTuple):
    """A value that is another one than when the folder's run began."""

    path: str
    before: Any
    now: Any


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

    def declare(
        self, experiment: Experiment, instead: Mapping[At, str] | None = None
    ) -> Experiment:
        """Writes the config, complete with every default, and gives the experiment to be run.

        `instead` has what is written in the place of secrets. A folder whose run was declared
        otherwise is met as `resume.policy` says; a run may always be made longer where that
        leaves every value that was applied as it was.

        Raises:
            Refused: with a table of the differences.
        """
        declared = concealed(experiment.model_dump(mode="json"), instead or {})
        if not self._begun():
            self.chosen.unlink(missing_ok=True)  # measured for who knows which config
        elif self.config.exists():
            before = self.written()
            differences = [
                found
                for found in _differences(flat(before), flat(declared))
                if not is_free(found.path) or _steers(found.path, experiment)
            ]
            if differences and experiment.resume.policy == "checkpoint":
                print(f"left as it was in {self.config}:\n{_table(differences)}")
                return self._declared(experiment)
            if [found.path for found in differences] == ["run.length"]:
                length = Experiment.declared(mapping(self.config)).run.length
                run = experiment.run.model_copy(update={"length": length})
                # All else is the same, and here has the objects that a program may have given.
                self._check_past(experiment.model_copy(update={"run": run}), experiment)
            elif differences and experiment.resume.policy == "refuse":
                rule = f"holds a run that was declared otherwise\n{_table(differences)}"
                hint = "resume.policy=config or =checkpoint; hydra.run.dir=… begins another"
                raise refuse("hydra.run.dir", str(self.path), rule, hint)
            elif differences:
                print(f"other than in {self.config}:\n{_table(differences)}")
        header = "# The whole config of this run, every default included.\n"
        write(self.config, header + yaml.safe_dump(declared, sort_keys=False, allow_unicode=True))
        return experiment

    def written(self) -> dict[str, Any]:
        """What the config holds, its interpolations as they are written."""
        try:
            before = yaml.safe_load(bounded(self.config))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            rule = f"can't be read: {str(error).splitlines()[0]}"
            raise refuse(str(self.config), ABSENT, rule, "is it another program's?") from None
        if not isinstance(before, dict):
            raise refuse(str(self.config), ABSENT, "holds no mapping")
        return before

    def _begun(self) -> bool:
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

    def _declared(self, now: Experiment) -> Experiment:
        """The experiment that the folder's run began as, free to do what `now` says."""
        before = Experiment.declared(mapping(self.config))
        free = {name: getattr(now.run, name) for name in ("stop_after", "steps_per_call")}
        return before.model_copy(
            update={
                "run": before.run.model_copy(update=free),
                "checkpoint": now.checkpoint,
                "resume": now.resume,
                "export": now.export,
                "log": now.log.model_copy(update={"every": before.log.every}),
            }
        )

    def _check_past(self, before: Experiment, now: Experiment) -> None:
        """Refuses a length under which an update that was made would have applied another value."""
        done = Checkpoints(self.checkpoints, 1).step()
        length = str(now.run.length)
        if now.total_steps() < done:
            rule = f"is shorter than the {done} updates that were made"
            raise refuse("run.length", length, rule, "hydra.run.dir=… begins another run")
        pairs = {name: (curve, now.curves()[name]) for name, curve in before.curves().items()}
        for start in range(0, done, AT_ONCE):
            steps = np.arange(start, min(start + AT_ONCE, done))
            for name, (old, new) in pairs.items():
                if (changed := old(steps) != new(steps)).any():
                    t = int(steps[changed.argmax()])
                    rule = (
                        f"was {before.run.length}, and would change values that were applied: "
                        f"{name} was {old(t):g} at step {t}, and would have been {new(t):g}"
                    )
                    hint = "give the schedule's lengths in steps or epochs, not in per cent"
                    raise refuse("run.length", length, rule, hint)


def is_free(path: str) -> bool:
    """Whether a run is the same run whatever the value at this path is."""
    return path.startswith(FREE) and path not in BOUND


def _steers(path: str, experiment: Experiment) -> bool:
    """Whether updates depend on a value that is else free: a rewind goes to what was saved."""
    rewinds = experiment.run.on_nonfinite == "rewind"
    return rewinds and path in ("checkpoint.every", "checkpoint.keep_every")


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    for path in sorted(before.keys() | now.keys()):
        old, new = before.get(path, ABSENT), now.get(path, ABSENT)
        if old != new:
            yield Difference(path, old, new)


def _table(differences: list[Difference]) -> str:
    """The differences, a line each, under a heading."""
    said = [Difference("", "in the folder", "now")]
    for found in differences:
        before, now = ("not set" if x is ABSENT else shown(x, 40) for x in found[1:])
        said.append(Difference(found.path, before, now))
    first, second = (max(len(row[i]) for row in said) for i in (0, 1))
    return "\n".join(f"  {path:<{first}}  {old:<{second}}  {new}" for path, old, new in said)


def near(path: Path) -> Path:
    """A path as it is best told: from the folder one stands in, where it is inside."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    """A tree of mappings as one mapping from override paths to values."""
    if not isinstance(tree, Mapping):
        return {path: tree}
    leaves: dict[str, Any] = {}
    for key, branch in tree.items():
        leaves.update(flat(branch, f"{path}.{key}" if path else str(key)))
    return leaves

"""The `config.yaml` that the run of a folder has left there, read and validated once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from omegaconf import OmegaConf

from schedules.declaration import Refused

from ..config.experiment import Experiment
from ..config.hydra import refusing_hydra_errors, to_plain
from ..runs.folder import Folder
from ..runs.identity import flat
from ..runs.redaction import with_secrets


class FolderConfig:
    """What the run of a folder was declared as."""

    def __init__(self, folder: Folder, now: Experiment | None = None) -> None:
        """With the secrets of `now`, and as to code, what that allows."""
        self._folder = folder
        self._secrets = {} if now is None else now.model_dump(mode="json")
        self._allowed = {} if now is None else {"allow_code": now.allow_code}

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment, with every interpolation resolved.

        Raises:
            Refused: when it can't be had any more, such as for a secret that is not here.
        """
        written = with_secrets(self._folder.unresolved_config(), self._secrets)
        with refusing_hydra_errors(()):
            values = to_plain(OmegaConf.create(written))
        return Experiment.declared({**values, **self._allowed})

    def complete(self) -> dict[str, Any]:
        """The values by their override paths, secrets as they are written there.

        A setting that a later version has added has its default: the run was made with that.
        """
        written = flat(self._folder.read_config())
        try:
            defaults = flat(self.experiment.model_dump(mode="json"))
        except Refused:  # what is written is all there is
            return written
        return {**defaults, **written}

    def as_begun(self, now: Experiment) -> Experiment:
        """The experiment that the run began as, with what `now` is free to say."""
        before = self.experiment
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

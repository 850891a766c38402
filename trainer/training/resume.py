"""Going on: what the folder of a run holds of it, and a session put where that was saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..config.experiment import Experiment
from ..config.plan import Plan
from ..engine.interfaces import Trained
from ..runs.checkpoint_files import Saved
from ..runs.checkpoints import CheckpointMismatchError, Checkpoints
from ..runs.folder import Folder
from .session import Session

Identity = Callable[[], Mapping[str, Any]]
FREE = ("data", "seed", "compile", "replicas")
"""What `resume.policy=config` may change of what a checkpoint says of its run."""


class Past(NamedTuple):
    """What the folder of a run holds of it already."""

    checkpoints: Checkpoints
    saved: Saved | None = None
    """The newest checkpoint from which the run can go on."""
    wrong: Sequence[str] = ()
    """What is wrong with newer ones."""

    @classmethod
    def none(cls, plan: Plan, folder: Folder) -> Past:
        """No look is taken into the folder, which may be another process's."""
        keep = plan.experiment.checkpoint.keep
        return cls(Checkpoints(folder.checkpoints, keep, plan.keeps_forever))

    @classmethod
    def read(cls, plan: Plan, folder: Folder) -> Past:
        """The newest checkpoint that is whole, and whose rows are all there; nothing is changed."""
        checkpoints = cls.none(plan, folder).checkpoints
        return cls(checkpoints, *checkpoints.newest(rows=folder.rows_size(), set_aside=False))

    def check(self, experiment: Experiment, network: Trained, identity: Identity) -> None:
        """Whether a run can go on from here; nothing is changed.

        Raises:
            CheckpointMismatchError: when the checkpoint was made by another kind of run.
        """
        if self.saved is None:
            return
        for name, value in identity().items():
            before = self.saved.about.get(name)
            if before == value:
                continue
            differs = f"its {name} is {before}, and this run's is {value}"
            if name not in FREE:
                raise CheckpointMismatchError(differs)
            if experiment.resume.policy != "config":
                hint = "resume.policy=config goes on all the same"
                raise CheckpointMismatchError(f"{differs}\n  hint: {hint}")
        try:
            network.check(self.saved.arrays)
        except ValueError as error:
            raise CheckpointMismatchError(str(error)) from None

    def settle(self) -> None:
        """Removes what a killed process left, and sets aside what the run does not go on from."""
        self.checkpoints.clean()
        if self.wrong:
            self.checkpoints.set_aside_after(self.saved)


def go_on(session: Session, saved: Saved | None) -> None:
    """Puts a session where its run's newest checkpoint was made, or at the beginning.

    Raises:
        CheckpointMismatchError: when the checkpoint was made by another kind of run.
    """
    if saved is None:
        session.log.go_on(0, 0, again=True)
        session.recall(0)
        if session.plan.experiment.run.on_nonfinite == "rewind":
            session.save()
        return
    session.restore(saved, again=True)
    session.events.add(session.step, "went on")

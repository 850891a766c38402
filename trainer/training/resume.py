"""Going on: what the folder of a run holds of it, and a session put where that was saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..config.plan import Plan
from ..runs.checkpoints import CheckpointMismatchError, Checkpoints, Saved
from ..runs.folder import Folder
from .session import Session


class Past(NamedTuple):
    """What the folder of a run holds of it already."""

    checkpoints: Checkpoints
    saved: Saved | None = None
    """The newest checkpoint."""
    damaged: Sequence[str] = ()
    """What was wrong with newer ones."""

    @classmethod
    def none(cls, plan: Plan, folder: Folder) -> Past:
        """No look is taken into the folder, which may be another process's."""
        keep = plan.experiment.checkpoint.keep
        return cls(Checkpoints(folder.checkpoints, keep, plan.keeps_forever))

    @classmethod
    def read(cls, plan: Plan, folder: Folder) -> Past:
        """The newest checkpoint that is whole."""
        checkpoints = cls.none(plan, folder).checkpoints
        checkpoints.clean()
        return cls(checkpoints, *checkpoints.newest())


def go_on(session: Session, saved: Saved | None) -> None:
    """Puts a session where its run's newest checkpoint was made, or at the beginning.

    Raises:
        CheckpointMismatchError: when the checkpoint was made by another kind of run.
    """
    experiment = session.plan.experiment
    if saved is None:
        session.log.go_on(0, 0, again=True)
        session.recall(0)
        if experiment.run.on_nonfinite == "rewind":
            session.save()
        return
    free = ("data", "seed", "compile", "replicas")
    for name, value in session.identity.items():
        before = saved.about.get(name)
        if before != value:
            differs = f"its {name} is {before}, and this run's is {value}"
            if name not in free:
                raise CheckpointMismatchError(differs)
            if experiment.resume.policy != "config":
                hint = "resume.policy=config goes on all the same"
                raise CheckpointMismatchError(f"{differs}\n  hint: {hint}")
    session.restore(saved, again=True)
    session.events.add(session.step, "went on")

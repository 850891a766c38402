"""What a program that trains is told of its run, and how it may end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from schedules.moments import Values

from ..training.progress import Progress

if TYPE_CHECKING:
    import keras

    from ..training.session import Session


@dataclass(frozen=True)
class Call:
    """What one call into TensorFlow did: one update or many, as `run.steps_per_call` says."""

    steps: range
    """The updates it made, by their numbers from 0 on."""
    losses: NDArray[np.float32]
    """The loss of each."""
    applied: Mapping[str, Values]
    """What each applied of every scheduled value, by name, the learning rate first."""
    metrics: Mapping[str, float]
    """What the last evaluation found."""
    model: keras.Model
    """The network as it is now, to be looked at; what changes its weights is no run any more."""
    _session: Session

    def stop(self) -> None:
        """Ends the run here, with a checkpoint; training on in its folder goes on from here."""
        self._session.enough = True


Callback = Callable[[Call], object]


class Watch(Progress):
    """The progress of a run that calls back, and keeps the network."""

    def __init__(self, total: int, callback: Callback | None, aloud: TextIO) -> None:
        super().__init__(total)
        self._callback = callback
        self._aloud = aloud
        self.model: keras.Model | None = None
        """The network, once a call was made."""

    def of(self, total: int) -> Self:
        """Itself, for a run of so many updates."""
        return self

    def show(
        self, session: Session, losses: NDArray[np.float32], table: Values, rate: float
    ) -> None:
        super().show(session, losses, table, rate)
        self.model = session.network.model
        if self._callback:
            steps = range(session.step - len(losses), session.step)
            applied = dict(zip(session.tape.names, table.T, strict=True))
            call = Call(steps, losses, applied, dict(session.metrics), self.model, session)
            with redirect_stdout(self._aloud):
                self._callback(call)

"""What one call into TensorFlow did, for a program's callback and the line of progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from schedules.moments import Values

if TYPE_CHECKING:
    import keras


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
    """The numbers of the last evaluation."""
    model: keras.Model
    """The network as it is now, to be looked at; what changes its weights is no run any more."""
    epoch: float
    """How many passes over the training examples the run has made by now; NaN for a stream of which
    it is not known how long one is."""
    updates_per_second: float
    folder: Path
    """The folder of the run that made it."""
    _request_stop: Callable[[], None] = field(repr=False)

    def stop(self) -> None:
        """Ends the run here, with a checkpoint; training on in its folder goes on from here."""
        self._request_stop()

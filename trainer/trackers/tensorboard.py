"""TensorBoard: the rows as scalars, and the config as hyperparameters."""

from __future__ import annotations

from typing import Literal

from .tracker import Tracked, Tracker, TrackerRun


class TensorBoard(Tracker):
    """Event files in the run's folder, written without the tensorboard package.

    Its Scalars page shows every number of every row. Its HParams page, pointed at the folder of a
    sweep, shows the jobs with the values in which they differ and what they measured.
    """

    kind: Literal["tensorboard"] = "tensorboard"

    def open(self, run: Tracked) -> TrackerRun:
        from .event_files import Board

        folder = run.folder if run.called == "tensorboard" else run.folder / run.called
        return Board(folder, run)

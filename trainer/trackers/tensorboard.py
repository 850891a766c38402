"""TensorBoard: the rows as scalars, and the config as hyperparameters."""

from __future__ import annotations

from typing import Literal

from .tracker import Tracked, Tracker, TrackerRun


class TensorBoard(Tracker):
    """Event files in the run's folder, written without the tensorboard package.

    The Scalars page shows every number of every row. The HParams page, pointed at the folder of a
    sweep, shows the jobs with the values in which they differ and what they measured.
    """

    kind: Literal["tensorboard"] = "tensorboard"

    def open(self, run: Tracked) -> TrackerRun:
        from .event_files import Board

        name = run.tracker_name
        folder = run.folder if name == "tensorboard" else run.folder / name
        return Board(folder, run)

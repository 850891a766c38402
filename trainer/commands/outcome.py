"""What came of a run, for the program that asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import within

from ..data.ragged import rows_or_array
from ..data.trees import Tree, map_tree
from ..models.exports import Export
from ..runs.folder import Folder
from ..runs.metrics_file import metric_rows, read_lines
from .checks import check_export
from .export import exported
from .predict import RawPredictions
from .restored import Restored

if TYPE_CHECKING:
    import keras

    from ..config.experiment import Experiment

History = dict[str, NDArray[Any]]
"""Columns by name, an entry a row: int64 for steps, float64 for all else, NaN where it is none."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended, what it measured, and what it has learnt."""

    folder: Path
    """Where everything about it is, an absolute path."""
    status: str
    """`done`, at its end or as `evaluate.stop` says; `stopped`, when asked to; or `failed`."""
    steps: int
    """The updates that were made, in all processes together."""
    metrics: Mapping[str, float]
    """The numbers of the last evaluation, such as `eval_loss`."""
    reason: str
    """Why it failed, or nothing."""
    result: Mapping[str, Any] = field(repr=False)
    """All of `result.json`: digests, versions, seeds, and how the loop was compiled and why."""
    _network: Callable[[], keras.Model] = field(repr=False)
    _experiment: Callable[[], Experiment] = field(repr=False)

    @cached_property
    def model(self) -> keras.Model:
        """The network with the final weights; those of a running mean, `ema`, stay in the folder.

        Where the optimizer's rule learns an average, as `schedule_free_adamw` does, they are that.
        Of a run that had ended before, it is built and read from the newest checkpoint on use.

        Raises:
            Refused: when there is no checkpoint that could be read.
        """
        return self._network()

    def predict(self, raw: Tree[Any]) -> Tree[NDArray[np.float32]]:
        """What the network says of raw inputs, which are prepared as those that it learnt from.

        `raw` is an array `[n, ...]`, or arrays by name; of a table, its columns by their names, in
        any order. Given are probabilities `[n, classes]`, or numbers; of several labels, each by
        its name. The weights are those that the last evaluation looked at; the first call restores
        them, and later ones take the same.

        Raises:
            Refused: when there is no checkpoint, or the inputs are others than those learnt from.
        """
        return self._predictions(map_tree(rows_or_array, raw))

    @cached_property
    def _predictions(self) -> RawPredictions:
        return RawPredictions(Restored.of(self._experiment(), Folder(self.folder), None))

    def export(self, kind: str, **settings: Any) -> Path:
        """Writes the model to a file for others to use, as `export=KIND` does, and gives its path.

        `kind` is `keras`, `saved_model` or `onnx`, and `settings` are those of the kind, such as
        `weights="best"` and `inputs="prepared"`. The file lies in `export/` of the folder; it is
        read back and compared with the network before it is left.

        Raises:
            Refused: when there is no such kind, or the folder holds no such weights.
            ExportError: when the file can't be written, or does something else than the network.
        """
        with within("export"):
            export = Export.declared({"kind": kind, **settings})
        experiment = self._experiment().with_parts({"export": export})
        check_export(experiment)
        return exported(experiment, Folder(self.folder)).path

    @cached_property
    def history(self) -> History:
        """The rows of updates: `step`, `epoch`, `loss`, and every value that the update applied.

        There is one every `log.every` updates; that of `step` t tells of update t.
        """
        return _columns([row for row in self._rows() if "loss" in row])

    @cached_property
    def evaluations(self) -> History:
        """The rows of evaluations: `step`, `epoch`, and every metric, after so many updates."""
        return _columns([row for row in self._rows() if "loss" not in row])

    def _rows(self) -> list[dict[str, Any]]:
        return list(metric_rows(read_lines(self.folder / "metrics.jsonl")))


def _columns(rows: list[dict[str, Any]]) -> History:
    names = dict.fromkeys(name for row in rows for name in row)
    columns: History = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if name == "step":
            columns[name] = np.array(values, np.int64)
        else:
            columns[name] = np.array([np.nan if x is None else x for x in values], np.float64)
    return columns

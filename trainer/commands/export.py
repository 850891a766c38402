"""The model of a run in a file for others to use, compared with the network before it stays."""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from schedules.declaration import Refused, within

from ..config.experiment import Experiment
from ..data import Split
from ..engine.startup import import_tensorflow, stderr_to, versions
from ..models import Model
from ..models.exports import Export
from ..models.in_memory import GivenModel
from ..runs.atomic_files import write
from ..runs.exit_codes import DONE, FAILED
from ..runs.folder import Folder, display_path
from .restored import Restored

COMPARED = 256
"""How many test examples the file and the network are compared on."""


TOLERANCE = {"float32": 1e-4, "mixed_float16": 1e-2, "mixed_bfloat16": 5e-2}
"""How far they may be apart, in shares of the greatest output or of 1, whichever is more.

By `run.precision`, since the file computes in float32 and the network may not.
"""


class ExportError(Exception):
    """The file could not be written, or does not do what the network does."""


class Exported(NamedTuple):
    """A file that has been compared with the network."""

    path: Path
    about: dict[str, Any]
    """What stands beside it, in JSON."""

    def __str__(self) -> str:
        about = self.about
        return (
            f"exported {display_path(self.path)}: the {about['weights']} weights, "
            f"of step {about['step']}, "
            f"off by at most {about['max_difference']:.2g} on {about['compared_on']} test examples"
        )


def leave(experiment: Experiment, folder: Folder) -> int:
    """Exports the model of a run that is done, where it declares that, and gives the exit code."""
    ended = folder.read_result()
    if experiment.export is None or not ended or ended["status"] != "done":
        return DONE
    try:
        print(exported(experiment, folder))
    except (ExportError, Refused) as failed:
        print(failed, file=sys.stderr)
        return FAILED
    return DONE


def exported(experiment: Experiment, folder: Folder) -> Exported:
    """Writes what `experiment.export` declares, unless the same is there already.

    Raises:
        Refused: when the folder holds no such weights.
        ExportError: when the file can't be written, or does something else than the network.
    """
    export = experiment.export
    assert export is not None
    with within("export"):
        this = Restored.of(experiment, folder, export.weights)
    path = folder.path / "export" / f"{this.weights}{export.suffix}"
    description = path.with_name(f"{path.name}.json")
    made_of = {
        "weights": this.weights,
        "step": this.saved.step,
        "state": this.digest(),
        "takes": export.inputs,
    }
    if path.exists() and description.exists():
        about = json.loads(description.read_text(encoding="utf-8"))
        if made_of.items() <= about.items():
            return Exported(path, about)
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        import_tensorflow(folder.tensorflow_log)
        with stderr_to(folder.tensorflow_log):
            data = experiment.data.load()
            with _as_it_is(experiment.model):
                difference, count = _written(export, this, data, draft)
        _remove(path)
        draft.rename(path)
    finally:
        _remove(draft)
    facts = experiment.data.facts()
    about = {
        "kind": export.kind,
        **made_of,
        "max_difference": difference,
        "compared_on": count,
        "inputs": {"shape": [None, *facts.shape], "dtype": "float32"},
        "outputs": {"shape": [None, facts.outputs], "are": _meaning(facts.classes)},
        "preparation": {
            "shift": list(this.preparation.shift),
            "scale": list(this.preparation.scale),
        },
        "classes": list(this.preparation.names or []) or None,
        "versions": versions(),
    }
    write(description, json.dumps(about, indent=1) + "\n")
    return Exported(path, about)


def _written(export: Export, this: Restored, data: Split, draft: Path) -> tuple[float, int]:
    """Writes the file; returns its largest difference from the network, on how many examples."""
    import numpy as np
    import tensorflow as tf

    inputs = np.asarray(data.test.inputs[:COMPARED])
    expected = np.asarray(this.network().outputs(tf.constant(inputs)))
    raw = export.inputs == "raw"
    handed = data.preparation.undo(inputs).astype(np.float32) if raw else inputs
    try:
        with warnings.catch_warnings():
            # Keras and tf2onnx call numpy in ways that it has told them to leave.
            warnings.simplefilter("ignore")
            export.save(this.model_of_raw() if raw else this.model(), draft)
            outputs = export.load(draft)(handed)
    except Exception as error:  # whatever a format's library raises
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(f"export={export.kind} failed: {why}") from error
    scale = max(1.0, float(np.abs(expected).max()))
    difference = (
        float(np.abs(outputs - expected).max()) if outputs.shape == expected.shape else np.inf
    )
    if not difference <= TOLERANCE[this.experiment.run.precision] * scale:
        hint = "\n  hint: export.inputs=prepared" if raw else ""
        raise ExportError(
            f"export={export.kind} failed: read back, its outputs for test examples are off by "
            f"{difference:.3g}, where the network's reach {scale:.3g}{hint}"
        )
    return difference, len(inputs)


@contextmanager
def _as_it_is(model: Model) -> Iterator[None]:
    """Leaves a model that a program gave, with the weights that it has."""
    live = model._model if isinstance(model, GivenModel) else None
    before = [variable.numpy() for variable in live.variables] if live else []
    try:
        yield
    finally:
        for variable, value in zip(live.variables if live else [], before, strict=True):
            variable.assign(value)


def _meaning(classes: int | None) -> str:
    return "the numbers to predict" if classes is None else "a logit for each class"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

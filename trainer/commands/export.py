"""The model of a run in a file for others to use, compared with the network before it stays."""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from schedules.declaration import Refused, within
from schedules.declaration.plain_files import json_value, read_plain

from ..config.experiment import Experiment
from ..data import Split
from ..data.column import Prepared
from ..data.input_preparation import InputPreparation
from ..data.trees import Tree, leaves, map_tree
from ..engine.startup import import_tensorflow, stderr_to, versions
from ..models import Model
from ..models.exports import Export
from ..models.in_memory import GivenModel
from ..runs.atomic_files import process_lives, write
from ..runs.exit_codes import DONE, FAILED
from ..runs.folder import Folder, display_path
from .restored import Restored

if TYPE_CHECKING:
    import keras

    from ..engine.network import Network

MAX_DESCRIPTION_BYTES = 16 * 2**20
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
    except (ExportError, OSError, Refused) as failed:
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
    about = _description(description) if path.exists() else {}
    if made_of.items() <= about.items() and about.keys() >= {"max_difference", "compared_on"}:
        return Exported(path, about)
    path.parent.mkdir(exist_ok=True)
    for left in path.parent.glob(f".*.{path.name}"):
        if left.name.split(".")[1].isdecimal() and not process_lives(int(left.name.split(".")[1])):
            _remove(left)
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
        "inputs": map_tree(
            lambda one: {"shape": [None, *one.shape], "dtype": one.dtype}, facts.inputs
        ),
        "outputs": map_tree(
            lambda one: {"shape": [None, *one.outputs], "are": _meaning(one.classes)}, facts.labels
        ),
        "preparation": map_tree(
            _prepared,
            this.preparation.inputs,
        ),
        "classes": map_tree(lambda names: list(names or []) or None, this.preparation.names),
        "versions": versions(),
    }
    write(description, json.dumps(about, indent=1) + "\n")
    return Exported(path, about)


def _prepared(one: Prepared) -> dict[str, Any]:
    """How an input is prepared, for people who do it elsewhere."""
    if isinstance(one, InputPreparation):
        filled = {} if one.fill is None else {"fill": list(one.fill)}
        return {**filled, "shift": list(one.shift), "scale": list(one.scale)}
    fields: dict[str, Any] = asdict(one)
    return fields


def _description(path: Path) -> dict[str, Any]:
    """What stands beside an exported file; nothing where that can't be read."""
    with suppress(OSError, ValueError):
        about = json_value(read_plain(path, MAX_DESCRIPTION_BYTES, follow_links=False))
        if isinstance(about, dict):
            return about
    return {}


def _written(export: Export, this: Restored, data: Split, draft: Path) -> tuple[float, int]:
    """Writes the file; returns its largest difference from the network, on how many examples."""
    import numpy as np
    import tensorflow as tf

    network = this.network()
    inputs = map_tree(lambda array: np.asarray(array[:COMPARED]), data.test.inputs)
    expected = _flat(network.raw_outputs(map_tree(tf.constant, inputs)))
    raw = export.inputs == "raw"
    handed = map_tree(_as_read, data.preparation.undo(inputs)) if raw else inputs
    try:
        with warnings.catch_warnings():
            # Keras and tf2onnx call numpy in ways that it has told them to leave.
            warnings.simplefilter("ignore")
            model = this.model_of_raw() if raw else this.model()
            export.save(model, draft)
            outputs = _flat(export.load(draft)(_as_taken(network, model, handed)))
    except Exception as error:  # whatever a format's library raises
        why = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(f"export={export.kind} failed: {why}") from error
    scale = max(1.0, *(float(np.abs(x).max()) for x in expected))
    alike = [x.shape for x in outputs] == [x.shape for x in expected]
    pairs = zip(outputs, expected, strict=True) if alike else ()
    difference = max((float(np.abs(a - b).max()) for a, b in pairs), default=np.inf)
    if not difference <= TOLERANCE[this.experiment.run.precision] * scale:
        hint = "\n  hint: export.inputs=prepared" if raw else ""
        raise ExportError(
            f"export={export.kind} failed: read back, its outputs for test examples are off by "
            f"{difference:.3g}, where the network's reach {scale:.3g}{hint}"
        )
    return difference, len(leaves(inputs)[0])


def _flat(outputs: Any) -> list[Any]:
    """The outputs of a network or a file, one after another, in float32."""
    import numpy as np
    import tensorflow as tf

    return [np.asarray(x, np.float32) for x in tf.nest.flatten(outputs)]


def _as_read(array: Any) -> Any:
    """A raw input as a file takes it: floats in 32 bits."""
    import numpy as np

    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _as_taken(network: Network, model: keras.Model, inputs: Tree[Any]) -> Any:
    """Inputs in the types, and by the names, that a model takes."""
    import tensorflow as tf

    from ..engine.forward import Forward
    from ..scheduled.keras_internals import structure

    nest = Forward(model, network.facts, network.loss).arranged(map_tree(tf.constant, inputs))
    symbolic = structure(model, "inputs")
    if symbolic is None:
        return nest
    types = tf.nest.map_structure(lambda x: x.dtype, symbolic)
    return tf.nest.map_structure(
        lambda x, dtype: x if dtype == "string" else tf.cast(x, dtype), nest, types
    )


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

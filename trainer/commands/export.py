"""The model of a run in a file for others to use, compared with the network before it stays."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from schedules.declaration import Refused, within
from schedules.declaration.plain_files import json_value, read_plain

from ..config.experiment import Experiment
from ..data.column import Prepared
from ..data.input_preparation import InputPreparation
from ..data.trees import map_tree
from ..engine.startup import import_tensorflow, stderr_to, versions
from ..runs.atomic_files import process_lives, write
from ..runs.exit_codes import DONE, FAILED
from ..runs.folder import Folder, display_path
from .export_file import Compared, ExportError, write_compared
from .restored import Restored, left_as_it_is

MAX_DESCRIPTION_BYTES = 16 * 2**20


class Exported(NamedTuple):
    """A file that has been compared with the network."""

    path: Path
    about: dict[str, Any]
    """What stands beside it, in JSON."""

    def __str__(self) -> str:
        about = self.about
        examples = "test examples" if about.get("of_the_data", True) else "made-up inputs"
        return (
            f"exported {display_path(self.path)}: the {about['weights']} weights, "
            f"of step {about['step']}, "
            f"off by at most {about['max_difference']:.2g} on {about['compared_on']} {examples}"
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
        with stderr_to(folder.tensorflow_log), left_as_it_is(experiment.model):
            written = write_compared(export, this, Compared.of(experiment), draft)
        _remove(path)
        draft.rename(path)
    finally:
        _remove(draft)
    about = {
        "kind": export.kind,
        **made_of,
        **written._asdict(),
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


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

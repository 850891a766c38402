"""What a folder keeps of the objects that a program gave its run, for exports and predictions."""

from __future__ import annotations

from typing import Any

from schedules.declaration import refuse

from ..config.experiment import Experiment
from ..data import Split
from ..data.sources.in_memory import MISSING, GivenData
from ..models.in_memory import GivenModel
from ..runs.folder import Folder


def keep_objects(experiment: Experiment, data: Split, folder: Folder, *, begins: bool) -> None:
    """Writes down the facts of given data, and the given model as it is before any update."""
    if isinstance(experiment.data, GivenData):
        experiment.data.keep_facts(folder.given_data, data)
    model_is_kept = folder.given_model.exists() and not begins
    if isinstance(experiment.model, GivenModel) and not model_is_kept:
        experiment.model.keep(folder.given_model)


def with_kept_objects(experiment: Experiment, folder: Folder) -> Experiment:
    """A run's experiment with what its folder keeps in the place of objects that are not here.

    Raises:
        Refused: when it keeps too little, or names code that is not allowed.
    """
    data, model = experiment.data, experiment.model
    parts: dict[str, Any] = {}
    if isinstance(data, GivenData) and not data.is_here:
        parts["data"] = data.with_kept_facts(folder.given_data)
        if parts["data"].kept is None:
            hint = "in the program: outcome.predict(raw), outcome.export('keras')"
            raise refuse("data.kind", data.kind, MISSING, hint)
    if isinstance(model, GivenModel) and not model.is_here:
        parts["model"] = model.with_kept_model(folder.given_model)
    return experiment.with_parts(parts) if parts else experiment

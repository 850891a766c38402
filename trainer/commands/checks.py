"""From Hydra's composed config to an experiment that can be honoured, or to why it can't."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from schedules import Curve, Refused
from schedules.analysis.lint import Finding

from ..config.experiment import Experiment
from ..config.hydra import explaining, plain
from ..config.hydra_errors import located
from ..runs.redaction import Path as At
from ..runs.redaction import hidden
from ..training.rerun import meant
from .preface import looked_over


class Checked(NamedTuple):
    """An experiment that can be honoured, and what was found out on the way."""

    experiment: Experiment
    instead: dict[At, str]
    """What is written in the place of secrets."""
    curves: dict[str, Curve]
    warnings: list[Finding]


def checked(config: DictConfig, hydra: Any) -> Checked:
    """Validates a composed config; `hydra` is what Hydra knows of it.

    Raises:
        Refused: each problem with the override, or the file and line, that it comes from.
    """
    overrides = hydra.overrides.task
    try:
        config = meant(config, overrides)
        with explaining(overrides):
            values = plain(config)
        instead = hidden(OmegaConf.to_container(config, resolve=False), values)
        experiment = Experiment.declared(values)
        curves = experiment.curves()
        experiment.run.score()
        return Checked(experiment, instead, curves, looked_over(experiment, curves))
    except Refused as refused:
        sources = hydra.runtime.config_sources
        folders = [Path(source.path) for source in sources if source.schema == "file"]
        raise located(refused, overrides, hydra.runtime.choices, folders) from None

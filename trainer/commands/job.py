"""One run as Hydra hands it over: looked over, its folder taken, and trained or not."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from typing_extensions import Self

from schedules import Curve, Refused
from schedules.analysis.lint import Finding
from schedules.declaration import ABSENT, refuse
from schedules.plots.svg import svg

from ..config.cluster import Cluster
from ..config.early_stopping import finished
from ..config.experiment import Experiment
from ..export import leave
from ..runs.folder import Folder
from ..training.follower import follow
from ..training.rerun import compare, prepare
from ..training.run import run, tell
from .checks import checked
from .doctor import examine
from .lr_find import find
from .preface import preface


@dataclass(frozen=True)
class Assignment:
    """An experiment that can be honoured, and the folder that is its own as long as it takes."""

    experiment: Experiment
    folder: Folder
    curves: Mapping[str, Curve]
    warnings: list[Finding]
    source: Path | None
    """The run that it runs again."""
    cluster: Cluster | None = None
    """The processes that train together, where there are several."""
    alone: bool = False
    """Whether no other run will be in this process."""

    @classmethod
    def of(cls, config: DictConfig, held: ExitStack) -> Self:
        """Looks over the composed config and takes the folder, which `held` gives free again.

        Raises:
            Refused: before TensorFlow is imported, leaving nothing behind.
        """
        composed = HydraConfig.get()
        path = Path(composed.runtime.output_dir)
        try:
            experiment, instead, curves, warnings = checked(config, composed)
        except Refused:
            _remove_if_empty(path)
            raise
        folder, cluster = Folder(path), experiment.device.cluster()
        if cluster:
            _check_cluster(cluster, experiment, composed)
            if not cluster.leads:
                return cls(experiment, folder, curves, warnings, None, cluster)
        held.enter_context(folder.locked())
        declared = folder.declare(experiment, instead)
        if declared is not experiment:
            experiment, curves = declared, declared.curves()
        source = Path(config.rerun) if config.rerun else None
        alone = composed.mode == RunMode.RUN
        return cls(experiment, folder, curves, warnings, source, cluster, alone)

    @property
    def trains(self) -> bool:
        """Whether it is a run, and no look at rates or at the machine."""
        return self.experiment.mode == "train"

    def done(self) -> bool:
        """Whether an earlier process brought it to its end; says so, where it is heard."""
        ended, experiment = self.folder.ended(), self.experiment
        if not ended or not finished(ended, experiment.total_steps(), experiment.evaluate.stop):
            return False
        if not self.cluster or self.cluster.leads:
            tell(ended, self.folder)
        return True

    def begin(self) -> None:
        """Says what will happen, and draws it."""
        experiment = self.experiment
        print(preface(experiment, self.curves), *self.warnings, sep="\n")
        for _, name in experiment.code():
            print(f"runs code that the config names: {name}")
        drawn = svg(self.curves, experiment.clock())
        self.folder.picture.write_text(drawn, encoding="utf-8")
        if self.source:
            prepare(self.source, self.folder)

    def run(self) -> int:
        """Does what the mode asks for, unless it is done; gives the exit code."""
        if self.cluster and not self.cluster.leads:
            return 0 if self.done() else follow(self.experiment, self.folder, self.cluster)
        if self.trains:
            if self.done():
                return self.leave()
            self.begin()
        return self.train()

    def train(self) -> int:
        """Trains, or does what else the mode asks for; gives the exit code."""
        if self.experiment.mode == "lr_find":
            return find(self.experiment, self.folder)
        if self.experiment.mode == "doctor":
            return examine(self.experiment, self.folder)
        code = run(self.experiment, self.folder, alone=self.alone)
        self.compare()
        return code or self.leave()

    def leave(self) -> int:
        """Leaves what the run is to be exported as; gives the exit code."""
        return leave(self.experiment, self.folder)

    def compare(self) -> None:
        """Says whether it is the run that it was to run again."""
        if self.source and (told := compare(self.source, self.folder)):
            print(told)


def _check_cluster(cluster: Cluster, experiment: Experiment, composed: Any) -> None:
    """Whether this many workers can do what is asked for.

    Raises:
        Refused: when they can't.
    """
    experiment.check_parts(len(cluster.addresses))
    if experiment.mode != "train":
        raise refuse("mode", experiment.mode, "is for one machine", "device=auto")
    named = OmegaConf.to_container(composed.run, resolve=False)
    if composed.mode == RunMode.RUN and "${" in str(named):
        rule = "must be given, since all workers have to mean the same folder"
        raise refuse("hydra.run.dir", ABSENT, rule, "hydra.run.dir=runs/first")


def _remove_if_empty(path: Path) -> None:
    """Hydra makes the run folder before it asks us; a refused run leaves none."""
    try:
        path.rmdir()
    except OSError:  # it holds something, or is not there
        return

"""One run as Hydra hands it over: checked, its folder taken, and trained or not."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from schedules.analysis.lint import Finding
from schedules.declaration import ABSENT, refuse
from schedules.declaration.functions import refusing_exits

from ..config.cluster import Cluster
from ..config.early_stopping import finished
from ..config.plan import Plan
from ..runs.folder import Folder
from ..runs.footprint import Footprint
from ..training.follower import follow
from ..training.rerun import compare, prepare
from ..training.run import run, tell
from ..training.run_config import declare
from .checks import announce, checked
from .doctor import examine
from .export import leave
from .lr_find import find


@dataclass(frozen=True)
class Job:
    """A plan that can be honoured, and the folder that is its own as long as it takes."""

    plan: Plan
    folder: Folder
    warnings: list[Finding]
    source: Path | None = None
    """The run that it runs again."""
    cluster: Cluster | None = None
    """The processes that train together, where there are several."""
    alone: bool = False
    """Whether no other run will be in this process."""

    @classmethod
    def of(cls, config: DictConfig, held: ExitStack) -> Self:
        """Checks the composed config and takes the folder, which `held` gives free again.

        Raises:
            Refused: before TensorFlow is imported, leaving nothing behind.
        """
        composed = HydraConfig.get()
        path = Path(composed.runtime.output_dir)
        with refusing_exits():
            plan, placeholders, warnings = checked(config, composed)
        Folder(path).check_name()
        folder, cluster = Folder(path), plan.experiment.device.cluster()
        if cluster:
            check_cluster(cluster, plan, composed)
            if not cluster.leads:
                return cls(plan, folder, warnings, cluster=cluster)
        footprint = Footprint(folder)
        held.enter_context(folder.locked())
        held.enter_context(footprint.undone_if_refused())
        plan = declare(folder, plan, placeholders)
        source = Path(config.rerun) if config.rerun else None
        return cls(plan, folder, warnings, source, cluster, composed.mode == RunMode.RUN)

    @property
    def trains(self) -> bool:
        """Whether it is a run, and no look at rates or at the machine."""
        return self.plan.experiment.mode == "train"

    def done(self) -> bool:
        """Whether an earlier process brought it to its end; the leading worker says so."""
        result = self.folder.read_result()
        stop = self.plan.experiment.evaluate.stop
        if not result or not finished(result, self.plan.total_steps, stop):
            return False
        if not self.cluster or self.cluster.leads:
            tell(result, self.folder)
        return True

    def begin(self) -> None:
        """Says what will happen; a rerun starts from what its source measured."""
        announce(self.plan, self.warnings)
        if self.source:
            prepare(self.source, self.folder)

    def run(self) -> int:
        """Does what the mode asks for, unless it is done; gives the exit code."""
        if self.cluster and not self.cluster.leads:
            return 0 if self.done() else follow(self.plan, self.folder, self.cluster)
        if self.trains:
            if self.done():
                return self.leave()
            self.begin()
        return self.train()

    def train(self) -> int:
        """Trains, or does what else the mode asks for; gives the exit code."""
        if self.plan.experiment.mode == "lr_find":
            return find(self.plan, self.folder)
        if self.plan.experiment.mode == "doctor":
            return examine(self.plan, self.folder)
        code = run(self.plan, self.folder, alone=self.alone)
        self.compare()
        return code or self.leave()

    def leave(self) -> int:
        """Leaves what the run is to be exported as; gives the exit code."""
        return leave(self.plan.experiment, self.folder)

    def compare(self) -> None:
        """Says whether it is the run that it was to run again."""
        kept = self.folder.lock.is_own()  # else the result there is another process's
        if self.source and kept and (verdict := compare(self.source, self.folder)):
            print(verdict)


def check_cluster(cluster: Cluster, plan: Plan, composed: Any) -> None:
    """Whether this many workers can do what is asked for.

    Raises:
        Refused: when they can't.
    """
    plan.length.check_parts(len(cluster.addresses))
    if plan.experiment.mode != "train":
        raise refuse("mode", plan.experiment.mode, "is for one machine", "device=auto")
    named = OmegaConf.to_container(composed.run, resolve=False)
    if composed.mode != RunMode.MULTIRUN and "${" in str(named):
        rule = "must be given, since all workers have to mean the same folder"
        raise refuse("hydra.run.dir", ABSENT, rule, "hydra.run.dir=runs/first")

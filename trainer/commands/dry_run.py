"""What a run would do, told without doing it: checked as training checks, and nothing written."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..config.early_stopping import finished
from ..config.plan import Plan
from ..runs.checkpoints import Checkpoints
from ..runs.folder import Folder, display_path
from ..training.run_config import agree, differences_from
from .checks import Checked, checked
from .job import check_cluster


def run_lines(config: DictConfig) -> list[str]:
    """What the run of a composed config would do: its updates, where it begins, what differs.

    Raises:
        Refused: for what training would refuse before it imports TensorFlow.
    """
    composed: Any = config.hydra
    experiment_keys = [str(key) for key in config if key != "hydra"]
    valid = checked(OmegaConf.masked_copy(config, experiment_keys), composed)
    cluster = valid.plan.experiment.device.cluster()
    if cluster:
        check_cluster(cluster, valid.plan, composed)
    folder = Folder(Path(str(composed.run.dir)))
    folder.check_free()
    plan = agreed_plan(valid, folder)
    lines = [plan.summary()]
    if plan.last_step < plan.total_steps:
        lines.append(f"stops after update {plan.last_step:,}, as run.stop_after says")
    if state := folder_state(plan, folder):
        lines.append(f"{state}, in {display_path(folder.path)}")
        if table := differences_from(folder, valid.plan, valid.placeholders):
            lines += ["other than before:", *table.splitlines()]
    return [*lines, *(line for finding in valid.warnings for line in str(finding).splitlines())]


def agreed_plan(valid: Checked, folder: Folder) -> Plan:
    """The plan of the run that a folder would go on with or begin.

    Raises:
        Refused: when its run was declared otherwise.
    """
    with redirect_stdout(StringIO()):
        return agree(folder, valid.plan, valid.placeholders)


def folder_state(plan: Plan, folder: Folder) -> str:
    """How far an earlier process has brought a plan in this folder; "" if it has not begun."""
    result = folder.read_result()
    if result and finished(result, plan.total_steps, plan.experiment.evaluate.stop):
        return f"done already at step {result['steps']:,}"
    if not folder.has_updates():
        return ""
    step = Checkpoints(folder.checkpoints, 1).newest_step()
    return f"goes on at step {step:,}" if step else "begins again: there is no checkpoint"

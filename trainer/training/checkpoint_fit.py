"""Whether a run can go on from its checkpoint, as far as that is known without TensorFlow."""

from __future__ import annotations

from schedules.declaration import ABSENT, refuse

from ..config.experiment import Experiment
from ..config.plan import Plan
from ..runs.checkpoint_files import DamagedCheckpointError, Manifest
from ..runs.checkpoints import Checkpoints
from ..runs.folder import Folder

ANOTHER = "hydra.run.dir=… begins another run"


def newest_manifest(folder: Folder) -> Manifest | None:
    """That of the newest checkpoint whose rows are all in `metrics.jsonl`; None without any.

    Raises:
        Refused: when there are checkpoints, and `metrics.jsonl` lacks rows from before all of them.
    """
    try:
        return Checkpoints(folder.checkpoints, 1).manifest(folder.rows_size())
    except DamagedCheckpointError as error:
        rule = f"has checkpoints of which none can be gone on from: {error}"
        hint = "put the whole metrics.jsonl back; " + ANOTHER
        raise refuse("hydra.run.dir", str(folder.path), rule, hint) from None


def check_fit(past: Manifest, plan: Plan) -> None:
    """Whether a checkpoint has the state that a run goes on from.

    Schedules need none: what another one has observed is left out.

    Raises:
        Refused: with the setting that another state belongs to.
    """
    experiment = plan.experiment
    rule, kind = "is not what the checkpoint of step {} has the state of", past.about["optimizer"]
    if kind != experiment.optimizer.kind:
        which = f"{rule.format(past.step)}, which is {kind}"
        raise refuse("optimizer", experiment.optimizer.kind, which, f"optimizer={kind}; {ANOTHER}")
    had = any(name.startswith("average/") for name in past.array_names)
    if had != (experiment.ema is not None):
        which = f"checkpoint of step {past.step}"
        if had:
            hint = f"give ema as it was; {ANOTHER}"
            raise refuse("ema", None, f"leaves out the mean of weights in the {which}", hint)
        hint = f"ema=null; {ANOTHER}"
        raise refuse("ema", ABSENT, f"has no mean of weights to go on from in the {which}", hint)
    _check_scaling(past, experiment)


def _check_scaling(past: Manifest, experiment: Experiment) -> None:
    had = any(name.startswith("loss/") for name in past.array_names)
    precision = experiment.run.precision
    if had != (precision == "mixed_float16"):
        other = "has" if had else "has not"
        rule = f"does not fit the checkpoint of step {past.step}, which {other} the loss's scale"
        hint = f"{'run.precision=mixed_float16' if had else 'run.precision=float32'}; {ANOTHER}"
        raise refuse("run.precision", precision, rule, hint)

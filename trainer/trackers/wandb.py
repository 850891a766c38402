"""Weights & Biases, without a network unless one is asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from ..runs.atomic_files import write
from ..runs.known_secrets import veil
from .rows import Row
from .tracker import Tracked, Tracker, TrackerRun


class Wandb(Tracker):
    """A W&B run with the whole config, the rows over `step`, and how it ended as its summary.

    `offline` writes to `wandb/` in the run's folder, for `wandb sync --append` to send later; the
    key comes from `wandb login` or WANDB_API_KEY. A run that goes on keeps its W&B id, which is in
    its folder. The jobs of a sweep are a group of the sweep's name.
    """

    kind: Literal["wandb"] = "wandb"
    extra: ClassVar[str] = "wandb"
    mode: Literal["offline", "online"] = "offline"
    """Whether rows are sent while the run goes."""
    project: str = "trainer"
    """The W&B project."""
    entity: str | None = None
    """The user or team that it belongs to; null for the one that is logged in."""
    name: str | None = None
    """The name of the W&B run; null for that of its folder."""

    def open(self, run: Tracked) -> TrackerRun:
        # W&B reports errors to its makers otherwise, even of a run that is kept offline.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        file = run.folder / f"{run.tracker_name}.json"
        run_id = json.loads(file.read_text(encoding="utf-8"))["run_id"] if file.exists() else None
        wandb_run = wandb.init(
            mode=self.mode,
            project=veil(self.project),
            entity=self.entity,
            name=veil(self.name or run.name),
            group=run.sweep.name if run.sweep else None,
            id=run_id,
            resume="allow" if self.mode == "online" else None,
            dir=run.folder,
            config=dict(run.config),
            allow_val_change=True,
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=run.git is None,
                save_code=False,
                x_disable_meta=True,  # the command line and the environment are nobody's business
            ),
        )
        write(file, json.dumps({"run_id": wandb_run.id}) + "\n")
        wandb_run.define_metric("step", hidden=True)
        wandb_run.define_metric("*", step_metric="step")
        return _Run(wandb_run, goes_on=run_id is not None)


class _Run(TrackerRun):
    """One W&B run."""

    def __init__(self, run: Any, *, goes_on: bool) -> None:
        self._run = run
        # The rows of an earlier process can't be read here; they count as complete.
        self.recorded_updates = sys.maxsize if goes_on else 0

    def go_on(self, step: int) -> None:
        """W&B takes nothing back."""

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._run.log({name: value for name, value in row.items() if value is not None})

    def close(self, result: Mapping[str, Any] | None) -> None:
        ended_well = False
        if result:
            ended_well = result["status"] not in ("failed", "interrupted")
            keys = ("status", "steps", "weights_digest", "average_digest", "data_digest", "device")
            self._run.summary.update({name: result[name] for name in keys if name in result})
        self._run.finish(exit_code=0 if ended_well else 1)

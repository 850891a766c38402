"""Weights & Biases, without a network unless one is asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from ..runs.atomic_files import write
from .rows import Row
from .tracker import Tracked, Tracker, TrackerRun


class Wandb(Tracker):
    """A W&B run with the whole config, the rows over `step`, and how it ended as its summary.

    `offline` writes to `wandb/` in the run's folder, for `wandb sync --append` to send later; the
    key comes from `wandb login` or WANDB_API_KEY. A run that goes on, goes on under its W&B id,
    which is kept in its folder. The jobs of a sweep are a group of its name.
    """

    kind: Literal["wandb"] = "wandb"
    extra: ClassVar[str] = "wandb"
    mode: Literal["offline", "online"] = "offline"
    """Whether rows are sent while the run goes."""
    project: str = "trainer"
    """The W&B project."""
    entity: str | None = None
    """The user or team that it belongs to, or else the one that is logged in."""
    name: str | None = None
    """What the run is called, or else as its folder."""

    def open(self, run: Tracked) -> TrackerRun:
        import wandb

        file = run.folder / f"{run.called}.json"
        known = json.loads(file.read_text(encoding="utf-8"))["run_id"] if file.exists() else None
        this = wandb.init(
            mode=self.mode,
            project=self.project,
            entity=self.entity,
            name=self.name or run.name,
            group=run.sweep.name if run.sweep else None,
            id=known,
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
        write(file, json.dumps({"run_id": this.id}) + "\n")
        this.define_metric("step", hidden=True)
        this.define_metric("*", step_metric="step")
        return _Run(this, goes_on=known is not None)


class _Run(TrackerRun):
    """One W&B run."""

    def __init__(self, run: Any, *, goes_on: bool) -> None:
        self._run = run
        self.has = sys.maxsize if goes_on else 0  # what was written before is not to be read here

    def go_on(self, step: int) -> None:
        """W&B takes nothing back."""

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._run.log({name: value for name, value in row.items() if value is not None})

    def close(self, result: Mapping[str, Any] | None) -> None:
        ended_well = False
        if result:
            ended_well = result["status"] not in ("failed", "interrupted")
            told = ("status", "steps", "weights_digest", "average_digest", "data_digest", "device")
            self._run.summary.update({name: result[name] for name in told if name in result})
        self._run.finish(exit_code=0 if ended_well else 1)

"""Weights & Biases, without a network unless one is asked for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from schedules.declaration import Flag, refuse
from schedules.declaration.plain_files import json_value, read_plain

from ..runs.atomic_files import write
from ..runs.known_secrets import veil
from .model_files import model_files
from .rows import Row
from .tracker import Tracked, Tracker, TrackerRun

MAX_ID_BYTES = 2**16


class Wandb(Tracker):
    """A W&B run with the whole config, the rows over `step`, and how it ended as its summary.

    `offline` writes to `wandb/` in the run's folder, for `wandb sync` to send later; the key comes
    from `wandb login` or WANDB_API_KEY. A run that goes on keeps its W&B id, which is in its
    folder. The jobs of a sweep are a group of the sweep's name. The summary has the best value of
    every metric beside the last one. The newest checkpoint, with what `trainer.export` needs
    besides, is an artifact, and the data set is one that has its digest and no files.
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
    tags: tuple[str, ...] = ()
    """Words to find the run by."""
    notes: str | None = None
    """What is to be said of the run."""
    model: Flag = True
    """Whether the newest checkpoint is kept there too, once the run has ended."""

    def check(self) -> None:
        super().check()
        if self.mode == "online" and not _has_key():
            server = os.environ.get("WANDB_BASE_URL", "")
            host = f" --host={server}" if server else ""
            hint = f"wandb login{host}; or export WANDB_API_KEY=…, or log.wandb.mode=offline"
            raise refuse("mode", "online", "has no key to send with", hint)

    def open(self, run: Tracked) -> TrackerRun:
        # W&B reports errors to its makers otherwise, even of a run that is kept offline.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        file = run.folder / f"{run.tracker_name}.json"
        run_id = None
        with suppress(FileNotFoundError):
            run_id = json_value(read_plain(file, MAX_ID_BYTES, follow_links=False))["run_id"]
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
            tags=[veil(tag) for tag in self.tags],
            notes=veil(self.notes) if self.notes else None,
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
        return _Run(self, wandb_run, run, goes_on=run_id is not None)


def _has_key() -> bool:
    """Whether W&B would find a key: in the environment, or where `wandb login` puts it."""
    if any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    files = [os.environ.get("NETRC"), "~/.netrc", "~/_netrc"]
    for file in map(Path, filter(None, files)):
        with suppress(OSError, RuntimeError, NetrcParseError):
            if netrc(str(file.expanduser())).authenticators(host):
                return True
    return False


class _Run(TrackerRun):
    """One W&B run."""

    def __init__(self, tracker: Wandb, run: Any, tracked: Tracked, *, goes_on: bool) -> None:
        self._tracker, self._run, self._tracked = tracker, run, tracked
        self._defined: set[str] = set()
        # The rows of an earlier process can't be read here; they count as complete.
        self.recorded_updates = sys.maxsize if goes_on else 0

    def go_on(self, step: int) -> None:
        """W&B takes nothing back."""

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            for name in row.keys() - self._defined:
                self._define(name)
            self._run.log({name: value for name, value in row.items() if value is not None})

    def close(self, result: Mapping[str, Any] | None) -> None:
        ended_well = False
        if result:
            ended_well = result["status"] not in ("failed", "interrupted")
            keys = ("status", "steps", "weights_digest", "average_digest", "data_digest", "device")
            self._run.summary.update({name: result[name] for name in keys if name in result})
            self._keep_data(str(result.get("data_digest", "")))
        files = model_files(self._tracked.folder, result) if self._tracker.model else {}
        if files:
            self._keep(
                f"model-{self._run.id}", "model", files, {"steps": result and result["steps"]}
            )
        self._run.finish(exit_code=0 if ended_well else 1)

    def _define(self, name: str) -> None:
        """Has the summary keep the best value of a metric beside its last one."""
        self._defined.add(name)
        better = self._tracked.better(name) if name.startswith("eval_") else None
        if better:
            self._run.define_metric(name, step_metric="step", summary=f"{better},last")

    def _keep_data(self, digest: str) -> None:
        data = self._tracked.data
        self._keep(f"data-{data.get('kind', 'given')}", "dataset", {}, {"digest": digest, **data})

    def _keep(
        self, name: str, sort: str, files: Mapping[str, Path], metadata: Mapping[str, Any]
    ) -> None:
        """Keeps files as an artifact; they stay where they are until they are sent."""
        import wandb

        artifact = wandb.Artifact(name, sort, metadata=dict(metadata))
        for path, file in files.items():
            artifact.add_file(str(file), name=path, policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact)

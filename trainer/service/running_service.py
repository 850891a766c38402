"""What a running service consists of: the index and its watcher, open rows, previews, listeners."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from schedules.declaration import did_you_mean

from ..runs.run_folders import submitted_folders
from .answering import Answering
from .design.previewer import Previewer
from .events.hub import Hub
from .events.run_news import RunNews
from .jobs.engines.available import available
from .jobs.engines.engine import Engine
from .jobs.launcher import Launcher
from .jobs.queue import Queue
from .jobs.tasks import Tasks
from .listing.index import Entry, Index
from .listing.summary import Summary, read_summary, signature
from .listing.watcher import Watcher
from .permissions import Permissions
from .problems import ServiceError, request_problem
from .rows.open_rows import OpenRows
from .tokens import Tokens

CHECK_SECONDS = 3600.0
"""How long the jobs of one submission may take to be checked: ten thousand take twenty minutes."""


class RunningService:
    """One root, looked at by one process."""

    def __init__(
        self,
        root: Path,
        state: Path,
        tokens: Tokens,
        permissions: Permissions | None = None,
        engines: Mapping[str, Engine] | None = None,
    ) -> None:
        self.root = root.resolve()
        self.started = int(time.time())
        self.tokens = tokens
        self.permissions = permissions or Permissions(folders=(self.root,))
        self.index = Index.of(self.root, state)
        self.hub = Hub()
        self.news = RunNews(self.index)
        self.answering = Answering()
        kept = state / "rows" / self.index.name if self.index.is_alone else None
        self.rows = OpenRows(kept, self.hub.rows_complete, self.answering.give_way)
        self.watcher = Watcher(
            self.root, self.index, self.hub.runs_changed, self.answering.give_way, self._read
        )
        self.previewer = Previewer(self.permissions)
        self.checker = Previewer(self.permissions, CHECK_SECONDS)
        """Checks what is submitted, in a worker of its own: a large sweep takes long."""
        self.queue = Queue(
            self.root, engines or available(), self._queue_changed, self._with_status
        )
        self.tasks = Tasks(self.root)
        self.launcher = Launcher(self.queue, self.permissions)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watches the folders within the block."""
        self.hub.open(asyncio.get_running_loop(), self.path)
        self.watcher.start()
        self.launcher.start()
        try:
            yield
        finally:
            await self.hub.close()
            self.watcher.stop()
            self.launcher.stop()
            await self.previewer.end()
            await self.checker.end()
            await asyncio.to_thread(self.rows.stop)
            await asyncio.to_thread(self.watcher.join)
            await asyncio.to_thread(self.launcher.join)
            self.index.close()

    def _read(self, path: Path) -> tuple[Summary, dict[str, Any]]:
        """What the list has of a run; of one that waits in a cluster's own queue, also why."""
        summary, config = read_summary(self.root, path)
        if summary.status == "starting":
            summary = replace(summary, reason=self.queue.state(summary.id, path)[1])
        return summary, config

    def _queue_changed(self, runs: Sequence[tuple[str, Path]]) -> None:
        """Has the list know at once of runs that are in the queue, or have left it."""
        entries = []
        for path in (path for _, path in runs if path.is_dir()):
            files = signature(path)  # before what it is of is read
            entries.append(Entry(path, files, *self._read(path)))
        if entries:
            ids = [entry.summary.id for entry in entries]
            self.index.put(entries)
            self.watcher.expect(ids)
            self.hub.runs_changed(ids)
        self.hub.queue_changed()

    def _with_status(self, statuses: Sequence[str]) -> Iterable[Path]:
        """The folders of submitted runs of some statuses; all, while they are first looked at."""
        if not self.watcher.complete.is_set():
            return submitted_folders(self.root)
        return self.index.paths_with_status(statuses)

    def path(self, run: str) -> Path:
        """The folder of a run.

        Raises:
            ServiceError: a 404 where no run has the id.
        """
        path = self.index.path(run)
        if path is None:
            hint = "" if self.watcher.complete.is_set() else "; the folders are still being read"
            raise ServiceError(404, f"no run has the id {run}{hint}")
        return path

    def known_names(self, asked: str | None, names: list[str]) -> list[str]:
        """The names that a request asks for, of those that there are; all where it asks for none.

        Raises:
            ServiceError: a 422 for a name that there is not.
        """
        if not asked:
            return names
        wanted = [name for name in asked.split(",") if name]
        for name in wanted:
            if name not in names:
                rule, hint = "is no series of this run", did_you_mean(name, names)
                problem = request_problem("names", name, rule, hint)
                raise ServiceError(422, f"{name} {rule}", [problem])
        return wanted

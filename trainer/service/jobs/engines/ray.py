"""Jobs of a Ray cluster, by the HTTP interface of Ray Jobs; nothing of Ray is imported here."""

from __future__ import annotations

import http.client
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from ....sweeps.places import ERRORS, OUTPUT
from ...access.place import Place
from .engine import Engine, Handle, Needs, Word

ALIVE = ("PENDING", "RUNNING")
SECONDS = 10.0
"""How long the cluster may take to answer."""


class RayEngine(Engine):
    """Each job has the run's id for its `submission_id`; later attempts have a number behind it.

    Ray refuses an id that it has had, and a job that lives is found by it. So one whose server died
    before it was recorded is not started twice. An id is not used again after its job was deleted:
    the new job would die with what supervised the old one.
    """

    def __init__(self, place: Place) -> None:
        """`place` is that of the dashboard, usually `http://127.0.0.1:8265`."""
        self._place = place

    def start(
        self, command: Sequence[str], folder: Path, needs: Needs, record: Callable[[Handle], None]
    ) -> Handle:
        job, number = needs.name, 1
        while (before := self._details(job)) and before.get("status") not in ALIVE:
            number += 1
            job = f"{needs.name}-{number}"
        handle: Handle = {"id": job, "address": str(self._place)}
        if not before:
            self._ask("POST", "/api/jobs/", {
                "submission_id": job,
                "entrypoint": _entrypoint(command, folder, needs.cwd),
                "entrypoint_num_cpus": max(1, len(needs.cores)),
                "entrypoint_num_gpus": len(needs.gpus),
                "metadata": {"folder": str(folder)},
            })  # fmt: skip
        try:
            record(handle)
        except BaseException:
            self.stop(handle, "kill")
            raise
        return handle

    def look(self, handle: Handle) -> Word:
        try:
            details = self._details(str(handle.get("id")))
        except OSError:
            return "unknown"
        return "alive" if details.get("status") in ALIVE else "gone"

    def waits(self, handle: Handle) -> str:
        with suppress(OSError):
            details = self._details(str(handle.get("id")))
            if details.get("status") == "PENDING":
                return f"waits in the Ray cluster: {details.get('message') or 'for its turn'}"
        return ""

    def stop(self, handle: Handle, how: Literal["terminate", "kill"]) -> None:
        """Both are Ray's own way: SIGTERM, and soon after that SIGKILL."""
        del how
        try:
            self._ask("POST", f"/api/jobs/{handle.get('id')}/stop")
        except OSError:
            return  # it is asked again on the next rung

    def exit_code(self, handle: Handle) -> int | None:
        try:
            code = self._details(str(handle.get("id"))).get("driver_exit_code")
        except OSError:
            return None
        return code if isinstance(code, int) else None

    def _details(self, job: str) -> dict[str, Any]:
        """What Ray knows of a job; nothing of one that it has not.

        Raises:
            OSError: when it does not answer.
        """
        return self._ask("GET", f"/api/jobs/{job}", missing={})

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        missing: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """An answer of the cluster; `missing` where there is no such job.

        Raises:
            OSError: when it is none, or an error.
        """
        headers = {"Content-Type": "application/json"}
        if token := os.environ.get("RAY_AUTH_TOKEN"):
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection = self._place.connection(SECONDS)
            try:
                content = None if body is None else json.dumps(body)
                connection.request(method, self._place.prefix + path, content, headers)
                answer = connection.getresponse()
                text = answer.read().decode(errors="replace")
            finally:
                connection.close()
            if answer.status == 404 and missing is not None:
                return missing
            if answer.status >= 300:
                raise OSError(0, f"Ray answers {answer.status}: {text.strip()[-300:]}")
            found = json.loads(text or "{}")
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(0, f"Ray's answer is none: {error}") from None
        return found if isinstance(found, dict) else {}


def _entrypoint(command: Sequence[str], folder: Path, cwd: Path) -> str:
    """The line of a shell that is the job, whose logs are in the run's folder."""
    root = Path(__file__).resolve().parents[4]
    paths = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    output, errors = (shlex.quote(str(folder / name)) for name in (OUTPUT, ERRORS))
    return (
        f"cd {shlex.quote(str(cwd))} && export PYTHONPATH={shlex.quote(paths)} && "
        f"exec {shlex.join(command)} </dev/null >>{output} 2>{errors}"
    )

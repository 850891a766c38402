"""Logs, files and reports, which are followed or saved."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode

from .client_error import ClientError
from .row_calls import has_ended
from .transport import Answer, Transport


class FileCalls:
    """The part of a client that asks for text and files."""

    _http: Transport

    def log(
        self, run: str, stream: str = "output", begin: int = -(2**16), end: int | None = None
    ) -> Answer:
        """A part of `output`, `errors` or `tensorflow`; a `begin` below 0 counts from the end."""
        return self._http.get(f"/runs/{run}/log", {"from": begin}, stream=stream, to=end)

    def follow_log(self, run: str, stream: str = "output", pause: float = 1.0) -> Iterator[str]:
        """A whole log, and what is written to it until the run has ended."""
        place = 0
        while True:
            ended = has_ended(self._http.get(f"/runs/{run}"))
            while (answer := self.log(run, stream, place))["to"] > place:
                place = answer["to"]
                yield answer["text"]
            if ended:
                return
            place = place if answer["size"] >= place else 0
            time.sleep(pause)

    def files(self, run: str) -> list[Answer]:
        """The files of a run: `name`, `size` and `changed`."""
        found: list[Answer] = self._http.get(f"/runs/{run}/files")["files"]
        return found

    def save_file(self, run: str, name: str, target: str | PathLike[str]) -> Path:
        """Saves a file of a run as `target`, which nobody sees half written."""
        return self._saved(f"/runs/{run}/files/{quote(name)}", target)

    def save_task_file(self, task: str, name: str, target: str | PathLike[str]) -> Path:
        """Saves a file that a prediction has made as `target`."""
        return self._saved(f"/tasks/{task}/files/{quote(name)}", target)

    def save_report(
        self,
        target: str | PathLike[str],
        runs: Sequence[str] = (),
        sweep: str | None = None,
        *,
        kind: Literal["html", "csv"] = "html",
    ) -> Path:
        """Saves the report of runs, or of a sweep, as `target`."""
        query = {"runs": ",".join(runs), "sweep": sweep or "", "format": kind}
        return self._saved(f"/compare/report?{urlencode(query)}", target)

    def save_written(self, sweep: str, name: str, target: str | PathLike[str]) -> Path:
        """Saves what a sweep has written at its end, `report.html` or `sweep.csv`, as `target`."""
        return self._saved(f"/compare/written/{quote(name)}?{urlencode({'sweep': sweep})}", target)

    def _saved(self, path: str, target: str | PathLike[str]) -> Path:
        file = Path(target)
        draft = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}")
        try:
            with closing(self._http.asked("GET", path)) as answer:
                with draft.open("xb") as opened:
                    while chunk := answer.read(2**18):
                        opened.write(chunk)
                if answer.length:
                    raise ClientError(f"{file.name}: {answer.length} bytes have not come")
            return draft.replace(file)
        finally:
            draft.unlink(missing_ok=True)

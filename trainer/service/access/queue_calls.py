"""Runs put into the queue, moved in it, ended, gone on with, exported and predicted by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .transport import Answer, Transport, new_key

Weights = Literal["final", "best", "ema"]


class QueueCalls:
    """The part of a client that changes what runs and what waits."""

    _http: Transport

    def submit(
        self,
        overrides: Sequence[str] = (),
        *,
        is_dry: bool = False,
        key: str = "",
        **settings: Any,
    ) -> Answer:
        """Puts a run, or each job of a sweep, into the queue: `sweep`, `runs`, `link`.

        `settings` are those of `POST /runs`: `yaml`, `rerun`, `priority`, `name`, `tags`, `cores`,
        `gpus`, `engine`. With `is_dry` it is only told what would start. The same `key` gives the
        same run for ever; without one, each call makes its own.
        """
        body = {"overrides": list(overrides), **settings}
        if is_dry:
            return self._http.post("/runs?dry=1", body, is_repeatable=True)
        return self._http.post("/runs", body, key=key or new_key())

    def queue(self) -> Answer:
        """What runs and what waits, in the order in which it will start."""
        return self._http.get("/queue")

    def set_queue(self, **settings: Any) -> Answer:
        """Sets `paused`, `at_once`, `cores` or `gpus`."""
        return self._http.json("PATCH", "/queue", settings, is_repeatable=True)

    def set_run(self, run: str, **settings: Any) -> Answer:
        """Sets `priority`, `before`, `held`, `name` or `tags` of a run."""
        return self._http.json("PATCH", f"/runs/{run}", settings, is_repeatable=True)

    def stop(self, run: str, how: Literal["stop", "terminate", "kill"] = "stop") -> Answer:
        """Ends a run: by an order, by SIGTERM or by SIGKILL; one that waits never starts."""
        return self._http.post(f"/runs/{run}/stop", {"how": how}, is_repeatable=True)

    def start(self, run: str, overrides: Sequence[str] = ()) -> Answer:
        """Has a run go on that has stopped; `run.length=…` makes it longer."""
        return self._http.post(f"/runs/{run}/start", {"overrides": list(overrides)})

    def remove(self, run: str) -> Answer:
        """Moves a run that does not train into ROOT/.trash."""
        return self._http.json("DELETE", f"/runs/{run}")

    def stop_sweep(self, sweep: str, how: Literal["stop", "terminate", "kill"] = "stop") -> Answer:
        """Ends every job of a sweep, by its id."""
        return self._http.post(f"/sweeps/{sweep}/stop", {"how": how}, is_repeatable=True)

    def export(
        self,
        run: str,
        format: str,  # noqa: A002
        weights: Weights | None = None,
    ) -> Answer:
        """Begins to export a run as `keras`, `saved_model` or `onnx`; its `task` tells the rest."""
        body = {"format": format, **({"weights": weights} if weights else {})}
        return self._http.post(f"/runs/{run}/exports", body)

    def predict(
        self, run: str, content: bytes, content_type: str, weights: Weights | None = None
    ) -> Answer:
        """Begins to predict a table, an array or an image; its `task` tells the rest."""
        headers = {"Content-Type": content_type}
        query = f"?weights={weights}" if weights else ""
        path = f"/runs/{run}/predictions{query}"
        return self._http.json("POST", path, content, headers=headers)

    def task(self, task: str, rows: int = 100) -> Answer:
        """What came of an export or a prediction: `state`, `error`, `files`, the first `rows`."""
        return self._http.get(f"/tasks/{task}", rows=rows)

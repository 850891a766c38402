"""Submitted runs followed to their end in a terminal, from which nothing is taken by leaving it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from ...runs.exit_codes import DONE, FAILED
from .client import Client
from .row_calls import has_ended
from .transport import Answer

PAUSE = 0.5
PATIENCE = 120.0
"""For how many seconds a server is waited for that is started anew."""
CODES = {"done": DONE, "stopped": DONE, "pruned": DONE, "interrupted": 128 + signal.SIGTERM}
"""The exit codes by how a run has ended; else 1."""


def follow(client: Client, runs: Sequence[str]) -> int:
    """Prints what a run prints, or how each of several ends; gives the highest exit code.

    Raises:
        ClientError: when a run is gone, or the server for too long.
    """
    client.patience = PATIENCE
    if len(runs) == 1:
        return _code(_Followed(client, runs[0]).to_the_end())
    states = dict.fromkeys(runs, "")
    codes: dict[str, int] = {}
    while len(codes) < len(runs):
        for run in [run for run in runs if run not in codes]:
            found = client.run(run)
            if found["status"] != states[run]:
                states[run] = found["status"]
                print(_line(found), flush=True)
            if has_ended(found):
                codes[run] = _code(found)
        time.sleep(PAUSE)
    return max(codes.values())


class _Followed:
    """One run, of whose logs all that was written is printed."""

    def __init__(self, client: Client, run: str) -> None:
        self._client, self._run = client, run
        self._places: dict[str, int] = {}
        self._state = ""

    def to_the_end(self) -> Answer:
        while True:
            found = self._client.run(self._run)
            self._tell_state(found)
            self._print_log("output", sys.stdout)
            self._print_log("errors", sys.stderr)
            if has_ended(found):
                if not self._places.get("output"):  # where nothing else has said so
                    print(_line(found))
                return found
            time.sleep(PAUSE)

    def _tell_state(self, found: Answer) -> None:
        state = found["status"]
        is_news = state != self._state and not has_ended(found) and state != "running"
        if is_news:
            print(_line(found), file=sys.stderr, flush=True)
        self._state = state

    def _print_log(self, stream: str, target: TextIO) -> None:
        while True:
            place = self._places.get(stream, 0)
            answer = self._client.log(self._run, stream, place)
            if answer["size"] < place:  # begun anew
                self._places[stream] = 0
                continue
            if answer["to"] <= place:
                return
            self._places[stream] = answer["to"]
            target.write(answer["text"])
            target.flush()


def _line(run: Answer) -> str:
    """How a run is, in a line."""
    why = run.get("why") or run.get("reason") or ""
    result = run.get("result") or {}
    measured = "  ".join(
        f"{name} {value:.6g}" for name, value in result.get("metrics", {}).items()
        if isinstance(value, int | float)
    )  # fmt: skip
    step = f" at step {result['steps']}" if has_ended(run) and "steps" in result else ""
    rest = "; ".join(filter(None, (measured, why)))
    return f"{run.get('name') or run.get('id')}: {run['status']}{step}{f'  {rest}' if rest else ''}"


def _code(run: Answer) -> int:
    return CODES.get(run["status"], FAILED)

"""Peers that take turns, so that whatever else the machine does slows all of them alike."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from threading import Timer
from typing import IO

NEEDS = {"jax": ("jax", "optax"), "torch": ("torch",), "torch_sparse": ("torch",)}
"""What a peer needs that the trainer does not."""

LEARNING = {"trainer": 2}
"""How many runs it takes a peer to learn from them what suits a job best."""

PATIENCE = 300
"""The seconds that a peer may take to answer."""


RAISED = re.compile(r"(?:\w+\.)*(\w+): (.*)")
"""What Python says last of an exception: its class and its message."""


class Failed(Exception):  # noqa: N818  # a finding
    """A peer that ended, and the last it said."""


@dataclass
class Entry:
    """A peer with the overrides of its job, and the updates a second of each of its turns."""

    peer: str
    overrides: tuple[str, ...] = ()
    rates: list[float] = field(default_factory=list)
    absent: str = ""
    """Why it did not take part."""
    job: str = ""
    """Another job than the others have."""

    @property
    def rate(self) -> float | None:
        """The median over its turns; None where there is none."""
        return None if self.absent or not self.rates else median(self.rates)


class Worker:
    """A peer in its process."""

    def __init__(self, job: str, entry: Entry) -> None:
        script = Path(__file__).with_name("peers.py")
        self._errors: IO[bytes] = TemporaryFile()  # noqa: SIM115  # closed by close
        self._process = subprocess.Popen(
            [sys.executable, str(script), entry.peer, job, *entry.overrides],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._answer()  # "ready"

    def train(self, seconds: float) -> float:
        """Updates a second."""
        assert self._process.stdin
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        made = json.loads(self._answer())
        return float(made["updates"] / made["seconds"])

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _answer(self) -> str:
        assert self._process.stdout
        watch = Timer(PATIENCE, self._process.kill)
        watch.start()
        line = self._process.stdout.readline()
        watch.cancel()
        if line:
            return line
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        raised = [found for line in lines if (found := RAISED.match(line))]
        self.close()
        raise Failed(f"{raised[-1][1]}: {raised[-1][2][:80]}" if raised else "ended without a word")


def contest(job: str, entries: Iterable[Entry], rounds: int, seconds: float) -> None:
    """Lets the entries train in turn, forwards and backwards by turns, and notes their rates."""
    workers: list[tuple[Entry, Worker]] = []
    try:
        for entry in entries:
            lacking = [name for name in NEEDS.get(entry.peer, ()) if not find_spec(name)]
            if lacking:
                entry.absent = f"{' and '.join(lacking)} not installed"
                continue
            try:
                for _ in range(LEARNING.get(entry.peer, 0)):
                    Worker(entry.job or job, entry).close()
                workers.append((entry, Worker(entry.job or job, entry)))
            except Failed as failed:
                entry.absent = str(failed)
        for turn in range(rounds):
            for entry, worker in workers if turn % 2 else workers[::-1]:
                if not entry.absent:
                    try:
                        entry.rates.append(worker.train(seconds))
                    except Failed as failed:
                        entry.absent = str(failed)
    finally:
        for entry, worker in workers:
            if not entry.absent:
                worker.close()


def ratio(ours: Entry, theirs: Entry) -> float | None:
    """The median, over the rounds, of our rate over theirs."""
    if ours.rate is None or theirs.rate is None:
        return None
    return median(a / b for a, b in zip(ours.rates, theirs.rates, strict=True))

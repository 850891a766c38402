"""What happens, told to every stream that listens: runs that change, and rows that are written.

A stream asks for what is new when it has sent what was new before. So nothing queues up for one
that is slow: it gets the same in fewer pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from ..problems import ServiceError
from .tail import Tail

POLL_SECONDS = 0.25
"""How often a run is looked at while somebody watches its rows."""
MAX_LISTENERS = 500


class Listener:
    """One stream: what it wants to know, and what has changed since it was told."""

    def __init__(self, topics: frozenset[str]) -> None:
        self.topics = topics
        self.wake = asyncio.Event()
        self.changed: set[str] = set()
        """The ids of runs that are new, other or gone."""
        self.complete: set[str] = set()
        """The ids of runs whose rows were read to the end in background."""
        self.queue_changed = False
        """Whether anything of the queue is other."""
        self.ended = False


class Hub:
    """Wakes the streams, and follows the files of the runs that somebody watches."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._tails: dict[str, Tail] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._path: Callable[[str], Path] | None = None
        self._poll: asyncio.Task[None] | None = None

    @property
    def listening(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    def open(self, loop: asyncio.AbstractEventLoop, path: Callable[[str], Path]) -> None:
        """Begins to follow; `path` gives the folder of a run."""
        self._loop, self._path = loop, path
        self._poll = loop.create_task(self._follow())

    async def close(self) -> None:
        """Ends every stream."""
        self._loop = None
        if self._poll:
            self._poll.cancel()
            await asyncio.gather(self._poll, return_exceptions=True)
            self._poll = None
        for listener in self._listeners:
            listener.ended = True
            listener.wake.set()

    def runs_changed(self, runs: list[str]) -> None:
        """Called from any thread."""
        if loop := self._loop:
            loop.call_soon_threadsafe(self._note_changed, runs)

    def rows_complete(self, run: str) -> None:
        """Called from any thread."""
        if loop := self._loop:
            loop.call_soon_threadsafe(self._note_complete, run)

    def queue_changed(self) -> None:
        """Called from any thread."""
        if loop := self._loop:
            with suppress(RuntimeError):  # it ends
                loop.call_soon_threadsafe(self._note_queue)

    def listen(self, listener: Listener) -> None:
        """Adds a stream.

        Raises:
            ServiceError: when there are too many.
        """
        if len(self._listeners) >= MAX_LISTENERS or self._loop is None:
            raise ServiceError(503, f"more than {MAX_LISTENERS} streams are open")
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """Takes a stream out; a run that nobody watches any more is not followed."""
        self._listeners.discard(listener)
        watched = {topic for one in self._listeners for topic in one.topics}
        for run in [run for run in self._tails if f"rows:{run}" not in watched]:
            self._tails.pop(run).close()

    async def tail(self, run: str) -> Tail:
        """The tail of a run that somebody watches.

        Raises:
            ServiceError: a 404 where no run has the id.
        """
        if run not in self._tails:
            assert self._path
            tail = Tail(run, self._path(run) / "metrics.jsonl")
            self._tails[run] = tail
            await asyncio.to_thread(tail.look)
        return self._tails[run]

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if tails := dict(self._tails):
                for run in await asyncio.to_thread(_grown, tails):
                    for listener in self._listeners:
                        if f"rows:{run}" in listener.topics:
                            listener.wake.set()

    def _note_changed(self, runs: list[str]) -> None:
        for listener in self._listeners:
            wanted = {run for run in runs if f"run:{run}" in listener.topics}
            if "runs" in listener.topics:
                wanted.update(runs)
            if wanted:
                listener.changed |= wanted
                listener.wake.set()

    def _note_queue(self) -> None:
        for listener in self._listeners:
            if "queue" in listener.topics:
                listener.queue_changed = True
                listener.wake.set()

    def _note_complete(self, run: str) -> None:
        for listener in self._listeners:
            if f"rows:{run}" in listener.topics:
                listener.complete.add(run)
                listener.wake.set()


def _grown(tails: Mapping[str, Tail]) -> list[str]:
    """The runs whose files are at another place than before."""
    return [run for run, tail in tails.items() if tail.look()]

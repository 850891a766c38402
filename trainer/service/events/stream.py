"""One stream of server-sent events: what its listener wants to know, at most ten times a second."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping

from ..problems import ServiceError
from ..rows.cursor import Cursor
from .hub import Hub, Listener
from .run_news import RunNews
from .tail import Tail, event, event_of_text

PING_SECONDS = 15.0
"""After how long without an event a stream says that it is open."""
FRAME_SECONDS = 0.1
MAX_TOPICS = 200
_TOPIC = re.compile(r"runs|queue|(?:run|rows):[0-9a-f]{16}")


class Stream:
    """The events of some topics: `runs`, `queue`, `run:ID`, and `rows:ID` or `rows:ID@CURSOR`."""

    def __init__(self, hub: Hub, news: RunNews, topics: str, last_id: str) -> None:
        """`last_id` is what the last event of a stream that broke had as its id.

        Raises:
            ServiceError: a 422 for what is no topic, a 503 where too many streams are open.
        """
        self._hub, self._news = hub, news
        self._cursors: dict[str, Cursor | None] = {}
        self._generations: dict[str, int] = {}
        wanted: set[str] = set()
        for word in filter(None, topics.split(",")):
            topic, _, place = word.partition("@")
            if not _TOPIC.fullmatch(topic) or len(wanted) >= MAX_TOPICS:
                raise ServiceError(
                    422, f"{word[:80]!r} is no topic: runs, queue, run:ID, rows:ID@CURSOR"
                )
            wanted.add(topic)
            if topic.startswith("rows:"):
                self._cursors[topic[5:]] = _cursor(place)
        for run, cursor in _cursors_of(last_id).items():
            if run in self._cursors:
                self._cursors[run] = cursor
        self._listener = Listener(frozenset(wanted))
        hub.listen(self._listener)

    async def events(self) -> AsyncIterator[bytes]:
        """The events, until the server ends or the asker goes."""
        try:
            tails = {run: await self._tail(run) for run in self._cursors}
            begun = [
                await self._begun(run, tail) if tail else event("gone", {"run": run})
                for run, tail in tails.items()
            ]
            # Said once the places are known: whatever is written after it is told.
            yield event("open", {"version": self._news.version})
            for about_run in filter(None, begun):
                yield about_run
            while not self._listener.ended:
                events = self._runs()
                for run, tail in tails.items():
                    if tail and (about_rows := await self._rows(run, tail)):
                        events.append(about_rows)
                if events:
                    yield b"".join(events)
                await asyncio.sleep(FRAME_SECONDS)
                try:
                    async with asyncio.timeout(PING_SECONDS):
                        await self._listener.wake.wait()
                except TimeoutError:
                    yield b": ping\n\n"
                self._listener.wake.clear()
        finally:
            self._hub.leave(self._listener)

    def close(self) -> None:
        """For a stream that nobody has begun to read."""
        self._hub.leave(self._listener)

    async def _tail(self, run: str) -> Tail | None:
        try:
            return await self._hub.tail(run)
        except ServiceError:
            return None

    async def _begun(self, run: str, tail: Tail) -> bytes | None:
        """Where the rows of a run begin for this stream; an event if not where it has asked."""
        self._generations[run] = tail.generation
        cursor = self._cursors[run]
        if cursor is not None and await asyncio.to_thread(tail.holds, cursor):
            return None
        self._cursors[run] = tail.end
        return self._resync(run, "cut") if cursor else None

    def _runs(self) -> list[bytes]:
        changed, self._listener.changed = self._listener.changed, set()
        complete, self._listener.complete = self._listener.complete, set()
        events = []
        if changed:
            events.append(self._news.event(frozenset(changed)))
        if self._listener.queue_changed:
            self._listener.queue_changed = False
            events.append(event("queue", {}))
        events += [event("complete", {"run": run}) for run in sorted(complete)]
        return events

    async def _rows(self, run: str, tail: Tail) -> bytes | None:
        cursor = self._cursors[run] or tail.end
        if self._generations[run] != tail.generation:
            self._generations[run] = tail.generation
            self._cursors[run] = tail.end
            return self._resync(run, "cut")
        if cursor.offset >= tail.end.offset:
            return None
        message = tail.ready(cursor.offset)
        if message is None:
            message = await asyncio.to_thread(tail.message, cursor.offset)
        self._cursors[run] = message.end
        if not message.data:
            return self._resync(run, "behind")
        return event_of_text("rows", message.data, self._id())

    def _resync(self, run: str, why: str) -> bytes:
        cursor = self._cursors[run]
        return event("resync", {"run": run, "why": why, "cursor": str(cursor)}, self._id())

    def _id(self) -> str:
        """What a stream that breaks may go on from."""
        return ",".join(f"{run}@{cursor}" for run, cursor in self._cursors.items() if cursor)


def _cursor(text: str) -> Cursor | None:
    """The cursor in a topic; None for none.

    Raises:
        ServiceError: a 422 where it is none.
    """
    try:
        return Cursor.parse(text) if text else None
    except ValueError:
        raise ServiceError(422, f"{text[:80]!r} is no cursor") from None


def _cursors_of(last_id: str) -> Mapping[str, Cursor]:
    """The cursors by run that an event's id has."""
    found = {}
    for word in last_id.split(",")[:MAX_TOPICS]:
        run, _, place = word.partition("@")
        try:
            found[run] = Cursor.parse(place)
        except ValueError:
            continue
    return found

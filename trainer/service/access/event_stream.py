"""Server-sent events, read from the lines of an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class Event(NamedTuple):
    """Something that a service has told."""

    name: str
    """`open`, `runs`, `rows`, `resync`, `complete`, `gone` or `queue`."""
    data: Any
    id: str
    """What a stream goes on from; "" where it has none."""


def read_events(lines: Iterable[bytes]) -> Iterator[Event]:
    r"""The events of a stream; one that its end cuts is none.

    >>> list(read_events([b"event: gone\n", b"data: 1\n", b"\n", b"\n", b"event: x\n"]))
    [Event(name='gone', data=1, id='')]
    """
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        if name:
            fields[name] = value
        elif "event" in fields:
            yield Event(fields["event"], json.loads(fields["data"]), fields.get("id", ""))
            fields = {}

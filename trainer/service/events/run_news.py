"""The events about runs that have changed, made once for all streams that tell of the same."""

from __future__ import annotations

import json
from collections import OrderedDict

from ..listing.index import Index
from .tail import event_of_text

MOST_SUMMARIES = 50
"""How many changed runs are told with their summaries; of more, only the ids."""
MEMORY = 64
"""How many events are kept: streams that are slow tell of several changes at once."""


class RunNews:
    """What the list has of runs that have changed, as events."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._events: OrderedDict[tuple[int, frozenset[str]], bytes] = OrderedDict()

    @property
    def version(self) -> int:
        """The version of the list."""
        return self._index.version

    def event(self, changed: frozenset[str]) -> bytes:
        """The event that these runs have changed; called from the loop of the server alone."""
        key = (self.version, changed)
        if key not in self._events:
            self._events[key] = self._made(changed)
            while len(self._events) > MEMORY:
                self._events.popitem(last=False)
        return self._events[key]

    def _made(self, changed: frozenset[str]) -> bytes:
        shown = changed if len(changed) <= MOST_SUMMARIES else frozenset[str]()
        found = self._index.summaries(sorted(shown))
        gone = sorted(run for run in shown - found.keys() if self._index.path(run) is None)
        others = 0 if found or gone else len(changed)
        text = (
            f'{{"version": {self.version}, "changed": [{", ".join(found.values())}], '
            f'"gone": {json.dumps(gone)}, "others": {others}}}'
        )
        return event_of_text("runs", text)

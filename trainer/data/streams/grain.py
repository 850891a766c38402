"""`grain.IterDataset`: iterators that give and take their state."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from .source import Pass, Source


class IterDatasetSource(Source):
    """The items of a `grain.IterDataset`, which shuffles by seeds of its own.

    Every pass is the same, but for what its own `repeat` does.
    """

    what: ClassVar[str] = "a grain.IterDataset"

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    @property
    def how(self) -> str:
        return "state"

    def open(self, number: int, seed: int) -> Pass:
        return _IterPass(iter(self._dataset))


class _IterPass(Pass):
    def __init__(self, iterator: Any) -> None:
        self._iterator = iterator

    def next(self) -> Any:
        return next(self._iterator)

    def state(self) -> bytes:
        return json.dumps(self._iterator.get_state(), default=int).encode()

    def restore(self, state: bytes) -> None:
        self._iterator.set_state(json.loads(state))

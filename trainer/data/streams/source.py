"""What gives examples one after another, and how a place in it is found again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

HOW = {
    "index": "goes on by the number of the next",
    "state": "goes on by the saved state of its iterator",
    "replay": "goes on by reading again what a pass has given before",
}
"""How a place is found again, in words."""


class Pass(ABC):
    """One pass over the items of a source: examples, or batches of them."""

    @abstractmethod
    def next(self) -> Any:
        """The next item.

        Raises:
            StopIteration: after the last.
        """

    def skip(self, items: int) -> None:
        """Leaves out so many items, from the first on."""
        for _ in range(items):
            self.next()

    def close(self) -> None:  # noqa: B027  # most passes hold nothing
        """Gives up what the pass holds, such as threads; nothing of it is read any more."""

    def state(self) -> bytes | None:
        """The place before the next item; None where it can only be read up to again."""
        return None

    def restore(self, state: bytes) -> None:
        """Goes to where `state` was, from the beginning of the same pass."""
        raise NotImplementedError


class Source(ABC):
    """Items that can be gone through again and again.

    A pass is a function of its number and the seed alone, so that another process finds the same
    items. An item is `inputs`, `(inputs, labels)` or `(inputs, labels, weights)`, of arrays, or of
    dicts or lists of them.
    """

    what: ClassVar[str]
    """What it is, for people."""
    rules: ClassVar[str] = ""
    """What it must hold to for its passes to be the same again."""
    by_column: ClassVar[bool] = False
    """Whether its items are dicts of columns, of which inputs and labels are chosen."""

    @property
    @abstractmethod
    def how(self) -> str:
        """How a place in it is found again: a key of `HOW`."""

    @property
    def examples(self) -> int | None:
        """How many examples a pass has; None where that is not known, or a pass has no end."""
        return None

    def in_groups(self) -> Source | None:
        """A source of the same examples, some at a time, where its items are single ones and that
        saves time; None where it doesn't.
        """
        return None

    @abstractmethod
    def open(self, number: int, seed: int) -> Pass:
        """The pass of that number, from 0 on, at its beginning."""

    def described(self) -> str:
        """What it is, how long, and how a run goes on with it, in a line."""
        length = f"{self.examples:,} a pass" if self.examples else "of a length not known"
        rules = f", {self.rules}" if self.rules else ""
        return f"{self.what}, {length}; {HOW[self.how]}{rules}"

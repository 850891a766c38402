"""Batches of a stream, read ahead by a thread, and the place of any update in it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration.functions import CODE_ERRORS, raised

from ..streams.source import Pass
from ..streams.streamed import Streamed
from .batch import Batch
from .order import ExampleOrder

MARK_SECONDS = 1.0
"""How far saved states of an iterator lie apart: what lies between is read again."""
POSITION, STATE = "position", "state"
"""The names of what a checkpoint has of a stream."""


class Mark(NamedTuple):
    """A place between two items of a stream."""

    examples: int = 0
    """How many examples come before it, in all passes."""
    number: int = 0
    """The pass that it lies in."""
    items: int = 0
    """How many items of that pass come before it."""
    state: bytes | None = None
    """That of the pass there; None where items are counted, or read again."""


class _Read(NamedTuple):
    """Batches that were read, and what ended the reading before there were enough."""

    batches: list[Batch]
    error: BaseException | None


class StreamReader:
    """Brings the batches of any updates of a run, and says where in the stream an update is.

    Each update learns from the next examples of all passes in a row: a batch may reach over the end
    of a pass, and none is smaller. A thread reads as many batches ahead as were asked for last;
    nothing else of the stream is in memory.
    """

    def __init__(self, streamed: Streamed, order: ExampleOrder) -> None:
        self._streamed, self._order = streamed, order
        self._origin = Mark()
        self._marks: list[Mark] = []
        self._cursor = _Cursor(streamed, order.seed, self._origin, self._marks)
        self._pool = ThreadPoolExecutor(1, "streaming")
        self._step: int | None = None
        """The update of the first batch that was read ahead."""
        self._ahead: Future[_Read] | None = None

    def take(self, step: int, count: int) -> list[Batch]:
        """The batches of updates `step` to `step + count - 1`.

        Raises:
            Refused: when the stream fails, or gives what can't be learnt from.
        """
        if self._step != step:
            self._go_to(step)
        batches, error = self._ahead.result() if self._ahead else _Read([], None)
        self._ahead = None
        if len(batches) < count and error is None:
            more, error = self._read(count - len(batches))
            batches = [*batches, *more]
        if len(batches) < count:
            self._step = None
            assert error is not None
            raise error
        rest = batches[count:]
        self._step = step + count
        self._forget(step)
        self._ahead = self._pool.submit(self._read_ahead, rest, count, error)
        return batches[:count]

    def position(self, step: int) -> dict[str, NDArray[Any]]:
        """What a checkpoint keeps to go on with update `step`."""
        mark = self._mark(step)
        place = np.array([mark.examples, mark.number, mark.items], np.int64)
        if mark.state is None:
            return {POSITION: place}
        return {POSITION: place, STATE: np.frombuffer(mark.state, np.uint8)}

    def restore(self, position: Mapping[str, NDArray[Any]]) -> None:
        """Goes to what `position` gave; where it gave nothing, to the beginning."""
        if self._ahead:
            self._ahead.result()
        self._origin = Mark()
        if POSITION in position:
            examples, number, items = map(int, position[POSITION])
            state = position[STATE].tobytes() if STATE in position else None
            self._origin = Mark(examples, number, items, state)
        self._ahead = self._step = None
        self._marks.clear()

    def close(self) -> None:
        """Waits for what is being read."""
        self._pool.shutdown(cancel_futures=True)
        self._cursor.close()

    def _go_to(self, step: int) -> None:
        if self._ahead:
            self._ahead.result()
        self._ahead, mark = None, self._mark(step)
        self._cursor.close()
        self._marks[:] = [mark]
        self._cursor = _Cursor(self._streamed, self._order.seed, mark, self._marks)
        self._cursor.skip_to(self._order.first_example(step))
        self._step = step

    def _mark(self, step: int) -> Mark:
        """The last known place that is not after the first example of update `step`."""
        first = self._order.first_example(step)
        known = [mark for mark in self._marks if mark.examples <= first]
        return known[-1] if known else self._origin

    def _forget(self, step: int) -> None:
        """Leaves out the marks that come before the one of update `step`."""
        mark = self._mark(step)
        if mark in self._marks:
            del self._marks[: self._marks.index(mark)]

    def _read_ahead(self, rest: list[Batch], count: int, error: BaseException | None) -> _Read:
        if error is not None or len(rest) >= count:
            return _Read(rest, error)
        more, error = self._read(count - len(rest))
        return _Read([*rest, *more], error)

    def _read(self, count: int) -> _Read:
        batches: list[Batch] = []
        try:
            while len(batches) < count:
                batches.append(self._cursor.batch(self._order.batch_size))
        except BaseException as error:  # raised where its batch is needed
            return _Read(batches, error)
        return _Read(batches, None)


class _Cursor:
    """A place in a stream that moves on, and leaves marks."""

    def __init__(self, streamed: Streamed, seed: int, mark: Mark, marks: list[Mark]) -> None:
        self._streamed, self._seed, self._marks = streamed, seed, marks
        self._at = mark
        """Before the next item; its state is not kept up."""
        self._pass: Pass | None = None
        self._marked = perf_counter()
        self._batch: Batch | None = None
        """The examples of the last item."""
        self._first, self._used = mark.examples, 0
        """The number of its first example, and how many of it were taken."""

    def close(self) -> None:
        """Ends the pass that it is in."""
        if self._pass is not None:
            self._pass.close()

    def batch(self, size: int) -> Batch:
        """The next `size` examples."""
        pieces: list[Batch] = []
        missing = size
        while missing:
            if self._batch is None or self._used == _length(self._batch):
                self._load(self._item())
            assert self._batch is not None
            start, stop = self._used, min(self._used + missing, _length(self._batch))
            pieces.append(self._batch.map(lambda array: array[start:stop]))  # noqa: B023  # called here
            missing -= stop - start
            self._used = stop
        if len(pieces) == 1:
            return pieces[0].map(np.array)  # a copy, so that the item can go
        columns = zip(*(piece.distinct() for piece in pieces), strict=True)
        return pieces[0].filled(np.concatenate(column) for column in columns)

    def skip_to(self, example: int) -> None:
        """Goes on to an example, by its number in the stream."""
        while self._at.examples < example:
            before = self._at.examples
            item = self._item()
            if self._at.examples > example:
                self._load(item)
                self._used = example - before

    def _load(self, item: Any) -> None:
        self._batch = Batch.of(self._streamed.examples(item, self._first))
        self._used = 0

    def _item(self) -> Any:
        """The next item, of the next pass where one is over."""
        if self._pass is None:
            self._pass = self._opened()
        self._leave_mark()
        try:
            item = self._pass.next()
        except StopIteration:
            if not self._at.items:
                raise self._refuse(f"gave nothing in pass {self._at.number}") from None
            self._at = Mark(self._at.examples, self._at.number + 1)
            self._pass = None
            return self._item()
        except CODE_ERRORS as error:  # whatever the user's own iterator raises
            why = f"fails after example {self._at.examples}: it {raised(error)}"
            raise self._refuse(why) from None
        self._first = self._at.examples
        many = len(self._streamed.raw.part(item))
        self._at = Mark(self._first + many, self._at.number, self._at.items + 1)
        return item

    def _opened(self) -> Pass:
        at, source = self._at, self._streamed.source
        try:
            opened = source.open(at.number, self._seed)
            if at.state is not None:
                opened.restore(at.state)
            elif at.items:
                opened.skip(at.items)
        except StopIteration:
            raise self._refuse(f"has no longer {at.items} items in pass {at.number}") from None
        except CODE_ERRORS as error:
            raise self._refuse(f"can't be gone on with: it {raised(error)}") from None
        return opened

    def _leave_mark(self) -> None:
        """Notes where the next item is, if that is worth it."""
        assert self._pass is not None
        how = self._streamed.source.how
        if how == "index" or not self._at.items:
            self._marks.append(self._at._replace(state=None))
        elif how == "state" and perf_counter() - self._marked >= MARK_SECONDS:
            self._marks.append(self._at._replace(state=self._pass.state()))
            self._marked = perf_counter()

    def _refuse(self, rule: str) -> Exception:
        return self._streamed.raw.refuse(rule)


def _length(batch: Batch) -> int:
    return len(batch.distinct()[0])

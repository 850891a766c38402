"""What a person may order of a running job: each order with its word, its help, check and act.

`trainer.control` sends them as letters, a run obeys them between two calls into TensorFlow, and
its record repeats those on which updates depend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from schedules.declaration import did_you_mean, refuse, within
from schedules.kinds.reactive import finite_number


class Running(Protocol):
    """What a run offers to whoever steers it."""

    def check_value(self, name: str, value: float | None) -> None:
        """Refuses a name that is not scheduled, or a value out of its bounds."""

    def hold(self, names: Sequence[str], value: float | None) -> str:
        """Holds values, all where no names are given; None gives them back to their schedules."""

    def save_now(self) -> str:
        """Writes a checkpoint, and tells whether the disk took it."""

    def evaluate_now(self) -> str:
        """Looks at the test examples, which changes nothing in the run."""

    def status(self) -> str:
        """The end, what is applied, the last metrics, and how fast it goes."""


@dataclass(frozen=True)
class Order(ABC):
    """One thing to do.

    >>> Order.parse("learning_rate=0.01")
    Hold(name='learning_rate', value=0.01)
    >>> Order.parse("release=momentum"), Order.parse("release"), Order.parse("stop")
    (Release(name='momentum'), Release(name=''), Stop())
    """

    word: ClassVar[str] = ""
    """How it is typed; "" for the order that begins with the name of a scheduled value."""
    help: ClassVar[str | Mapping[str, str]]
    """What its word does; or what may be typed, and what it does, a line each."""
    steers: ClassVar[bool] = False
    """Whether updates depend on it, so that whoever repeats them must repeat it."""
    recorded: ClassVar[bool] = True
    """Whether `events.jsonl` has it."""
    stops: ClassVar[bool] = False
    """Whether the run ends with it."""

    @staticmethod
    def parse(written: str) -> Order:
        """Reads an order as it is typed.

        Raises:
            Refused: when it is none.
        """
        word, given, value = written.partition("=")
        order = WORDS.get(word)
        if order is Release:
            return Release(value)
        if given:
            with within(word):
                try:
                    return Hold(word, finite_number(float(value)))
                except ValueError:  # Refused is one
                    raise refuse("", value, "must be a finite number", f"{word}=0.01") from None
        if order is None:
            hint = did_you_mean(word, (*WORDS, *Hold.help))
            raise refuse("order", word, "is no order", hint)
        return order()

    def check(self, run: Running) -> None:
        """Refuses what this run can't do.

        Raises:
            Refused: with what it can.
        """
        return

    @abstractmethod
    def act(self, run: Running) -> str:
        """Does it, and gives what to answer."""


@dataclass(frozen=True)
class Hold(Order):
    """Holds a scheduled value."""

    help: ClassVar[Mapping[str, str]] = {
        "learning_rate=0.01": "hold a scheduled value; any name that metrics.jsonl has"
    }
    steers = True
    name: str
    value: float

    def check(self, run: Running) -> None:
        run.check_value(self.name, self.value)

    def act(self, run: Running) -> str:
        return run.hold([self.name], self.value)


@dataclass(frozen=True)
class Release(Order):
    """Gives a held value back to its schedule; all of them where it has no name."""

    word = "release"
    help: ClassVar[Mapping[str, str]] = {
        "release=momentum": "give a value back to its schedule",
        "release": "give all of them back",
    }
    steers = True
    name: str = ""

    def check(self, run: Running) -> None:
        if self.name:
            run.check_value(self.name, None)

    def act(self, run: Running) -> str:
        return run.hold([self.name] if self.name else [], None)


@dataclass(frozen=True)
class Checkpoint(Order):
    """Saves at once."""

    word = "checkpoint"
    help = "save now"

    def act(self, run: Running) -> str:
        return run.save_now()


@dataclass(frozen=True)
class Evaluate(Order):
    """Looks at the test examples."""

    word = "evaluate"
    help = "look at the test examples; changes nothing in the run"

    def act(self, run: Running) -> str:
        return run.evaluate_now()


@dataclass(frozen=True)
class Status(Order):
    """Tells how the run is doing."""

    word = "status"
    help = "the step, what is applied, the last metrics"
    recorded = False

    def act(self, run: Running) -> str:
        return run.status()


@dataclass(frozen=True)
class Stop(Order):
    """Ends the run here, with a checkpoint."""

    word = "stop"
    help = "save and stop; the same command as before goes on"
    stops = True

    def act(self, run: Running) -> str:
        return "stopping"


ORDERS: tuple[type[Order], ...] = (Hold, Release, Checkpoint, Evaluate, Status, Stop)
WORDS = {order.word: order for order in ORDERS if order.word}
"""The orders by their words."""


def help_text() -> str:
    """What may be typed, a line each."""
    lines: dict[str, str] = {}
    for order in ORDERS:
        lines |= {order.word: order.help} if isinstance(order.help, str) else order.help
    width = max(map(len, lines)) + 3
    return "\n".join(f"  {typed:<{width}}{does}" for typed, does in lines.items())


class Replay:
    """What was ordered at which step, to be repeated where those steps are made again.

    `events` are rows of `events.jsonl`; only orders that steer count. An order given after so many
    rewinds waits for as many.
    """

    def __init__(self, events: Sequence[Mapping[str, Any]] = ()) -> None:
        self._waiting = [row for row in events if row["event"] == "command" and _steering(row)]

    def due(self, step: int, rewinds: int) -> list[Mapping[str, Any]]:
        """Takes out what is to be repeated before update `step`."""
        due = [row for row in self._waiting if row["step"] <= step and row["rewinds"] <= rewinds]
        self._waiting = [row for row in self._waiting if row not in due]
        return due

    def next(self, step: int, rewinds: int, end: int) -> int:
        """The first step after `step` at which there is something to repeat, or else `end`."""
        later: list[int] = [row["step"] for row in self._waiting if row["rewinds"] <= rewinds]
        return min([end, *(at for at in later if at > step)])


def _steering(row: Mapping[str, Any]) -> bool:
    return any(Order.parse(order).steers for order in row["orders"])

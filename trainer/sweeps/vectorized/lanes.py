"""The networks that go through one program at the same time, and how their runs take turns.

Each run has a loop of its own, in a thread, which asks for updates and evaluations as if it were
alone. Once every run has asked for something, the one that was last does it for all: as many
updates as the least of them wants, so that nobody idles in the program, and the rest go on waiting
for what they still lack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Condition
from time import perf_counter
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from schedules.moments import Values

from ...data.feeds.feed import Feed
from ...engine.compile_choice import Pace
from ...engine.network import Network, check_state, fingerprint
from ...engine.program import Updates
from ...scheduled.tape import Tape
from .ensemble import Ensemble, State

Arrays = Mapping[str, NDArray[Any]]


class SharedPace(Pace):
    """A pace that several loops keep, set by whoever does the work."""

    def took(self, count: int, seconds: float) -> None:
        """Learns nothing: a loop also waits for others."""

    def worked(self, count: int, seconds: float) -> None:
        """Learns from a call."""
        super().took(count, seconds)


@dataclass
class Asked:
    """What a run waits for: updates from a step on, or an evaluation."""

    table: NDArray[np.float32] | None
    step: int = 0
    losses: list[NDArray[np.float32]] = field(default_factory=list)
    finite: list[NDArray[np.bool_]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def left(self) -> int:
        """How many updates it still lacks."""
        made = sum(map(len, self.losses))
        return 0 if self.table is None else len(self.table) - made

    def updates(self) -> Updates:
        return Updates(np.concatenate(self.losses), np.concatenate(self.finite))


class Lanes:
    """Up to `ensemble.size` networks, each in a lane of its own; lanes without one are idle.

    A lane's variables are read and assigned only while its run waits for nothing, when no call is
    under way.
    """

    def __init__(
        self, ensemble: Ensemble, states: Sequence[Arrays], feeds: Sequence[Feed], pace: SharedPace
    ) -> None:
        """Takes the networks' variables, by name, and what hands each its examples."""
        idle = ensemble.size - len(states)
        filled = [*states, *[states[0]] * idle]
        self.pace = pace
        self._ensemble = ensemble
        self._state = stacked(filled)
        self._feeds = [*feeds, *[feeds[0]] * idle]
        self._host: dict[str, NDArray[Any]] | None = None
        self._turn = Condition()
        self._present = set(range(len(states)))
        self._asked: dict[int, Asked] = {}

    def update(self, lane: int, table: NDArray[np.float32], step: int) -> Updates:
        """Makes updates in one lane; returns when they are made, or one was not finite."""
        return self._await(lane, Asked(table, step)).updates()

    def evaluate(self, lane: int) -> dict[str, float]:
        """What an evaluation of one lane's network finds."""
        return self._await(lane, Asked(None)).metrics

    def leave(self, lane: int) -> None:
        """Lets the others go on without it."""
        with self._turn:
            self._present.discard(lane)
            self._serve()

    def read(self, lane: int, name: str) -> NDArray[Any]:
        """A variable of one lane's network."""
        with self._turn:
            if self._host is None:
                self._host = {name: np.asarray(value) for name, value in self._state.items()}
            found: NDArray[Any] = self._host[name][lane]
            return found

    def assign(self, lane: int, name: str, value: ArrayLike) -> None:
        """Gives a variable of one lane's network another value."""
        with self._turn:
            changed = np.array(self._state[name])
            changed[lane] = value
            self._state = {**self._state, name: tf.constant(changed)}
            self._host = None

    def _await(self, lane: int, asked: Asked) -> Asked:
        with self._turn:
            self._asked[lane] = asked
            self._serve()
            self._turn.wait_for(lambda: lane not in self._asked)
        if asked.error:
            raise asked.error
        return asked

    def _serve(self) -> None:
        """Does what is asked for, if nobody is still on the way."""
        if not self._present or self._asked.keys() != self._present:
            return
        looks = [lane for lane, asked in self._asked.items() if asked.table is None]
        try:
            if looks:
                self._look(looks)
            else:
                self._work()
        except Exception as error:  # it is everybody's, and each run tells of it
            for asked in self._asked.values():
                asked.error = error
            self._asked.clear()
        self._turn.notify_all()

    def _look(self, lanes: Sequence[int]) -> None:
        found = self._ensemble.evaluate(self._state)
        for lane in lanes:
            self._asked.pop(lane).metrics = found[lane]

    def _work(self) -> None:
        """Makes as many updates as every run wants."""
        count = min(asked.left for asked in self._asked.values())
        tables = np.zeros((count, self._ensemble.size, self._ensemble.values), np.float32)
        steps = [0] * self._ensemble.size
        for lane, asked in self._asked.items():
            assert asked.table is not None
            made = len(asked.table) - asked.left
            tables[:, lane] = asked.table[made : made + count]
            steps[lane] = asked.step + made
        handed = [
            feed.hand(step, count, self._ensemble.longest)
            for feed, step in zip(self._feeds, steps, strict=True)
        ]
        takes_part = np.isin(np.arange(self._ensemble.size), list(self._asked))
        began = perf_counter()
        told = self._ensemble.update(self._state, tables, handed, takes_part)
        self.pace.worked(count, perf_counter() - began)
        self._state, self._host = told.state, None
        for lane, asked in list(self._asked.items()):
            done = told.done[lane]
            asked.losses.append(told.losses[:done, lane])
            asked.finite.append(told.finite[:done, lane])
            if not asked.left or not (self._ensemble.skips or told.finite[done - 1, lane]):
                del self._asked[lane]


def stacked(states: Sequence[Arrays]) -> State:
    """The variables of several networks of one make."""
    return {name: tf.constant(np.stack([state[name] for state in states])) for name in states[0]}


class LaneNetwork:
    """One lane's network, as the loop of its run reads and restores it."""

    replicas = 1

    def __init__(self, lanes: Lanes, number: int, network: Network) -> None:
        """`network` is what all lanes are like; its own variables are nobody's."""
        self.model = network.model
        self._lanes, self._number = lanes, number
        self._names = list(network.variables())
        self._weights = [weight.path for weight in network.model.weights]
        self._averages = list(network.average.variables) if network.average else []

    def state(self) -> dict[str, NDArray[Any]]:
        return {name: self._read(name) for name in self._names}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        check_state(state, self.state())
        for name in self._names:
            self._lanes.assign(self._number, name, state[name])

    def digest(self) -> str:
        return fingerprint({path: self._read(f"model/{path}") for path in self._weights})

    def average_digest(self) -> str | None:
        averages = {path: self._read(f"average/{path}") for path in self._averages}
        return fingerprint(averages) if averages else None

    def _read(self, name: str) -> NDArray[Any]:
        return np.array(self._lanes.read(self._number, name))


@dataclass(frozen=True)
class RowLayout:
    """How a row of a run's tape becomes one of a program that serves others too."""

    columns: Sequence[int]
    """Where the tape's values go."""
    row: NDArray[np.float32]
    """The others, which are constant in this run."""

    @classmethod
    def of(cls, names: Sequence[str], tape: Tape, constant: Mapping[str, float]) -> RowLayout:
        """`names` are those of the program's values."""
        row = np.array([constant.get(name, np.nan) for name in names], np.float32)
        return cls([names.index(name) for name in tape.names], row)

    def filled(self, table: Values) -> NDArray[np.float32]:
        """`[K, values of the tape]` as `[K, values of the program]`."""
        rows = np.tile(self.row, (len(table), 1))
        rows[:, self.columns] = table
        return rows


@dataclass(frozen=True)
class LaneProgram:
    """What makes one lane's updates: `trainer.training.session.Trainable`."""

    lanes: Lanes
    number: int
    rows: RowLayout

    def update(self, table: Values, step: int) -> Updates:
        """Makes one update a row of the tape, from `step` on, up to one that is not finite."""
        return self.lanes.update(self.number, self.rows.filled(table), step)

    def evaluate(self) -> dict[str, float]:
        """The means over all test examples."""
        return self.lanes.evaluate(self.number)

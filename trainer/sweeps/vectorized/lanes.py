"""The networks that go through one program at the same time, and how their runs take turns.

Each run has a loop of its own, in a thread, which asks for updates and evaluations as if it were
alone. Once every run has a request pending, the thread that asked last calls the program for all.
One call makes as many updates as the smallest request still lacks, which keeps every lane busy;
the other runs go on waiting for the rest of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Condition
from time import perf_counter
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from schedules.moments import Values

from ...data.feeds.feed import Feed
from ...engine.compile_measuring import Pace
from ...engine.interfaces import Updates
from ...engine.network import Network
from ...engine.network_state import check_state, fingerprint
from ...scheduled.tape import Tape
from .vectorized_program import State, VectorizedProgram

Arrays = Mapping[str, NDArray[Any]]


class SharedPace(Pace):
    """A pace that several loops keep; it learns from the calls into their common program."""

    def took(self, count: int, seconds: float) -> None:
        """Learns nothing: the seconds of a loop include its waiting for other loops."""

    def record_call(self, count: int, seconds: float) -> None:
        """Learns from a call into the program."""
        super().took(count, seconds)


@dataclass
class Request:
    """What a run waits for: the updates of a table from a step on, or an evaluation."""

    table: NDArray[np.float32] | None
    """The rows of the updates; None for an evaluation."""
    step: int = 0
    losses: list[NDArray[np.float32]] = field(default_factory=list)
    finite: list[NDArray[np.bool_]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def made(self) -> int:
        """How many of its updates are made."""
        return sum(map(len, self.losses))

    @property
    def missing(self) -> int:
        """How many of its updates are still to be made."""
        return 0 if self.table is None else len(self.table) - self.made

    def updates(self, measured: Sequence[str]) -> Updates:
        """The result of all its updates, which measure these numbers besides the loss."""
        return Updates.of(np.concatenate(self.losses), np.concatenate(self.finite), measured)


class Lanes:
    """Up to `program.size` networks, each in a lane of its own; lanes without one are idle.

    Every method holds the lock of `_condition`, also during the call into the program. No variable
    can be read or assigned while a call is under way. Holding the lock delays no run: a call only
    begins when all runs wait for its result. Only the main thread, which reads the variables of a
    run that has left, may have to wait for one call to end.
    """

    def __init__(
        self,
        program: VectorizedProgram,
        states: Sequence[Arrays],
        feeds: Sequence[Feed],
        pace: SharedPace,
    ) -> None:
        """Takes the variables of each network, by name, and the feed of its examples."""
        idle = program.size - len(states)
        self.pace = pace
        self._program = program
        self._state = stack_states([*states, *[states[0]] * idle])
        self._feeds = [*feeds, *[feeds[0]] * idle]
        self._host_state: dict[str, NDArray[Any]] | None = None
        """A copy of `_state` on the host, made when a variable is read."""
        self._condition = Condition()
        self._present = set(range(len(states)))
        """The lanes whose runs go on."""
        self._requests: dict[int, Request] = {}
        """The pending request of each lane that waits for one."""

    def update(self, lane: int, table: NDArray[np.float32], step: int) -> Updates:
        """Makes updates in one lane; returns when they are made, or one was not finite."""
        return self._wait_for(lane, Request(table, step)).updates(self._program.measured)

    def evaluate(self, lane: int) -> dict[str, float]:
        """The loss and metrics of one lane's network over all test examples."""
        return self._wait_for(lane, Request(None)).metrics

    def leave(self, lane: int) -> None:
        """Lets the other lanes go on without this one."""
        with self._condition:
            self._present.discard(lane)
            self._call_if_all_wait()

    def read(self, lane: int, name: str) -> NDArray[Any]:
        """A variable of one lane's network."""
        with self._condition:
            if self._host_state is None:
                self._host_state = {name: np.asarray(value) for name, value in self._state.items()}
            value: NDArray[Any] = self._host_state[name][lane]
            return value

    def assign(self, lane: int, name: str, value: ArrayLike) -> None:
        """Gives a variable of one lane's network another value."""
        with self._condition:
            changed = np.array(self._state[name])
            changed[lane] = value
            self._state = {**self._state, name: tf.constant(changed)}
            self._host_state = None

    def _wait_for(self, lane: int, request: Request) -> Request:
        """Adds a request, and returns it once it is served."""
        with self._condition:
            self._requests[lane] = request
            self._call_if_all_wait()
            self._condition.wait_for(lambda: lane not in self._requests)
        if request.error:
            raise request.error
        return request

    def _call_if_all_wait(self) -> None:
        """Calls the program if every present lane has a request pending; evaluations come first."""
        if not self._present or self._requests.keys() != self._present:
            return
        to_evaluate = [lane for lane, request in self._requests.items() if request.table is None]
        try:
            if to_evaluate:
                self._evaluate(to_evaluate)
            else:
                self._make_updates()
        except Exception as error:  # it concerns all runs, and each raises it
            for request in self._requests.values():
                request.error = error
            self._requests.clear()
        self._condition.notify_all()

    def _evaluate(self, lanes: Sequence[int]) -> None:
        """Evaluates all networks, and serves the requests of `lanes`."""
        metrics = self._program.evaluate(self._state)
        for lane in lanes:
            self._requests.pop(lane).metrics = metrics[lane]

    def _make_updates(self) -> None:
        """Makes as many updates in every present lane as the smallest request still lacks."""
        program = self._program
        count = min(request.missing for request in self._requests.values())
        tables = np.zeros((count, program.size, program.value_count), np.float32)
        steps = [0] * program.size
        for lane, request in self._requests.items():
            assert request.table is not None
            tables[:, lane] = request.table[request.made : request.made + count]
            steps[lane] = request.step + request.made
        feed_inputs = [
            feed.args(step, count, program.longest)
            for feed, step in zip(self._feeds, steps, strict=True)
        ]
        active = np.isin(np.arange(program.size), list(self._requests))
        began = perf_counter()
        updates = program.update(self._state, tables, feed_inputs, active)
        self.pace.record_call(count, perf_counter() - began)
        self._state, self._host_state = updates.state, None
        for lane, request in list(self._requests.items()):
            made = updates.made[lane]
            request.losses.append(updates.losses[:made, lane])
            request.finite.append(updates.finite[:made, lane])
            skips = program.skips_nonfinite
            if not request.missing or not (skips or updates.finite[made - 1, lane]):
                del self._requests[lane]


def stack_states(states: Sequence[Arrays]) -> State:
    """The variables of several networks, stacked as those of one program, `[networks, ...]`."""
    return {name: tf.constant(np.stack([state[name] for state in states])) for name in states[0]}


class LaneNetwork:
    """One lane's network, as the loop of its run reads and restores it."""

    replicas = 1
    begun = None

    def __init__(self, lanes: Lanes, number: int, network: Network) -> None:
        """`network` has the names of the variables; the values of its own are not used."""
        self.model = network.model
        self._lanes, self._number = lanes, number
        self._network = network
        self._names = list(network.variables())
        self._weights = [weight.path for weight in network.model.weights]

    @property
    def evaluated(self) -> list[str]:
        return self._network.evaluated

    def state(self) -> dict[str, NDArray[Any]]:
        return {name: self._read(name) for name in self._names}

    def check(self, state: Mapping[str, NDArray[Any]]) -> None:
        check_state(state, self.state())

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.check(state)
        for name in self._names:
            self._lanes.assign(self._number, name, state[name])

    def digest(self) -> str:
        return fingerprint({path: self._read(f"model/{path}") for path in self._weights})

    def average_digest(self) -> str | None:
        named = self._network.variables()
        pairs = [(v, self._read(n)) for n, v in named.items() if isinstance(v, keras.Variable)]
        with keras.StatelessScope(pairs):
            return self._network.average_digest()

    def _read(self, name: str) -> NDArray[Any]:
        return np.array(self._lanes.read(self._number, name))


@dataclass(frozen=True)
class RowLayout:
    """How a row of a run's tape becomes a row of the program, which has values of all runs."""

    columns: Sequence[int]
    """The column of the program for each value of the tape."""
    row: NDArray[np.float32]
    """A row of the program with the values that are constant in this run, NaN elsewhere."""

    @classmethod
    def for_tape(
        cls, names: Sequence[str], tape: Tape, constant_values: Mapping[str, float]
    ) -> RowLayout:
        """`names` are those of the program's values."""
        row = np.array([constant_values.get(name, np.nan) for name in names], np.float32)
        return cls([names.index(name) for name in tape.names], row)

    def program_rows(self, table: Values) -> NDArray[np.float32]:
        """Turns `[K, values of the tape]` into `[K, values of the program]`."""
        rows = np.tile(self.row, (len(table), 1))
        rows[:, self.columns] = table
        return rows


@dataclass(frozen=True)
class LaneProgram:
    """Makes one lane's updates, as `trainer.engine.interfaces.Trainable` says."""

    lanes: Lanes
    number: int
    layout: RowLayout

    def update(self, table: Values, step: int) -> Updates:
        """Makes one update for each row of the tape, from `step` on, up to one not finite."""
        return self.lanes.update(self.number, self.layout.program_rows(table), step)

    def evaluate(self) -> dict[str, float]:
        """The means over all test examples."""
        return self.lanes.evaluate(self.number)

"""How runs in one program take turns, with a program that only counts."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from trainer.sweeps.vectorized.lanes import Lanes, SharedPace
from trainer.sweeps.vectorized.vectorized_program import STEP, VectorizedUpdates


class Counting:
    """A program whose only variable adds up the rows it was given, and which keeps its calls."""

    size, longest, value_count, skips_nonfinite = 3, 100, 1, False

    measured = ()

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[bool]]] = []
        self.breaks: set[int] = set()
        """At which sums a network is no longer finite."""

    def update(self, state: Any, tables: Any, feed_args: Any, takes_part: Any) -> VectorizedUpdates:
        self.calls.append((len(tables), takes_part.tolist()))
        sums, steps = np.array(state["sum"]), np.array(state[STEP])
        losses = np.zeros(tables.shape[:2], np.float32)
        finite = np.ones(tables.shape[:2], bool)
        done = np.zeros(self.size, np.int32)
        for lane in np.flatnonzero(takes_part):
            for i in range(len(tables)):
                if i and not finite[i - 1, lane]:
                    break
                sums[lane] += tables[i, lane, 0]
                losses[i, lane], finite[i, lane] = sums[lane], int(sums[lane]) not in self.breaks
                steps[lane] += 1
                done[lane] += 1
        return VectorizedUpdates({"sum": sums, STEP: steps}, losses, finite, done)

    def evaluate(self, state: Any) -> list[dict[str, float]]:
        return [{"sum": float(value)} for value in state["sum"]]


class Silent:
    def args(self, step: int, count: int, longest: int) -> int:
        return step


@pytest.fixture
def lanes() -> Any:
    states = [{"sum": np.float32(100 * lane), STEP: np.int64(0)} for lane in range(3)]
    return Lanes(Counting(), states, [Silent()] * 3, SharedPace(100, adapts=False))  # type: ignore[arg-type,list-item]


def ones(count: int) -> Any:
    return np.ones((count, 1), np.float32)


def test_one_call_serves_all_and_nobody_idles(lanes: Any) -> None:
    def run(lane: int, counts: tuple[int, ...]) -> list[float]:
        step, last = 0, []
        for count in counts:
            losses, finite, _ = lanes.update(lane, ones(count), step)
            assert len(losses) == count
            assert finite.all()
            step += count
            last.append(float(losses[-1]))
        lanes.leave(lane)
        return last

    wanted = [(4, 4, 4), (6, 6), (12,)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(run, range(3), wanted))
    assert found == [[4, 8, 12], [106, 112], [212]]
    calls = lanes._program.calls
    assert sum(count for count, _ in calls) == 12
    assert all(takes_part == [True] * 3 for _, takes_part in calls)


def test_whoever_is_not_finite_hears_of_it_and_the_others_go_on(lanes: Any) -> None:
    lanes._program.breaks = {102}

    def run(lane: int) -> int:
        losses, finite, _ = lanes.update(lane, ones(5), 0)
        lanes.leave(lane)
        return len(losses) if finite.all() else -len(losses)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, range(3))) == [5, -2, 5]


def test_an_evaluation_comes_before_the_updates_that_others_wait_for(lanes: Any) -> None:
    def look(lane: int) -> Any:
        found = lanes.evaluate(lane)
        lanes.leave(lane)
        return found

    def work(lane: int) -> Any:
        losses, *_ = lanes.update(lane, ones(2), 0)
        lanes.leave(lane)
        return losses.tolist()

    with ThreadPoolExecutor(3) as pool:
        asked: list[Future[Any]] = [
            pool.submit(act, lane) for act, lane in ((work, 0), (look, 1), (work, 2))
        ]
        assert [each.result(20) for each in asked] == [[1, 2], {"sum": 100}, [201, 202]]
    assert lanes._program.calls == [(2, [True, False, True])]


def test_what_breaks_the_program_is_told_to_every_run(lanes: Any) -> None:
    def fail(*_: Any) -> Any:
        raise MemoryError("too many")

    lanes._program.update = fail

    def run(lane: int) -> str:
        with pytest.raises(MemoryError) as caught:
            lanes.update(lane, ones(1), 0)
        return str(caught.value)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, range(3))) == ["too many"] * 3


def test_a_variable_of_one_lane_is_read_and_assigned_alone(lanes: Any) -> None:
    before = lanes.read(1, "sum")
    lanes.assign(1, "sum", 7)
    assert [float(lanes.read(lane, "sum")) for lane in range(3)] == [0, 7, 200]
    assert before == 100, "what was read before stays as it was"

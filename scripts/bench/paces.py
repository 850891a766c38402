"""How a peer makes updates for about as many seconds as it is asked for: call after call."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

LONGEST = 500
"""Updates in one call of a hand-written loop."""
CALL_SECONDS = 0.2

Made = tuple[int, float]
"""How many updates, in how many seconds."""
Run = Callable[[float], Made]
"""Trains for about as many seconds."""


def adapting(call: Callable[[int, int], None]) -> Run:
    """Calls of about a fifth of a second, of `LONGEST` updates at most."""
    count = 1
    while count < LONGEST and _timed(call, count) < CALL_SECONDS / 2:
        count = min(2 * count, LONGEST)
    return repeated(call, count)


def _timed(call: Callable[[int, int], None], count: int) -> float:
    call(0, count)
    began = perf_counter()
    call(count, count)
    return perf_counter() - began


def repeated(call: Callable[[int, int], None], count: int) -> Run:
    """Calls of `count` updates each."""
    step = 0

    def run(seconds: float) -> Made:
        nonlocal step
        first, began = step, perf_counter()
        while step == first or perf_counter() - began < seconds:
            call(step, count)
            step += count
        return step - first, perf_counter() - began

    run(0.5)
    return run

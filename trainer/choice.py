"""How to compile the loop, chosen by measuring, and how many updates to ask for at a time.

XLA on a CPU is several times faster than a plain graph on dense layers and a hundred times slower
on convolutions inside a loop, so no rule of thumb will do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import tensorflow as tf

from .program import Compiled, Program

TRIAL_SECONDS = 0.15
CALL_SECONDS = 0.2
"""How long a call should take: the host's share is then lost in it, and a stop is still prompt."""


@dataclass(frozen=True)
class Chosen:
    """What a run settled on, kept in its folder so that going on gives the same bits."""

    compile: Compiled
    why: dict[str, str]
    """What each way was measured at; empty where the config had decided."""


def measured(build: Callable[[Compiled], Program], ask: Callable[[Program, int], Any]) -> Chosen:
    """Tries both ways on the actual network, and leaves its weights as they were.

    `ask(program, count)` makes that many updates.
    """
    rates: dict[Compiled, float] = {}
    why: dict[str, str] = {}
    ways: tuple[Compiled, ...] = ("graph", "xla")
    for way in ways:
        program = build(way)
        before = program.network.state()
        try:
            rates[way] = _rate(program, ask, at_least=max(rates.values(), default=0.0) / 10)
            why[way] = f"{rates[way]:.4g} updates/s"
        except tf.errors.OpError as error:
            # XLA has no kernel for some operations, and no deterministic one for others.
            if not rates:
                raise
            why[way] = f"cannot: {error.message.splitlines()[0]}"
        finally:
            program.network.restore(before)
    return Chosen(max(rates, key=rates.__getitem__), why)


def _rate(program: Program, ask: Callable[[Program, int], Any], at_least: float) -> float:
    """Updates a second; measured no further once one update shows it is below `at_least`."""
    ask(program, 1)  # compiles
    count, rate = 1, 0.0
    while True:
        began = perf_counter()
        ask(program, count)
        seconds = perf_counter() - began
        rate = count / seconds
        if seconds > TRIAL_SECONDS / 2 or count == program.longest or rate < at_least:
            return rate
        count = min(program.longest, max(2 * count, int(rate * TRIAL_SECONDS)))


class Pace:
    """How many updates to ask for next: about a fifth of a second's worth, or as configured."""

    def __init__(self, steps_per_call: int | str, longest: int) -> None:
        self._longest = longest
        self._adapts = steps_per_call == "auto"
        self.steps_per_call = min(16, longest) if self._adapts else longest

    def took(self, count: int, seconds: float) -> None:
        """Learns from a call."""
        if self._adapts and seconds > 0:
            wanted = count / seconds * CALL_SECONDS
            # At most fourfold at a time: the first call's seconds are mostly compilation.
            self.steps_per_call = max(1, min(self._longest, int(wanted), 4 * self.steps_per_call))

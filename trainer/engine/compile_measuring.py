"""How to compile the loop, chosen by measuring, and how many updates to ask for at a time.

XLA on a CPU is several times faster than a plain graph on dense layers and a hundred times slower
on convolutions inside a loop. The latter is seen in the operations of the graph, and not tried: a
network of many would take half a minute to compile. For all else no rule of thumb will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol, TypeVar

import tensorflow as tf

from .interfaces import Trained
from .program import Compiled

TRIAL_SECONDS = 0.15
CONVOLUTIONS = {
    *("Conv2DBackpropInput", "Conv3DBackpropInputV2", "DepthwiseConv2dNativeBackpropInput"),
}
"""Operations that a loop of XLA on a CPU is slow at, by those of their gradients.

A convolution of the examples themselves has no gradient for its input: one at the entry of a
network, as that into patches, may be outweighed by what follows, and is measured.
"""
CALL_SECONDS = 0.2
"""How long a call should take: the host's share is then lost in it, and a stop is still prompt."""


@dataclass(frozen=True)
class CompileChoice:
    """What a run settled on, kept in its folder so that going on gives the same bits."""

    compile: Compiled
    why: dict[str, str]
    """What each way was measured at; empty where the config had decided."""
    origin: str = "declared"
    """Where the decision is from: the config, this run's measurement, or an earlier run's."""
    threads: int | None = None
    """How many an operation may take on the CPU; None where that was not for this to decide."""
    rate: float = 0.0
    """The updates a second that this was measured at; 0 where it was not."""

    def timed(self, rate: float) -> CompileChoice:
        """The same, measured on its number of threads."""
        way = f"{self.compile} on one thread"
        return replace(self, why={**self.why, way: f"{rate:.4g} updates/s"}, rate=rate)


class Measurable(Protocol):
    """What can be compiled and asked for updates: `trainer.engine.program.Program`, and others."""

    longest: int

    @property
    def trained(self) -> Trained:
        """What its updates change, and measuring puts back."""

    def operations(self) -> set[str]:
        """The kinds of TensorFlow's operations in what was compiled, as far as they are known."""


P = TypeVar("P", bound=Measurable)


def measure(
    build: Callable[[Compiled], P], ask: Callable[[P, int], Any], device: str
) -> tuple[CompileChoice, P]:
    """Tries both ways on the actual network, leaves its weights as they were, gives the faster.

    `ask(program, count)` makes that many updates. XLA is left out where it is known to lose on the
    device. What is being tried is printed, since compiling may take long.
    """
    programs: dict[Compiled, P] = {}
    rates: dict[Compiled, float] = {}
    why: dict[str, str] = {}
    ways: tuple[Compiled, ...] = ("graph", "xla")
    for way in ways:
        if way == "xla" and (reason := known_to_lose(programs["graph"].operations(), device)):
            why[way] = f"not tried: {reason}"
            continue
        print(f"run.compile=auto: measuring {way}", flush=True)
        programs[way] = build(way)
        try:
            rates[way] = rate(programs[way], ask)
            why[way] = f"{rates[way]:.4g} updates/s"
        except tf.errors.OpError as error:
            # XLA has no kernel for some operations, and no deterministic one for others.
            if not rates:
                raise
            why[way] = f"cannot: {error.message.splitlines()[0]}"
    best = max(rates, key=rates.__getitem__)
    return CompileChoice(best, why, rate=rates[best]), programs[best]


def known_to_lose(operations: Iterable[str], device: str) -> str:
    """Why XLA is slower than a graph of these operations, as was measured; "" where it may win.

    >>> known_to_lose({"Conv2DBackpropInput", "MatMul"}, "/CPU:0")
    'on a CPU its loops are slow at convolutions (Conv2DBackpropInput)'
    >>> known_to_lose({"Conv2DBackpropInput", "MatMul"}, "/GPU:0")
    ''
    """
    found = sorted(CONVOLUTIONS.intersection(operations))
    if "CPU" not in device or not found:
        return ""
    return f"on a CPU its loops are slow at convolutions ({', '.join(found)})"


def rate(program: P, ask: Callable[[P, int], Any]) -> float:
    """Updates a second, from as many that it takes long enough to tell; the weights stay."""
    before = program.trained.state()
    try:
        return _rate(program, ask)
    finally:
        program.trained.restore(before)


def _rate(program: P, ask: Callable[[P, int], Any]) -> float:
    ask(program, 0)  # compiles
    count = 1
    while True:
        seconds, made = 0.0, 0
        began = perf_counter()
        while not made or (count == program.longest and seconds < TRIAL_SECONDS / 2):
            ask(program, count)
            seconds, made = perf_counter() - began, made + count
        if seconds > TRIAL_SECONDS / 2:
            return made / seconds
        count = min(program.longest, max(2 * count, int(count / seconds * TRIAL_SECONDS)))


class Pace:
    """How many updates to ask for next: always the longest call, or about a fifth of a second."""

    def __init__(self, longest: int, *, adapts: bool) -> None:
        self._longest = longest
        self._adapts = adapts
        # The first call asks for one: if that takes long, a stop must not wait for more.
        self.steps_per_call = 1 if adapts else longest
        self.rate = 0.0
        """Updates a second in the last call."""

    def took(self, count: int, seconds: float) -> None:
        """Learns from a call."""
        self.rate = count / seconds
        if self._adapts:
            wanted = self.rate * CALL_SECONDS
            # At most fourfold at a time: a short call may have been a lucky one.
            self.steps_per_call = max(1, min(self._longest, int(wanted), 4 * self.steps_per_call))

"""How to compile the loop, chosen by measuring, and how many updates to ask for at a time.

XLA on a CPU is several times faster than a plain graph on dense layers and up to a hundred times
slower on convolutions inside a loop. What there is to do is seen in the graph, which is compiled
and timed first. Where XLA can't win, or would take long to compile, it is not tried. For all
else, a few small convolutions among it, no rule of thumb will do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Protocol, TypeVar

import tensorflow as tf

from .interfaces import Trained
from .program import Compiled
from .startup import import_seconds

TRIAL_SECONDS = 0.15
CONVOLUTIONS = {
    *("Conv2DBackpropInput", "Conv3DBackpropInputV2", "DepthwiseConv2dNativeBackpropInput"),
}
"""Operations that a loop of XLA on a CPU is slow at, by those of their gradients.

A convolution of the examples themselves, as that into patches, has no gradient for its input.
"""
MANY = 8
"""From how many of them on XLA is not tried on a CPU; a network of two or three small ones may well
be faster with it, and takes seconds to compile."""
PRODUCTS = {"BatchMatMulV2", "Einsum"}
"""Operations of attention, over a matrix for each example and head."""
LARGE_OPERATION = 10e-6
"""From how many seconds an operation of the graph on, on average, arithmetic takes the time.

XLA saves what comes between operations, and has no faster products on a CPU. Of two transformers,
whose operations took 33 and 65 microseconds, it saved a sixth of the processors' work, and took
longer than the graph, which gives its products to all cores.
"""
COMPILING = 4
"""How many times as long as the graph XLA takes until its program can run.

Recurrent networks, transformers and convolutions: 3.8 to 4.8 times.
"""
PATIENCE = 12.0
"""The seconds that compiling for XLA may take on a CPU, or as many as `fit` needs for its first
update, if these are more: TensorFlow's import, and a graph's way to its first update."""
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

    def operations(self) -> Counter[str]:
        """TensorFlow's operations in what was compiled, by kind, as far as they are known."""

    @property
    def made_whole(self) -> str:
        """The tables whose gradients XLA would make whole, at a cost that needs no measuring."""


P = TypeVar("P", bound=Measurable)


def measure(
    build: Callable[[Compiled], P], ask: Callable[[P, int], Any], device: str
) -> tuple[CompileChoice, P]:
    """Tries both ways on the actual network, leaves its weights as they were, gives the faster.

    `ask(program, count)` makes that many updates, and compiles for 0. XLA is left out where it is
    known to lose on the device. What is being tried is printed, since compiling may take long.
    """
    programs: dict[Compiled, P] = {}
    rates: dict[Compiled, float] = {}
    why: dict[str, str] = {}
    compiling = 0.0
    ways: tuple[Compiled, ...] = ("graph", "xla")
    for way in ways:
        expected = ""
        if way == "xla":
            if reason := _why_not_xla(programs["graph"], device, rates["graph"], compiling):
                why[way] = f"not tried: {reason}"
                continue
            if (seconds := COMPILING * compiling) >= 1:
                expected = f", which takes about {seconds:.0f} s to compile"
        print(f"run.compile=auto: measuring {way}{expected}", flush=True)
        began = perf_counter()
        programs[way] = build(way)
        try:
            ask(programs[way], 0)
            compiling = perf_counter() - began
            rates[way] = rate(programs[way], ask)
            why[way] = f"{rates[way]:.4g} updates/s"
        except tf.errors.OpError as error:
            # XLA has no kernel for some operations, and no deterministic one for others.
            if not rates:
                raise
            why[way] = f"cannot: {error.message.splitlines()[0]}"
    best = max(rates, key=rates.__getitem__)
    return CompileChoice(best, why, rate=rates[best]), programs[best]


def _why_not_xla(graph: Measurable, device: str, rate: float, compiling: float) -> str:
    """Why XLA is not worth a trial, once the graph is compiled and timed; "" where it is."""
    if tables := graph.made_whole:
        return f"it makes the gradient of {tables} whole"
    if "CPU" not in device:
        return ""
    operations = graph.operations()
    if reason := known_to_lose(operations, rate):
        return reason
    seconds = COMPILING * compiling
    if operations and seconds > max(PATIENCE, import_seconds() + compiling):
        return f"it would take about {seconds:.0f} s to compile"
    return ""


def known_to_lose(operations: Mapping[str, int], rate: float) -> str:
    """Why XLA on a CPU loses to a graph of these operations, as was measured; "" if it may win.

    `rate` is how many updates a second the graph makes.

    >>> known_to_lose({"Conv2DBackpropInput": 51, "MatMul": 3}, 2.0)
    'on a CPU its loops are slow at convolutions, and 51 are in the way of gradients'
    >>> known_to_lose({"Einsum": 12, "BatchMatMulV2": 24, "Mul": 1669}, 20.0)
    'an operation takes 29 µs, most of it arithmetic, at which a CPU gains nothing by it'
    >>> known_to_lose({"Einsum": 12, "BatchMatMulV2": 24, "Mul": 1669}, 200.0)
    ''
    """
    convolutions = sum(operations.get(kind, 0) for kind in CONVOLUTIONS)
    if convolutions >= MANY:
        many = f"and {convolutions} are in the way of gradients"
        return f"on a CPU its loops are slow at convolutions, {many}"
    products = sum(operations.get(kind, 0) for kind in PRODUCTS)
    if products >= MANY and (each := 1 / rate / sum(operations.values())) >= LARGE_OPERATION:
        arithmetic = "most of it arithmetic, at which a CPU gains nothing by it"
        return f"an operation takes {each * 1e6:.0f} µs, {arithmetic}"
    return ""


def rate(program: P, ask: Callable[[P, int], Any]) -> float:
    """Updates a second of what is compiled, from as many as it takes to tell; the weights stay."""
    before = program.trained.state()
    try:
        return _rate(program, ask)
    finally:
        program.trained.restore(before)


def _rate(program: P, ask: Callable[[P, int], Any]) -> float:
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

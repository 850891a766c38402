"""How long curves take: a million steps and 500 of every kind, beside numpy and other libraries.

    python scripts/bench/curves.py [kind …]

Each kind is read as `conf/schedule` starts it. Times are medians. A ratio is our time over the
other's for the same number of steps: above 1, ours takes longer. numpy's is a plain cosine in
float64. Keras' and optax' schedules are called eagerly, once with all the steps; torch's have to
be stepped, so they are timed over 500. Libraries that aren't installed are left out.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))

from schedules import Clock, Schedule, load  # noqa: E402  # from this checkout, installed or not
from schedules.declaration.yaml_files import read_mapping  # noqa: E402

MANY, FEW = 1_000_000, 500
RUN = Clock(total_steps=MANY, batch_size=64, examples_per_epoch=55_000)
V0, TENTH, HALF = 0.02, MANY // 10, MANY // 2

Steps = NDArray[np.int64]
Rivals = dict[str, Callable[[Steps], object]]


def seconds(
    call: Callable[[Steps], object], t: Steps, budget: float = 0.5, at_most: int = 200
) -> float:
    """The median time of a call, over as many as the budget allows and at least three."""
    call(t)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < budget and len(times) < at_most):
        start = perf_counter()
        call(t)
        times.append(perf_counter() - start)
    return median(times)


def plain_cosine(t: Steps) -> NDArray[np.float64]:
    """What a curve would cost if it were only its formula."""
    return V0 * (1 + np.cos(np.pi * np.minimum(t / MANY, 1.0))) / 2


def keras_rivals() -> Rivals:
    """Keras' schedules by the names of ours, in eager mode."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    from keras.optimizers import schedules as theirs

    kinds = {
        "cosine": theirs.CosineDecay(V0, MANY),
        "cosine_restarts": theirs.CosineDecayRestarts(V0, TENTH),
        "exponential": theirs.ExponentialDecay(V0, TENTH, 0.5),
        "inverse_time": theirs.InverseTimeDecay(V0, TENTH, 0.5),
        "piecewise_constant": theirs.PiecewiseConstantDecay([HALF, MANY], [V0, V0 / 10, V0 / 100]),
        "polynomial": theirs.PolynomialDecay(V0, MANY),
    }

    def called(schedule: Callable[[Any], Any]) -> Callable[[Steps], object]:
        return lambda t: schedule(tf.constant(t, tf.float32)).numpy()

    return {kind: called(schedule) for kind, schedule in kinds.items()}


def optax_rivals() -> Rivals:
    """Optax' schedules by the names of ours, not jitted."""
    import jax
    import optax as theirs

    kinds = {
        "constant": theirs.constant_schedule(V0),
        "cosine": theirs.cosine_decay_schedule(V0, MANY),
        "exponential": theirs.exponential_decay(V0, TENTH, 0.5),
        "linear": theirs.linear_schedule(V0, 0.0, MANY),
        "one_cycle": jax.vmap(theirs.cosine_onecycle_schedule(MANY, V0)),
        "piecewise_constant": theirs.piecewise_constant_schedule(V0, {HALF: 0.1, MANY: 0.1}),
        "polynomial": theirs.polynomial_schedule(V0, 0.0, 1.0, MANY),
    }

    def called(schedule: Callable[[Any], Any]) -> Callable[[Steps], object]:
        return lambda t: jax.block_until_ready(schedule(jax.numpy.asarray(t, "int32")))

    return {kind: called(schedule) for kind, schedule in kinds.items()}


def torch_rivals() -> Rivals:
    """Torch's schedulers by the names of ours, stepped as a training loop steps them."""
    import torch
    from torch.optim import lr_scheduler as theirs

    kinds: dict[str, Callable[[Any], Any]] = {
        "constant": lambda sgd: theirs.ConstantLR(sgd, factor=1.0),
        "cosine": lambda sgd: theirs.CosineAnnealingLR(sgd, MANY),
        "cosine_restarts": lambda sgd: theirs.CosineAnnealingWarmRestarts(sgd, TENTH, 2),
        "cyclic": lambda sgd: theirs.CyclicLR(sgd, 0.0, V0, TENTH, cycle_momentum=False),
        "exponential": lambda sgd: theirs.ExponentialLR(sgd, 0.5 ** (1 / TENTH)),
        "linear": lambda sgd: theirs.LinearLR(sgd, 1.0, 0.0, MANY),
        "multistep": lambda sgd: theirs.MultiStepLR(sgd, [HALF, MANY]),
        "one_cycle": lambda sgd: theirs.OneCycleLR(sgd, V0, MANY, cycle_momentum=False),
        "polynomial": lambda sgd: theirs.PolynomialLR(sgd, MANY),
    }

    def called(scheduler: Callable[[Any], Any]) -> Callable[[Steps], object]:
        def stepped(t: Steps) -> None:
            sgd = torch.optim.SGD([torch.zeros(1)], lr=V0)
            stepping = scheduler(sgd)
            for _ in t:
                sgd.step()
                stepping.step()

        return stepped

    return {kind: called(scheduler) for kind, scheduler in kinds.items()}


LIBRARIES = {"keras": keras_rivals, "optax": optax_rivals, "torch": torch_rivals}


def rows(kinds: Iterable[str]) -> Iterator[list[str]]:
    """The table: its header, then a row a kind."""
    found = {name: rivals() for name, rivals in LIBRARIES.items() if find_spec(name)}
    many, few = np.arange(MANY), np.arange(FEW)
    cosine_many, cosine_few = (seconds(plain_cosine, t) for t in (many, few))
    others = [f"÷ {name}" for name in found]
    yield ["kind", f"{MANY:,} steps", "÷ numpy", f"{FEW} steps", "÷ numpy", *others]
    for kind in kinds:
        curve = load(read_mapping(CHECKOUT / "conf" / "schedule" / f"{kind}.yaml"), RUN)
        ours_many, ours_few = (seconds(curve, t) for t in (many, few))
        beside = []
        for name, rivals in found.items():
            ours, t = (ours_few, few) if name == "torch" else (ours_many, many)
            call = rivals.get(kind)
            beside.append(f"{ours / seconds(call, t):.2f}" if call else "")
        yield [
            kind,
            f"{ours_many * 1e3:.1f} ms",
            f"{ours_many / cosine_many:.2f}",
            f"{ours_few * 1e6:.0f} µs",
            f"{ours_few / cosine_few:.1f}",
            *beside,
        ]


def main(kinds: list[str] | None = None) -> None:
    """Prints the table as Markdown, a row as soon as it is known."""
    warnings.filterwarnings("ignore", module="torch")  # steps without gradients are meant here
    for i, row in enumerate(rows(kinds or sorted(Schedule.kinds))):
        print(f"| {' | '.join(row)} |", flush=True)
        if i == 0:
            print("|---|" + "---:|" * (len(row) - 1), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1:])

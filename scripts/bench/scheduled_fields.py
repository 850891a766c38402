"""What scheduling five fields costs: updates with five schedules beside updates with five numbers.

    python scripts/bench/scheduled_fields.py [rounds]

Both ways are the same declared job but for those fields, take the same batches and are timed side
by side, call after call, reading of the tape included. Printed are the medians, and the median of
the ratios of neighbouring calls: 1.01 is an update that takes 1 % longer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402

from trainer.config.experiment import Experiment  # noqa: E402
from trainer.config.hydra import compose  # noqa: E402  # from this checkout, installed or not
from trainer.config.plan import Plan  # noqa: E402
from trainer.data.feeds.feed import Resident  # noqa: E402
from trainer.data.feeds.order import ExampleOrder  # noqa: E402
from trainer.engine.declared_network import declared_network  # noqa: E402
from trainer.engine.program import Compiled, Program  # noqa: E402
from trainer.scheduled.tape import Tape  # noqa: E402

FIELDS = {
    "optimizer.momentum": (0.9, 0.95),
    "optimizer.weight_decay": (0.01, 0.001),
    "optimizer.global_clipnorm": (1.0, 2.0),
    "loss.label_smoothing": (0.1, 0.05),
    "ema.momentum": (0.9, 0.99),
}
JOBS: dict[str, tuple[Compiled, int, tuple[str, ...]]] = {
    "the default job: cnn on mnist5k": ("graph", 10, ()),
    "mlp on digits, graph": ("graph", 200, ("model=mlp", "data=digits")),
    "mlp on digits, XLA": ("xla", 500, ("model=mlp", "data=digits")),
}
"""How each job is compiled, the updates in a call, and what it overrides."""


def calls(compiled: Compiled, count: int, overrides: list[str]) -> Callable[[], float]:
    """A function that makes the next updates of a job, and gives the seconds they took."""
    experiment = Experiment.declared(compose(["run.length=1000000", *overrides]))
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(experiment.run.seed)
    data = experiment.data.load()
    tape = Tape(Plan.of(experiment).curves)
    stream = ExampleOrder(experiment.run.seed, len(data.train), experiment.data.batch_size)
    network = declared_network(experiment, tape.names)
    program = Program(network, Resident(data, stream), compiled, count)
    step = 0

    def call() -> float:
        nonlocal step
        began = perf_counter()
        program.update(tape.read(step, count), step)
        step += count
        return perf_counter() - began

    call()  # compiles
    return call


def main() -> None:
    """Prints a Markdown table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    line = "{{kind: linear, initial_value: {}, end_value: {}}}"
    scheduled = [f"{field}={line.format(*ends)}" for field, ends in FIELDS.items()]
    numbers = [f"{field}={first}" for field, (first, _) in FIELDS.items()]
    print("| job | ms an update, five numbers | five schedules | ratio |\n|---|---|---|---|")
    for job, (compiled, count, overrides) in JOBS.items():
        plain, live = (
            calls(compiled, count, [*overrides, *fields]) for fields in (numbers, scheduled)
        )
        # The order alternates, so that neither always runs on the other's warm caches.
        pairs = [(plain(), live()) if i % 2 else (live(), plain())[::-1] for i in range(rounds)]
        before, after = (1000 * median(times) / count for times in zip(*pairs, strict=True))
        ratio = median(slow / fast for fast, slow in pairs)
        print(f"| {job} | {before:.4g} | {after:.4g} | {ratio:.3f} |", flush=True)


if __name__ == "__main__":
    main()

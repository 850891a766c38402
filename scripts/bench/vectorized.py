"""Sixteen jobs side by side in one program, beside the same sixteen one after another.

    python scripts/bench/vectorized.py [override …]

Trains the 64-128-10 network on the digits under two schedules, four rates and two seeds, each for
5,000 updates, in this process, both ways in turn. Prints the updates a second of all jobs
together: of the loops alone, and of everything from the first import's end to the last result,
compilation included. The best of the rounds counts, since other work only ever takes away.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))

from trainer.commands.job import Job  # noqa: E402
from trainer.config.experiment import Experiment  # noqa: E402
from trainer.config.hydra import compose  # noqa: E402
from trainer.config.plan import Plan  # noqa: E402
from trainer.runs.folder import Folder  # noqa: E402
from trainer.training import loop  # noqa: E402  # from this checkout, installed or not
from trainer.training.run_config import declare  # noqa: E402

ASKED = (
    *("data=digits", "model=mlp", "run.length=5000", "run.compile_cache=false"),
    *("evaluate.every=1000", "log.every=100"),
)
VARIED = [
    (f"schedule={schedule}", f"schedule.initial_value={rate}", f"run.seed={seed}")
    for schedule, rate, seed in product(("cosine", "exponential"), (0.003, 0.01, 0.03, 0.1), (1, 2))
]
ROUNDS = 3


def jobs_in(path: Path, *overrides: str) -> list[Job]:
    """The sixteen, each with a folder in `path`."""
    jobs = []
    for i, varied in enumerate(VARIED):
        plan = Plan.of(Experiment.declared(compose([*ASKED, *varied, *overrides])))
        folder = Folder(path / str(i))
        folder.path.mkdir()
        jobs.append(Job(declare(folder, plan), folder, []))
    return jobs


def one_by_one(jobs: list[Job]) -> None:
    """Trains each as if it were alone."""
    for job in jobs:
        assert job.train() == 0


def side_by_side(jobs: list[Job]) -> None:
    """Trains all in one program."""
    from trainer.sweeps.vectorized.entries import group_entries
    from trainer.sweeps.vectorized.train_group import train_group

    (group,), refused = group_entries(jobs)
    assert not refused
    for run_end in train_group(group, watch=lambda: None):
        assert run_end.code == 0


def seconds(way: Callable[[list[Job]], None], *overrides: str) -> tuple[float, float]:
    """How long the loops take, from the first one's beginning to each one's end, and everything."""
    spans: list[tuple[float, float]] = []
    train = loop.train

    def timed(*arguments: object) -> None:
        began = perf_counter()
        train(*arguments)  # type: ignore[arg-type]
        spans.append((began, perf_counter()))

    loop.train = timed  # type: ignore[assignment]
    try:
        with TemporaryDirectory() as path, redirect_stdout(StringIO()):
            jobs = jobs_in(Path(path), *overrides)
            began = perf_counter()
            way(jobs)
            whole = perf_counter() - began
    finally:
        loop.train = train
    if way is side_by_side:
        return max(end for _, end in spans) - min(begin for begin, _ in spans), whole
    return sum(end - begin for begin, end in spans), whole


def main(overrides: list[str]) -> None:
    """Prints both ways' rates, and their ratios."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    each = Experiment.declared(compose([*ASKED, *overrides])).total_steps()
    updates = each * len(VARIED)
    best = {way: (float("inf"), float("inf")) for way in (one_by_one, side_by_side)}
    for _ in range(ROUNDS):
        for way, before in best.items():
            took = seconds(way, *overrides)
            best[way] = (min(before[0], took[0]), min(before[1], took[1]))
            rates = "  ".join(f"{updates / second:10,.0f} updates/s" for second in took)
            print(f"{way.__name__:<12}  loops {rates} in all", flush=True)
    for i, what in enumerate(("loops", "in all")):
        ratio = best[one_by_one][i] / best[side_by_side][i]
        print(f"{what}: side by side has {ratio:.2f} times the updates a second")


if __name__ == "__main__":
    main(sys.argv[1:])

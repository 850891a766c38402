"""Jobs side by side in one program, beside the same jobs one after another in one process.

    python scripts/bench/vectorized.py [--jobs N] [--rounds N] [override …]

Trains the 64-128-10 network on the digits under two schedules, four rates and as many seeds as make
64 jobs of it, each for 5,000 updates with a row every ten, in this process, both ways in turn.
Prints the updates a second of all jobs together: of the loops alone, and of everything from the
first import's end to the last result, compilation included; and the seconds that processors were at
work in all. The best of the rounds counts, since other work only ever takes away.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import islice, product
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import NamedTuple

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
    *("evaluate.every=1000", "log.every=10"),
)
SCHEDULES, RATES = ("cosine", "exponential"), (0.003, 0.01, 0.03, 0.1)


class Taken(NamedTuple):
    """The seconds that one way took, for all jobs together."""

    loops: float
    """From the beginning of the first loop to each one's end."""
    whole: float
    at_work: float
    """Those of all processors together, of the whole."""


def varied(count: int) -> Iterator[tuple[str, ...]]:
    """What is said of each of so many jobs."""
    seeds = range(1, ceil(count / len(SCHEDULES) / len(RATES)) + 1)
    for seed, rate, schedule in islice(product(seeds, RATES, SCHEDULES), count):
        yield f"schedule={schedule}", f"schedule.initial_value={rate}", f"run.seed={seed}"


def jobs_in(path: Path, count: int, *overrides: str) -> list[Job]:
    """The jobs, each with a folder in `path`."""
    jobs = []
    for i, own in enumerate(varied(count)):
        plan = Plan.of(Experiment.declared(compose([*ASKED, *own, *overrides])))
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


def taken(way: Callable[[list[Job]], None], count: int, *overrides: str) -> Taken:
    """How long one way takes."""
    spans: list[tuple[float, float]] = []
    train = loop.train

    def timed(*arguments: object) -> None:
        began = perf_counter()
        train(*arguments)  # type: ignore[arg-type]
        spans.append((began, perf_counter()))

    loop.train = timed  # type: ignore[assignment]
    try:
        with TemporaryDirectory() as path, redirect_stdout(StringIO()):
            jobs = jobs_in(Path(path), count, *overrides)
            began, worked = perf_counter(), process_time()
            way(jobs)
            whole, at_work = perf_counter() - began, process_time() - worked
    finally:
        loop.train = train
    if way is side_by_side:
        loops = max(end for _, end in spans) - min(begin for begin, _ in spans)
    else:
        loops = sum(end - begin for begin, end in spans)
    return Taken(loops, whole, at_work)


def main(arguments: list[str] | None = None) -> None:
    """Prints both ways' rates, and their ratios."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--jobs", type=int, default=64)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("overrides", nargs="*")
    asked = options.parse_args(arguments)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    each = Experiment.declared(compose([*ASKED, *asked.overrides])).total_steps()
    updates = each * asked.jobs
    rounds: dict[Callable[[list[Job]], None], list[Taken]] = {one_by_one: [], side_by_side: []}
    for _ in range(asked.rounds):
        for way, found in rounds.items():
            found.append(taken(way, asked.jobs, *asked.overrides))
            rates = "  ".join(f"{updates / seconds:10,.0f} updates/s" for seconds in found[-1][:2])
            at_work = f"{found[-1].at_work:.1f} s at work"
            print(f"{way.__name__:<12}  loops {rates} in all, {at_work}", flush=True)
    for field in Taken._fields:
        alone, together = (min(getattr(one, field) for one in each) for each in rounds.values())
        print(f"{field}: side by side is {alone / together:.2f} times as fast")


if __name__ == "__main__":
    main()

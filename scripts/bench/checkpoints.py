"""What a checkpoint every 1,000 updates costs, beside the same run with none but the last.

    python scripts/bench/checkpoints.py

Trains the 64-128-10 network on the digits for 60,000 updates under XLA and Adam, both ways in
turn, and prints the best of each: other work on the machine only ever adds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.helpers.runs import plan
from trainer.runs.folder import Folder
from trainer.training import loop, run
from trainer.training.run_config import declare

ASKED = (
    "model.hidden=[128]",
    "optimizer=adam",
    "run.compile=xla",
    "run.length=60000",
    "log.every=1000",
    "evaluate.every=100%",
)
ROUNDS = 5


def seconds(every: str) -> float:
    """How long the loop takes."""
    took = []
    train = loop.train

    def timed(*arguments: object) -> None:
        began = perf_counter()
        train(*arguments)
        took.append(perf_counter() - began)

    loop.train = timed
    try:
        with TemporaryDirectory() as path:
            folder = Folder(Path(path))
            run.run(declare(folder, plan(*ASKED, f"checkpoint.every={every}")), folder)
    finally:
        loop.train = train
    return took[0]


def main() -> None:
    """Prints both times, and the share that saving takes."""
    rounds = [{every: seconds(every) for every in ("100%", "1000")} for _ in range(ROUNDS)]
    best = {every: min(took[every] for took in rounds) for every in rounds[0]}
    for every, took in best.items():
        print(f"checkpoint.every={every:<5} {60_000 / took:8,.0f} updates/s")
    print(f"saving takes {best['1000'] / best['100%'] - 1:.1%}")


if __name__ == "__main__":
    main()

"""How fast each task of docs/tasks.md trains beside Keras' `fit`, on this machine.

    python scripts/bench/tasks.py                   every section, about ten minutes
    python scripts/bench/tasks.py --only gan text   those whose titles have one of these words

A section is trained as it is written, and its network by Keras on the same batches, with a
`train_step` where the section has a step, in one process and in turns. Printed are updates a
second, by the mean time of an update but for the slowest tenth, among which is compiling, and
without evaluations and checkpoints; and the ratio of the two, the median over the rounds with its
range.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.end_to_end.test_tasks import SECTIONS, TWINS  # from this checkout


def main(arguments: list[str] | None = None) -> None:
    """Prints a row a task."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args(arguments)
    print("| task | updates/s | Keras' | ratio | range |")
    print("|---|---:|---:|---:|---|", flush=True)
    for title in SECTIONS:
        if any(word.lower() in title.lower() for word in asked.only):
            rates = [measured(title) for _ in range(asked.rounds)]
            ratios = [ours / theirs for ours, theirs in rates]
            ours, theirs = (median(column) for column in zip(*rates, strict=True))
            cells = f"{ours:,.0f} | {theirs:,.0f} | {median(ratios):.1f}"
            print(f"| {title} | {cells} | {min(ratios):.1f} – {max(ratios):.1f} |", flush=True)


def measured(title: str) -> tuple[float, float]:
    """The updates a second of a section's last training, and of Keras."""
    section = SECTIONS[title]
    with TemporaryDirectory() as folder:
        outcome = section.train(Path(folder, "ours"), {}, log={"every": 10})
        if outcome.status != "done":
            raise SystemExit(f"{title}: {outcome.reason}")
        ours = usual_rate(1 / outcome.history["updates_per_second"][1:])
        twin = section.twin(Path(folder, "theirs"))
        TWINS[title].losses(twin)
        return ours, usual_rate(np.diff(twin.timed))


def usual_rate(seconds: NDArray[np.float64]) -> float:
    """Updates a second, by the seconds that updates took, without the slowest tenth."""
    kept = np.sort(seconds)[: len(seconds) - len(seconds) // 10]
    return float(1 / kept.mean())


if __name__ == "__main__":
    main()

"""What a report over many runs costs, in seconds of CPU: the first, and one after nothing changed.

    python scripts/bench/reports.py [runs …]

The runs are made up as a sweep leaves them: whole configs that differ in a rate, a schedule and a
seed, 625 rows of updates and 10 of evaluations, and a result. Each report is a process of its own,
so that its imports count. A figure is the least of three.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import cos, exp, pi
from pathlib import Path
from tempfile import TemporaryDirectory

CHECKOUT = Path(__file__).resolve().parents[2]
COUNTS = (300, 1000)
STEPS, EVALUATIONS, SEEDS, PASSES = 625, 10, 3, 3
KINDS = ("cosine", "exponential")


def make_runs(folder: Path, count: int, config: str) -> None:
    """Makes the folders of `count` runs, with an index of them, as a sweep leaves them.

    `config` is the YAML of a run whose rate is 0.01, whose seed is 1, and whose schedule has a
    line of its own.
    """
    for number in range(count):
        make_run(folder / str(number), number, config)
    index = {f"{number:064x}": str(number) for number in range(count)}
    (folder / "sweep.json").write_text(json.dumps(index, indent=1) + "\n")


def make_run(path: Path, number: int, config: str) -> None:
    """Makes the folder of one run; three after one another differ in their seeds alone."""
    setting, seed = divmod(number, SEEDS)
    kind, rate = KINDS[setting % len(KINDS)], 0.01 * 1.02**setting
    path.mkdir(parents=True)
    text = config.replace("initial_value: 0.01", f"initial_value: {rate!r}")
    text = text.replace("kind: cosine\n", f"kind: {kind}\n").replace("seed: 1\n", f"seed: {seed}\n")
    (path / "config.yaml").write_text(text)
    (path / "metrics.jsonl").write_text("".join(_rows(rate, seed, number)))
    ended = {
        "status": "done",
        "steps": STEPS,
        "metrics": {"eval_loss": rate, "eval_accuracy": 0.9},
        "seconds": 12.5,
        "weights_digest": f"{number:064x}",
        "versions": {"python": "3.11"},
    }
    (path / "result.json").write_text(json.dumps(ended, indent=1) + "\n")
    (path / ".lock").write_text("process 1 on nowhere\nsince 2026-01-01 00:00:00\n")
    (path / "events.jsonl").touch()


def _rows(rate: float, seed: int, number: int) -> Iterator[str]:
    for t in range(STEPS):
        row = {
            "step": t,
            "epoch": round(t / 62.5, 6),
            "loss": exp(-t / 300) + 0.01 * ((t * 7 + seed) % 13),
            "learning_rate": rate * (1 + cos(pi * t / STEPS)) / 2,
            "momentum": 0.9,
            "updates_per_second": 4000.0 + number if t else None,
        }
        yield json.dumps(row) + "\n"
        if (t + 1) % (STEPS // EVALUATIONS) == 0:
            measured = {"eval_loss": exp(-t / 300), "eval_accuracy": 1 - exp(-t / 200)}
            yield json.dumps({"step": t + 1, "epoch": t / 62.5, **measured}) + "\n"


def default_config() -> str:
    """The YAML of a run, as `python -m trainer --cfg job` prints it, fit for `make_runs`."""
    words = ("schedule=cosine", "schedule.initial_value=0.01", "run.seed=1", "--cfg", "job")
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *words],
        env=_env(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def cpu_seconds(words: Sequence[str], **more: str) -> float:
    """The seconds that a process takes of processors, for itself and for the system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], env=_env(**more), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def report_seconds(runs: Path) -> tuple[float, float]:
    """What the first report about some runs takes, and what another one takes after it."""
    firsts, others = [], []
    for _ in range(PASSES):
        with TemporaryDirectory() as cache:
            words = ("-m", "trainer.report", str(runs))
            firsts.append(cpu_seconds(words, XDG_CACHE_HOME=cache))
            others.append(cpu_seconds(words, XDG_CACHE_HOME=cache))
    return min(firsts), min(others)


def _env(**more: str) -> Mapping[str, str]:
    """The environment, with this checkout found first, and whatever `more` says."""
    return {**os.environ, "PYTHONPATH": str(CHECKOUT), **more}


def main() -> None:
    """Prints the table."""
    counts = [int(word) for word in sys.argv[1:]] or COUNTS
    config = default_config()
    print("| runs | first report | another |")
    print("|---|---|---|")
    for count in counts:
        with TemporaryDirectory() as folder:
            make_runs(Path(folder), count, config)
            first, another = report_seconds(Path(folder))
        print(f"| {count:,} | {first:.2f} s | {another:.2f} s |", flush=True)


if __name__ == "__main__":
    main()

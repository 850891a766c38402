"""Folders of runs that nobody has trained, as the trainer writes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

CONFIG = (
    "run: {{length: {length}, seed: {seed}}}\nschedule: {{kind: cosine, initial_value: {rate}}}\n"
)
ROWS = 200
"""How many rows a short run has."""


def row(step: int, loss: float) -> str:
    """A line as the trainer writes it; `json` would take four times as long."""
    return (
        f'{{"step": {step}, "epoch": {step / 100}, "loss": {loss}, "learning_rate": 0.01, '
        f'"momentum": 0.9, "updates_per_second": {14600.123 + loss}}}\n'
    )


def rate(number: int) -> float:
    """The learning rate of a short run."""
    return 0.01 + number % 10 / 100


def losses(number: int) -> list[float]:
    """The losses of a short run."""
    return [(number + 1) / (step + 1) for step in range(ROWS)]


def make_runs(root: Path, count: int) -> None:
    """Runs that have ended, two hundred rows each, in sweeps of a hundred."""
    for number in range(count):
        folder = root / f"sweep-{number // 100}" / str(number % 100)
        folder.mkdir(parents=True)
        config = CONFIG.format(length=ROWS, seed=number, rate=rate(number))
        (folder / "config.yaml").write_text(config)
        (folder / ".lock").write_text("process 1 on elsewhere\n")
        lines = [row(step, loss) for step, loss in enumerate(losses(number))]
        (folder / "metrics.jsonl").write_text("".join(lines))
        (folder / "result.json").write_text(json.dumps({"status": "done", "steps": ROWS}))
    for sweep in root.glob("sweep-*"):
        names = {path.name: path.name for path in sweep.iterdir()}
        (sweep / "sweep.json").write_text(json.dumps(names))


def make_run(folder: Path, seed: int, length: int) -> Path:
    """A run that has written no row yet; gives the file of its rows."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG.format(length=length, seed=seed, rate=0.5))
    return folder / "metrics.jsonl"


def make_long_run(folder: Path, count: int) -> Path:
    """A run with as many rows as are asked for; gives the file of its rows."""
    path = make_run(folder, count, count)
    random = np.random.default_rng(0)
    with path.open("w") as file:
        for begin in range(0, count, 10_000):
            values = random.random(min(10_000, count - begin)).tolist()
            file.writelines(row(begin + n, loss) for n, loss in enumerate(values))
    return path

"""Runs made for tests, in this process: a small network on the 8x8 digits, ended in a second."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.config.experiment import Experiment
from trainer.config.hydra import compose
from trainer.config.plan import Plan
from trainer.runs.folder import Folder
from trainer.training.run import run
from trainer.training.run_config import declare

SMALL = ("data=digits", "model=mlp", "model.hidden=[16]", "run.compile=graph", "log.every=1")


def experiment(*overrides: str) -> Experiment:
    """A small experiment, with `overrides` after its own."""
    chosen = [asked for asked in overrides if asked.startswith("model=")]
    sized = all("mlp" in asked or "cnn" in asked for asked in chosen)
    small = [asked for asked in SMALL if sized or not asked.startswith("model.")]
    return Experiment.declared(compose([*small, *overrides]))


def plan(*overrides: str) -> Plan:
    """The plan of a small experiment."""
    return Plan.of(experiment(*overrides))


def trained(path: Path, *overrides: str) -> int:
    """Trains a small experiment in the folder `path`, and gives the exit code."""
    path.mkdir(parents=True, exist_ok=True)
    folder = Folder(path)
    return run(declare(folder, plan(*overrides)), folder)


def rows(path: Path, timed: bool = False) -> list[dict[str, Any]]:
    """The rows of a run's metrics, without the wall clock's share unless `timed`."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return found if timed else [{**row, "updates_per_second": None} for row in found]


def result(path: Path) -> dict[str, Any]:
    """What a run says of how it ended."""
    found: dict[str, Any] = json.loads((path / "result.json").read_text())
    return found


def files(path: Path) -> dict[str, bytes]:
    """Every file in a folder, by its name."""
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


def events(path: Path, event: str) -> list[dict[str, Any]]:
    """The events of one sort that a run has recorded."""
    lines = (path / "events.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["event"] == event]


def in_the_middle(path: Path, act: Callable[[], object]) -> threading.Thread:
    """Does something, once, as soon as the run in `path` has written its first row."""

    def wait() -> None:
        metrics = path / "metrics.jsonl"
        while not (metrics.exists() and metrics.stat().st_size):
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread

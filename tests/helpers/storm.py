"""Runs in processes of their own, killed by SIGKILL at random moments until they are through."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.helpers.runs import SMALL, result, rows

RECIPES: Mapping[str, tuple[str, ...]] = {
    "sgd": ("optimizer=sgd", "run.compile=auto"),
    "adam": ("optimizer=adam", "schedule.initial_value=0.001", "model.dropout=0.3"),
    "plateau": (
        "schedule=plateau",
        "schedule.patience=0",
        "schedule.min_delta=9",
        "evaluate.every=50",
    ),
    "noise": ("schedule=noisy_linear_cosine", "optimizer=rmsprop", "ema={momentum: 0.9}"),
    "streamed": (
        "data.keep=stream",
        "data.augment={flip: horizontal, crop: 1, noise: 0.1}",
        "optimizer=adam",
    ),
    "xla": ("run.compile=xla", "optimizer=nadam", "model.dropout=0.2", "run.micro_batches=4"),
}
"""Everything that updates depend on, in one run or another."""

SHARED = ("run.length=20000", "checkpoint.every=200", "log.every=20", "evaluate.every=5000")


def storm(folder: Path, recipe: str, kills: int, seed: int) -> int:
    """Trains once in peace and once under so many kills; gives how many were dealt.

    A kill comes some time after the process has begun to train, or while it is still starting.

    Raises:
        AssertionError: when the two runs differ in any bit.
    """
    asked = (*SMALL, *SHARED, *RECIPES[recipe])
    whole, broken = folder / "whole", folder / "broken"
    subprocess.run(_command(whole, asked), check=True, stdout=subprocess.DEVNULL)
    moments, dealt = random.Random(seed), 0
    while dealt < kills:
        process = subprocess.Popen(_command(broken, asked), stdout=subprocess.DEVNULL)
        if moments.random() < 0.9:
            _wait_for_training(process, broken)
        try:
            process.wait(moments.uniform(0, 0.4))
            break  # it came through before the blow
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            dealt += 1
    subprocess.run(_command(broken, asked), check=True, stdout=subprocess.DEVNULL)
    assert result(broken)["status"] == "done"
    assert result(broken)["weights_digest"] == result(whole)["weights_digest"]
    assert rows(broken) == rows(whole)
    events = (broken / "events.jsonl").read_text()
    assert "departed" not in events
    assert "damaged" not in events
    return dealt


def _command(folder: Path, asked: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "trainer", *asked, f"hydra.run.dir={folder}"]


def _wait_for_training(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Returns once the process has written something, or has ended."""
    before = _mark(folder)
    while process.poll() is None and _mark(folder) == before:
        time.sleep(0.01)


def _mark(folder: Path) -> float:
    metrics = folder / "metrics.jsonl"
    return metrics.stat().st_mtime if metrics.exists() else 0.0

"""A training that goes on while something else begins and ends beside it, in turns."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median

from service_scale import ServiceScale
from service_server import CHECKOUT, wait

TRAINING = ["data=digits", "model=mlp", "run.length=1000000000", "run.compile=xla",
            "checkpoint.every=100%", "evaluate.every=100%", "log.every=1000",
            "~log.tensorboard"]  # fmt: skip
ROWS_AT_FIRST = 10
"""How many rows it has written before it counts."""


def compared(
    folder: Path, beside: Callable[[], AbstractContextManager[None]], scale: ServiceScale
) -> tuple[float, list[list[str]]]:
    """The share of the updates that is lost, the median over the turns; and rows of a table."""
    with_, without = [], []
    with trained(folder) as file:
        for _ in range(scale.rounds):
            without.append(updates(file, scale.seconds))
            with beside():
                with_.append(updates(file, scale.seconds))
    ratios = [one / other for one, other in zip(with_, without, strict=True)]
    rows = [
        ["updates a second of a training, alone", f"{median(without):,.0f}"],
        ["updates a second of it as one of the jobs", f"{median(with_):,.0f}"],
        ["their ratio in each turn", f"{min(ratios):.3f} – {max(ratios):.3f}"],
    ]
    return 1 - median(ratios), rows


@contextmanager
def trained(folder: Path) -> Iterator[Path]:
    """A training within the block, once it has made updates; gives the file of its rows."""
    words = [sys.executable, "-m", "trainer", *TRAINING, f"hydra.run.dir={folder}"]
    process = subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    file = folder / "metrics.jsonl"
    try:
        wait(lambda: process.poll() is not None or has_begun(file))
        if process.poll() is not None:
            raise RuntimeError(f"the training has ended with {process.returncode}")
        yield file
    finally:
        process.terminate()
        process.wait()


def has_begun(file: Path) -> bool:
    """Whether there are rows enough."""
    return file.exists() and file.read_bytes().count(b"\n") > ROWS_AT_FIRST


def updates(file: Path, seconds: float) -> float:
    """How many updates a second a training makes, by two of its rows."""
    (begin, first), _ = next_row(file), time.sleep(seconds)
    end, last = next_row(file)
    return (last - first) / (end - begin)


def next_row(file: Path) -> tuple[float, int]:
    """When a row comes, and its step."""
    size = file.stat().st_size
    wait(lambda: file.stat().st_size != size, 0.001)
    now = time.perf_counter()
    with file.open("rb") as opened:
        opened.seek(max(0, size - 4096))
        line = opened.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
    return now, int(json.loads(line)["step"])

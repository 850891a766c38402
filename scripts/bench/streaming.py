"""What it costs to train on more than memory holds, beside the same run from memory.

    python scripts/bench/streaming.py                    10 GB, written to a temporary folder
    python scripts/bench/streaming.py --gigabytes 0.1 --updates 2000 --model mlp

Trains a network on memory-mapped images of 28x28 bytes, more of them than fit on a device, and on
the first few thousand of them held there, in turns and each in a process of its own. Prints updates
a second, and the process's own memory (RssAnon) early in the run and at its end; pages of the file
that the system keeps mapped (RssFile) are its cache, which it takes back as it likes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

SHAPE = (28, 28, 1)
FEW = 4000
"""Examples of the run from memory."""
UPDATES = {"mlp": 40_000, "cnn": 1500}
ASKED = ("run.seed=1", "log.every=1000", "evaluate.every=100%", "checkpoint.every=100%",
         "data.normalise=pixels", "~log.tensorboard")  # fmt: skip


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--updates", type=int, help="of each run; else what takes some seconds")
    parser.add_argument("--model", choices=UPDATES, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to write; else a temporary folder")
    parser.add_argument("--one", nargs=3, metavar=("DATA", "MODEL", "KEEP"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(*asked.one, asked.updates)))
        return
    with TemporaryDirectory(dir=asked.folder) as folder:
        examples = write(Path(folder), asked.gigabytes)
        print(f"{examples:,} images, {examples * np.prod(SHAPE) / 1e9:.1f} GB")
        print("| model | data | updates/s | of memory's | own memory | grown by | mapped |")
        print("|---|---|---|---|---|---|---|")
        for model in asked.model or UPDATES:
            table(Path(folder), model, asked.updates or UPDATES[model], asked.rounds)


def write(folder: Path, gigabytes: float) -> int:
    """Writes bright and dark images, all of which differ, and gives how many there are."""
    size = int(np.prod(SHAPE))
    examples = max(FEW, int(gigabytes * 1e9 / size))
    if shutil.disk_usage(folder).free < 1.2 * examples * size:
        sys.exit(f"{folder} has not the room for {gigabytes} GB")
    random = np.random.default_rng(0)
    labels = (np.arange(examples) % 10).astype(np.int32)
    shape = (examples, *SHAPE)
    images = np.lib.format.open_memmap(folder / "all.npy", "w+", np.uint8, shape)
    noise = random.integers(0, 120, (50_000, size), np.uint8)
    for start in range(0, examples, len(noise)):
        stop = min(start + len(noise), examples)
        block = noise[: stop - start] ^ np.uint8(start // len(noise) % 8)
        images[start:stop] = (block + 13 * labels[start:stop, None].astype(np.uint8)).reshape(
            -1, *SHAPE
        )
    images.flush()
    np.save(folder / "all-labels.npy", labels)
    np.save(folder / "few.npy", images[:FEW])
    np.save(folder / "few-labels.npy", labels[:FEW])
    return examples


def table(folder: Path, model: str, updates: int, rounds: int) -> None:
    """Prints a row for each way, of the medians over rounds in which they take turns."""
    ways = {"memory": ("few", "device"), "disk": ("all", "stream")}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    known = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    # The first two of each way are short, and learn how it is compiled best.
    for turn in range(-2, rounds):
        for name, (data, keep) in ways.items():
            options = ["--updates", str(updates if turn >= 0 else 10)]
            command = [sys.executable, __file__, *options, "--one", str(folder / data), model, keep]
            done = subprocess.run(command, check=True, capture_output=True, env=known)
            if turn >= 0:
                found[name].append(json.loads(done.stdout.splitlines()[-1]))
    rate = {name: median(run["rate"] for run in runs) for name, runs in found.items()}
    for name, runs in found.items():
        spread = f"{min(r['rate'] for r in runs):,.0f}-{max(r['rate'] for r in runs):,.0f}"
        own, grown, mapped = (
            max(run[what] for run in runs) / 2**20 for what in ("own", "grown", "mapped")
        )
        print(
            f"| {model} | {name} | {rate[name]:,.0f} ({spread}) | {rate[name] / rate['memory']:.2f}"
            f" | {own:,.0f} MB | {grown:,.0f} MB | {mapped:,.0f} MB |"
        )


def one(data: str, model: str, keep: str, updates: int) -> dict[str, float]:
    """One run in this process: its rate, and its memory from a fifth of the run to its end."""
    from trainer.config.experiment import Experiment
    from trainer.config.hydra import compose
    from trainer.config.plan import Plan
    from trainer.runs.folder import Folder
    from trainer.training import loop, run
    from trainer.training.run_config import declare

    few = data.removesuffix("all").removesuffix("few") + "few"
    asked = [f"model={model}", "data=npy", f"data.inputs={data}.npy", f"data.keep={keep}",
             f"data.labels={data}-labels.npy", f"data.test_inputs={few}.npy",
             f"data.test_labels={few}-labels.npy", f"run.length={updates}", *ASKED]  # fmt: skip
    took: list[float] = []
    seen: list[tuple[float, int, int]] = []
    train, stop = loop.train, threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            seen.append((perf_counter(), *memory()))

    def timed(*given: object) -> None:
        began = perf_counter()
        threading.Thread(target=watch, daemon=True).start()
        train(*given)  # type: ignore[arg-type]
        took.append(perf_counter() - began)
        stop.set()

    loop.train = timed
    with TemporaryDirectory() as path:
        folder = Folder(Path(path))
        plan = Plan.of(Experiment.declared(compose(asked)))
        run.run(declare(folder, plan), folder, alone=True)
    early = next((own for when, own, _ in seen if when > seen[0][0] + took[0] / 5), 0)
    own = max(own for _, own, _ in seen)
    return {
        "rate": updates / took[0],
        "own": own,
        "grown": seen[-1][1] - early,
        "mapped": max(mapped for *_, mapped in seen),
    }


def memory() -> tuple[int, int]:
    """The bytes of this process's own memory, and of files that are mapped into it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    own, mapped = (int(status[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return own, mapped


if __name__ == "__main__":
    main()

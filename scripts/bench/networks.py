"""How soon networks of several kinds train, and how fast, beside Keras' `fit` on the same network.

    python scripts/bench/networks.py [--starts NAME …] [--rates NAME …] [--rounds N] [--seconds S]

`--starts` takes the seconds from Enter to the first update, each in a process of its own: of a
plain script with `model.fit`, of a run that has to find out how to compile, and of the next run,
which remembers; and with them the seconds that processors were at work, which other work on the
machine changes less. `--rates` lets `peers.py` take turns. Without names, all of both kinds.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from contest import Entry, contest, ratio  # noqa: E402  # beside this file
from peer_jobs import JOBS  # noqa: E402
from start_up import environment  # noqa: E402

STARTS = ("mobilenet", "resnet", "vit", "lstm", "transformer")
RATES = ("lstm", "gru", "bilstm_masked", "transformer")


class Start(NamedTuple):
    """What passed until the first update was made."""

    seconds: float
    """By the clock."""
    at_work: float
    """Of all processors together."""


def fit_script(folder: Path) -> str:
    """What somebody writes who trains the network of `folder` by `fit`; says when it has begun."""
    return f"""
import keras
import numpy as np

with np.load({str(folder / "data.npz")!r}) as arrays:
    inputs, labels = arrays["inputs"], arrays["labels"]
model = keras.models.model_from_json(open({str(folder / "model.json")!r}).read())
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)
class First(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        open({str(folder / "begun")!r}, "w").write("x")
model.fit(inputs, labels, batch_size=64, verbose=0, callbacks=[First()])
"""


def prepare(name: str, folder: Path) -> None:
    """Writes the network of a job, and its examples, for `fit_script`."""
    write = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
import numpy as np
from pathlib import Path
from keras_peers import keras_model
from peer_jobs import job
given = job({name!r}, [])
train = given.data.train
np.savez({str(folder / "data.npz")!r}, inputs=train.inputs, labels=train.labels)
Path({str(folder / "model.json")!r}).write_text(keras_model(given).to_json())
"""
    subprocess.run([sys.executable, "-c", write], check=True, capture_output=True)


def started(words: list[str], folder: Path, sign: Path, **env: str) -> Start:
    """Runs a command until a file has something in it."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=environment(**env),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (sign.exists() and sign.stat().st_size):
        if process.poll() is not None:
            raise AssertionError(f"{words} ended with {process.returncode}")
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    process.kill()
    used = os.wait4(process.pid, 0)[2]
    process.returncode = 0
    return Start(seconds, used.ru_utime + used.ru_stime)


def compared_starts(name: str, rounds: int) -> dict[str, list[Start]]:
    """What passes until a network's first update, by `fit`, and in a first and a second run."""
    found: dict[str, list[Start]] = {"fit": [], "first": [], "second": []}
    with TemporaryDirectory() as kept:
        folder = Path(kept)
        prepare(name, folder)
        for _ in range(rounds):
            (folder / "begun").unlink(missing_ok=True)
            script = fit_script(folder)
            found["fit"].append(started(["-c", script], folder, folder / "begun"))
            with TemporaryDirectory() as cache:
                for which in ("first", "second"):
                    with TemporaryDirectory() as run:
                        overrides = [*JOBS[name], "log.every=1", f"hydra.run.dir={run}/here"]
                        rows = Path(run) / "here" / "metrics.jsonl"
                        words = ["-m", "trainer", *overrides]
                        found[which].append(started(words, Path(run), rows, XDG_CACHE_HOME=cache))
    return found


def starts(name: str, rounds: int) -> None:
    """Prints what passes until a network's first update."""
    found = compared_starts(name, rounds)
    fit = found["fit"]
    for which, each in found.items():
        passed, worked = (median(column) for column in zip(*each, strict=True))
        ratios = [median(a[i] / b[i] for a, b in zip(each, fit, strict=True)) for i in (0, 1)]
        print(
            f"{name:<14} {which:<7} {passed:6.2f} s {worked:6.2f} s at work   "
            f"{ratios[0]:.2f}x {ratios[1]:.2f}x",
            flush=True,
        )


def compared(name: str, rounds: int, seconds: float) -> tuple[Entry, Entry, Entry]:
    """The trainer on a network, `fit`, and `fit` with many updates a call, after their turns."""
    entries = Entry("trainer"), Entry("fit"), Entry("fit_50")
    contest(name, entries, rounds, seconds)
    return entries


def rates(name: str, rounds: int, seconds: float) -> None:
    """Prints the updates a second of the trainer and of `fit`, and their ratio."""
    entries = ours, fit, fit_50 = compared(name, rounds, seconds)
    rates = "  ".join(f"{entry.peer} {entry.rate:,.1f}" for entry in entries if entry.rate)
    print(f"{name:<14} {rates}  {ratio(ours, fit):.2f}x  {ratio(ours, fit_50):.2f}x", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Prints a line for each network and what is measured of it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--starts", nargs="*", choices=JOBS)
    options.add_argument("--rates", nargs="*", choices=JOBS)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=2.0)
    asked = options.parse_args(arguments)
    neither = asked.starts is None and asked.rates is None
    for name in STARTS if neither or asked.starts == [] else asked.starts or ():
        starts(name, asked.rounds)
    with TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # what this machine remembers is not to count
        for name in RATES if neither or asked.rates == [] else asked.rates or ():
            rates(name, asked.rounds, asked.seconds)


if __name__ == "__main__":
    main()

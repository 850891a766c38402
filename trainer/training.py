"""A run from beginning to end: TensorFlow's start, the loop, and how it is said to have ended."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from .experiment import Experiment
from .folder import Folder, write

DONE, FAILED = 0, 1


def run(experiment: Experiment, folder: Folder) -> int:
    """Trains in `folder`, going on where an earlier process stopped; gives the exit code.

    0 when the end (or `run.stop_after`) was reached, 1 when training failed, 128 + the signal's
    number when one asked it to stop.
    """
    began = perf_counter()
    with diverted(folder.chatter):
        from . import loop, session
    from .progress import Progress
    from .signals import Stop

    with Stop() as stop:
        try:
            with diverted(folder.chatter):
                this = session.Session.begin(experiment, folder)
        except session.Unfit as unfit:
            print(f"the checkpoint in {folder.checkpoints} does not fit: {unfit}", file=sys.stderr)
            return FAILED
        if this.step:
            print(f"going on at step {this.step}")
        reason = ""
        try:
            with Progress(experiment.total_steps()) as progress:
                loop.train(this, progress, stop)
        except loop.Diverged as error:
            reason = str(error)
        finally:
            this.record.close()
    if reason:
        status, code = "failed", FAILED
        print(reason, file=sys.stderr)
    elif stop.signal is not None:
        status, code = "interrupted", 128 + stop.signal
        print(f"stopped by {signal.Signals(stop.signal).name}; the same command goes on from here")
    else:
        status, code = ("done" if this.step == experiment.total_steps() else "stopped"), DONE
    result = {
        "status": status,
        **({"reason": reason} if reason else {}),
        "steps": this.step,
        "metrics": this.metrics,
        "weights_digest": this.network.digest(),
        **({"average_digest": average} if (average := this.network.average_digest()) else {}),
        "seconds": round(perf_counter() - began, 3),
        "compile": this.chosen.compile,
        "compile_measured": this.chosen.why,
        "steps_per_call": this.pace.steps_per_call,
        "device": this.device,
        "data_digest": this.data.digest,
        "command": sys.argv,
        "versions": versions(),
    }
    write(folder.result, json.dumps(result, indent=1) + "\n")
    tell(result, folder)
    return code


def tell(result: dict[str, Any], folder: Folder) -> None:
    """One line on how it ended and where it all is."""
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items())
    here = folder.path.resolve()
    here = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    print(f"{result['status']} at step {result['steps']}  {metrics}  in {here}")


def versions() -> dict[str, str]:
    """What the bits of a run depend on besides its config."""
    packages = ("tensorflow", "keras", "numpy", "hydra-core", "omegaconf", "pydantic")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
    }


@contextmanager
def diverted(path: Path) -> Iterator[None]:
    """Sends what is written to file descriptor 2 into a file.

    TensorFlow's C++ start-up writes there whatever `TF_CPP_MIN_LOG_LEVEL` says; the text is kept,
    for the day a GPU is not found.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)

"""A run from beginning to end: TensorFlow's start, the loop, and how it is said to have ended."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from schedules.declaration.gc_pause import spared

from ..config.cluster import Lost
from ..config.experiment import Experiment
from ..runs.atomic_files import Unwritten, write
from ..runs.folder import Folder, near
from ..runs.provenance import provenance
from ..runs.signals import Stop
from ..trackers.delivery import HURRIED, PATIENCE

if TYPE_CHECKING:
    from .progress import Progress
    from .session import Session

DONE, FAILED = 0, 1


class Unable(Exception):  # noqa: N818  # says what can't be done
    """A run that could not begin, though its config can be honoured, and why."""


def run(experiment: Experiment, folder: Folder, *, alone: bool = False) -> int:
    """Trains in `folder`, going on where an earlier process stopped; gives the exit code.

    0 when the end (or `run.stop_after`, or a command to stop) was reached, 1 when training failed,
    128 + the signal's number when one asked it to stop. `alone` in its process, it may settle
    TensorFlow for good in the way that suits it.
    """
    try:
        return perform(experiment, folder, Stop(), alone=alone)
    except Unable as unable:
        print(unable, file=sys.stderr)
        return FAILED


def perform(
    experiment: Experiment,
    folder: Folder,
    stop: Stop,
    progress_of: Callable[[int], Progress] | None = None,
    *,
    alone: bool = False,
) -> int:
    """As `run`, with the signals and the progress of whoever asks.

    Raises:
        Unable: when there is nothing to go on from, or not the memory to begin.
    """
    began = perf_counter()
    with stop:
        wake(folder.chatter)
        from . import assembly, session
        from .progress import Progress

        progress_of = progress_of or Progress
        try:
            with diverted(folder.chatter):
                this = assembly.begin(experiment, folder, alone=alone)
        except session.Unfit as unfit:
            why = f"the checkpoint in {folder.checkpoints} does not fit: {unfit}"
            raise Unable(why) from None
        except (assembly.TooLarge, MemoryError) as error:
            raise Unable(f"this machine has not the memory for it: {error}") from None
        except Lost as lost:
            raise Unable(str(lost)) from None
        if this.step:
            print(f"going on at step {this.step}")
        stop.worth_saving = True
        if this.workers:
            this.workers.stop = stop
            stop.listen()
        with closing(this):
            with progress_of(experiment.total_steps()) as progress, ExitStack() as quiet:
                if this.workers:  # when one is lost, TensorFlow has much to say
                    quiet.enter_context(diverted(folder.chatter))
                reason = trained(this, progress, stop)
            code = ended(this, stop.signal, reason, perf_counter() - began)
            if this.workers:
                this.workers.dismiss(code)
    stop.requeue()
    return code


def trained(this: Session, progress: Progress, stop: Stop) -> str:
    """Trains as far as it goes, and gives why it failed, or nothing."""
    from .loop import train
    from .session import Diverged

    reason = ""
    try:
        train(this, progress, stop)
    except (Diverged, Lost, Unwritten) as error:
        reason = str(error)
    this.saving.finish()
    if this.saving.trouble and not reason:
        reason = f"the last checkpoint could not be written: {this.saving.trouble}"
    return reason


def ended(this: Session, asked: int | None, reason: str, seconds: float) -> int:
    """Says and writes down how it ended, and gives the exit code."""
    from ..engine.machine import taken

    if asked is not None:
        status, code = "interrupted", 128 + asked
        by = signal.Signals(asked).name
        print(f"{this.label}stopped by {by}; the same command goes on from here")
    elif reason:
        status, code = "failed", FAILED
    else:
        done = this.step == this.experiment.total_steps() or this.stands
        pruned = this.trial is not None and this.trial.pruned
        status, code = ("done" if done else "pruned" if pruned else "stopped"), DONE
    if reason:
        print(f"{this.label}{reason}", file=sys.stderr)
    average = this.network.average_digest()
    stop = this.experiment.evaluate.stop
    result = {
        "status": status,
        **({"reason": reason, "diverged": this.diverged} if reason else {}),
        "steps": this.step,
        "metrics": this.metrics,
        **({"best": this.best._asdict()} if this.best else {}),
        **({"stopped_early": stop.told(this.standstill)} if stop and this.stands else {}),
        "rewinds": this.rewinds,
        "skipped": this.skipped,
        "weights_digest": this.network.digest(),
        **({"average_digest": average} if average else {}),
        "seconds": round(seconds, 3),
        "compile": this.chosen.compile,
        "compile_origin": this.chosen.origin,
        "compile_measured": this.chosen.why,
        "threads": taken(),
        "steps_per_call": this.pace.steps_per_call,
        **({"together": this.together} if this.together > 1 else {}),
        "device": this.device,
        "replicas": this.network.replicas,
        "data_digest": this.data.digest,
        "command": sys.argv,
        **provenance(this.experiment),
        "versions": versions(),
    }
    try:
        write(this.folder.result, json.dumps(result, indent=1) + "\n")
    except OSError as error:
        print(f"{this.folder.result} could not be written: {error}", file=sys.stderr)
        return code or FAILED
    this.couriers.close(result, PATIENCE if asked is None else HURRIED)
    this.hear()
    tell(result, this.folder)
    return code


def tell(result: dict[str, Any], folder: Folder) -> None:
    """One line on how it ended and where it all is."""
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items())
    print(f"{result['status']} at step {result['steps']}  {metrics}  in {near(folder.path)}")


def versions() -> dict[str, str]:
    """What the bits of a run depend on besides its config."""
    packages = ("tensorflow", "keras", "numpy", "hydra-core", "omegaconf", "pydantic")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "platform": platform.platform(),
    }


def wake(log: Path) -> None:
    """Imports what takes seconds to import; what it says of itself goes into a file."""
    with diverted(log), spared():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


@contextmanager
def diverted(path: Path) -> Iterator[None]:
    """Sends what is written to file descriptor 2 into a file.

    TensorFlow's C++ start-up writes there whatever `TF_CPP_MIN_LOG_LEVEL` says; the text is kept,
    for the day a GPU is not found.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # a process without one, as a service may be
        yield
        return
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)

"""A run from beginning to end: TensorFlow's start, the loop, and the result."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any

from schedules import Refused
from schedules.declaration.functions import CODE_EXITS, raised, refusing_exits

from ..config.cluster import WorkerLostError
from ..config.plan import Plan
from ..engine.startup import import_tensorflow, stderr_to, versions
from ..runs.atomic_files import WriteError
from ..runs.checkpoints import CheckpointMismatchError
from ..runs.exit_codes import DONE, FAILED
from ..runs.folder import Folder, display_path
from ..runs.known_secrets import veil_tree
from ..runs.lock import LockLostError
from ..runs.provenance import provenance
from ..runs.signals import Stop, process_stop

if TYPE_CHECKING:
    from .assembly import Assembled
    from .progress import Progress


class StartError(Exception):
    """A run that could not begin or had to be left, though its config can be honoured, and why."""


def run(plan: Plan, folder: Folder, *, alone: bool = False) -> int:
    """Trains in `folder`, going on where an earlier process stopped; gives the exit code.

    0 when the end (or `run.stop_after`, or a command to stop) was reached, 1 when training failed,
    128 + the signal's number when one asked it to stop. `alone` in its process, it may settle
    TensorFlow for good in the way that suits it.
    """
    try:
        return perform(plan, folder, process_stop(), alone=alone)
    except StartError as error:
        print(error, file=sys.stderr)
        return FAILED


def perform(
    plan: Plan,
    folder: Folder,
    stop: Stop,
    progress_of: Callable[[int], Progress] | None = None,
    *,
    alone: bool = False,
) -> int:
    """As `run`, with the signals and the progress of whoever asks.

    Raises:
        StartError: when there is nothing to go on from, or not the memory to begin, or when the
            folder's lock was lost.
    """
    began = perf_counter()
    with stop, _while_locked():
        import_tensorflow(folder.tensorflow_log)
        from . import assembly
        from .progress import Progress

        progress_of = progress_of or Progress
        try:
            with stderr_to(folder.tensorflow_log), refusing_exits():
                this = assembly.begin(plan, folder, alone=alone)
        except CheckpointMismatchError as mismatch:
            why = f"the checkpoint in {folder.checkpoints} does not fit: {mismatch}"
            raise StartError(why) from None
        except (assembly.TooLarge, MemoryError) as error:
            raise StartError(f"this machine has not the memory for it: {error}") from None
        except WorkerLostError as lost:
            raise StartError(str(lost)) from None
        if this.session.step:
            print(f"going on at step {this.session.step}")
        stop.worth_saving = True
        if this.workers:
            this.workers.stop = stop
            stop.listen()
        with closing(this.session):
            with progress_of(plan.total_steps) as progress, ExitStack() as quiet:
                if this.workers:  # when one is lost, TensorFlow has much to say
                    quiet.enter_context(stderr_to(folder.tensorflow_log))
                reason = trained(this, progress, stop)
            code = ended(this, stop.received, reason, perf_counter() - began)
            if this.workers:
                this.workers.dismiss(code)
    stop.requeue()
    return code


@contextmanager
def _while_locked() -> Iterator[None]:
    """Leaves a run whose folder another process may be writing to, as it is."""
    try:
        yield
    except LockLostError as lost:
        raise StartError(str(lost)) from None


def trained(this: Assembled, progress: Progress, stop: Stop) -> str:
    """Trains as far as it goes, and gives why it failed, or nothing."""
    from .loop import train
    from .session import DivergenceError

    reason = ""
    try:
        train(this, progress, stop)
    except (DivergenceError, WorkerLostError, WriteError, Refused) as error:
        reason = str(error)
    except CODE_EXITS as error:
        reason = f"code that the config names {raised(error)}"
    trouble = this.session.finish_saving()
    if trouble and not reason:
        reason = f"the last checkpoint could not be written: {trouble}"
    return reason


def ended(this: Assembled, signal_number: int | None, reason: str, seconds: float) -> int:
    """Says and writes down how it ended, and gives the exit code."""
    session = this.session
    if signal_number is not None:
        status, code = "interrupted", 128 + signal_number
        by = signal.Signals(signal_number).name
        print(f"{session.label}stopped by {by}; the same command goes on from here")
    elif reason:
        status, code = "failed", FAILED
    else:
        done = session.step == session.plan.total_steps or session.stands_still
        pruned = session.trial is not None and session.trial.pruned
        status, code = ("done" if done else "pruned" if pruned else "stopped"), DONE
    if reason:
        print(f"{session.label}{reason}", file=sys.stderr)
    result = veil_tree(_result(this, status, reason, seconds))
    try:
        session.folder.write_result(result)
    except OSError as error:
        print(f"{session.folder.result} could not be written: {error}", file=sys.stderr)
        return code or FAILED
    session.log.end(result, hurried=signal_number is not None)
    session.say_tracker_news()
    tell(result, session.folder)
    return code


def _result(this: Assembled, status: str, reason: str, seconds: float) -> dict[str, Any]:
    """What `result.json` holds."""
    from ..engine.machine import threads_in_use

    session, experiment = this.session, this.session.plan.experiment
    average = session.network.average_digest()
    stop = experiment.evaluate.stop if session.stands_still else None
    return {
        "status": status,
        **({"reason": reason, "diverged": session.diverged} if reason else {}),
        "steps": session.step,
        "metrics": session.metrics,
        **({"best": session.best._asdict()} if session.best else {}),
        **({"stopped_early": stop.summary(session.standstill)} if stop else {}),
        "rewinds": session.rewinds,
        "skipped": session.skipped,
        "weights_digest": session.network.digest(),
        **({"average_digest": average} if average else {}),
        "seconds": round(seconds, 3),
        "compile": this.choice.compile,
        "compile_origin": this.choice.origin,
        "compile_measured": this.choice.why,
        "threads": threads_in_use(),
        "steps_per_call": this.pace.steps_per_call,
        **({"together": this.together} if this.together > 1 else {}),
        "device": this.setup.device,
        "replicas": session.network.replicas,
        "data_digest": this.setup.data_digest,
        "command": sys.argv,
        **provenance(experiment.run.seed),
        "versions": versions(),
    }


def tell(result: dict[str, Any], folder: Folder) -> None:
    """One line on how it ended and where it all is."""
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in result["metrics"].items())
    print(
        f"{result['status']} at step {result['steps']}  {metrics}  in {display_path(folder.path)}"
    )

"""The loop: read the tape, make the updates, write down what was applied, evaluate, save."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.moments import Values

from ..runs.signals import Stop
from ..trackers import Lot
from .progress import Progress
from .session import Session


def train(session: Session, progress: Progress, stop: Stop) -> None:
    """Trains from `session.step` to where the run ends, or until somebody asks to stop.

    Raises:
        Diverged: at an update that is not finite, where `run.on_nonfinite` can't help.
        Unwritten: when the disk has taken no row of the record for too long.
    """
    declared = session.experiment
    logging, evaluation = declared.cadence(declared.log), declared.cadence(declared.evaluate)
    saving = declared.saving()
    end = declared.last_step()
    skips = declared.run.on_nonfinite == "skip"
    while session.step < end and stop.signal is None and session.listen():
        step = session.step
        until = min(cadence.next(step) for cadence in (evaluation, saving))
        until = session.commands.score.next(step, session.rewinds, min(until, end))
        count = min(session.pace.steps_per_call, until - step)

        table = session.tape.read(step, count)
        began = perf_counter()
        with session.profiling:
            losses, finite = session.program.update(table, step)
        seconds = perf_counter() - began

        bad = np.flatnonzero(~finite)
        good = len(losses) if skips else int(finite.sum())
        due = np.array(logging.within(step, step + good), np.int64) - 1
        told = due - step
        session.write(_rows(session, due, table[told], losses[told], len(losses) / seconds))
        if len(bad) and skips:
            session.skip((step + bad).tolist())
        elif len(bad):
            session.diverge(step + good, _why(session, step + good, table[good], losses[good]))
            continue

        session.step += count
        session.pace.took(count, seconds)
        best = evaluation.due(session.step) and session.evaluate()
        if best or saving.due(session.step):
            session.save()
        progress.show(session, losses, table, count / seconds)
    session.finish()


def _rows(
    session: Session,
    steps: NDArray[np.int64],
    table: Values,
    losses: NDArray[np.float32],
    rate: float,
) -> Lot:
    """What updates `steps` applied, and their losses."""
    columns: dict[str, NDArray[Any]] = {"step": steps}
    columns |= {"epoch": session.epoch(steps), "loss": losses}
    columns |= zip(session.tape.names, table.T, strict=True)
    return Lot(columns, {"updates_per_second": rate})


def _why(session: Session, t: int, values: Values, loss: np.float32) -> str:
    """What is not finite at update t, and what the update applied."""
    found = "a gradient was no longer finite" if np.isfinite(loss) else f"the loss became {loss}"
    applied = zip(session.tape.names, values, strict=True)
    told = ", ".join(f"{name} = {value:g}" for name, value in applied)
    return f"{found} at update {t}, which applied {told}"

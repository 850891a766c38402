"""The loop: read the tape, make the updates, write down what was applied, evaluate, save."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.moments import Values

from ..runs.signals import Stop
from ..trackers import Rows
from .assembly import Assembled
from .call import Call
from .progress import Progress
from .session import Session


def train(run: Assembled, progress: Progress, stop: Stop) -> None:
    """Trains from `session.step` to where the run ends, or until somebody asks to stop.

    Raises:
        DivergenceError: at an update that is not finite, where `run.on_nonfinite` can't help.
        WriteError: when the disk has taken no row of the metrics for too long.
    """
    session, steering, pace, plan = run.session, run.steering, run.pace, run.session.plan
    skips = plan.experiment.run.on_nonfinite == "skip"
    while session.step < plan.last_step and stop.received is None:
        steering.repeat()
        if ending := session.ending():
            session.say(*ending)
            break
        steering.obey()
        if steering.stopping:
            break

        step = session.step
        until = min(plan.last_step, plan.evaluation.next(step), plan.saving.next(step))
        until = session.replay.next(step, session.rewinds, until)
        count = min(pace.steps_per_call, until - step)

        table = session.tape.read(step, count)
        began = perf_counter()
        with run.profiler:
            losses, finite, measured = session.program.update(table, step)
        seconds = perf_counter() - began
        _say(session, run.profiler.news())

        bad = np.flatnonzero(~finite)
        good = len(losses) if skips else int(finite.sum())
        due = np.array(plan.logging.within(step, step + good), np.int64) - 1
        index = due - step
        measured = {name: values[index] for name, values in {"loss": losses, **measured}.items()}
        session.write(_rows(session, due, table[index], measured, len(losses) / seconds))
        if len(bad) and skips:
            session.skip((step + bad).tolist())
        elif len(bad):
            session.diverge(step + good, _why(session, step + good, table[good], losses[good]))
            continue

        session.step += count
        pace.took(count, seconds)
        best = plan.evaluation.due(session.step) and session.evaluate()
        if best or plan.saving.due(session.step):
            session.save()
        progress.show(_call(run, range(step, session.step), losses, table, count / seconds))
    run.profiler.close()
    _say(session, run.profiler.news())
    session.finish()


def _rows(
    session: Session,
    steps: NDArray[np.int64],
    table: Values,
    measured: Mapping[str, NDArray[np.float32]],
    rate: float,
) -> Rows:
    """What updates `steps` applied, and their losses."""
    columns: dict[str, NDArray[Any]] = {**session.place(steps), **measured}
    columns |= zip(session.tape.names, table.T, strict=True)
    return Rows(columns, {"updates_per_second": rate})


def _call(
    run: Assembled, steps: range, losses: NDArray[np.float32], table: Values, rate: float
) -> Call:
    """What a call into TensorFlow did, for those who watch."""
    session = run.session
    return Call(
        steps,
        losses,
        dict(zip(session.tape.names, table.T, strict=True)),
        dict(session.metrics),
        session.network.model,
        session.order.epochs(session.step),
        rate,
        session.folder.path,
        run.steering.request_stop,
    )


def _why(session: Session, t: int, values: Values, loss: np.float32) -> str:
    """What is not finite at update t, and what the update applied."""
    what = "a gradient was no longer finite" if np.isfinite(loss) else f"the loss became {loss}"
    applied = zip(session.tape.names, values, strict=True)
    listed = ", ".join(f"{name} = {value:g}" for name, value in applied)
    return f"{what} at update {t}, which applied {listed}"


def _say(session: Session, news: list[str]) -> None:
    for text in news:
        session.say("profile", text)

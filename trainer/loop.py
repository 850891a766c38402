"""The loop: read the tape, make the updates, write down what was applied, evaluate, save."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.moments import Values

from .progress import Progress
from .session import Session
from .signals import Stop


class Diverged(Exception):  # noqa: N818  # says what happened
    """A loss that is no longer a finite number."""


def train(session: Session, progress: Progress, stop: Stop) -> None:
    """Trains from `session.step` to where the run ends, or until `stop` is asked for.

    Raises:
        Diverged: at the first update whose loss is not finite.
    """
    declared = session.experiment
    logging = declared.cadence(declared.log)
    evaluation = declared.cadence(declared.evaluate)
    saving = declared.cadence(declared.checkpoint)
    end = declared.last_step()
    saved = session.step
    while session.step < end and stop.signal is None:
        step = session.step
        limits = evaluation.next(step), saving.next(step), end
        count = min(session.pace.steps_per_call, *(limit - step for limit in limits))

        table = session.tape.read(step, count)
        began = perf_counter()
        losses = session.program.update(table, session.stream.indices(step, count))
        seconds = perf_counter() - began

        finite = _finite(losses)
        due = [t for t in range(step, step + finite) if logging.due(t + 1)]
        rows = [_row(session, t, table[t - step], losses[t - step]) for t in due]
        session.record.write([{**row, "updates_per_second": count / seconds} for row in rows])
        if finite < count:
            raise _diverged(session, table[finite], step + finite, float(losses[finite]))

        session.step += count
        session.pace.took(count, seconds)
        if evaluation.due(session.step):
            session.evaluate()
        if saving.due(session.step):
            saved = session.step
            session.save()
        progress.show(session, float(losses[-1]), table[-1], count / seconds)
    if saved < session.step:
        session.save()
    session.record.show()


def _finite(losses: NDArray[np.float32]) -> int:
    """How many losses come before the first that is not finite."""
    wrong = np.flatnonzero(~np.isfinite(losses))
    return int(wrong[0]) if len(wrong) else len(losses)


def _row(session: Session, t: int, values: Values, loss: np.float32) -> dict[str, Any]:
    """What update t applied, and its loss."""
    applied = dict(zip(session.tape.names, values.tolist(), strict=True))
    return {"step": t, "epoch": session.epoch(t), "loss": float(loss), **applied}


def _diverged(session: Session, values: Values, t: int, loss: float) -> Diverged:
    applied = ", ".join(
        f"{name} = {value:g}" for name, value in zip(session.tape.names, values, strict=True)
    )
    return Diverged(
        f"the loss became {loss} at update {t}, which applied {applied}\n"
        "  hint: a lower learning rate, warmup=linear or optimizer.global_clipnorm=1.0"
    )

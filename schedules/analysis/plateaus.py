"""Whether a plateau can act in a run at all: asked by evaluations that bring no gain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from ..clock import Clock
from ..curve import Curve
from ..declaration import Refused, join_path
from ..declaration.number_text import value_text
from ..kinds.reactive import Plateau
from .heights import peak
from .preview import Place, horizon, walk

MOST = 10_000
"""How many evaluations are tried out; a plateau that waits for more is let be."""


def idle_plateaus(curve: Curve, place: Place) -> Iterator[tuple[str, str]]:
    """What keeps plateaus of a curve from ever making a cut, and the override that mends it."""
    trial = Curve(curve.schedule, curve.clock)
    plateaus = [
        (join_path(place.path, *path), part, clock)
        for path, part, clock in walk(trial.schedule, trial.clock)
        if isinstance(part, Plateau)
    ]
    waiting = []
    for path, part, clock in plateaus:
        if part.min_value > 0 and part.min_value >= (start := _start(part, clock)):
            name = join_path(path, "min_value")
            text = f"can't be cut: {name} = {value_text(part.min_value)} is no lower than it starts"
            yield f"{text}, {value_text(start)}", f"{name}=0"
        else:
            waiting.append((path, part, clock))
    if waiting and place.next_evaluation and _tried_out(trial, place.next_evaluation):
        for path, part, clock in waiting:
            if not part.state()[""]["cuts"]:
                yield _too_patient(path, part, clock)


def _start(plateau: Plateau, clock: Clock) -> float:
    """The greatest value before any cut."""
    if plateau.initial_value is not None or plateau.schedule is None:
        return plateau.initial_value or 0.0
    return peak(Curve(plateau.schedule, clock))


def _tried_out(curve: Curve, next_evaluation: Callable[[int], int]) -> bool:
    """Lets a curve hear a run whose evaluations bring no gain; whether that was done to the end.

    What an evaluation at the very end changes, no update applies.
    """
    end, step = len(horizon(curve.clock)), 0
    with suppress(Refused):  # by a plateau that lacks what a run fills in
        for _ in range(MOST):
            step = next_evaluation(step)
            if step >= end:
                return True
            curve.observe(0.0, step)
    return False


def _too_patient(path: str, plateau: Plateau, clock: Clock) -> tuple[str, str]:
    state = plateau.state()[""]
    observed = state["without_gain"] + (state["best"] is not None)
    needed = plateau.patience + 2  # one to compare with, and one more than are waited for
    name = join_path(path, "patience")
    text = (
        f"can't be cut: {name} = {plateau.patience} takes {needed} evaluations before the end, "
        f"and there are {observed}"
    )
    if observed >= 2:
        return text, f"{name}={observed - 2}"
    if every := (len(horizon(clock)) - 1) // (needed + 1):
        return text, f"evaluate.every={every}"
    return text, "a longer run"

"""`mode=lr_find`: a range test from its declaration to the override that it suggests."""

from __future__ import annotations

from schedules import Curve
from schedules.analysis.heights import overrides_for_peak
from schedules.declaration import refuse
from schedules.declaration.number_text import value_text

from ..config.plan import Plan
from ..engine.startup import import_tensorflow, stderr_to
from ..runs.atomic_files import write
from ..runs.exit_codes import DONE, FAILED
from ..runs.folder import Folder
from .lr_find_picture import svg


def find(plan: Plan, folder: Folder) -> int:
    """Sweeps a fresh network, leaves `lr_find.csv` and `lr_find.svg`, and says what to type.

    Gives the exit code: 0, or 1 where no learning rate lowered the loss.

    Raises:
        Refused: when the sweep begins where a network can't learn.
    """
    swept = plan.experiment.lr_find
    print(f"{plan.summary()}, tried out at rates from {swept.start:g} to {swept.end:g}")
    import_tensorflow(folder.tensorflow_log)
    with stderr_to(folder.tensorflow_log):
        from ..training.lr_range import sweep

        reading = sweep(plan)
    if len(reading.rates) < 2:
        rule = "is a rate at which the first update already breaks the network"
        raise refuse("lr_find.start", swept.start, rule, "lr_find.start=1e-6")
    write(folder.path / "lr_find.csv", reading.csv())
    write(folder.path / "lr_find.svg", svg(reading))
    ended = "where the loss diverged" if reading.diverged else "the end of the sweep"
    print(f"{len(reading.rates)} updates, up to {value_text(reading.rates[-1])}, {ended}")
    print(f"lr_find.csv and lr_find.svg are in {folder.path}")
    if reading.suggested is None:
        print("no learning rate lowered the loss; try another lr_find.start or a longer sweep")
        return FAILED
    lowest = value_text(reading.rates[reading.best])
    suggested = value_text(reading.suggested)
    print(f"suggested: {suggested}, a tenth of where the loss was lowest ({lowest})")
    planned = Curve(plan.driven["learning_rate"].schedule, plan.clock)
    print(f"  type: {overrides_for_peak(planned, reading.suggested)}")
    return DONE

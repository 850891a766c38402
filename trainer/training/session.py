"""One run put together, and what the loop asks of it besides updates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from schedules.moments import Values

from ..config.early_stopping import Standstill
from ..config.experiment import Experiment
from ..data import Split
from ..data.feeds.order import Stream
from ..engine.compile_choice import Chosen, Pace
from ..engine.network import Network
from ..engine.program import Updates
from ..engine.workers import Workers
from ..runs.checkpoint_writer import Saving
from ..runs.checkpoints import At, Saved
from ..runs.events import Events
from ..runs.folder import Folder
from ..runs.trial import Trial
from ..scheduled.tape import Tape
from ..trackers import Lot
from ..trackers.delivery import HURRIED, Couriers
from .metrics_log import Record
from .orders import Commands
from .profiling import Profiling


class Unfit(Exception):  # noqa: N818  # says what the checkpoint is
    """A checkpoint that was made by another kind of run than this one."""


class Diverged(Exception):  # noqa: N818  # says what happened
    """A loss, a gradient or a weight that is no longer a finite number."""


class Best(NamedTuple):
    """The best evaluation so far, by the metric that `checkpoint.keep_best` names."""

    value: float
    step: int


class Trains(Protocol):
    """What makes the updates: `trainer.engine.program.Program`, or a share of one."""

    def update(self, table: Values, step: int) -> Updates:
        """Makes one update a row of the tape, from `step` on."""

    def evaluate(self) -> dict[str, float]:
        """The means over all test examples."""


@dataclass
class Session:
    """What the loop reads and writes. `step` is the position: how many updates are done."""

    experiment: Experiment
    folder: Folder
    network: Network
    program: Trains
    tape: Tape
    stream: Stream
    record: Record
    couriers: Couriers
    events: Events
    commands: Commands
    saving: Saving
    chosen: Chosen
    pace: Pace
    profiling: Profiling
    data: Split
    device: str
    identity: dict[str, Any]
    """What a checkpoint must have in common with the run that goes on from it."""
    workers: Workers | None = None
    """Those of other processes, where there are any."""
    trial: Trial | None = None
    """What it tells the search that it is a part of."""
    step: int = 0
    saved: int = -1
    """The step of the last checkpoint."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What the last evaluation found."""
    best: Best | None = None
    standstill: Standstill = field(default_factory=Standstill)
    """What `evaluate.stop` goes by."""
    rewinds: int = 0
    skipped: int = 0
    diverged: bool = False
    """Whether it met something that is not finite, and could not go back."""
    enough: bool = False
    """Whether somebody in this process wants it to stop before the next call."""
    label: str = ""
    """What it says begins with, where several runs speak."""
    together: int = 1
    """How many runs one program trains."""

    @property
    def stands(self) -> bool:
        """Whether it is over, since evaluations have brought no gain for long enough."""
        stop = self.experiment.evaluate.stop
        return stop is not None and stop.reached(self.standstill)

    @overload
    def epoch(self, step: int) -> float: ...
    @overload
    def epoch(self, step: NDArray[np.int64]) -> NDArray[np.float64]: ...
    def epoch(self, step: int | NDArray[np.int64]) -> float | NDArray[np.float64]:
        """How many passes over the training examples `step` updates are."""
        return step * self.stream.batch_size / self.stream.examples

    def write(self, rows: Lot) -> None:
        """Writes rows; one that a kill took and that is made again must be the same."""
        if departed := self.record.write(rows):
            said = (
                f"update {departed[0]}, made again after a kill, gave other bits than before: "
                "is this another machine, device or version?"
            )
            self.say("departed", said, at=departed[0])
        self.hear()

    def hear(self) -> None:
        """Tells of trackers that failed or can't follow."""
        for said in self.couriers.news():
            self.say("tracker", said)

    def look(self) -> dict[str, float]:
        """The means over all test examples, named as rows name them."""
        return {f"eval_{name}": value for name, value in self.program.evaluate().items()}

    def evaluate(self) -> bool:
        """Looks at the test examples; the schedules that react to it hear what was found.

        Gives whether it is the best so far, where `checkpoint.keep_best` wants to know.
        """
        self.metrics = self.look()
        self.tape.observe(self.metrics, self.step)
        self.write(Lot.of({"step": self.step, "epoch": self.epoch(self.step), **self.metrics}))
        if self.trial:
            cadence = self.experiment.cadence(self.experiment.evaluate)
            self.trial.hear(self.metrics, cadence.count(self.step))
        if stop := self.experiment.evaluate.stop:
            found = self.metrics[stop.metric]
            self.standstill = stop.heard(self.standstill, found, self.step)
        wanted = self.experiment.checkpoint.keep_best
        if wanted is None:
            return False
        found, best = self.metrics[wanted.metric], self.best.value if self.best else None
        if better := wanted.better(found, best):
            self.best = Best(found, self.step)
        return better

    def save(self) -> None:
        """Begins to write a checkpoint of this very moment.

        Raises:
            Diverged: instead, when it would hold values that are not finite.
        """
        state = self.network.state()
        if spoilt := [name for name, array in state.items() if not np.isfinite(array).all()]:
            self.diverge(self.step, f"{spoilt[0]} is no longer finite at step {self.step}")
            return
        about = {
            "record": self.record.position(),
            "events": len(self.events.rows),
            "tape": self.tape.state(),
            "metrics": self.metrics,
            "best": self.best,
            "standstill": self.standstill,
            "rewinds": self.rewinds,
            "skipped": self.skipped,
            **self.identity,
        }
        spared = {self.best.step} if self.best else set()
        if self.experiment.run.on_nonfinite == "rewind":
            spared.add(self.experiment.saving().last(self.step))
        self.saving.begin(At(self.step, self.rewinds), state, about, spared, self.record.sync)
        self.saved = self.step

    def restore(self, saved: Saved, *, again: bool) -> None:
        """Goes to where a checkpoint was made; `again` says that what came after will come again.

        Raises:
            Unfit: when this run could not have made it.
        """
        about = saved.about
        try:
            self.network.restore(saved.arrays)
            self.tape.restore(about["tape"])
            self.record.go_on(about["record"], saved.step, again=again)
        except (EOFError, ValueError) as error:  # Refused is one
            raise Unfit(str(error)) from None
        self.step = self.saved = saved.step
        self.metrics = about["metrics"]
        self.best = Best(*about["best"]) if about["best"] else None
        self.standstill = Standstill(*about["standstill"])
        self.rewinds, self.skipped = about["rewinds"], about["skipped"]
        self.commands.recall(self, about["events"])

    def listen(self) -> bool:
        """Does what is ordered before the next update; gives False when that is to stop."""
        self.commands.repeat(self)
        if self.trial and self.trial.pruned:
            self.say("pruned", f"pruned at step {self.step}: other trials are ahead of it")
            return False
        if self.stands:
            best, step, count = self.standstill
            said = f"ended early: no gain in {count} evaluations since step {step}, at {best:g}"
            self.say("ended early", said)
            return False
        return self.commands.obey(self) and not self.enough

    def diverge(self, t: int, why: str) -> None:
        """Meets something that is not finite at update `t` by going back to a checkpoint.

        To one that was due, that is: where else somebody made the run stop must change nothing.

        Raises:
            Diverged: where `run.on_nonfinite` does not want that, or it is of no use.
        """
        run = self.experiment.run
        self.diverged = True
        if run.on_nonfinite != "rewind" or self.rewinds >= run.rewind_limit:
            after = f", after {self.rewinds} rewinds" if self.rewinds else ""
            hint = "a lower learning rate, warmup=linear or optimizer.global_clipnorm=1.0"
            raise Diverged(f"{why}{after}\n  hint: {hint}")
        self.saving.finish()
        due = self.experiment.saving().due
        saved, _ = self.saving.checkpoints.newest(lambda step: step == 0 or due(step))
        if saved is None:
            raise Diverged(f"{why}, and there is no checkpoint to go back to")
        rewinds = self.rewinds + 1
        self.restore(saved, again=False)
        self.diverged = False
        self.tape.slow_down(run.rewind_factor ** (rewinds - self.rewinds))
        self.rewinds = rewinds
        said = f"{why}: back to step {saved.step}, learning rates times {run.rewind_factor:g}"
        self.say("rewound", said, at=t)
        self.save()

    def skip(self, steps: list[int]) -> None:
        """Notes updates that were left out, since they were not finite."""
        self.skipped += len(steps)
        more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
        self.say("skipped", f"left out update {steps[0]}{more}, which was not finite", at=steps)

    def finish(self) -> None:
        """Sees to it that this very moment is in a checkpoint."""
        self.profiling.close()
        if self.saved < self.step:
            self.save()
        self.saving.finish()

    def close(self) -> None:
        """Waits for what is being written."""
        self.saving.close()
        self.record.close()
        self.couriers.close(None, HURRIED)
        self.events.close()

    def saved_or_not(self, step: int, error: OSError | None) -> None:
        """Says that the disk refuses a checkpoint, or takes one again."""
        if error is None:
            self.say("saved again", f"the disk takes checkpoints again, from step {step} on")
        else:
            why = f"{error.strerror or error}: {error.filename or self.folder.checkpoints}"
            said = f"no checkpoint of step {step} ({why}); it is tried again when the next is due"
            self.say("not saved", said)

    def say(self, event: str, said: str, **told: Any) -> None:
        """Tells whoever watches, and the record."""
        print(f"{self.label}{said}")
        self.events.add(self.step, event, said=said, **told)

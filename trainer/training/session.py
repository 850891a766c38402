"""The state of a run: what updates, evaluations and checkpoints have brought it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..config.early_stopping import Standstill
from ..config.plan import Plan
from ..data.feeds.order import ExampleOrder
from ..data.feeds.stream_reader import StreamReader
from ..engine.interfaces import Trainable, Trained
from ..runs.checkpoint_files import STREAM, Saved
from ..runs.checkpoint_writer import CheckpointWriter
from ..runs.checkpoints import CheckpointId, CheckpointMismatchError
from ..runs.events import Events
from ..runs.folder import Folder
from ..runs.orders import Replay
from ..runs.trial import Trial
from ..scheduled.tape import Tape
from ..trackers import Rows
from .metrics_log import MetricsLog


class DivergenceError(Exception):
    """A loss, a gradient or a weight that is no longer a finite number."""


class Best(NamedTuple):
    """The best evaluation so far, by the metric that `checkpoint.keep_best` names."""

    value: float
    step: int


class Ending(NamedTuple):
    """Why a run is over before its length is: the event, and what is said of it."""

    event: str
    text: str


@dataclass
class Session:
    """A run between two calls. `step` is its position: how many updates are done."""

    plan: Plan
    folder: Folder
    network: Trained
    program: Trainable
    tape: Tape
    order: ExampleOrder
    log: MetricsLog
    events: Events
    writer: CheckpointWriter
    identity: Callable[[], Mapping[str, Any]]
    """What a checkpoint must have in common with the run that goes on from it.

    Asked for by the thread that writes the first checkpoint: to tell images apart may take as long
    as to decode them all.
    """
    stream: StreamReader | None = None
    """What reads its examples, where they come one after another."""
    trial: Trial | None = None
    """What it tells the search that it is a part of."""
    label: str = ""
    """What each of its lines begins with, where several runs print."""
    step: int = 0
    saved: int = -1
    """The step of the last checkpoint."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The numbers of the last evaluation."""
    best: Best | None = None
    standstill: Standstill = field(default_factory=Standstill)
    """What `evaluate.stop` goes by."""
    rewinds: int = 0
    skipped: int = 0
    diverged: bool = False
    """Whether it met something that is not finite, and could not go back."""
    replay: Replay = field(default_factory=Replay)
    """The orders that are to be repeated."""
    before_end: dict[str, Any] | None = None
    """What the evaluation at the end of the run has changed, as it was before; None elsewhere."""

    @property
    def stands_still(self) -> bool:
        """Whether evaluations have brought no gain for as long as `evaluate.stop` waits."""
        stop = self.plan.experiment.evaluate.stop
        return stop is not None and stop.reached(self.standstill)

    def ending(self) -> Ending | None:
        """Why it is over before its length is, if so."""
        if self.trial and self.trial.pruned:
            return Ending("pruned", f"pruned at step {self.step}: other trials are ahead of it")
        if self.stands_still:
            best, step, count = self.standstill
            why = f"no gain in {count} evaluations since step {step}, at {best:g}"
            return Ending("ended early", f"ended early: {why}")
        return None

    def place(self, step: Any) -> dict[str, Any]:
        """What rows say of where they stand: the step, and the epoch where epochs are known."""
        return {"step": step, **({"epoch": self.order.epochs(step)} if self.order.examples else {})}

    def write(self, rows: Rows) -> None:
        """Writes rows; says so where one that is made again after a kill differs from before."""
        if departed := self.log.write(rows):
            text = (
                f"update {departed[0]}, made again after a kill, gave other bits than before: "
                "is this another machine, device or version?"
            )
            self.say("departed", text, at=departed[0])
        self.say_tracker_news()

    def say_tracker_news(self) -> None:
        """Says which trackers failed or can't follow."""
        for text in self.log.news():
            self.say("tracker", text)

    def look(self) -> dict[str, float]:
        """The means over all test examples, named as rows name them."""
        return {f"eval_{name}": value for name, value in self.program.evaluate().items()}

    def evaluate(self) -> bool:
        """Looks at the test examples; schedules that react observe the result.

        Returns whether it is the best so far, where `checkpoint.keep_best` wants to know.
        """
        experiment = self.plan.experiment
        if self.step == self.plan.total_steps:
            self.before_end = self._observed()
        self.metrics = self.look()
        self.tape.observe(self.metrics, self.step)
        self.write(Rows.single({**self.place(self.step), **self.metrics}))
        if self.trial:
            self.trial.report(self.metrics, self.plan.evaluation.count(self.step))
        if stop := experiment.evaluate.stop:
            self.standstill = stop.next_state(self.standstill, self.metrics[stop.metric], self.step)
        keep_best = experiment.checkpoint.keep_best
        if keep_best is None:
            return False
        value = self.metrics[keep_best.metric]
        if better := keep_best.better(value, self.best.value if self.best else None):
            self.best = Best(value, self.step)
        return better

    def save(self) -> None:
        """Begins to write a checkpoint of this very moment.

        Raises:
            DivergenceError: instead, when it would hold values that are not finite.
        """
        state = self.network.state()
        if spoilt := [name for name, array in state.items() if not np.isfinite(array).all()]:
            self.diverge(self.step, f"{spoilt[0]} is no longer finite at step {self.step}")
            return
        about = {
            "record": self.log.position(),
            "events": len(self.events.rows),
            **self._observed(),
            "before_end": self.before_end,
            "rewinds": self.rewinds,
            "skipped": self.skipped,
            "batch_sizes": self.plan.batch_sizes.since,
        }
        bests = [self.best, self.before_end and self.before_end["best"]]
        spared = {best.step for best in bests if best}
        if self.plan.experiment.run.on_nonfinite == "rewind":
            last = self.plan.saving.last(self.step)
            spared.add(max(last, self.plan.batch_sizes.changed_at))
        position = self.stream.position(self.step) if self.stream else {}
        arrays = {**state, **{f"{STREAM}{name}": array for name, array in position.items()}}

        def before_write() -> None:
            about.update(self.identity())  # training goes on while that looks at the data
            self.log.sync()

        self.writer.enqueue(
            CheckpointId(self.step, self.rewinds), arrays, about, spared, before_write
        )
        self._say_disk_news()
        self.saved = self.step

    def finish_saving(self) -> OSError | None:
        """Waits until all checkpoints are written; returns the disk's error, where it refused."""
        self.writer.finish()
        self._say_disk_news()
        return self.writer.disk_error

    def restore(self, saved: Saved, *, again: bool) -> None:
        """Goes to where a checkpoint was made; `again` says that what came after will come again.

        Raises:
            CheckpointMismatchError: when this run could not have made it.
        """
        about, plan = saved.about, self.plan
        ended = about.get("before_end") is not None and saved.step < plan.total_steps
        if ended and not plan.evaluation.due(saved.step):
            about = {**about, **about["before_end"]}
        try:
            self.network.restore(saved.arrays)
            if self.stream:
                self.stream.restore(saved.stream)
            others = self.tape.restore(about["tape"])
            belongs = plan.has_row if ended else None
            self.log.go_on(about["record"], saved.step, again=again, belongs=belongs)
            self.step = self.saved = saved.step
            self.metrics = about["metrics"]
            self.best = Best(*about["best"]) if about["best"] else None
            self.standstill = Standstill(*about["standstill"])
            self.rewinds, self.skipped = about["rewinds"], about["skipped"]
            self.recall(about["events"])
        except KeyError as error:
            raise CheckpointMismatchError(f"it lacks {error}") from None
        except (EOFError, TypeError, ValueError) as error:  # Refused is one
            raise CheckpointMismatchError(str(error)) from None
        for name in others:
            text = f"{name}: what another schedule had observed is left out"
            self.say("another schedule", text, name=name)

    def _observed(self) -> dict[str, Any]:
        """What evaluations have brought about."""
        return {
            "tape": self.tape.state(),
            "metrics": self.metrics,
            "best": self.best,
            "standstill": self.standstill,
        }

    def recall(self, seen: int) -> None:
        """Gets ready to repeat what was ordered after the first `seen` events, or elsewhere."""
        own = self.events.rows
        ids = {row.get("id") for row in own}
        elsewhere = [
            row for row in self.plan.experiment.run.replayed_events() if row.get("id") not in ids
        ]
        self.replay = Replay([*own[seen:], *elsewhere])

    def diverge(self, t: int, why: str) -> None:
        """Meets something that is not finite at update `t` by going back to a checkpoint.

        To one that was due, that is: where else somebody made the run stop must change nothing.

        Raises:
            DivergenceError: where `run.on_nonfinite` does not want that, or it is of no use.
        """
        run = self.plan.experiment.run
        self.diverged = True
        if run.on_nonfinite != "rewind" or self.rewinds >= run.rewind_limit:
            after = f", after {self.rewinds} rewinds" if self.rewinds else ""
            hint = "a lower learning rate, warmup=linear or optimizer.global_clipnorm=1.0"
            raise DivergenceError(f"{why}{after}\n  hint: {hint}")
        self.finish_saving()
        due, begun = self.plan.saving.due, self.plan.batch_sizes.changed_at
        saved, _ = self.writer.checkpoints.newest(
            lambda step: step == begun or (step > begun and due(step))
        )
        if saved is None:
            raise DivergenceError(f"{why}, and there is no checkpoint to go back to")
        rewinds = self.rewinds + 1
        self.restore(saved, again=False)
        self.diverged = False
        self.tape.slow_down(run.rewind_factor ** (rewinds - self.rewinds))
        self.rewinds = rewinds
        text = f"{why}: back to step {saved.step}, learning rates times {run.rewind_factor:g}"
        self.say("rewound", text, at=t)
        self.save()

    def skip(self, steps: list[int]) -> None:
        """Notes updates that were left out, since they were not finite."""
        self.skipped += len(steps)
        more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
        self.say("skipped", f"left out update {steps[0]}{more}, which was not finite", at=steps)

    def finish(self) -> None:
        """Sees to it that this very moment is in a checkpoint."""
        if self.saved < self.step:
            self.save()
        self.finish_saving()

    def close(self) -> None:
        """Waits for what is being written."""
        with closing(self.events), closing(self.log):
            if self.stream:
                self.stream.close()
            self.writer.close()
            self._say_disk_news()

    def say(self, event: str, text: str, **details: Any) -> None:
        """Prints a line, and records it as an event."""
        print(f"{self.label}{text}")
        self.events.add(self.step, event, said=text, **details)

    def _say_disk_news(self) -> None:
        """Says that the disk refuses checkpoints, or takes them again."""
        for step, error in self.writer.disk_changes():
            if error is None:
                text = f"the disk takes checkpoints again, from step {step} on"
                self.say("saved again", text)
            else:
                why = f"{error.strerror or error}: {error.filename or self.folder.checkpoints}"
                again = "it is tried again when the next is due"
                self.say("not saved", f"no checkpoint of step {step} ({why}); {again}")

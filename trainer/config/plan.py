"""What follows from an experiment: its clock, its steps, its curves, and when something is due."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from schedules import Clock, Curve, Duration
from schedules.analysis.preview import Place, Tried
from schedules.batch_sizes import BatchSizes
from schedules.declaration import did_you_mean, join_path, refuse, within
from schedules.kinds.reactive import unknown_direction

from ..losses import suited_loss
from ..scheduled.fields import Bounds, Driven
from .cadence import Cadence, Either
from .continued_curve import continued
from .run_length import RunLength

if TYPE_CHECKING:
    from .experiment import Experiment


@dataclass(frozen=True)
class Plan:
    """An experiment with all that can be worked out of it before anything is trained.

    It is worked out once, by `Plan.of`, and handed on; whoever needs a curve, a step count or a
    cadence takes it from here.
    """

    experiment: Experiment
    length: RunLength
    clock: Clock
    """What every duration of this run is measured against."""
    total_steps: int
    """The updates of the whole run; a last update that the length only cuts into counts."""
    driven: Mapping[str, Driven]
    """Everything that a schedule drives, by its name on the tape, the learning rate first."""
    curves: Mapping[str, Curve]
    """Every scheduled value by name, the learning rate first; to find one it is swept."""
    config_text: str = ""
    """What `config.yaml` is to hold once the run goes on; nothing where it stays as it is."""

    @classmethod
    def of(cls, experiment: Experiment, batch_sizes: BatchSizes | None = None) -> Self:
        """The plan of an experiment.

        `batch_sizes` are those of a run that went on with another one.

        Raises:
            Refused: when the data can't be counted, or the run's clock can't honour a schedule,
                with its override path.
        """
        if batch_sizes and len(batch_sizes.since) == 1:
            batch_sizes = None
        length = RunLength(experiment.data, experiment.run, experiment.device, batch_sizes)
        clock, values = length.clock(), experiment.driven()
        for path, every in _periods(experiment).items():
            length.check_unit(path, every)
        curves = {
            name: continued(name, v, length) if batch_sizes else Curve(v.schedule, clock, v.path)
            for name, v in values.items()
        }
        if experiment.mode == "lr_find":
            with within("lr_find"):
                curves = experiment.lr_find.curves(curves, clock)
        return cls(experiment, length, clock, length.updates(), values, curves)

    @property
    def longest_stretch(self) -> range:
        """The updates of the longest stretch in all of which the same groups are frozen.

        That is all of them where no group is frozen for a while. Of two as long it is the first.
        """
        thaws = {
            bisect_left(range(self.total_steps), True, key=partial(_is_thawed, curve))
            for curve in self._freezing.values()
        }
        edges = sorted({0, *thaws, self.total_steps})
        return max((range(*pair) for pair in pairwise(edges)), key=len, default=range(0))

    def frozen(self, step: int) -> tuple[str, ...]:
        """The groups of weights that are frozen in an update, until they thaw."""
        return tuple(group for group, curve in self._freezing.items() if curve(step) > 0)

    @property
    def _freezing(self) -> Mapping[str, Curve]:
        """What tells, above 0, that a group is frozen, by its name."""
        groups = self.experiment.optimizer.groups
        curves = {group: self.curves.get(f"groups.{group}.frozen") for group in groups}
        return {group: curve for group, curve in curves.items() if curve is not None}

    @property
    def batch_sizes(self) -> BatchSizes:
        """The batch size of every update."""
        return self.length.batch_sizes or BatchSizes(((0, self.experiment.data.batch_size),))

    @cached_property
    def last_step(self) -> int:
        """Where this process stops: the end, or `run.stop_after` if that comes first."""
        return self.length.stop()

    @cached_property
    def logging(self) -> Cadence:
        """When an update's row is written."""
        return self._cadence(self.experiment.log.every)

    @cached_property
    def evaluation(self) -> Cadence:
        """When the test examples are looked at."""
        return self._cadence(self.experiment.evaluate.every)

    @cached_property
    def saving(self) -> Either:
        """When a checkpoint is due, to be kept for a while or for good."""
        passing = self._cadence(self.experiment.checkpoint.every)
        return Either(tuple(filter(None, (passing, self._for_good))))

    def has_row(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is one that this run writes: of an update, or of an evaluation."""
        step = row["step"]
        return self.logging.due(step + 1) if "loss" in row else self.evaluation.due(step)

    def keeps_forever(self, step: int) -> bool:
        """Whether the checkpoint of a step is one of `checkpoint.keep_every`."""
        return self._for_good is not None and self._for_good.due(step)

    @property
    def bounds(self) -> dict[str, Bounds]:
        """What each scheduled value may be, by name."""
        return {name: value.bounds for name, value in self.driven.items()}

    @property
    def places(self) -> dict[str, Place]:
        """Where the config has each scheduled value, and what it may be, by name."""
        return {
            name: Place(
                join_path(*value.path), value.bounds, self._tried(name), self.evaluation.next
            )
            for name, value in self.driven.items()
        }

    @cached_property
    def evaluated(self) -> list[str]:
        """The numbers that an evaluation will give, by their names in rows.

        Raises:
            Refused: when loss or metrics don't fit the data.
        """
        facts, labels = self.experiment.data.facts(), self.experiment.data.known_labels()
        loss = suited_loss(self.experiment.loss, facts, labels)
        names = ("loss", *loss.part_names(), *self.experiment.metrics.for_data(facts, loss))
        return [f"eval_{name}" for name in names]

    def check_metrics(self, evaluated: Sequence[str] | None = None) -> None:
        """Whether everything that waits for a metric waits for one that evaluations will give.

        What those give is `evaluated`; where it is left out, and only a trial of the user's step
        would tell, nothing is checked yet.

        Raises:
            Refused: when it doesn't, or loss or metrics don't fit the data.
        """
        if evaluated is None:
            evaluated = self.evaluated
            if self.experiment.loss.compared is None:
                return
        metrics = dict.fromkeys(evaluated, 0.0)
        for curve in self.curves.values():
            deepcopy(curve).observe(metrics)  # a plateau would remember it
        experiment = self.experiment
        waiting = {
            "checkpoint.keep_best": experiment.checkpoint.keep_best,
            "evaluate.stop": experiment.evaluate.stop,
        }
        for path, waits in waiting.items():
            if waits and waits.metric not in metrics:
                rule = f"is not among what is evaluated: {', '.join(metrics)}"
                hint = did_you_mean(waits.metric, metrics)
                raise refuse(f"{path}.metric", waits.metric, rule, hint)
            if waits and waits.mode is None and waits.metric != "eval_loss":
                with within(path):
                    raise unknown_direction(waits.metric)

    def summary(self) -> str:
        """What is about to happen, in a line."""
        experiment = self.experiment
        parts = (experiment.schedule.kind, experiment.optimizer.kind, experiment.model.kind)
        batch, replicas = experiment.data.batch_size, experiment.device.replicas()
        shared = f", {batch // replicas} on each of {replicas} devices" if replicas > 1 else ""
        return (
            f"{' · '.join(parts)} on {experiment.data.kind}: {self.total_steps:,} updates "
            f"of {batch} examples{shared} ({experiment.run.length})"
        )

    @cached_property
    def _for_good(self) -> Cadence | None:
        every = self.experiment.checkpoint.keep_every
        return self._cadence(every) if every else None

    def _cadence(self, every: Duration) -> Cadence:
        sizes = self.length.batch_sizes
        examples = self.length.examples(every) if sizes else None
        if examples is None:
            return Cadence(self.clock.steps(every), self.total_steps)
        return Cadence(examples, self.total_steps, sizes)

    def _tried(self, name: str) -> Tried | None:
        """How high a value is known to train well; a range test goes where nobody would train."""
        optimizer = self.experiment.optimizer
        if optimizer.tried is None or name != "learning_rate" or self.experiment.mode != "train":
            return None
        return Tried(optimizer.kind, optimizer.tried, optimizer.steady)


def _is_thawed(curve: Curve, step: int) -> bool:
    return bool(curve(step) <= 0)


def _periods(experiment: Experiment) -> dict[str, Duration]:
    """How often things are due, by the overrides that declare it."""
    checkpoint = experiment.checkpoint
    periods = {
        "log.every": experiment.log.every,
        "evaluate.every": experiment.evaluate.every,
        "checkpoint.every": checkpoint.every,
    }
    if checkpoint.keep_every is not None:
        periods["checkpoint.keep_every"] = checkpoint.keep_every
    return periods

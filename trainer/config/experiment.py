"""The whole config as frozen models; importing and validating it needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from os import PathLike
from typing import Any, Literal

from pydantic import Field, PrivateAttr
from typing_extensions import Self

from schedules import Clock, Curve, Problem, Schedule
from schedules.analysis.plan import Place, Tried
from schedules.declaration import Declaration, did_you_mean, joined, refuse, within
from schedules.kinds.sequences import Part, Wrapped

from ..data import Data
from ..data.sources import in_memory  # noqa: F401  # registers its kinds
from ..losses import Auto, Loss
from ..metrics import Metrics
from ..models import Model
from ..models.exports import Export
from ..optimizers import Optimizer
from ..optimizers.averages import Ema
from ..runs.redaction import Path as At
from ..scheduled.fields import Driven, driven
from ..trackers import Log
from .allow_code import OURS, Allowed, forbidden
from .cadence import Cadence, Either
from .devices import Device
from .lr_find import RangeTest
from .run_length import Horizon
from .settings import Checkpoint, Evaluate, Resume, Run


class Experiment(Declaration):
    """Everything that a run is made of, and nothing that it could do without."""

    mode: Literal["train", "lr_find", "doctor"] = "train"
    """Whether to train, to try out learning rates and suggest one, or to look at the machine."""
    lr_find: RangeTest = RangeTest()
    """What is swept to find one."""
    schedule: Schedule
    """Drives the learning rate."""
    warmup: Part | None = None
    """A curve of factors that leads up to the schedule's first value."""
    cooldown: Part | None = None
    """A curve of factors that leads down from the schedule's last value."""
    optimizer: Optimizer
    ema: Ema | None = None
    """A running mean of the weights, by which evaluations are made; null for none."""
    loss: Loss = Auto()
    metrics: Metrics = Field(default_factory=lambda: Metrics.declared({}))
    """What evaluations tell besides the loss, and besides what they always do."""
    model: Model
    data: Data
    device: Device
    run: Run = Run()
    log: Log = Field(default_factory=Log.usual)
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoint = Checkpoint()
    resume: Resume = Resume()
    export: Export | None = None
    """A file with the model, written at the end; null for none."""
    allow_code: Allowed = False
    """Whether functions that it names may be imported and run; or the modules whose may."""

    _instead: dict[At, str] = PrivateAttr(default_factory=dict)
    """What the files of its run say in the place of secrets."""

    @classmethod
    def composed(
        cls, *asked: str | Mapping[str, Any], config_dir: str | PathLike[str] | None = None
    ) -> Self:
        """What `python -m trainer` with the same overrides would train.

        A mapping says values by their names, nested or with dots, and options of groups by their
        words; one with a `kind` replaces what was there. An override wins over any mapping, and
        the last of each over those before. `config_dir` is a folder that adds options to groups.

        Raises:
            Refused: with every problem by its override path.

        >>> this = Experiment.composed({"schedule": "cosine", "run.seed": 3}, "data=digits")
        >>> this.schedule.kind, this.run.seed, this.data.kind, this.optimizer.kind
        ('cosine', 3, 'digits', 'momentum')
        """
        from .from_python import composed

        values, instead = composed(asked, config_dir)
        experiment = cls.declared(values)
        experiment._instead.update(instead)
        return experiment

    @classmethod
    def from_file(
        cls, path: str | PathLike[str], *asked: str, config_dir: str | PathLike[str] | None = None
    ) -> Self:
        """What a YAML file declares: a run's own `config.yaml`, an experiment, or some values.

        One that says schedule, optimizer, model, data and device, each with its kind, is taken as
        it is; any other on top of the command line's defaults. Overrides win over the file.

        Raises:
            Refused: when it can't be read, and as `composed` does.
        """
        from .from_python import from_file

        return cls.composed(from_file(path), *asked, config_dir=config_dir)

    def check_export(self) -> None:
        """Whether the run can leave the file that it is to leave.

        Raises:
            Refused: with what to set, or to install.
        """
        if self.export is not None:
            with within("export"):
                self.export.check(self.ema is not None, self.checkpoint.keep_best is not None)

    def summary(self) -> str:
        """What is about to happen, in a line."""
        parts = (self.schedule.kind, self.optimizer.kind, self.model.kind)
        batch, replicas = self.data.batch_size, self.device.replicas()
        shared = f", {batch // replicas} on each of {replicas} devices" if replicas > 1 else ""
        return (
            f"{' · '.join(parts)} on {self.data.kind}: {self.total_steps():,} updates "
            f"of {batch} examples{shared} ({self.run.length})"
        )

    def total_steps(self) -> int:
        """The updates of the whole run; a last update that the length only cuts into counts."""
        return self._horizon().updates()

    def last_step(self) -> int:
        """Where this process stops: the end, or `run.stop_after` if that comes first."""
        return self._horizon().stop()

    def cadence(self, what: Log | Evaluate | Checkpoint) -> Cadence:
        """When logging, evaluating or saving is due."""
        return Cadence(self.clock().steps(what.every), self.total_steps())

    def saving(self) -> Either:
        """When a checkpoint is due, to be kept for a while or for good."""
        return Either(tuple(filter(None, (self.cadence(self.checkpoint), self._for_good()))))

    def keeps_forever(self, step: int) -> bool:
        """Whether the checkpoint of a step is one of `checkpoint.keep_every`."""
        cadence = self._for_good()
        return cadence is not None and cadence.due(step)

    def clock(self) -> Clock:
        """What every duration of this run is measured against."""
        return self._horizon().clock()

    def curves(self) -> dict[str, Curve]:
        """Every scheduled value by name, the learning rate first; to find one it is swept.

        Raises:
            Refused: when the run's clock can't honour one, with its override path.
        """
        clock, curves = self.clock(), {}
        for name, value in self.driven().items():
            curves[name] = Curve(value.schedule, clock, value.path)
        if self.mode == "lr_find":
            with within("lr_find"):
                curves["learning_rate"] = self.lr_find.curve(clock)
        return curves

    def driven(self) -> dict[str, Driven]:
        """Everything that a schedule drives, by its name on the tape, the learning rate first."""
        rate = Wrapped(warmup=self.warmup, schedule=self.schedule, cooldown=self.cooldown)
        values = {"learning_rate": Driven((), rate, self.optimizer.rates)}
        for name, value in self.optimizer.driven().items():
            values[name] = value._replace(path=("optimizer", *value.path))
        values |= driven(self.loss, "loss") | driven(self.model, "model")
        if self.ema:
            values |= {f"ema_{name}": value for name, value in driven(self.ema, "ema").items()}
        return values

    def evaluated(self) -> list[str]:
        """The numbers that an evaluation will find, by their names in rows.

        Raises:
            Refused: when loss or metrics don't fit the data.
        """
        facts = self.data.facts()
        with within("loss"):
            self.loss.fitting(facts)
        return [f"eval_{name}" for name in ("loss", *self.metrics.told(facts))]

    def check_metrics(self) -> None:
        """Whether everything that waits for a metric waits for one that evaluations will find.

        Raises:
            Refused: when it doesn't, or loss or metrics don't fit the data.
        """
        found = dict.fromkeys(self.evaluated(), 0.0)
        for curve in self.curves().values():
            deepcopy(curve).observe(found)  # which a plateau would remember
        waiting = {"checkpoint.keep_best": self.checkpoint.keep_best}
        for path, waits in (*waiting.items(), ("evaluate.stop", self.evaluate.stop)):
            if waits and waits.metric not in found:
                rule = f"is not among what is evaluated: {', '.join(found)}"
                hint = did_you_mean(waits.metric, found)
                raise refuse(f"{path}.metric", waits.metric, rule, hint)

    def places(self) -> dict[str, Place]:
        """Where the config has each scheduled value, and what it may be, by name."""
        return {
            name: Place(joined(*value.path), value.bounds, self._tried(name))
            for name, value in self.driven().items()
        }

    def _tried(self, name: str) -> Tried | None:
        """How high a value is known to train well; a range test goes where nobody would train."""
        height = self.optimizer.tried
        if height is None or name != "learning_rate" or self.mode != "train":
            return None
        return Tried(self.optimizer.kind, height)

    def code(self) -> Iterator[tuple[str, str]]:
        """The functions that it names, other than our own, each with its override path."""
        for value in self.driven().values():
            for path, name in value.schedule.code():
                if name != OURS:
                    yield joined(*value.path, path), name
        for part in ("loss", "metrics", "model", "data"):
            for path, name in getattr(self, part).code():
                yield joined(part, path), name

    def contradictions(self) -> Iterator[Problem]:
        return forbidden(self.code(), self.allow_code)

    def check_parts(self, replicas: int) -> None:
        """Refuses a batch that so many replicas can't share out equally."""
        self._horizon().check_parts(replicas)

    def _horizon(self) -> Horizon:
        return Horizon(self.data, self.run, self.device)

    def _for_good(self) -> Cadence | None:
        every = self.checkpoint.keep_every
        return Cadence(self.clock().steps(every), self.total_steps()) if every else None

"""The whole config as frozen models; importing and validating it needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from schedules import Clock, Curve, Problem, Schedule
from schedules.declaration import Declaration, join_path
from schedules.kinds.sequences import Part, Wrapped

from ..data import Data
from ..data.raw_data import RawData
from ..losses import Auto, Loss
from ..metrics import Metrics
from ..models import Model
from ..models.exports import Export
from ..models.initial_weights import InitialWeights
from ..optimizers import Optimizer
from ..optimizers.averages import Ema
from ..runs.known_secrets import veiled_refusals
from ..runs.redaction import KeyPath
from ..scheduled.fields import Driven, driven
from ..trackers import Log
from .allow_code import Allowed, forbidden_code
from .composition import Composition
from .devices import Device
from .key_hints import FIRST_KEY_HINTS
from .lr_find import RangeTest
from .metric_modes import with_modes
from .plan import Plan
from .settings import Checkpoint, Evaluate, Resume, Run


class Experiment(Declaration):
    """Everything that a run is made of, and nothing that it could do without."""

    key_hints: ClassVar[Mapping[str, str]] = FIRST_KEY_HINTS

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
    init_from: InitialWeights | None = None
    """Weights to begin with, of another run or a file; null for those that the model declares."""
    data: Data
    device: Device
    run: Run = Run()
    log: Log = Field(default_factory=Log.default)
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoint = Checkpoint()
    resume: Resume = Resume()
    export: Export | None = None
    """A file with the model, written at the end; null for none."""
    allow_code: Allowed = False
    """Whether functions that it names may be imported and run; or the modules whose may.

    It counts where it is typed or a program says it; in a file it is no permission.
    """

    _placeholders: dict[KeyPath, str] = PrivateAttr(default_factory=dict)
    _composition: Composition = PrivateAttr(default_factory=Composition)

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
        from .from_python import compose_values

        with veiled_refusals():
            values, placeholders = compose_values(asked, config_dir)
            experiment = cls.declared(values)
        experiment.placeholders.update(placeholders)
        experiment._composition = Composition(asked, config_dir)
        return experiment

    @property
    def composition(self) -> Composition:
        """What it was composed of, and what it took from a model that was compiled."""
        return self._composition

    def with_defaults(self, overrides: Sequence[str]) -> Self:
        """The same, composed with overrides of what it leaves unsaid.

        Raises:
            Refused: as `composed` does.
        """
        asked, config_dir = self._composition.asked or (), self._composition.config_dir
        return type(self).composed(*asked, *overrides, config_dir=config_dir)

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

        return cls.composed(*from_file(path), *asked, config_dir=config_dir)

    def with_parts(self, parts: Mapping[str, Any]) -> Self:
        """The same with other declarations in the place of some, checked as a whole.

        Raises:
            Refused: when they contradict the rest.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        complete = type(self).declared({**fields, **parts})
        complete.placeholders.update(self.placeholders)
        return complete

    @model_validator(mode="before")
    @classmethod
    def _metrics_know_their_direction(cls, config: Any) -> Any:
        return with_modes(config) if isinstance(config, Mapping) else config

    def model_post_init(self, _context: Any) -> None:
        if isinstance(self.data, RawData):
            self.data.ask(self.loss.asked_tasks())

    def curves(self) -> Mapping[str, Curve]:
        """Every scheduled value by name, the learning rate first, as a function of the step.

        Raises:
            Refused: when the run's clock can't honour one, with its override path.
        """
        return Plan.of(self).curves

    def total_steps(self) -> int:
        """The updates of the whole run; a last update that the length only cuts into counts."""
        return Plan.of(self).total_steps

    def clock(self) -> Clock:
        """What every duration of this run is measured against."""
        return Plan.of(self).clock

    @property
    def placeholders(self) -> dict[KeyPath, str]:
        """What the files of its run say in the place of secrets, by the secrets' paths."""
        return self._placeholders

    def driven(self) -> dict[str, Driven]:
        """Everything that a schedule drives, by its name on the tape, the learning rate first."""
        rate = Wrapped(warmup=self.warmup, schedule=self.schedule, cooldown=self.cooldown)
        values = {"learning_rate": Driven((), rate, self.optimizer.rate_bounds)}
        for name, value in self.optimizer.driven().items():
            values[name] = value._replace(path=("optimizer", *value.path))
        values |= self.loss.driven("loss") | driven(self.model, "model")
        if self.ema:
            values |= {f"ema_{name}": value for name, value in driven(self.ema, "ema").items()}
        return values

    def code(self) -> Iterator[tuple[str, str]]:
        """The functions that it names, other than our own, each with its override path."""
        for value in self.driven().values():
            for path, name in value.schedule.code():
                yield join_path(*value.path, path), name
        for part in ("loss", "metrics", "model", "data"):
            for path, name in getattr(self, part).code():
                yield join_path(part, path), name

    def contradictions(self) -> Iterator[Problem]:
        yield from forbidden_code(self.code(), self.allow_code)
        if self.ema and self.optimizer.averages:
            rule = f"cannot be combined with {self.optimizer.kind}, which keeps an average itself"
            yield Problem("ema", self.ema.model_dump(mode="json"), rule, "ema=null")

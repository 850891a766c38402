"""The whole config as frozen models; importing and validating it needs no TensorFlow."""

from __future__ import annotations

from math import ceil, isnan
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schedules import Clock, Curve, Duration, Schedule
from schedules.compose import Part, Wrapped
from schedules.declaration import Declaration, Flag, Number, Whole
from schedules.preview import Place, Tried
from schedules.refusal import joined, refuse, within
from schedules.schedule import Length

from .averages import Ema
from .cadence import Cadence, Either
from .data import Data
from .devices import Device
from .durable import objects
from .losses import CrossEntropy, Loss
from .models import Model
from .optimizers import Optimizer
from .range_test import RangeTest
from .scheduled import Driven, driven

OURS = "schedules.given:logistic"
"""A function of this project's own, there for an example."""


LONGEST = 10**9
"""The most updates of a run: looking over the curves of more would take hours."""


def _allowed(written: object) -> object:
    if isinstance(written, bool) or (
        isinstance(written, (list, tuple)) and all(isinstance(name, str) for name in written)
    ):
        return written
    hint = {"hint": "allow_code=true or allow_code=[my.module]"}
    raise PydanticCustomError("allowed", "must be true, false or a list of modules", hint)


def _count(written: object) -> object:
    if written == "auto" or (type(written) is int and written >= 1):
        return written
    hint = {"hint": "run.steps_per_call=auto aims at a fifth of a second"}
    raise PydanticCustomError("count", "must be a whole number from 1 on, or auto", hint)


class Run(Declaration):
    """How long a run lasts, from which seed, and how its loop is compiled."""

    length: Length = Duration.parse("10 epochs")
    """The horizon: what `100%` means to a schedule, and where training ends."""
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = 1
    """Draws the first weights, the order of the examples and all noise."""
    stop_after: Length | None = None
    """Stops early, with a checkpoint, without changing the horizon."""
    steps_per_call: Annotated[int | Literal["auto"], BeforeValidator(_count)] = "auto"
    """Updates in one call into TensorFlow; `auto` aims at a fifth of a second."""
    micro_batches: Annotated[Whole, Field(ge=1)] = 1
    """Equal parts of a batch whose gradients are worked out one after another, to save memory.

    They are averaged before clipping and the one update. Layers that look at a whole batch, such
    as batch normalization, see its parts.
    """
    compile: Literal["auto", "graph", "xla"] = "auto"
    """How the loop is compiled; `auto` measures both on the actual model."""
    deterministic: Flag = True
    """Whether TensorFlow may only use operations that give the same bits every time."""
    on_nonfinite: Literal["stop", "skip", "rewind"] = "stop"
    """What to do at an update whose loss or gradient is not finite.

    `stop` ends the run. `skip` leaves weights and slots as they were; the step counts. `rewind`
    goes back to the last checkpoint and on from there with every learning rate scaled down.
    """
    rewind_factor: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    """What each rewind multiplies the learning rates by."""
    rewind_limit: Annotated[Whole, Field(ge=0)] = 3
    """How many rewinds there may be before the run stops after all."""
    replay: Path | None = None
    """The `events.jsonl` of another run, whose commands are given here at the same steps."""

    def score(self) -> list[dict[str, Any]]:
        """The events to be played again.

        Raises:
            Refused: when their file can't be read.
        """
        if self.replay is None:
            return []
        try:
            return list(objects(self.replay.read_bytes()))
        except OSError as error:
            rule = f"can't be read: {error.strerror}"
            raise refuse("run.replay", str(self.replay), rule, "a run's events.jsonl") from None


class Log(Declaration):
    """What is written down of the updates."""

    every: Length = Duration.parse(10)
    """How often an update gets a row in `metrics.jsonl`; the last one always does."""


class Evaluate(Declaration):
    """When the test examples are looked at."""

    every: Length = Duration.parse("1 epoch")
    """How often; the end of the run always is."""


class KeepBest(Declaration):
    """Which evaluation is the best."""

    metric: str = "eval_loss"
    """The number to go by."""
    mode: Literal["min", "max"] = "min"
    """Whether a lower or a higher one is better."""

    def better(self, found: float, best: float | None) -> bool:
        """Whether `found` is better than the best so far."""
        if best is None or isnan(found):
            return not isnan(found)
        return found < best if self.mode == "min" else found > best


class Checkpoint(Declaration):
    """When the state is saved, and how much of it is kept."""

    every: Length = Duration.parse(1000)
    """How often; the end of the run always is."""
    keep: Annotated[Whole, Field(ge=1)] = 3
    """How many of the newest are kept."""
    keep_best: KeepBest | None = None
    """Keeps the one of the best evaluation too, which is then always saved; null for not."""
    keep_every: Length | None = None
    """Saves and keeps one every so often, for good; null for not."""


class Resume(Declaration):
    """What becomes of a folder whose run was declared otherwise."""

    policy: Literal["refuse", "config", "checkpoint"] = "refuse"
    """Whether a changed config is refused, or which of the two is right.

    `config`: the new one, as far as the checkpoint fits it. `checkpoint`: the folder's own.
    """


class Experiment(Declaration):
    """Everything that a run is made of, and nothing that it could do without."""

    mode: Literal["train", "lr_find"] = "train"
    """Whether to train, or to try out learning rates and suggest one."""
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
    loss: Loss = CrossEntropy()
    model: Model
    data: Data
    device: Device
    run: Run = Run()
    log: Log = Log()
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoint = Checkpoint()
    resume: Resume = Resume()
    allow_code: Annotated[bool | tuple[str, ...], BeforeValidator(_allowed)] = False
    """Whether functions that it names may be imported and run; or the modules whose may."""

    def summary(self) -> str:
        """What is about to happen, in a line."""
        parts = (self.schedule.kind, self.optimizer.kind, self.model.kind)
        return (
            f"{' · '.join(parts)} on {self.data.kind}: {self.total_steps():,} updates "
            f"of {self.data.batch_size} examples ({self.run.length})"
        )

    def total_steps(self) -> int:
        """The updates of the whole run; a last update that the length only cuts into counts."""
        with within("run", "length"):
            if self.run.length.unit == "%":
                hint = "run.length='10 epochs'"
                raise refuse("", str(self.run.length), "must not be a share of itself", hint)
            updates = ceil(self._units().steps(self.run.length))
            if updates > LONGEST:
                rule = f"is {updates:.3g} updates, and must not be more than {LONGEST:.0e}"
                raise refuse("", str(self.run.length), rule, "run.length='10 epochs'")
            return updates

    def last_step(self) -> int:
        """Where this process stops: the end, or `run.stop_after` if that comes first."""
        if self.run.stop_after is None:
            return self.total_steps()
        with within("run", "stop_after"):
            return min(ceil(self.clock().steps(self.run.stop_after)), self.total_steps())

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
        units = self._units()
        return Clock(self.total_steps(), units.batch_size, units.examples_per_epoch)

    def curves(self) -> dict[str, Curve]:
        """Every scheduled value by name, the learning rate first; to find one it is swept.

        Raises:
            Refused: when the run's clock can't honour one, with its override path.
        """
        clock, curves = self.clock(), {}
        for name, value in self.driven().items():
            with within(*value.path):
                self._check_code(value.schedule)
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

    def code(self) -> list[str]:
        """The functions that the config names, other than our own."""
        named = (name for value in self.driven().values() for _, name in value.schedule.code())
        return [name for name in named if name != OURS]

    def _for_good(self) -> Cadence | None:
        every = self.checkpoint.keep_every
        return Cadence(self.clock().steps(every), self.total_steps()) if every else None

    def _check_code(self, schedule: Schedule) -> None:
        """Refuses to import what a config names unless it says that it may; ours is harmless."""
        for path, name in schedule.code():
            module = name.partition(":")[0]
            allowed = self.allow_code
            if isinstance(allowed, tuple):
                allowed = any(f"{module}.".startswith(f"{known}.") for known in allowed)
            if not allowed and name != OURS:
                rule = "is code that the config names, and runs only with allow_code=true"
                hint = f"read it first; then add allow_code=true or allow_code=[{module}]"
                raise refuse(path, name, rule, hint)

    def _units(self) -> Clock:
        examples, batch = self.data.facts().examples, self.data.batch_size
        if batch > examples:
            rule = f"must not exceed the {examples} training examples"
            raise refuse("data.batch_size", batch, rule, f"data.batch_size={examples}")
        if batch % self.run.micro_batches:
            parts = [n for n in range(1, batch + 1) if not batch % n]
            hint = f"known: {', '.join(map(str, parts))}"
            rule = f"must divide data.batch_size = {batch}"
            raise refuse("run.micro_batches", self.run.micro_batches, rule, hint)
        return Clock(batch_size=batch, examples_per_epoch=examples)

"""The settings of a run besides data, model and optimizer: its length, evaluations, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schedules import Duration
from schedules.declaration import Declaration, Flag, Number, Whole, within
from schedules.schedule import Length

from ..runs.events import events_of
from .early_stopping import EarlyStop

MAX_THREADS = 1024
"""More than any machine's cores: TensorFlow starts as many as it is told, and hangs or dies of
thousands."""


def _count_or_auto(hint: str, most: int | None = None) -> BeforeValidator:
    def validate(value: object) -> object:
        if value == "auto" or (type(value) is int and 1 <= value <= (most or value)):
            return value
        rule = f"must be a whole number from 1 {f'to {most}' if most else 'on'}, or auto"
        raise PydanticCustomError("count", rule, {"hint": hint})

    return BeforeValidator(validate)


class Profile(Declaration):
    """A profile by TensorFlow of some calls."""

    calls: Annotated[Whole, Field(ge=1)] = 3
    """How many calls, once the run is warm; each adds megabytes."""


class Run(Declaration):
    """The length and seed of a run, and how its loop is compiled."""

    key_hints: ClassVar[Mapping[str, str]] = {
        "epochs": "run.length='5 epochs'",
        "num_epochs": "run.length='5 epochs'",
        "steps": "run.length=1000",
        "max_steps": "run.length=1000",
        "total_steps": "run.length=1000",
    }

    length: Length = Duration.parse("10 epochs")
    """The horizon: what `100%` means to a schedule, and where training ends."""
    seed: Annotated[Whole, Field(ge=0, lt=2**31)] = 1
    """Draws the first weights, the order of the examples and all noise."""
    stop_after: Length | None = None
    """Stops early, with a checkpoint, without changing the horizon."""
    steps_per_call: Annotated[
        int | Literal["auto"], _count_or_auto("run.steps_per_call=auto aims at a fifth of a second")
    ] = "auto"
    """Updates in one call into TensorFlow; `auto` aims at a fifth of a second."""
    micro_batches: Annotated[Whole, Field(ge=1)] = 1
    """Equal parts of a batch whose gradients are worked out one after another, to save memory.

    The gradients are averaged before clipping and the update. Layers that look at a whole batch,
    such as batch normalization, see its parts.
    """
    compile: Literal["auto", "graph", "xla"] = "auto"
    """How the loop is compiled; `auto` measures both on the actual model.

    On a CPU it leaves XLA out where there are convolutions in nine layers or more, where attention
    is most of the work, and where it would take more than twelve seconds to compile.
    """
    compile_cache: Flag = True
    """Whether `auto` remembers what it measured, in the user's cache folder, for like runs.

    What XLA compiled for the CPU is kept there, too, for the same program on the same machine.
    """
    threads: Annotated[
        int | Literal["auto"], _count_or_auto("run.threads=1, or auto", MAX_THREADS)
    ] = "auto"
    """How many threads an operation may take on the CPU; `auto` takes one a core, or one alone.

    With several threads, XLA splits the matrix products of a small network among them, which may
    cost more than it saves. TensorFlow takes the number before anything can be measured. Therefore,
    once a run of the command line has found XLA to be faster, at thousands of updates a second, the
    next run like it tries a single thread, and later ones take the faster number.
    """
    profile: Profile | None = None
    """Writes a profile of a few calls for TensorBoard into the run's folder; null for none."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """What layers compute in; weights, loss and scheduled values are float32 whatever it is.

    `mixed_float16` scales the loss, by a factor adapted while training, to keep small gradients
    from vanishing. An update at too high a scale is repeated at a lower one before the next update:
    none is left out, and `on_nonfinite` applies only where no scale helps.
    """
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

    def replayed_events(self) -> list[dict[str, Any]]:
        """The events of `replay`, whose commands this run repeats.

        Raises:
            Refused: when their file can't be read, or is no record of events.
        """
        with within("run.replay"):
            return events_of(self.replay) if self.replay else []


class Evaluate(Declaration):
    """When the run is evaluated on the test examples."""

    every: Length = Duration.parse("1 epoch")
    """How often; there is always an evaluation at the end of the run."""
    stop: EarlyStop | None = None
    """Ends the run when evaluations bring no gain any more; null for never."""


class KeepBest(Declaration):
    """How to find the best evaluation."""

    metric: str = "eval_loss"
    """The number to go by."""
    mode: Literal["min", "max"] | None = None
    """Whether a lower metric is better or a higher one; null for what the metric itself says."""

    def better(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best so far; nan never is."""
        if best is None or isnan(value):
            return not isnan(value)
        return value > best if self.mode == "max" else value < best


class Checkpoint(Declaration):
    """When the state is saved, and which checkpoints are kept."""

    every: Length = Duration.parse(1000)
    """How often; there is always a checkpoint at the end of the run. A checkpoint that would be
    removed within a second is not written."""
    keep: Annotated[Whole, Field(ge=1)] = 3
    """How many of the newest are kept."""
    keep_best: KeepBest | None = None
    """Keeps the one of the best evaluation too, which is then always saved; null for not."""
    keep_every: Length | None = None
    """How often to save a checkpoint that is kept for good; null for never."""


class Resume(Declaration):
    """What to do when a folder's run has another config."""

    policy: Literal["refuse", "config", "checkpoint"] = "refuse"
    """Whether a changed config is refused, or which of the two is right.

    `config`: the new one, as far as the checkpoint fits it. `checkpoint`: the folder's.
    """

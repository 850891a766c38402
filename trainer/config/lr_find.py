"""The learning-rate range test: where training begins to learn, and where it falls apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Annotated

import numpy as np
from pydantic import Field

from schedules import Clock, Curve, Duration
from schedules.analysis.heights import peak, two_digits
from schedules.declaration import Declaration, Float32, Number, Problem, refuse
from schedules.declaration.scalars import LEAST
from schedules.kinds.decays import Exponential
from schedules.kinds.piecewise import Constant
from schedules.moments import Values
from schedules.schedule import Length

SMOOTHING = 0.9
"""The share of the smoothed loss that stays at each update."""
DIVERGED = 4.0
"""How many times its lowest value the smoothed loss may reach: fastai's bound."""
MARGIN = 10.0
"""How far below the rate of the lowest loss the suggested one is."""
MIN_UPDATES = 20
"""The fewest updates of a sweep."""


class RangeTest(Declaration):
    """A sweep of the learning rate over a fresh network, from far too low to far too high.

    The rate of update t of T is `start * (end / start) ** (t / (T - 1))`; all other values are
    those of the first updates of the run. But weights that the run freezes for a while learn from
    the beginning, and the factors of groups are at their greatest: the rate has to suit the whole
    network at its liveliest. The sweep ends early where the loss diverges.

    Source: Smith 2015, arXiv 1506.01186, with the exponential sweep and the stop of fastai.
    """

    start: Annotated[Number, Field(gt=0)] = 1e-6
    """The first learning rate."""
    end: Annotated[Float32, Field(gt=0)] = 10.0
    """The last one, if training gets there."""
    length: Length = Duration.parse(300)
    """How long the whole sweep is."""

    def contradictions(self) -> Iterator[Problem]:
        if self.end <= self.start:
            rule = f"must be above start = {self.start:g}"
            yield Problem("end", self.end, rule, "lr_find.end=10")
        elif self.start < LEAST:
            rule = f"must be at least {LEAST:.1e}: a lower one is 0 in float32"
            yield Problem("start", self.start, rule, "lr_find.start=1e-6")

    def curves(self, planned: Mapping[str, Curve], clock: Clock) -> dict[str, Curve]:
        """What is swept: the planned curves of a run, with a rate that rises.

        Raises:
            Refused: as by `curve`.
        """
        curves = {**planned, "learning_rate": self.curve(clock)}
        for name, curve in planned.items():
            match name.rpartition(".")[2]:
                case "frozen":
                    thawed = curve(ceil(clock.total_steps or 1) - 1)
                    curves[name] = Curve(Constant(value=thawed), clock)
                case "learning_rate_factor":
                    curves[name] = Curve(Constant(value=peak(curve)), clock)
        return curves

    def curve(self, clock: Clock) -> Curve:
        """The sweep, on a clock that ends with it.

        Raises:
            Refused: when the sweep is too short to show anything.
        """
        updates = ceil(clock.steps(self.length))
        if updates < MIN_UPDATES:
            rule = f"must be at least {MIN_UPDATES} updates, and is {updates}"
            raise refuse("length", self.length.config_value(), rule, "lr_find.length=300")
        rise = Exponential(
            initial_value=self.start,
            decay_steps=Duration.parse(updates - 1),
            decay_rate=self.end / self.start,
        )
        return Curve(rise, Clock(updates, clock.batch_size, clock.examples_per_epoch))


@dataclass(frozen=True)
class Reading:
    """The learning rates of a sweep as far as it went, and the finite loss at each of them."""

    rates: Values = field(default_factory=lambda: np.empty(0))
    losses: Values = field(default_factory=lambda: np.empty(0))
    broke: bool = False
    """Whether the next loss was not finite."""

    def followed_by(self, rates: Values, losses: Values) -> Reading:
        """A longer reading: more of the sweep, up to the first loss that is not finite."""
        finite = int(np.logical_and.accumulate(np.isfinite(losses)).sum())
        return Reading(
            np.concatenate([self.rates, rates[:finite]]),
            np.concatenate([self.losses, losses[:finite]]),
            finite < len(losses),
        )

    @property
    def smoothed(self) -> Values:
        """The running mean `s = 0.9 * s + 0.1 * loss`, corrected for its start at 0.

        >>> Reading(np.array([0.1, 1.0]), np.array([2.0, 2.0])).smoothed
        array([2., 2.])
        """
        mean, means = 0.0, []
        for t, loss in enumerate(self.losses.tolist(), start=1):
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            means.append(mean / (1 - SMOOTHING**t))
        return np.array(means)

    @property
    def diverged(self) -> bool:
        """Whether the last losses show that no higher rate is worth trying."""
        return self.broke or bool(self.smoothed[-1] > DIVERGED * self.smoothed.min())

    @property
    def best(self) -> int:
        """The update with the lowest smoothed loss."""
        return int(self.smoothed.argmin())

    @property
    def suggested(self) -> float | None:
        """A tenth of the rate with the lowest smoothed loss; None where none lowered it.

        At that rate itself the loss is about to rise. A tenth is fastai's `lr_min`, and errs on the
        safe side.
        """
        if not len(self.losses) or self.smoothed[self.best] > 0.95 * self.losses[0]:
            return None
        return two_digits(float(self.rates[self.best]) / MARGIN)

    def csv(self) -> str:
        """One row an update, in full precision."""
        rows = zip(self.rates.tolist(), self.losses.tolist(), self.smoothed.tolist(), strict=True)
        return "learning_rate,loss,smoothed_loss\n" + "".join(
            f"{rate!r},{loss!r},{mean!r}\n" for rate, loss, mean in rows
        )

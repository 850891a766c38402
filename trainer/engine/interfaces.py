"""What the loop around the updates needs: of a network, and of what makes its updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, Self

import keras
import numpy as np
from numpy.typing import NDArray

from schedules.moments import Values

from .initial_weights import Beginning


class Updates(NamedTuple):
    """What came of the updates of one call, each with an entry."""

    losses: NDArray[np.float32]
    finite: NDArray[np.bool_]
    """Whether the loss and every gradient were."""
    measured: Mapping[str, NDArray[np.float32]] = MappingProxyType({})
    """What they told besides the loss, by name."""

    @classmethod
    def of(
        cls, losses: NDArray[np.float32], finite: NDArray[np.bool_], measured: Sequence[str]
    ) -> Self:
        """The updates of a program that gives the loss, or it and other numbers in a row."""
        if not measured:
            return cls(losses, finite)
        return cls(losses[:, 0], finite, dict(zip(measured, losses.T[1:], strict=True)))

    @classmethod
    def joined(cls, stretches: Sequence[Updates]) -> Self:
        """The updates of one stretch after another."""
        losses, finite, measured = zip(*stretches, strict=True)
        together = {name: np.concatenate([each[name] for each in measured]) for name in measured[0]}
        return cls(np.concatenate(losses), np.concatenate(finite), together)


class Trained(Protocol):
    """A network as the loop around its updates sees it."""

    @property
    def model(self) -> keras.Model:
        """The model, to be looked at."""

    @property
    def begun(self) -> Beginning | None:
        """What of its weights it has from another run or program."""

    @property
    def replicas(self) -> int:
        """How many of it there are, on as many devices."""

    @property
    def evaluated(self) -> list[str]:
        """The numbers of an evaluation, by their names in rows."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Every variable by name: weights, seeds of dropout, slots, averages, and the step."""

    def check(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Whether `restore` can put back a state.

        Raises:
            ValueError: when a name, a shape or a type is not what this network has.
        """

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Puts back what `state` gave.

        Raises:
            ValueError: when a name, a shape or a type is not what this network has.
        """

    def digest(self) -> str:
        """A fingerprint of the weights, equal only where every bit is."""

    def average_digest(self) -> str | None:
        """The same of the averaged weights, where there are any."""


class Trainable(Protocol):
    """What makes the updates: `trainer.engine.program.Program`, or a share of one."""

    def update(self, table: Values, step: int) -> Updates:
        """Makes one update a row of the tape, from `step` on."""

    def evaluate(self) -> dict[str, float]:
        """The means over all test examples."""

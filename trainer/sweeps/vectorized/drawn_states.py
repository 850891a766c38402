"""What the networks of runs begin with, each as it would be drawn without other runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np

from ...config.experiment import Experiment
from ...training.setup import RunSetup
from .grouping import PER_RUN_SETTINGS, mask
from .lanes import Arrays

MODEL = "model/"
"""How the names of a model's variables begin."""


class DrawnStates:
    """Draws networks, and builds no more of each than its seed decides.

    Runs that differ in nothing that a network begins with have one state. Where they differ in the
    seed, two networks are built whole; of the others the model alone, which is drawn first. What
    is the same in both belongs to all: slots of zeros. What is not must be a copy of a weight, as
    averages are, or all are built whole.
    """

    def __init__(self) -> None:
        self._states: dict[tuple[str, int], Arrays] = {}
        self._whole: dict[str, list[Arrays]] = {}
        self._copies: dict[str, Mapping[str, str] | None] = {}
        """The weight that each copy is of, by the names of variables; None where some differ and
        are copies of none."""

    def of(self, setup: RunSetup) -> Arrays:
        """The state of a run's network before its first update.

        Raises:
            Refused: as `RunSetup.network` says.
        """
        experiment = setup.plan.experiment
        network, seed = _all_but_seed(experiment), experiment.run.seed
        if (network, seed) not in self._states:
            self._states[network, seed] = self._redrawn(network, setup) or self._built(
                network, setup
            )
        return self._states[network, seed]

    def _built(self, network: str, setup: RunSetup) -> Arrays:
        state = setup.network().state()
        whole = self._whole.setdefault(network, [])
        if len(whole) < 2:
            whole.append(state)
        if len(whole) == 2 and network not in self._copies:
            self._copies[network] = _copies(*whole)
        return state

    def _redrawn(self, network: str, setup: RunSetup) -> Arrays | None:
        """The state by its model alone; None where that does not tell all of it."""
        copies = self._copies.get(network)
        if copies is None:
            return None
        first = self._whole[network][0]
        drawn = {MODEL + path: value for path, value in setup.drawn_weights()}
        if drawn.keys() != {name for name in first if name.startswith(MODEL)}:
            return None
        state = {**first, **drawn}
        return state | {name: drawn[weight] for name, weight in copies.items()}


def _all_but_seed(experiment: Experiment) -> str:
    """A text that is equal for two experiments whose networks are drawn alike but for the seed."""
    declared = experiment.model_dump(mode="json")
    for setting in PER_RUN_SETTINGS:
        mask(declared, tuple(setting.split(".")))
    return json.dumps(declared, sort_keys=True)


def _copies(one: Arrays, other: Arrays) -> Mapping[str, str] | None:
    """The weight that each variable besides the model's is a copy of, if it differs in two states.

    None where a variable differs and is a copy of none, or of two that are alike.
    """
    if one.keys() != other.keys():
        return None

    def same(name: str, weight: str) -> bool:
        return all(_equal(state[name], state[weight]) for state in (one, other))

    def differing() -> Iterator[str]:
        for name in one:
            if not name.startswith(MODEL) and not _equal(one[name], other[name]):
                yield name

    weights = [name for name in one if name.startswith(MODEL)]
    found = {name: [weight for weight in weights if same(name, weight)] for name in differing()}
    if any(len(matching) != 1 for matching in found.values()):
        return None
    return {name: weight for name, (weight,) in found.items()}


def _equal(a: object, b: object) -> bool:
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()

"""The model of an experiment, built and tried on the shapes of its data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import keras

from schedules.declaration import Refused, refuse

from ..config.experiment import Experiment
from ..data import Facts
from ..data.trees import Tree
from ..losses.loss import Loss
from ..scheduled.dials import Dials
from .fit import check_fit, shapes_of
from .freezing import frozen_weights, resting
from .initial_weights import Beginning, begin
from .precision import dtype_policy
from .weight_names import WeightNames


class Fitted(NamedTuple):
    """A model that fits the data."""

    model: keras.Model
    begun: Beginning | None
    """What of its weights it has from elsewhere."""
    frozen: Sequence[keras.Variable]
    """The weights that never train."""
    shapes: Tree[tuple[int | None, ...]] | None
    """Those of the outputs; None where they are not compared with labels."""


def fitted(experiment: Experiment, dials: Dials, loss: Loss, each: int, *, begins: bool) -> Fitted:
    """The model of an experiment, which takes `each` examples at a time and gives them to `loss`.

    Where it `begins` a run, it has the weights that `init_from` declares.

    Raises:
        Refused: when it does not fit the data.
    """
    facts = experiment.data.facts()
    try:
        model = built_model(experiment, facts, dials)
        for weight in model.weights:
            if 0 in weight.shape:  # Keras refuses sizes below 0 only
                raise ValueError(f"{weight.path} would have no entries")
        begun = None
        if begins and experiment.init_from:
            begun = begin(model, experiment.init_from)
        frozen = frozen_weights(WeightNames(model), experiment.model.frozen)
        with resting(model, frozen):
            shapes = check_fit(model, experiment.model.kind, facts, loss, each)
    except Refused:
        raise
    except ValueError as error:  # what Keras says of shapes that don't fit
        lines = re.sub(r"\x1b\[\dm", "", str(error)).splitlines()
        why = next((line for line in lines[1:] if line), lines[0]).partition(" for '")[0]
        rule = f"does not fit inputs of shape {shapes_of(facts)}: {why}"
        if facts.buckets is not None:
            rule = f"does not fit inputs of any number of steps: {why}"
            hint = "leave out data.buckets, or a network that takes any, as rnn and text do"
            raise refuse("model", experiment.model.kind, rule, hint) from None
        raise refuse("model", experiment.model.kind, rule, "fewer or smaller layers") from None
    return Fitted(model, begun, frozen, shapes)


def built_model(experiment: Experiment, facts: Facts, dials: Dials) -> keras.Model:
    """The model of an experiment, whose weights are drawn from Keras' global seed."""
    with dtype_policy(experiment.run.precision):
        return experiment.model.build(facts.of_any_length(), dials)

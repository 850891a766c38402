"""The network of an experiment, built and checked against its data, before the first update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ..config.experiment import Experiment
from ..data.trees import Tree
from ..losses import suited_loss
from ..metrics import check_evaluation
from ..optimizers.averages import Average
from ..scheduled.dials import Dials
from ..scheduled.draws import Draws
from .fit import has_fixed_batch, takes_inputs_of
from .fitted_model import fitted
from .forward import Forward
from .freezing import resting
from .network import Network
from .parameter_groups import Groups
from .precision import Scaling


def declared_network(
    experiment: Experiment,
    names: Sequence[str],
    labels: Tree[Any] | None = None,
    *,
    stateless: bool = False,
    begins: bool = False,
) -> Network:
    """The network of an experiment as it is before its first update.

    Where it `begins` a run, it has the weights that `init_from` declares.

    `names` are those of the tape; `labels`, those that train, may be left out where the loss
    asks for nothing of them. The weights are drawn from Keras' global seed. `stateless`
    optimizers make updates within a `keras.StatelessScope`, and only there.

    Raises:
        Refused: when model, loss or metrics don't fit the data, or a parameter group means no
            weight.
    """
    facts, dials = experiment.data.facts(), Dials(names)
    loss = suited_loss(experiment.loss, facts, labels)
    metrics = experiment.metrics.for_data(facts, loss)
    check_evaluation(loss, metrics, facts)
    together = experiment.run.micro_batches * experiment.device.replicas()
    each = experiment.data.batch_size // together
    model, begun, frozen, shapes = fitted(experiment, dials, loss, each, begins=begins)
    if shapes is None:
        metrics, loss = experiment.metrics.without_outputs(), loss.without_outputs()
    else:
        loss = loss.for_outputs(shapes, facts)
    is_fixed = has_fixed_batch(model, experiment.model.kind, facts, each, together)
    takes_data = shapes is not None or takes_inputs_of(model, facts, each)
    draws = Draws(experiment.run.seed, model)
    forward = Forward(model, facts, loss)
    with resting(model, frozen):
        step_names = loss.check_step(model, facts, dials, draws, each)
        penalties = ["penalties"] if forward.penalties() else []
        groups = Groups(experiment.optimizer, model, dials, stateless=stateless)
        if step_names.groups:
            groups.follow(step_names.groups)
        ema = experiment.ema
        average = Average(ema, model.trainable_variables, dials) if ema else None
    measured = (*loss.part_names(), *step_names.parts, *penalties)
    step = tf.Variable(0, dtype=tf.int64, name="global_step")
    scaling = Scaling() if experiment.run.precision == "mixed_float16" else None
    return Network(
        model,
        loss,
        groups,
        average,
        dials,
        step,
        scaling,
        metrics,
        measured=measured,
        facts=facts,
        evaluation_size=each if is_fixed or loss.compared is None else None,
        draws=draws,
        forward=forward,
        is_compared=shapes is not None,
        takes_data=takes_data,
        frozen=frozen,
        begun=begun,
    )

"""What a run changes: a model, its optimizers and averages, and how many updates they have had."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

from ..data import Facts
from ..data.feeds.batch import Batch
from ..data.trees import Tree
from ..losses.loss import Loss
from ..metrics import Metric, judge
from ..optimizers.averages import Average
from ..scheduled.dials import Dials
from ..scheduled.draws import Draws
from .forward import Forward
from .freezing import resting
from .initial_weights import Beginning
from .network_state import check_state, fingerprint, value_of
from .parameter_groups import Groups
from .precision import Scaling
from .row_updates import looking_up


@dataclass
class Network:
    """Everything that updates read or change, and a checkpoint holds."""

    model: keras.Model
    loss: Loss
    groups: Groups
    average: Average | None
    dials: Dials
    global_step: tf.Variable
    scaling: Scaling | None = None
    """What scales the loss, where layers compute in float16."""
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    """What evaluations tell besides the loss."""
    settled: bool = False
    """Whether the averages have taken the place of the weights."""
    measured: tuple[str, ...] = ()
    """What updates tell besides the loss, by the names of rows."""
    facts: Facts = field(kw_only=True)
    evaluation_size: int | None = field(default=None, kw_only=True)
    """How many test examples it takes at a time, where it can't take any number."""
    draws: Draws = field(kw_only=True)
    """What code that keeps no state of its own draws random numbers by."""
    forward: Forward = field(kw_only=True)
    """The model, its inputs and outputs by the names of the data."""
    is_compared: bool = field(default=True, kw_only=True)
    """Whether outputs are compared with labels; a step of the user's own may do as it likes."""
    takes_data: bool = field(default=True, kw_only=True)
    """Whether it can be called with the inputs of the data; a step may call it with others."""
    begun: Beginning | None = field(default=None, kw_only=True)
    """What of its weights it has from elsewhere."""
    frozen: Sequence[keras.Variable] = field(default=(), kw_only=True)
    """The weights that never train, as `model.frozen` says, with those that keep what inputs were.
    """

    def __post_init__(self) -> None:
        model = self.model
        with resting(model, self.frozen):
            self.trainable: list[keras.Variable] = list(model.trainable_variables)
            """The weights that train, at once or when their group thaws."""
        still = {id(weight) for weight in (*self.trainable, *self.frozen)}
        self.kept = [variable for variable in model.variables if id(variable) not in still]
        """What training moves without an optimizer: states of random numbers, means of inputs."""
        weights = {id(weight) for weight in model.weights}
        self.statistics = [variable for variable in self.kept if id(variable) in weights]
        """Those of them that are weights."""

    @contextmanager
    def training(self, frozen: Collection[str] = ()) -> Iterator[None]:
        """Within the block the model has those weights train that do while groups are `frozen`."""
        resting_weights = [*self.frozen, *self.groups.resting(frozen)]
        with resting(self.model, resting_weights), looking_up(self.model):
            yield

    @property
    def replicas(self) -> int:
        """How many of it there are, on as many devices."""
        return 1

    @property
    def evaluated(self) -> list[str]:
        """The numbers of an evaluation, by their names in rows."""
        compared = self.loss.compared
        measured = [name for name in self.measured if name != "penalties"]
        parts = measured if compared is None else compared.part_names()
        return [f"eval_{name}" for name in ("loss", *parts, *self.metrics)]

    def outputs(self, inputs: Tree[tf.Tensor]) -> Tree[tf.Tensor]:
        """What the model says outside of training, by the averaged weights where there are any."""
        with self.evaluating():
            if self.is_compared:
                return self.forward(inputs, training=False).values
            given = self.forward.raw(inputs, training=False)
            return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), given)

    def raw_outputs(self, inputs: Tree[tf.Tensor]) -> Any:
        """The same as the model itself returns it."""
        with self.evaluating():
            return self.forward.raw(inputs, training=False)

    def judge(self, batch: Batch, real: int, number: tf.Tensor) -> dict[str, tf.Tensor]:
        """What evaluations are worked out from, of the batch of test examples with that number.

        Only the first `real` ones count. What it draws is the same in every evaluation of the
        batch, and no update's.
        """
        with self.evaluating(), self.draws.keyed("evaluation", number, fused=False):
            return judge(self.loss, self.metrics, self.facts, self.forward, batch, real)

    def evaluating(self) -> keras.StatelessScope:
        """A scope with the averaged weights, where there are any, that leaves no trace.

        Whatever a network draws or keeps in it is forgotten, so that no weight depends on when a
        run is evaluated.
        """
        variables = self.model.variables
        values = {id(v): v.value for v in variables}
        if (averages := self.averages()) is not None:
            values |= {id(v): x for v, x in zip(self.trainable, averages, strict=True)}
        # Not `stateless_call`, which a model can't follow whose `call` knows no `training`.
        pairs = [(variable, values[id(variable)]) for variable in variables]
        return keras.StatelessScope(state_mapping=pairs, collect_losses=True)

    def averages(self) -> list[tf.Tensor] | None:
        """The weights by which evaluations are made, in their order; None for those that train.

        They are the running mean that is declared, or the average that the optimizer's rule keeps.
        """
        if self.settled:
            return None
        return self.average.values() if self.average else self.groups.averages()

    def settle(self) -> None:
        """Puts the averages in the place of the weights, for a network that trains no more."""
        averages = self.averages()
        if averages is not None:
            for weight, average in zip(self.trainable, averages, strict=True):
                weight.assign(average)
        self.settled = True

    def state(self) -> dict[str, NDArray[Any]]:
        """Every variable by name: weights, seeds of dropout, slots, averages, and the step."""
        return {name: value_of(variable) for name, variable in self.variables().items()}

    def check(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Whether `restore` can put back a state.

        Raises:
            ValueError: when a name, a shape or a type is not what this network has.
        """
        check_state(state, self.variables())

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Puts back what `state` gave.

        Raises:
            ValueError: when a name, a shape or a type is not what this network has.
        """
        variables = self.variables()
        check_state(state, variables)
        for name, variable in variables.items():
            variable.assign(state[name])

    def digest(self) -> str:
        """A fingerprint of the weights, equal only where every bit is."""
        return fingerprint({weight.path: weight for weight in self.model.weights})

    def average_digest(self) -> str | None:
        """The same of the averaged weights, where there are any."""
        averages = self.averages()
        if averages is None:
            return None
        paths = (weight.path for weight in self.trainable)
        return fingerprint(dict(zip(paths, averages, strict=True)))

    def variables(self) -> dict[str, Any]:
        """Everything that updates change, by a name that is the same in every process.

        Raises:
            ValueError: when two would be called alike.
        """
        named: dict[str, Any] = {"global_step": self.global_step}
        named |= {f"optimizer/{name}": slot for name, slot in self.groups.slots().items()}
        if self.average:
            named |= {f"average/{path}": mean for path, mean in self.average.variables.items()}
        if self.scaling:
            named |= {f"loss/{name}": variable for name, variable in self.scaling.variables.items()}
        for variable in self.model.variables:
            name = f"model/{variable.path}"
            if name in named:
                raise ValueError(f"two variables are called {name}; name the model's layers")
            named[name] = variable
        return named

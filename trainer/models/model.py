"""What a model is: a frozen declaration that builds a network of Keras."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from schedules.declaration import Kind, Whole, refuse

from ..data import Facts
from ..scheduled.fields import Bounds, Value

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials

Size = Annotated[Whole, Field(ge=1)]
Rate = Annotated[Value, Bounds(ge=0, lt=1)]
Activation = Literal["relu", "gelu", "silu", "elu", "tanh", "sigmoid"]


class Model(Kind, family=True):
    """A network from inputs of one shape to a logit for each class, or to the numbers to predict.

    `build` names every layer: a weight's path must be the same in every process, as checkpoints
    find weights by their paths.
    """

    def check(self, facts: Facts) -> None:
        """Checks whether the network can be built for such data, without importing TensorFlow.

        Raises:
            Refused: when it can't.
        """

    @abstractmethod
    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        """Returns the network, with weights drawn from Keras' global seed.

        Its scheduled fields are read from `dials`; training is within `dials.showing(row)`.
        """


class ImageModel(Model):
    """A model whose inputs are images, `[height, width, channels]`."""

    def check(self, facts: Facts) -> None:
        if len(facts.shape) != 3:
            shape = list(facts.shape)
            rule = (
                f"takes images [height, width, channels], and the data has inputs of shape {shape}"
            )
            raise refuse("model", self.kind, rule, "model=mlp takes inputs of any shape")

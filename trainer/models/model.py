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
    """A network from inputs of one shape to a logit a class, or to the numbers to predict.

    `build` names every layer, so that a weight's path is the same in every process and a
    checkpoint can tell which is which.
    """

    def check(self, facts: Facts) -> None:
        """Whether it can be built for such data, as far as that can be told without TensorFlow.

        Raises:
            Refused: when it can't.
        """

    @abstractmethod
    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        """The network, its weights drawn from Keras' global seed, its scheduled fields on dials.

        It is trained within `dials.showing(row)`.
        """


class OfImages(Model):
    """A model whose inputs are images, `[height, width, channels]`."""

    def check(self, facts: Facts) -> None:
        if len(facts.shape) != 3:
            takes = "takes images [height, width, channels]"
            rule = f"{takes}, and the data has inputs of shape {list(facts.shape)}"
            raise refuse("model", self.kind, rule, "model=mlp takes inputs of any shape")

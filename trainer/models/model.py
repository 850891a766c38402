"""What a model is: a frozen declaration that builds a network of Keras."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from schedules.declaration import ABSENT, Kind, Whole, refuse

from ..data import Facts
from ..data.trees import leaves, named_leaves
from ..scheduled.fields import Bounds, Value

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials

Size = Annotated[Whole, Field(ge=1)]
Rate = Annotated[Value, Bounds(ge=0, lt=1)]
Activation = Literal["relu", "gelu", "silu", "elu", "tanh", "sigmoid"]


OWN = "model=python builds a network with your function, and train(model=…) takes one"


class Model(Kind, family=True):
    """A network from inputs of one shape to a logit for each class, or to the numbers to predict.

    `build` names every layer: a weight's path must be the same in every process, as checkpoints
    find weights by their paths.
    """

    kind: str
    frozen: tuple[str, ...] = ()
    """Globs over weights or layers, such as `base/*`, that never train.

    They are found by their paths or, within a nested model, by its name and what follows. No
    gradient is computed for them, they have no slots and no average, and a batch normalization
    whose weights are frozen uses its running statistics and leaves them, as Keras has it with
    `layer.trainable = False`. The model's own flags are as before once a run has been traced.
    """

    def check(self, facts: Facts) -> None:
        """Checks whether the network can be built for such data, without importing TensorFlow.

        As it stands, it is for one array of numbers and one label, a class or a row of numbers.

        Raises:
            Refused: when it can't.
        """
        self.check_single_input(facts)
        self.check_one_length(facts)
        if facts.input.classes is not None:
            rule = f"takes numbers, and the data has ids, of which there are {facts.input.classes}"
            raise refuse("model", self.kind, rule, "model=tabular looks each up in an embedding")
        self.check_row_of_outputs(facts)

    def check_single_input(self, facts: Facts) -> None:
        """Checks whether the data has one array of numbers for the network.

        Raises:
            Refused: when it has several, or text.
        """
        if len(leaves(facts.inputs)) > 1:
            rule = f"has one input, and the data has {', '.join(dict(named_leaves(facts.inputs)))}"
            raise refuse("model", self.kind, rule, f"model=tabular takes several; {OWN}")
        if facts.input.dtype == "string":
            rule = "takes numbers, and the data has text"
            raise refuse("model", self.kind, rule, OWN)

    def check_single_label(self, facts: Facts) -> None:
        """Checks whether the data has one label for the network's output.

        Raises:
            Refused: when it has several.
        """
        if len(leaves(facts.labels)) > 1:
            names = ", ".join(dict(named_leaves(facts.labels)))
            rule = f"has one output, and the data has the labels {names}"
            raise refuse("model", self.kind, rule, f"model=tabular gives several; {OWN}")

    def check_one_length(self, facts: Facts) -> None:
        """Checks whether the inputs of all batches have one length.

        Raises:
            Refused: when they have several.
        """
        if facts.buckets is not None:
            rule = f"has batches of several lengths, and model={self.kind} takes inputs of one"
            raise refuse("data.buckets", ABSENT, rule, "leave it out; or model=rnn, or model=text")

    def check_row_of_outputs(self, facts: Facts) -> None:
        """Checks whether the data has one label, a class or a row of numbers.

        Raises:
            Refused: when it has several, or one at each place.
        """
        self.check_single_label(facts)
        if len(facts.label.outputs) != 1:
            rule = f"gives one row of outputs, and the data has {facts.label.described()}"
            raise refuse("model", self.kind, rule, OWN)

    @abstractmethod
    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        """Returns the network, with weights drawn from Keras' global seed.

        Its scheduled fields are read from `dials`; training is within `dials.showing(row)`.
        """


class ImageModel(Model):
    """A model whose inputs are images, `[height, width, channels]`."""

    def check(self, facts: Facts) -> None:
        super().check(facts)
        self.check_images(facts)

    def check_images(self, facts: Facts) -> None:
        """Checks whether the data has one input, an image.

        Raises:
            Refused: when it has another one, or several.
        """
        self.check_single_input(facts)
        if len(facts.shape) != 3:
            shape = list(facts.shape)
            rule = (
                f"takes images [height, width, channels], and the data has inputs of shape {shape}"
            )
            raise refuse("model", self.kind, rule, "model=mlp takes inputs of any shape")

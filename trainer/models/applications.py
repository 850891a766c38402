"""Networks that come with Keras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import Problem, did_you_mean, refuse

from ..data import Facts
from .model import ImageModel
from .variable_paths import rename

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials

NAMES = (
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    *(f"DenseNet{depth}" for depth in (121, 169, 201)),
    *(f"EfficientNetB{size}" for size in range(8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *("InceptionResNetV2", "InceptionV3"),
    *("MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small"),
    *("NASNetLarge", "NASNetMobile"),
    *(f"ResNet{depth}{version}" for depth in (50, 101, 152) for version in ("", "V2")),
    *("VGG16", "VGG19", "Xception"),
)
"""The functions of `keras.applications` that build a network."""

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file."""
RESERVED = ("include_top", "weights", "input_shape", "input_tensor", "pooling", "classes",
        "classifier_activation", "name")  # fmt: skip
"""Arguments that `kwargs` can't have: the data or this kind sets them."""


class Applications(ImageModel):
    """A network of `keras.applications` up to its last mean, and a dense layer for the logits.

    Weights are drawn from `run.seed`, or read from a local file: one that the network's
    `save_weights` wrote, or Keras' own release (`…_notop.h5`). Nothing is ever downloaded. The
    network's page in Keras' documentation says which size and values of images it takes; most take
    values in [-1, 1].
    """

    kind: Literal["applications"] = "applications"
    name: str
    """The network's name in Keras: `MobileNetV2`, `ResNet50`, …"""
    weights: str | None = None
    """The `.h5` file of the weights, without those of the last layer; null draws them."""
    kwargs: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies a default
    """More arguments for the function of Keras, such as `alpha`."""

    def contradictions(self) -> Iterator[Problem]:
        if self.name not in NAMES:
            hint = did_you_mean(self.name, NAMES)
            yield Problem("name", self.name, "is no network of keras.applications", hint)
        for name, value in self.kwargs.items():
            if name in RESERVED:
                yield Problem(f"kwargs.{name}", value, "is settled by the data and by this kind")

    def check(self, facts: Facts) -> None:
        super().check(facts)
        if self.weights is None:
            return
        path = Path(self.weights)
        if not path.is_file():
            rule = "is no file, and nothing is downloaded"
            hint = "fetch the …_notop.h5 file of the network, and give its path; null draws weights"
            raise refuse("model.weights", self.weights, rule, hint)
        with path.open("rb") as file:
            is_hdf5 = file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE
        if not is_hdf5:
            hint = "model=keras_file reads a whole network" if path.suffix == ".keras" else ""
            rule = "is no HDF5 file, as weights of Keras are"
            raise refuse("model.weights", self.weights, rule, hint)

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras

        function, shape = getattr(keras.applications, self.name), facts.shape
        try:
            base = function(
                include_top=False,
                weights=None,
                input_shape=shape,
                pooling="avg",
                **self.kwargs,
            )
        except TypeError as error:
            raise refuse("model.kwargs", self.kwargs, f"is not understood: {error}") from None
        if self.weights:
            try:
                base.load_weights(self.weights)
            except Exception as error:  # whatever is wrong in the file
                why = next(filter(None, str(error).splitlines()), type(error).__name__)
                rule = f"is not of this network: {why}"
                raise refuse("model.weights", self.weights, rule) from None
        inputs = keras.Input(facts.shape, name=facts.input_name)
        logits = keras.layers.Dense(facts.outputs, name="logits")(base(inputs))
        model = keras.Model(inputs, logits, name="model")
        rename(model)
        return model

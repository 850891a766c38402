"""Networks that come with Keras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import Problem, did_you_mean, refuse

from ..data import Facts
from .model import OfImages
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
    *(f"ResNet{depth}{second}" for depth in (50, 101, 152) for second in ("", "V2")),
    *("VGG16", "VGG19", "Xception"),
)
"""The functions of `keras.applications` that build one."""

HDF5 = b"\x89HDF\r\n\x1a\n"
OURS = ("include_top", "weights", "input_shape", "input_tensor", "pooling", "classes",
        "classifier_activation", "name")  # fmt: skip
"""What is settled by the data, or here."""


class Applications(OfImages):
    """A network of `keras.applications` up to its last mean, and a dense layer for the logits.

    Weights are drawn from `run.seed`, or read from a local file that its `save_weights` or Keras'
    own release (`…_notop.h5`) has; nothing is ever downloaded. It takes images as its page in
    Keras' documentation tells, at a size and with values of its own: most want [-1, 1].
    """

    kind: Literal["applications"] = "applications"
    name: str
    """Which one, as Keras calls it: `MobileNetV2`, `ResNet50`, …"""
    weights: str | None = None
    """The `.h5` file of its weights, without those of a last layer; null draws them."""
    kwargs: dict[str, Any] = {}  # noqa: RUF012  # pydantic copies a default
    """What else the function of Keras is given, such as `alpha`."""

    def contradictions(self) -> Iterator[Problem]:
        if self.name not in NAMES:
            hint = did_you_mean(self.name, NAMES)
            yield Problem("name", self.name, "is no network of keras.applications", hint)
        for name, value in self.kwargs.items():
            if name in OURS:
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
            whole = file.read(len(HDF5)) == HDF5
        if not whole:
            hint = "model=keras_file reads a whole network" * (path.suffix == ".keras")
            rule = "is no HDF5 file, as weights of Keras are"
            raise refuse("model.weights", self.weights, rule, hint)

    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        import keras

        function = getattr(keras.applications, self.name)
        try:
            base = function(
                include_top=False, weights=None, input_shape=shape, pooling="avg", **self.kwargs
            )
        except TypeError as error:
            raise refuse("model.kwargs", self.kwargs, f"is not understood: {error}") from None
        if self.weights:
            try:
                base.load_weights(self.weights)
            except Exception as error:  # whatever is wrong in there
                why = next(filter(None, str(error).splitlines()), type(error).__name__)
                rule = f"is not of this network: {why}"
                raise refuse("model.weights", self.weights, rule) from None
        inputs = keras.Input(shape, name="inputs")
        logits = keras.layers.Dense(outputs, name="logits")(base(inputs))
        model = keras.Model(inputs, logits, name="model")
        rename(model)
        return model

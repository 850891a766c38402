"""What a run can leave for others to use: declared kinds of files that hold its model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from numpy.typing import NDArray

from schedules.declaration import ABSENT, Kind, refuse
from schedules.declaration.packages import missing

if TYPE_CHECKING:
    import keras

Weights = Literal["final", "best", "ema"]
"""Whose weights: the last update's, those of the best evaluation, or the running mean."""
Outputs = Callable[[NDArray[Any]], NDArray[Any]]
"""From inputs `[n, ...]` to what the model gives for them."""


class Export(Kind, family=True):
    """A file, or a folder, with the model of a run that has come to its end.

    It lies in `export/` of the run's folder under the name of its weights, next to a JSON file that
    says what it takes and gives. It is read back before anybody relies on it, and must give for
    real test examples what the network gives.
    """

    weights: Weights | None = None
    """Which: `final`, as the last update left them; `ema`, their running mean; `best`, those of the
    best evaluation, which `checkpoint.keep_best` keeps.

    Else those that the last evaluation looked at: `ema` where there is one, and `final`.
    """
    inputs: Literal["raw", "prepared"] = "raw"
    """What it takes: what the data was read as, or what `preparation.json` makes of that."""
    suffix: ClassVar[str]
    """How its name ends."""
    packages: ClassVar[tuple[str, ...]] = ()
    """What must be installed besides, by the extra of the kind's name."""

    def check(self, averages: bool, keeps_best: bool) -> None:
        """Whether a run with these settings can leave it; imports nothing.

        Raises:
            Refused: with what to set, or to install.
        """
        if self.weights == "ema" and not averages:
            raise refuse("weights", "ema", "needs a running mean", "ema.momentum=0.999")
        if self.weights == "best" and not keeps_best:
            hint = "checkpoint.keep_best={metric: eval_loss}"
            raise refuse("weights", "best", "needs checkpoints that are kept for it", hint)
        if absent := [name for name in self.packages if missing(name)]:
            rule = f"needs what is not installed: {', '.join(absent)}"
            hint = f"pip install 'scheduled-training[{self.kind}]'"
            raise refuse("", ABSENT, rule, hint)

    @abstractmethod
    def save(self, model: keras.Model, path: Path) -> None:
        """Writes the model to `path`, where nothing is."""

    @abstractmethod
    def load(self, path: Path) -> Outputs:
        """What the file does, as somebody else would use it: without this package."""


class Keras(Export):
    """One `.keras` file, for `keras.models.load_model`; nothing of this package is in it."""

    kind: Literal["keras"] = "keras"
    suffix: ClassVar[str] = ".keras"

    def save(self, model: keras.Model, path: Path) -> None:
        model.save(path)

    def load(self, path: Path) -> Outputs:
        import keras
        import numpy as np

        model = keras.models.load_model(path, compile=False)  # in Keras' safe mode, as by default
        return lambda inputs: np.asarray(model(inputs, training=False))


class SavedModel(Export):
    """A folder for TensorFlow Serving, `tf.saved_model.load` and TensorFlow Lite's converter.

    Its function `serve` takes any number of inputs.
    """

    kind: Literal["saved_model"] = "saved_model"
    suffix: ClassVar[str] = ".saved_model"

    def save(self, model: keras.Model, path: Path) -> None:
        model.export(path, format="tf_saved_model", verbose=False)

    def load(self, path: Path) -> Outputs:
        import numpy as np
        import tensorflow as tf

        loaded = tf.saved_model.load(str(path))  # its variables live as long as it does
        return lambda inputs: np.asarray(loaded.serve(tf.constant(inputs)))


class Onnx(Export):
    """One `.onnx` file, by tf2onnx, for ONNX Runtime and whatever else reads that format.

    Its input is called `inputs` and its output `outputs`.
    """

    kind: Literal["onnx"] = "onnx"
    suffix: ClassVar[str] = ".onnx"
    packages: ClassVar[tuple[str, ...]] = ("tf2onnx", "onnx", "onnxruntime")

    def save(self, model: keras.Model, path: Path) -> None:
        from .onnx_graph import convert

        convert(model, path)

    def load(self, path: Path) -> Outputs:
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda inputs: np.asarray(session.run(["outputs"], {"inputs": inputs})[0])

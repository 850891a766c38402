"""Declared kinds of files for the trained model of a run, for others to use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from schedules.declaration import ABSENT, Kind, refuse
from schedules.declaration.packages import is_missing

from ..scheduled.keras_internals import structure

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Weights = Literal["final", "best", "ema"]
"""The weights after the last update, at the best evaluation, or their running mean."""
Predict = Callable[[Any], Any]
"""A function from inputs to the model's outputs: tensors `[n, ...]`, in a dict or a list where the
model has several."""


class Export(Kind, family=True):
    """A file, or a folder, with the model of a finished run.

    Its place is `export/` in the run's folder, its name that of its weights; a JSON file beside it
    describes inputs and outputs. The file is loaded again before it is kept, and must have the
    network's outputs for real test examples.
    """

    weights: Weights | None = None
    """`final`, what the last update left; `ema`, the running mean of the weights; `best`, those of
    the best evaluation, which `checkpoint.keep_best` keeps.

    Null for those of the last evaluation: `ema` where there is a running mean, and else `final`.
    """
    inputs: Literal["raw", "prepared"] = "raw"
    """The inputs of the file: those of the data as read, or after `preparation.json`."""
    suffix: ClassVar[str]
    """The end of the file's name."""
    packages: ClassVar[tuple[str, ...]] = ()
    """The packages that it needs; the extra of the kind's name installs them."""

    def check(self, averages: bool, keeps_best: bool) -> None:
        """Checks whether a run with these settings can write the file; imports nothing.

        Raises:
            Refused: with what to set, or to install.
        """
        if self.weights == "ema" and not averages:
            raise refuse("weights", "ema", "needs a running mean", "ema.momentum=0.999")
        if self.weights == "best" and not keeps_best:
            hint = "checkpoint.keep_best={metric: eval_loss}"
            raise refuse("weights", "best", "needs checkpoints that are kept for it", hint)
        if absent := [name for name in self.packages if is_missing(name)]:
            rule = f"needs what is not installed: {', '.join(absent)}"
            hint = f"pip install 'scheduled-training[{self.kind}]'"
            raise refuse("", ABSENT, rule, hint)

    @abstractmethod
    def save(self, model: keras.Model, path: Path) -> None:
        """Writes the model to `path`, which does not exist yet."""

    @abstractmethod
    def load(self, path: Path) -> Predict:
        """Loads the file as a user without this package would, and returns the model's function."""


class Keras(Export):
    """One `.keras` file, for `keras.models.load_model`; nothing of this package is in it."""

    kind: Literal["keras"] = "keras"
    suffix: ClassVar[str] = ".keras"

    def save(self, model: keras.Model, path: Path) -> None:
        model.save(path)

    def load(self, path: Path) -> Predict:
        import keras

        model = keras.models.load_model(path, compile=False)  # in Keras' safe mode, as by default
        return lambda inputs: model(inputs, training=False)


class SavedModel(Export):
    """A folder for TensorFlow Serving, `tf.saved_model.load` and TensorFlow Lite's converter.

    Its function `serve` takes any number of inputs.
    """

    kind: Literal["saved_model"] = "saved_model"
    suffix: ClassVar[str] = ".saved_model"

    def save(self, model: keras.Model, path: Path) -> None:
        import tensorflow as tf
        from keras.export import ExportArchive

        inputs = structure(model, "inputs")
        if inputs is None:
            model.export(path, format="tf_saved_model", verbose=False)
            return

        def serve(inputs: Any) -> Any:
            # Keras' own export lets layers such as RandomFlip do as in training.
            return model(inputs, training=False)

        archive = ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", serve, [tf.nest.map_structure(_spec, inputs)])
        archive.write_out(path, verbose=False)

    def load(self, path: Path) -> Predict:
        import tensorflow as tf

        model = tf.saved_model.load(str(path))  # the function keeps it, and so its variables
        return lambda inputs: model.serve(inputs)


def _spec(tensor: Any) -> tf.TensorSpec:
    """The signature of an input, of any number of examples."""
    import tensorflow as tf

    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name=tensor.name)


class Onnx(Export):
    """One `.onnx` file, by tf2onnx, for ONNX Runtime and whatever else reads that format.

    Its input is called `inputs` and its output `outputs`; several have their own names.
    """

    kind: Literal["onnx"] = "onnx"
    suffix: ClassVar[str] = ".onnx"
    packages: ClassVar[tuple[str, ...]] = ("tf2onnx", "onnx", "onnxruntime")

    def save(self, model: keras.Model, path: Path) -> None:
        from .onnx_graph import convert

        convert(model, path)

    def load(self, path: Path) -> Predict:
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        taken = [one.name for one in session.get_inputs()]

        def predict(inputs: Any) -> Any:
            import tensorflow as tf

            by_name = inputs if isinstance(inputs, Mapping) else {}
            arrays = [np.asarray(x) for x in tf.nest.flatten(inputs)]
            fed = {n: np.asarray(by_name[n]) for n in taken} if by_name else zip(taken, arrays)  # noqa: B905
            given = [one.name for one in session.get_outputs()]
            outputs = session.run(given, dict(fed))
            return dict(zip(given, outputs, strict=True))

        return predict

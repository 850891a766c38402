"""Declared kinds of files for the trained model of a run, for others to use."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from schedules.declaration import ABSENT, Kind, refuse
from schedules.declaration.packages import is_missing

from ..data.column import Prepared
from ..data.facts import Feature
from ..data.trees import Tree, named_leaves
from .raw_inputs import check_raw
from .signature import Predict, Signature

if TYPE_CHECKING:
    import keras

Weights = Literal["final", "best", "ema"]
"""The weights after the last update, at the best evaluation, or their running mean."""


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
    takes_text: ClassVar[bool] = True
    """Whether an input may be text."""
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

    def check_inputs(self, inputs: Tree[Feature], learnt: Mapping[str, Prepared]) -> None:
        """Checks whether the file can take such inputs, or the columns that they are `learnt` of.

        Raises:
            Refused: naming the first one that it can't.
        """
        for name, one in named_leaves(inputs):
            if one.dtype == "string" and not self.takes_text:
                what = f"the input {name}" if name else "the input"
                rule = f"takes numbers alone, and {what} is text"
                raise refuse("kind", self.kind, rule, "export=saved_model or export=keras")
        if self.inputs == "raw":
            check_raw(learnt, takes_text=self.takes_text)

    @abstractmethod
    def save(self, model: keras.Model, path: Path, signature: Signature) -> None:
        """Writes the model to `path`, which does not exist yet."""

    @abstractmethod
    def load(self, path: Path, signature: Signature) -> Predict:
        """Loads the file as a user without this package would, and returns the model's function."""


class Keras(Export):
    """One `.keras` file, for `keras.models.load_model`; nothing of this package is in it."""

    kind: Literal["keras"] = "keras"
    suffix: ClassVar[str] = ".keras"

    def save(self, model: keras.Model, path: Path, signature: Signature) -> None:
        model.save(path)

    def load(self, path: Path, signature: Signature) -> Predict:
        import keras

        model = keras.models.load_model(path, compile=False)  # in Keras' safe mode, as by default
        return lambda inputs: signature.called(model, inputs)


class SavedModel(Export):
    """A folder for TensorFlow Serving, `tf.saved_model.load` and TensorFlow Lite's converter.

    Its function `serve` takes any number of inputs. Its signature `serving_default` has the names
    of inputs and outputs, which are `inputs` and `outputs` where there is one.
    """

    kind: Literal["saved_model"] = "saved_model"
    suffix: ClassVar[str] = ".saved_model"

    def save(self, model: keras.Model, path: Path, signature: Signature) -> None:
        from .saved_model import save

        save(model, path, signature)

    def load(self, path: Path, signature: Signature) -> Predict:
        import tensorflow as tf

        model = tf.saved_model.load(str(path))
        serve = model.signatures["serving_default"]
        specs = serve.structured_input_signature[1]

        def predict(inputs: Mapping[str, Any]) -> Any:
            _ = model  # which holds the variables
            return serve(**{name: inputs[name] for name in specs})

        return predict


class Onnx(Export):
    """One `.onnx` file, by tf2onnx, for ONNX Runtime and whatever else reads that format.

    Its input is called `inputs` and its output `outputs`; several have their own names. The axis of
    examples is called `batch`.
    """

    kind: Literal["onnx"] = "onnx"
    suffix: ClassVar[str] = ".onnx"
    packages: ClassVar[tuple[str, ...]] = ("tf2onnx", "onnx", "onnxruntime")
    takes_text: ClassVar[bool] = False

    def save(self, model: keras.Model, path: Path, signature: Signature) -> None:
        from .onnx_graph import convert

        convert(model, path, signature)

    def load(self, path: Path, signature: Signature) -> Predict:
        import numpy as np
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        given = [one.name for one in session.get_outputs()]

        def predict(inputs: Mapping[str, Any]) -> Any:
            fed = {name: np.asarray(x) for name, x in inputs.items()}
            # A network need not look at all of its inputs, and the graph then has not all of them.
            taken = {one.name for one in session.get_inputs()}
            outputs = session.run(given, {n: x for n, x in fed.items() if n in taken})
            return dict(zip(given, outputs, strict=True))

        return predict

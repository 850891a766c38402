"""A Keras model that a program gives, and what a run records of the model."""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import PrivateAttr

from schedules.declaration import ABSENT, refuse, within
from schedules.declaration.functions import CODE_ERRORS, raised

from ..data import Facts
from ..data.facts import Feature
from ..data.sources.in_memory import MISSING, object_missing
from ..data.trees import map_tree
from ..scheduled.keras_internals import all_layers
from .keras_archive import CODE, add_paths, architecture, foreign_classes, loaded, set_paths
from .model import Model
from .variable_paths import canonical, rename

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from ..scheduled.dials import Dials


class GivenModel(Model):
    """A Keras model that a program gives: `train(experiment, model=model)`.

    The model is trained in place, as `fit` does, from its own weights, or from those of the
    checkpoint where a run goes on. Its variables are renamed by their place in the model: a
    checkpoint must fit whatever else the process has built before.
    """

    kind: Literal["given"] = "given"
    name: str | None = None
    """The name of the model's class."""
    parameters: int | None = None
    """How many trainable numbers the model has."""
    digest: str | None = None
    """A fingerprint of the architecture, with the shapes of all weights, without their values."""
    _model: Any = PrivateAttr(default=None)
    _file: Path | None = PrivateAttr(default=None)
    """Where a run's folder keeps the model, where it is not here."""
    _classes: tuple[tuple[str, str], ...] = PrivateAttr(default=())
    """The user's own classes in that file, and their modules."""

    @classmethod
    def from_model(cls, model: keras.Model, frozen: Sequence[str] = ()) -> Self:
        """The declaration of a model, of which the weights that some globs mean are `frozen`.

        Raises:
            Refused: when `model` is no model of Keras, or is not built.
        """
        import keras

        if not isinstance(model, keras.Model):
            rule = f"is a {type(model).__name__}, and must be a keras.Model"
            raise refuse("model", ABSENT, rule, "model=keras.Sequential([…])")
        if not model.built:
            rule = "is not built, so that its weights are not known"
            raise refuse("model", ABSENT, rule, "begin with keras.Input(shape), or call it once")
        rename(model)
        declared = cls.declared(
            {
                "name": type(model).__qualname__,
                "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_variables),
                "digest": _architecture(model),
                "frozen": tuple(frozen),
            }
        )
        declared._model = model
        return declared

    @staticmethod
    def build_if_needed(model: keras.Model, facts: Callable[[], Facts]) -> None:
        """Builds a model by a call on examples of zeros, as `fit` does on its first batch.

        Raises:
            Refused: when it can't be called on what the data has.
        """
        import keras
        import tensorflow as tf

        if not isinstance(model, keras.Model) or model.built:
            return

        def zeros(feature: Feature) -> tf.Tensor:
            return tf.zeros((1, *feature.shape), feature.dtype)

        features = facts().inputs
        try:
            if isinstance(model, keras.Sequential) and isinstance(features, Feature):
                model.build((None, *features.shape))  # a call would fix the size of its batches
            else:
                model(map_tree(zeros, features))
        except CODE_ERRORS as error:  # whatever the user's class raises
            rule = f"can't be built by a call on inputs of the data: {raised(error)}"
            hint = "call it once on what it takes; numbers come as float32 but for inputs by name"
            raise refuse("model", ABSENT, rule, hint) from None

    @classmethod
    def to_be_built(cls, function: object) -> Self:
        """The declaration of a model that `function` builds once its run begins.

        It tells nothing of the architecture, and stands where a config is only checked.
        """
        declared = cls()
        declared._model = function
        return declared

    @property
    def is_here(self) -> bool:
        """Whether a program has given the model to this process."""
        return self._model is not None

    def keep(self, path: Path) -> None:
        """Writes the model to a `.keras` file, which a process without the program can read.

        There is none where Keras can't write the model, as one of a class without a `get_config`.
        """
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with TemporaryDirectory() as place, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what another process may not be able to read
                file = Path(place) / path.name
                self._model.save(file)
                add_paths(file, self._model)
                shutil.copyfile(file, draft)
            draft.rename(path)
        except OSError:
            raise
        except Exception:  # whatever a class of the user's raises
            path.unlink(missing_ok=True)
        finally:
            draft.unlink(missing_ok=True)

    def with_kept_model(self, path: Path) -> Self:
        """A copy that builds the model from what `keep` wrote.

        Raises:
            Refused: when there is nothing, or no process but the program's can have the model.
        """
        hint = "in the program: outcome.export('saved_model'), or outcome.predict(raw)"
        if not path.is_file():
            rule = f"{MISSING}, since Keras could write none"
            raise refuse("model.kind", self.kind, rule, hint)
        classes = tuple(dict.fromkeys(foreign_classes(architecture(path, "model.kind"))))
        for name, module in classes:
            if name in CODE or not re.fullmatch(r"\w+(\.\w+)*", module) or module == "__main__":
                what = f"{name} of {module}" if module else "a Lambda layer"
                rule = f"was an object of a program, and has {what}, which no file brings along"
                raise refuse("model.kind", self.kind, rule, hint)
        copy = self.model_copy()
        copy._file, copy._classes = path, classes
        return copy

    def code(self) -> Iterator[tuple[str, str]]:
        """The classes of the user's that the kept model has: they are imported to build it."""
        for name, module in self._classes:
            yield "kind", f"{module}:{name}"

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import tensorflow as tf

        self.check(facts)
        if self._file is not None and not self.is_here:
            return self._read(self._file)
        model = self._model
        devices = [tf.zeros([]).device, *(variable.value.device for variable in model.variables)]
        current, *of_variables = [device.rpartition(":")[2] for device in devices]
        # A replica on another device has variables of its own.
        return self._clone() if of_variables and of_variables[0] != current else model

    def _read(self, file: Path) -> keras.Model:
        """The model of a file; the modules of its classes, which register them, are imported."""
        with within("model"):
            for name, module in self._classes:
                try:
                    import_module(module)
                except CODE_ERRORS as error:  # whatever the user's module raises
                    hint = "is its folder on PYTHONPATH?" if isinstance(error, ImportError) else ""
                    rule = f"can't be imported: {type(error).__name__}: {error}"
                    raise refuse("kind", f"{module}:{name}", rule, hint) from None
            model = loaded(file, "kind")
            set_paths(file, "kind", model)
            return model

    def _clone(self) -> keras.Model:
        """A clone of the network, whose own variables have the same names."""
        import keras

        try:
            clone = keras.models.clone_model(self._model)
            if not clone.built:
                clone.build(self._model.input_shape)
            clone.set_weights(self._model.get_weights())
        except Exception as error:  # a class of the user's may not know how
            rule = f"can't be copied to another device: {error}"
            hint = "give it a get_config, or train on one device"
            raise refuse("model", self.name, rule, hint) from error
        rename(clone)
        return clone

    def check(self, facts: Facts) -> None:
        """Refuses the declaration of a model that no program has given to this process."""
        if not self.is_here and self._file is None:
            raise object_missing("model", "model.kind")


def _architecture(model: keras.Model) -> str:
    """A fingerprint that two models share where they are built alike, in whatever process."""
    import keras

    try:
        serialized = keras.saving.serialize_keras_object(model)
    except Exception:  # a class of the user's may not know how
        serialized = {"class_name": type(model).__qualname__}
    names = [layer.name for layer in all_layers(model)]
    renamed = dict(zip(names, canonical(names), strict=True))
    weights = [(w.path, list(w.shape), str(w.dtype), w.trainable) for w in model.variables]
    text = json.dumps([_plain(serialized, renamed), weights], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()


def _plain(serialized: Any, renamed: dict[str, str]) -> Any:
    """A serialised layer without what hangs on the process: names that count, and addresses."""
    passing = ("compile_config", "shared_object_id")
    if isinstance(serialized, dict):
        return {k: _plain(v, renamed) for k, v in serialized.items() if k not in passing}
    if isinstance(serialized, (list, tuple)):
        return [_plain(part, renamed) for part in serialized]
    return renamed.get(serialized, serialized) if isinstance(serialized, str) else serialized

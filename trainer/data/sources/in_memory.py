"""Models and data that a program gives as Python objects, and what a run records of them.

Its `config.yaml` can't hold them; it holds what tells them from others, so that going on with
others is refused. Only a program that gives them again can go on with such a run.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import PrivateAttr
from typing_extensions import Self

from schedules.declaration import ABSENT, Refused, refuse

from ...models import Model
from ...models.variable_paths import canonical, rename
from .. import Facts
from ..raw_data import Brought, Found
from .handed import Handed

if TYPE_CHECKING:
    import keras

    from ...scheduled.dials import Dials

MEANT = "data=(inputs, labels), or data=((inputs, labels), (test_inputs, test_labels))"


def missing(word: str, kind: str) -> Refused:
    """Why a run can't be made whose objects nobody gave."""
    rule = "was an object of a program, and no file has it"
    return refuse(f"{word}.kind", kind, rule, f"train(experiment, {word}=…) gives it again")


class GivenData(Brought):
    """Arrays that a program gives: `train(experiment, data=(inputs, labels))`.

    Settings such as `normalise` and `held_out` are declared as for any data, under
    `data={kind: given, …}`. Test examples are given as a second pair, or held out. In the place of
    a pair there may be a `tf.data.Dataset` of single examples that knows its length.
    """

    kind: Literal["given"] = "given"
    digest: str | None = None
    """A fingerprint of the arrays, raw as they were given."""
    _found: Found | None = PrivateAttr(default=None)

    def of(self, data: Any) -> Self:
        """The same settings, for this data.

        Raises:
            Refused: when it is not a pair of inputs and labels, or two such pairs.
        """
        found = Handed("data", ABSENT, "is", MEANT).read(data)
        if self.held_out and found.test:
            rule = "is not needed, since test examples are given"
            raise refuse("data.held_out", ABSENT, rule, "leave out one of the two")
        digest = sha256()
        parts = filter(None, (found.train, found.test))
        for array in (np.asarray(array) for part in parts for array in part):
            digest.update(f"{array.dtype}{array.shape}".encode())
            plain = array.astype(str) if array.dtype.hasobject else array
            digest.update(np.ascontiguousarray(plain).tobytes())
        settings = {name: getattr(self, name) for name in type(self).model_fields}
        given = type(self).declared({**settings, "digest": digest.hexdigest()})
        given._found = found
        return given

    def given(self) -> bool:
        return self._found is not None and self._found.test is not None

    @property
    def labelled(self) -> tuple[str, object]:
        return "labels", ABSENT

    def found(self) -> Found:
        if self._found is None:
            raise missing("data", self.kind)
        return self._found


class GivenModel(Model):
    """A Keras model that a program gives: `train(experiment, model=model)`.

    It is trained in place, as `fit` does, from the weights that it has; where a run goes on, from
    those of its checkpoint. Its variables are renamed, by their place in it, so that a checkpoint
    fits whatever else the process has built before.
    """

    kind: Literal["given"] = "given"
    name: str | None = None
    """What its class is called."""
    parameters: int | None = None
    """How many numbers it has to learn."""
    digest: str | None = None
    """A fingerprint of the architecture, the shapes of all weights included, their values not."""
    _model: Any = PrivateAttr(default=None)

    @classmethod
    def of(cls, model: keras.Model) -> Self:
        """The declaration that stands for a model.

        Raises:
            Refused: when it is no model of Keras, or is not built.
        """
        import keras

        if not isinstance(model, keras.Model):
            found = f"is a {type(model).__name__}, and must be a keras.Model"
            raise refuse("model", ABSENT, found, "model=keras.Sequential([…])")
        if not model.built:
            rule = "is not built, so that its weights are not known"
            raise refuse("model", ABSENT, rule, "begin with keras.Input(shape), or call it once")
        rename(model)
        declared = cls.declared(
            {
                "name": type(model).__qualname__,
                "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_variables),
                "digest": _architecture(model),
            }
        )
        declared._model = model
        return declared

    def build(self, shape: tuple[int, ...], outputs: int, dials: Dials) -> keras.Model:
        import tensorflow as tf

        self.check(Facts(0, shape))
        model = self._model
        places = [tf.zeros([]).device, *(variable.value.device for variable in model.variables)]
        here, *there = [place.rpartition(":")[2] for place in places]
        # A replica on another device has variables of its own.
        return self._copied() if there and there[0] != here else model

    def _copied(self) -> keras.Model:
        """The same network again, with variables of its own, by the same names."""
        import keras

        try:
            copied = keras.models.clone_model(self._model)
            if not copied.built:
                copied.build(self._model.input_shape)
            copied.set_weights(self._model.get_weights())
        except Exception as error:  # a class of the user's may not know how
            rule = f"can't be copied to another device: {error}"
            hint = "give it a get_config, or train on one device"
            raise refuse("model", self.name, rule, hint) from error
        rename(copied)
        return copied

    def check(self, facts: Facts) -> None:
        """Refuses what is only the declaration of a model that a program gave once."""
        if self._model is None:
            raise missing("model", self.kind)


def _architecture(model: keras.Model) -> str:
    """A fingerprint that two models share where they are built alike, in whatever process."""
    import keras

    try:
        told = keras.saving.serialize_keras_object(model)
    except Exception:  # a class of the user's may not know how
        told = {"class_name": type(model).__qualname__}
    names = [layer.name for layer in model._flatten_layers()]
    renamed = dict(zip(names, canonical(names), strict=True))
    weights = [(w.path, list(w.shape), str(w.dtype), w.trainable) for w in model.variables]
    text = json.dumps([_plain(told, renamed), weights], sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()


def _plain(told: Any, renamed: dict[str, str]) -> Any:
    """A serialised layer without what hangs on the process: names that count, and addresses."""
    passing = ("compile_config", "shared_object_id")
    if isinstance(told, dict):
        return {k: _plain(v, renamed) for k, v in told.items() if k not in passing}
    if isinstance(told, (list, tuple)):
        return [_plain(part, renamed) for part in told]
    return renamed.get(told, told) if isinstance(told, str) else told

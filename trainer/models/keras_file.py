"""A network that somebody saved with Keras."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from schedules.declaration import Flag, refuse

from ..data import Facts
from .keras_archive import CODE, architecture, foreign_classes, loaded
from .model import Model
from .variable_paths import rename

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials

PATH = "model.path"


class KerasFile(Model):
    """The network in a `.keras` file, with the file's weights, or weights drawn anew.

    The file is read in Keras' safe mode: only layers of Keras, and no `Lambda`, which is code. A
    run that goes on has the weights of its checkpoint.
    """

    kind: Literal["keras_file"] = "keras_file"
    path: str
    """The file, seen from the working directory."""
    fresh: Flag = False
    """Whether weights are drawn anew, from `run.seed`."""

    def check(self, facts: Facts) -> None:
        for name, origin in foreign_classes(architecture(Path(self.path), PATH)):
            if name in CODE:
                rule = "has a Lambda layer, which is code, and safe mode runs none"
            else:
                rule = f"has {name} of {origin}, which is not Keras' own"
            raise refuse(PATH, self.path, rule, "model=python builds it with your code")

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras

        self.check(facts)
        model = loaded(Path(self.path), PATH)
        if not self.fresh:
            return model
        fresh = keras.models.clone_model(model)
        rename(fresh, like=model)
        return fresh

"""A network that somebody saved with Keras."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from schedules.declaration import Flag, Refused, refuse

from ..data import Facts
from .model import Model
from .variable_paths import rename

if TYPE_CHECKING:
    import keras

    from ..scheduled.dials import Dials

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


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
        for name, origin in _foreign(self._config()):
            if name in ("Lambda", "__lambda__"):
                rule = "has a Lambda layer, which is code, and safe mode runs none"
            else:
                rule = f"has {name} of {origin}, which is not Keras' own"
            raise refuse("model.path", self.path, rule, "model=python builds it with your code")

    def build(self, facts: Facts, dials: Dials) -> keras.Model:
        import keras

        self.check(facts)
        try:
            model = keras.saving.load_model(self.path, compile=False, safe_mode=True)
        except Exception as error:  # whatever is wrong in the file
            why = next(filter(None, str(error).splitlines()), type(error).__name__)
            hint = "was it saved by a newer Keras?"
            raise refuse("model.path", self.path, f"can't be read: {why}", hint) from None
        rename(model)
        if not self.fresh:
            return model
        fresh = keras.models.clone_model(model)
        rename(fresh, like=model)
        return fresh

    def _config(self) -> Any:
        """The architecture in the file, as Keras serialises it.

        Raises:
            Refused: when the file is not a whole `.keras` file.
        """
        path = Path(self.path)
        hint = "model.save('my.keras') writes one"
        if not path.is_file():
            neighbours = sorted(str(other) for other in path.parent.glob("*.keras"))
            hint = f"there is {', '.join(neighbours)}" if neighbours else hint
            raise refuse("model.path", self.path, "is not there", hint)
        try:
            with zipfile.ZipFile(path) as file:
                names = file.namelist()
                if missing := [name for name in (CONFIG, WEIGHTS) if name not in names]:
                    raise refuse("model.path", self.path, f"has no {missing[0]} in it", hint)
                if damaged := file.testzip():
                    rule = f"is damaged: {damaged} does not match its checksum"
                    raise refuse("model.path", self.path, rule, hint)
                return json.loads(file.read(CONFIG))
        except (zipfile.BadZipFile, ValueError, RecursionError) as error:
            if isinstance(error, Refused):
                raise
            rule = f"is no .keras file: {error}"
            raise refuse("model.path", self.path, rule, hint) from None


def _foreign(tree: Any) -> Iterator[tuple[str, str]]:
    """Yields everything in a saved config that is not Keras' own: its name and its origin."""
    if isinstance(tree, list):
        for branch in tree:
            yield from _foreign(branch)
    if not isinstance(tree, dict):
        return
    name = tree.get("class_name")
    if isinstance(name, str) and "config" in tree:
        module = tree.get("module")
        package, is_registered, _ = str(tree.get("registered_name") or "").partition(">")
        if name in ("Lambda", "__lambda__"):
            yield name, ""
        elif module == "builtins" and name == "function":
            yield f"the function {tree['config']}", "the program that saved it"
        elif module and module.partition(".")[0] not in ("keras", "builtins"):
            yield name, str(module)
        elif not module and is_registered:
            yield name, package
    for branch in tree.values():
        yield from _foreign(branch)

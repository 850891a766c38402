"""A `.keras` file: what is in it, told without importing Keras, and the network of it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schedules.declaration import Refused, refuse
from schedules.declaration.plain_files import json_value

from ..scheduled.keras_internals import set_path
from .variable_paths import rename

if TYPE_CHECKING:
    import keras

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
PATHS = "variable_paths.json"
"""An entry of ours, which Keras passes over."""
CODE = ("Lambda", "__lambda__")
"""What Keras calls code that is a part of the file."""


def architecture(path: Path, field: str) -> Any:
    """The architecture in a file, as Keras serialises it; `field` is what names the file.

    Raises:
        Refused: when it is not a whole `.keras` file.
    """
    hint = "model.save('my.keras') writes one"
    if not path.is_file():
        neighbours = sorted(str(other) for other in path.parent.glob("*.keras"))
        hint = f"there is {', '.join(neighbours)}" if neighbours else hint
        raise refuse(field, str(path), "is not there", hint)
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
            if missing := [name for name in (CONFIG, WEIGHTS) if name not in names]:
                raise refuse(field, str(path), f"has no {missing[0]} in it", hint)
            if damaged := file.testzip():
                rule = f"is damaged: {damaged} does not match its checksum"
                raise refuse(field, str(path), rule, hint)
            config = json.loads(file.read(CONFIG))
            if isinstance(config, dict):
                config.pop("compile_config", None)  # for fit, and never read here
            return config
    except (zipfile.BadZipFile, ValueError, RecursionError) as error:
        if isinstance(error, Refused):
            raise
        rule = f"is no .keras file: {error}"
        raise refuse(field, str(path), rule, hint) from None


def add_paths(path: Path, model: keras.Model) -> None:
    """Adds what a model's variables are called to the file that Keras wrote of it."""
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(PATHS, json.dumps([variable.path for variable in model.variables]))


def set_paths(path: Path, field: str, model: keras.Model) -> None:
    """Gives the variables of a model, read from a file, the paths that `add_paths` has added.

    What Keras builds of a file may have other paths than what the file was made of.

    Raises:
        Refused: when there are none, or not as many.
    """
    try:
        with zipfile.ZipFile(path) as file:
            paths = json_value(file.read(PATHS))
        for variable, name in zip(model.variables, paths, strict=True):
            set_path(variable, str(name))
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        raise refuse(field, str(path), "does not say what its variables are called") from None


def loaded(path: Path, field: str) -> keras.Model:
    """The network in a file, read in Keras' safe mode, its variables named by their places.

    Raises:
        Refused: when Keras can't read it.
    """
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # whatever is wrong in the file
        why = next(filter(None, str(error).splitlines()), type(error).__name__)
        hint = "was it saved by a newer Keras?"
        raise refuse(field, str(path), f"can't be read: {why}", hint) from None
    rename(model)
    return model


def foreign_classes(tree: Any) -> Iterator[tuple[str, str]]:
    """Yields everything in a saved config that is not Keras' own: its name and its origin."""
    if isinstance(tree, list):
        for branch in tree:
            yield from foreign_classes(branch)
    if not isinstance(tree, dict):
        return
    name = tree.get("class_name")
    if isinstance(name, str) and "config" in tree:
        module = tree.get("module")
        package, is_registered, _ = str(tree.get("registered_name") or "").partition(">")
        if name in CODE:
            yield name, ""
        elif module == "builtins" and name == "function":
            yield f"the function {tree['config']}", "the program that saved it"
        elif module and module.partition(".")[0] not in ("keras", "builtins"):
            yield name, str(module)
        elif not module and is_registered:
            yield name, package
    for branch in tree.values():
        yield from foreign_classes(branch)

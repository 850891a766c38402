"""Weights to begin with that another run, or another program, has trained."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from schedules.declaration import Declaration, refuse

from ..runs.checkpoints import Checkpoints
from ..runs.folder import Folder
from .variable_paths import canonical

if TYPE_CHECKING:
    import h5py

WHERE = "init_from"
WEIGHTS = "model.weights.h5"
SUFFIXES = (".keras", ".h5")
KINDS = "the folder of a run, or a file: .keras, .weights.h5 or .h5"


@dataclass(frozen=True)
class Source:
    """Arrays by the names that a run or a file has them under."""

    arrays: Mapping[str, NDArray[Any]]
    """Of one weight each, by its path; or, `by_layer`, by its layer's and its place there."""
    by_layer: bool
    digest: str
    """A fingerprint of all of them."""


class InitialWeights(Declaration):
    """Weights that the model begins with, taken by their names before the first update.

    Of a run they are those of its newest checkpoint, and the running means where it keeps any. A
    weight of another shape is refused unless a glob of `resized` or `fresh` means it; one that the
    source lacks begins as the model declares it, and what the source has besides is left. Nothing
    of a file is run. Where the run goes on, it does so from its own checkpoint and reads no source.
    """

    path: str
    """The folder of a run, or a `.keras`, `.weights.h5` or `.h5` file."""
    resized: tuple[str, ...] = ()
    """Globs over weights or layers that may have another size in the source: what both have of each
    axis, counted from the front, is taken, and the rest begins as the model declares it."""
    fresh: tuple[str, ...] = ()
    """Globs over weights or layers that are not taken."""

    @model_validator(mode="before")
    @classmethod
    def _is_path(cls, declared: Any) -> Any:
        return {"path": declared} if isinstance(declared, str) else declared

    def check(self) -> None:
        """Checks whether there is something to take weights from, without TensorFlow.

        Raises:
            Refused: when there is nothing, or of another kind.
        """
        path = Path(self.path)
        if path.is_dir():
            if not Checkpoints(Folder(path).checkpoints, 1).ids():
                rule = "is a folder without checkpoints of a run"
                raise refuse(WHERE, self.path, rule, f"give {KINDS}")
        elif not path.is_file():
            raise refuse(WHERE, self.path, "is not there", f"give {KINDS}")
        elif path.suffix not in SUFFIXES:
            raise refuse(WHERE, self.path, "is of no kind that is read", f"give {KINDS}")

    def read(self) -> Source:
        """Reads the weights.

        Raises:
            Refused: as `check` does, and when they are damaged.
        """
        self.check()
        path = Path(self.path)
        if path.is_dir():
            saved, damaged = Checkpoints(Folder(path).checkpoints, 1).newest(set_aside=False)
            if saved is None:
                raise refuse(WHERE, self.path, f"has only damaged checkpoints: {damaged[0]}")
            arrays = {
                name.removeprefix("model/"): array
                for name, array in saved.arrays.items()
                if name.startswith("model/")
            }
            averages = {
                name.removeprefix("average/"): array
                for name, array in saved.arrays.items()
                if name.startswith("average/")
            }
            return _source({**arrays, **averages}, by_layer=False)
        try:
            return _read_file(path)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise refuse(WHERE, self.path, f"can't be read: {error}") from None


def _source(arrays: Mapping[str, NDArray[Any]], *, by_layer: bool) -> Source:
    digest = sha256()
    for name, array in arrays.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).data)
    return Source(arrays, by_layer, digest.hexdigest())


def _read_file(path: Path) -> Source:
    import h5py

    content = path.read_bytes()
    if path.suffix == ".keras":
        with zipfile.ZipFile(BytesIO(content)) as archive:
            content = archive.read(WEIGHTS)
    with h5py.File(BytesIO(content), "r") as file:
        root = file.get("model_weights", file)
        if "layer_names" in root.attrs:
            return _source(dict(_by_path(root)), by_layer=False)
        return _source(dict(_by_layer(file, ())), by_layer=True)


def _by_path(root: h5py.Group) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yields the weights of a file of Keras 2, or of a whole model in that form.

    Their paths are numbered as those of a model here.
    """
    arrays: list[tuple[str, NDArray[Any]]] = []
    for layer in root.attrs["layer_names"]:
        group = root[_text(layer)]
        for name in map(_text, group.attrs["weight_names"]):
            arrays.append((re.sub(r":\d+$", "", name), np.asarray(group[name])))
    paths = canonical([name for name, _ in arrays])
    yield from ((path, array) for path, (_, array) in zip(paths, arrays, strict=True))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _by_layer(group: h5py.Group, above: tuple[str, ...]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yields the weights of a file of Keras 3: by the layers' names and the weight's place."""
    weights = group.get("vars", {})
    for place in sorted(weights, key=int):
        yield "/".join((*above, place)), np.asarray(weights[place])
    names = LayerNames()
    for key in sorted(_inner(group), key=_natural):
        sublayer = group[key]
        given = sublayer["vars"].attrs.get("name") if "vars" in sublayer else None
        stem = re.sub(r"_\d+$", "", key.rpartition("/")[2])
        name = _text(given) if given is not None else key.rpartition("/")[2]
        yield from _by_layer(sublayer, (*above, names.counted(name, stem)))


def _inner(group: h5py.Group) -> Iterator[str]:
    """Yields the keys of the layers within one; a container of layers is no layer."""
    for key in group:
        if key == "vars":
            continue
        if "vars" in group[key]:
            yield key
        else:
            yield from (f"{key}/{inner}" for inner in _inner(group[key]))


def _natural(key: str) -> list[Any]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", key)]


class LayerNames:
    """Names of the layers within one, in which Keras' own numbers are counted anew.

    >>> names = LayerNames()
    >>> [names.counted(name, "dense") for name in ("dense_7", "head_2", "dense_9")]
    ['dense', 'head_2', 'dense_1']
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def counted(self, name: str, kind: str) -> str:
        """The name of a layer whose class is written `kind` where Keras names by it."""
        if not re.fullmatch(rf"{re.escape(kind)}(_\d+)?", name):
            return name
        count = self._counts[kind] = self._counts.get(kind, -1) + 1
        return f"{kind}_{count}" if count else kind

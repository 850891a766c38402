"""Predictions, and the files that they are written to."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import refuse

from ..data.preparation import Names
from ..data.trees import Tree, leaves, map_tree, named_leaves
from ..runs.csv_cells import plain_cell

FORMATS = (".csv", ".npy", ".npz")


class Predicted(NamedTuple):
    """What was predicted of examples, and how good that is."""

    outputs: Tree[NDArray[np.float32]]
    """What the network gives, `[n, outputs]`: a probability for each class, or the numbers; of
    several labels, each by its name."""
    labels: Tree[NDArray[Any]]
    metrics: dict[str, float]
    names: Tree[Names] = None
    """What the classes are called, where they are not called 0, 1, 2 …"""
    numbers: Sequence[str] = ()
    """What the numbers of the only label are called, where the data has names for them."""
    files: Sequence[str] = ()
    """The file that each example is of, where it is of one."""

    def __len__(self) -> int:
        return len(leaves(self.outputs)[0])

    def save(self, path: Path) -> None:
        """Writes a row for each example, or in `.npy` and `.npz` the outputs alone.

        Raises:
            Refused: when the file can't be written, or can't hold such outputs.
        """
        several = isinstance(self.outputs, Mapping)
        if path.suffix == ".npy" and several:
            raise refuse("--output", str(path), "is for a single output", "a file.npz, or .csv")
        check_rows(path, map_tree(lambda x: x.shape[1:], self.outputs))
        try:
            if path.suffix == ".npy":
                np.save(path, leaves(self.outputs)[0], allow_pickle=False)
            elif path.suffix == ".npz":
                named = {name or "outputs": x for name, x in named_leaves(self.outputs)}
                np.savez(path, allow_pickle=False, **named)
            else:
                with path.open("w", newline="", encoding="utf-8") as file:
                    rows = (map(plain_cell, row) for row in self._rows())
                    csv.writer(file, lineterminator="\n").writerows(rows)
        except OSError as error:
            rule = f"can't be written: {error.strerror}"
            raise refuse("--output", str(path), rule) from None

    def _rows(self) -> Iterator[list[Any]]:
        """A heading, then of each example its index, what is predicted, and its label.

        Numbers are written so that they read back to the same float32.
        """
        names: Mapping[str, Names] = self.names if isinstance(self.names, Mapping) else {}
        columns = [
            _columns(
                (outputs, labels),
                names.get(name, self.names if not name else None),
                () if name else self.numbers,
                name,
            )
            for (name, outputs), labels in zip(
                named_leaves(self.outputs), leaves(self.labels), strict=True
            )
        ]
        for i, cells in enumerate(zip(*columns, strict=True)):
            files = [["file", *self.files][i]] if self.files else []
            index = "index" if i == 0 else i - 1
            yield [index, *files, *(cell for column in cells for cell in column)]


def _columns(
    arrays: tuple[NDArray[np.float32], NDArray[Any] | None],
    names: Any,
    numbers: Sequence[str],
    label: str,
) -> Iterator[list[Any]]:
    """The heading and the cells of one label's columns; of several, its name stands before each.

    `arrays` are the outputs and the labels, `names` those of classes, and `numbers` those of the
    numbers of a label.
    """
    outputs, labels = arrays
    of = f"{label}_" if label else ""
    count = outputs.shape[1]
    named = len(numbers) == count  # and not so many for each step of a window
    numbered = numbers if named else [str(i) for i in range(count)]
    places = [f"_{name}" for name in numbered] if count > 1 else [""]
    if labels is None:
        if names:
            yield [f"{of}{word}" for word in ("prediction", *(f"probability_{n}" for n in names))]
            yield from ([names[row.argmax()], *map(_short, row)] for row in outputs)
            return
        yield [f"{of}prediction{place}" for place in places]
        yield from ([*map(_short, row)] for row in outputs)
        return
    if labels.ndim == 1:
        names = names or [str(i) for i in range(count)]
        heading = ["prediction", "label", *(f"probability_{name}" for name in names)]
        yield [f"{of}{word}" for word in heading]
        for row, class_number in zip(outputs, labels, strict=True):
            yield [names[row.argmax()], names[class_number], *map(_short, row)]
        return
    yield [f"{of}{word}{place}" for word in ("prediction", "label") for place in places]
    for row, label_row in zip(outputs, labels, strict=True):
        yield [*map(_short, row), *map(_short, label_row)]


def check_rows(path: Path, shapes: Tree[tuple[int, ...]]) -> None:
    """Whether a file can have a row for each example, of outputs of these shapes.

    Raises:
        Refused: when not, with one that can.
    """
    if path.suffix == ".csv" and any(len(shape) != 1 for shape in leaves(shapes)):
        rule = "has a row an example, and outputs are of more axes"
        other = path.with_suffix(".npz" if isinstance(shapes, Mapping) else ".npy")
        raise refuse("--output", str(path), rule, f"--output={other}")


def unlabelled(
    outputs: Tree[NDArray[np.float32]],
    names: Tree[Names],
    numbers: Sequence[str],
    files: Sequence[str],
) -> Predicted:
    """Predictions of examples that have no labels."""
    nothing: Any = map_tree(lambda x: None, outputs)
    return Predicted(outputs, nothing, {}, names, numbers, files)


def _short(value: np.float32) -> str:
    return str(np.float32(value))

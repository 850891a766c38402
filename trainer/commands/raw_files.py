"""Files of raw inputs without labels, of which predictions are asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused, did_you_mean, refuse

from ..data import Data, Preparation
from ..data.facts import Feature
from ..data.files import missing
from ..data.raw_data import RawData
from ..data.sources.arrays import archived_array, array_names, array_of_file, opened_archive
from ..data.sources.csv_file import CsvFile
from ..data.sources.csv_table import Csv
from ..data.sources.hugging_face import HuggingFace
from ..data.sources.image_listing import ENDINGS
from ..data.sources.images import ImageFiles, images_at
from ..data.sources.parquet import Parquet
from ..data.sources.raw_images import RawImages
from ..data.sources.tables import Table
from ..data.sources.tfrecord import TfRecord
from ..data.trees import Tree

D = TypeVar("D", bound=RawData)
OPTION = "--inputs"
FORMATS = (".npy", ".npz", ".csv", ".parquet", *ENDINGS)
"""The endings of files; a folder may be given too, and records that have any ending."""


def read_inputs(file: Path, preparation: Preparation, data: Data) -> Tree[Any]:
    """The raw inputs of a file or a folder, for a run on `data` that has prepared its own so.

    An `.npy` file is the only input; an `.npz` file has it, or each by its name. A `.csv` or
    `.parquet` file has the columns of a table by their names; of other data a `.csv` file has a
    column for each number of the only input, in their order, or one for each input by its name. An
    image, or a folder of images, is decoded as the run's were. Of a run on TFRecord files it may be
    such a file, and of one on a Hugging Face data set the folder of another.

    Raises:
        Refused: when there is no such file, or it holds something else.
    """
    features, columns = preparation.features(), preparation.raw_columns
    if not file.exists():
        raise missing(OPTION, file)
    if isinstance(data, TfRecord) and not file.is_dir() and file.suffix not in FORMATS:
        with _named_by_option():
            return _at(file.absolute(), data).unlabelled(columns)
    if isinstance(data, HuggingFace) and (file / "dataset_info.json").exists():
        with _named_by_option():
            return _at(str(file), data).unlabelled(columns)
    if file.is_dir() or file.suffix.lower() in ENDINGS:
        return _images(file, features, data)
    if file.suffix not in FORMATS:
        listed = ", ".join((*FORMATS, "or a folder of images"))
        raise refuse(OPTION, file.suffix or str(file), f"must be one of {listed}")
    if file.suffix in TABLES:
        if isinstance(data, Table):
            with _named_by_option():
                return _table(file, data).unlabelled(columns)
        if file.suffix == ".parquet":
            rule = "is a table, and the run learnt from none"
            raise refuse(OPTION, str(file), rule, "an .npz file has arrays by their names")
        return _csv(file, features)
    if file.suffix == ".npy":
        if isinstance(features, Mapping):
            rule = f"is one array, and the network takes {_listed(features)}"
            raise refuse(OPTION, str(file), rule, "an .npz file has them by their names")
        return array_of_file(OPTION, file)
    with opened_archive(OPTION, file) as archive:
        names = array_names(archive)
        if isinstance(data, Table):
            found = [n for n in columns if n in names] or names
            return {n: archived_array(archive, OPTION, n, file) for n in found}
        if isinstance(features, Mapping):
            return {n: archived_array(archive, OPTION, n, file) for n in features}
        if len(names) > 1 and "inputs" not in names:
            rule = f"has the arrays {', '.join(sorted(names))}, and the network takes one"
            raise refuse(OPTION, str(file), rule, "np.savez(file, inputs=…)")
        name = "inputs" if "inputs" in names else names[0] if names else "inputs"
        return archived_array(archive, OPTION, name, file)


TABLES: Mapping[str, type[Table]] = {".csv": Csv, ".parquet": Parquet}


def _table(file: Path, data: Table) -> Table:
    """The run's table with this file in the place of its own."""
    kind = TABLES[file.suffix]
    if isinstance(data, kind):
        return _at(file, data)
    return kind.declared({"path": str(file), "target": data.target, "targets": data.targets,
                          "columns": data.columns, "window": data.window})  # fmt: skip


@contextmanager
def _named_by_option() -> Iterator[None]:
    """Names the option where data refuses the path that it has been given by it."""
    try:
        yield
    except Refused as refused:
        raise Refused(
            replace(one, path=OPTION if one.path == "path" else f"data.{one.path}")
            for one in refused.problems
        ) from None


def _at(place: Path | str, data: D) -> D:
    """The data of another file or folder, of which nothing has been read."""
    copy = data.model_copy(update={"path": place, "test": None})
    copy.__dict__.pop("contents", None)
    return copy


def _images(place: Path, features: Tree[Feature], data: Data) -> ImageFiles:
    """An image, or those of a folder, for a network that takes such."""
    shape = () if isinstance(features, Mapping) else features.shape
    if len(shape) != 3 or shape[-1] not in (1, 3):
        takes = f"inputs of shape {list(shape)}"
        takes = _listed(features) if isinstance(features, Mapping) else takes
        rule = f"is of images, and the network takes {takes}"
        raise refuse(OPTION, str(place), rule, "an .npy or .npz file has arrays")
    return images_at(OPTION, place, data if isinstance(data, RawImages) else None, shape)


def _csv(file: Path, features: Tree[Feature]) -> Tree[NDArray[Any]]:
    """The columns of a CSV file as the inputs of a network that learnt from no table."""
    try:
        opened = CsvFile.opened(OPTION, file, "comma")
    except Refused as refused:
        [problem] = refused.problems
        hint = "" if problem.hint.startswith("data.") else problem.hint
        raise refuse(OPTION, str(file), problem.rule, hint or "put commas between values") from None
    if isinstance(features, Mapping):
        if wide := [name for name, one in features.items() if prod(one.shape) > 1]:
            shape = list(features[wide[0]].shape)
            rule = f"has a number a column, and the input {wide[0]} is of shape {shape}"
            raise refuse(OPTION, str(file), rule, "an .npz file has arrays by their names")
        for name in features:
            if name not in opened.header:
                rule, hint = f"has no column {name}", did_you_mean(name, opened.header)
                raise refuse(OPTION, str(file), rule, hint)
        texts = [name for name, one in features.items() if one.dtype == "string"]
        names = [name for name in features if name not in texts]
        numbers, text = opened.read(names, texts)
        columns: dict[str, Any] = {name: numbers[:, i] for i, name in enumerate(names)}
        columns |= {name: one.array(one.texts, object) for name, one in text.items()}
        return {name: columns[name] for name in features}
    count = prod(features.shape)
    if len(opened.header) != count:
        rule = f"has {len(opened.header)} columns, and an input of the network has {count} numbers"
        raise refuse(OPTION, str(file), rule, "a column for each, in their order, and no others")
    if features.dtype == "string":
        _, text = opened.read([], opened.header)
        return np.stack([one.array(one.texts, object) for one in text.values()], axis=1)
    return opened.read(opened.header, [])[0]


def _listed(features: Mapping[str, Feature]) -> str:
    return ", ".join(features)

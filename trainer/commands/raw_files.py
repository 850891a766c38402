"""Files of raw inputs without labels, of which predictions are asked."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import Refused, did_you_mean, refuse

from ..data import Data, Preparation
from ..data.facts import Feature
from ..data.sources.arrays import archived_array, array_names, array_of_file, opened_archive
from ..data.sources.csv_file import CsvFile
from ..data.sources.tables import Csv, Table
from ..data.trees import Tree

OPTION = "--inputs"
FORMATS = (".npy", ".npz", ".csv")


def read_inputs(file: Path, preparation: Preparation, data: Data) -> Tree[Any]:
    """The raw inputs of a file, for a run on `data` that has prepared its own so.

    An `.npy` file is the only input; an `.npz` file has it, or each by its name. A `.csv` file has
    the columns of a table by their names; of other data a column for each number of the only input,
    in their order, or one for each input by its name.

    Raises:
        Refused: when there is no such file, or it holds something else.
    """
    features = preparation.features()
    if file.suffix not in FORMATS:
        raise refuse(OPTION, file.suffix, f"must be one of {', '.join(FORMATS)}")
    if file.suffix == ".csv":
        if isinstance(data, Table):
            return _table(file, data).unlabelled(preparation.raw_columns)
        return _csv(file, features)
    if file.suffix == ".npy":
        if isinstance(features, Mapping):
            rule = f"is one array, and the network takes {_listed(features)}"
            raise refuse(OPTION, str(file), rule, "an .npz file has them by their names")
        return array_of_file(OPTION, file)
    with opened_archive(OPTION, file) as archive:
        names = array_names(archive)
        if isinstance(data, Table):
            columns = [n for n in preparation.raw_columns if n in names] or names
            return {n: archived_array(archive, OPTION, n, file) for n in columns}
        if isinstance(features, Mapping):
            return {n: archived_array(archive, OPTION, n, file) for n in features}
        if len(names) > 1 and "inputs" not in names:
            rule = f"has the arrays {', '.join(sorted(names))}, and the network takes one"
            raise refuse(OPTION, str(file), rule, "np.savez(file, inputs=…)")
        name = "inputs" if "inputs" in names else names[0] if names else "inputs"
        return archived_array(archive, OPTION, name, file)


def _table(file: Path, data: Table) -> Table:
    """The run's table with this CSV file in the place of its own."""
    if isinstance(data, Csv):
        return data.model_copy(update={"path": file})
    return Csv.declared({"path": str(file), "target": data.target, "targets": data.targets,
                         "columns": data.columns})  # fmt: skip


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

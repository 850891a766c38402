"""Data sets of Hugging Face: of its hub, or from a folder; in memory, on disk, or as a stream."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schedules.declaration import ABSENT, Flag, Problem, Whole, did_you_mean, refuse
from schedules.declaration.packages import import_extra

from ..inputs import Inputs, Key
from ..ragged import ONE_SHAPE, RaggedRows
from ..raw_examples import RawExamples
from ..raw_part import RawPart
from ..streams.hugging_face import IterableDatasetSource
from ..trees import Tree, leaves
from .conversion import Converter
from .hubs import Hub


class HuggingFace(Hub):
    """A data set of the Hugging Face hub, or one that `save_to_disk` wrote into a folder.

    Needs the extra `huggingface`, which is the package datasets. The input is one column of
    numbers, of arrays of one shape, or of images. The files are mapped into memory, and may be
    larger than it. Loading scripts are never run.
    """

    kind: Literal["huggingface"] = "huggingface"
    path: str
    """A name on the hub, such as ylecun/mnist, or a folder."""
    config: str | None = None
    """Which configuration of the data set; null where it has one only."""
    revision: str | None = None
    """Which commit of the data set; null for the newest."""
    streaming: Flag = False
    """Whether the split that trains is read row by row, as training goes, and never as a whole."""
    shuffle_buffer: Annotated[Whole, Field(ge=2)] | None = None
    """From how many rows at a time those of a stream are drawn; null for their own order."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        if self.streaming and self.test is None:
            rule = "is required, since nothing can be held out of what is streamed"
            yield Problem("test", ABSENT, rule, "data.test=validation, or another split")
        if self.shuffle_buffer is not None and not self.streaming:
            rule = "is for what is streamed, and other rows are drawn from all of them"
            hint = "leave it out, or data.streaming=true"
            yield Problem("shuffle_buffer", self.shuffle_buffer, rule, hint)

    def read(self) -> RawExamples:
        with nullcontext() if self.download else without_hub():
            datasets = import_extra("huggingface", "datasets", "huggingface")
            train = self._split(datasets, "train", self.train)
            if self.streaming:
                return self._streamed(train, self._split(datasets, "test", str(self.test)))
            part = self._part(train)
            names = self.names_of(train.features)
            if self.test is None:
                return RawExamples(part, None, names=names)
            test = self._split(datasets, "test", self.test)
            return RawExamples(part, self._part(test), names=names)

    def _streamed(self, train: Any, test: Any) -> RawExamples:
        """The rows of one split as a stream, and those of another in memory."""
        train, test = self._chosen_of(train), self._chosen_of(test)
        rows = [{n: np.asarray(value) for n, value in row.items()} for row in test]
        if not rows:
            raise refuse("test", self.test, "has no examples")

        def column(field: str, name: str) -> Any:
            arrays = [row[name] for row in rows]
            for array in arrays:
                if array.shape != arrays[0].shape:
                    shape, first = list(array.shape), list(arrays[0].shape)
                    raise refuse(field, name, f"has one of shape {shape}, and the first is {first}")
            return np.stack(arrays)

        source = IterableDatasetSource(train, self.shuffle_buffer)
        converter = Converter("path", self.path, "is", "")
        raw = converter.stream(source, self.part(column), self._chosen_columns)
        return raw._replace(names=self.names_of(train.features) if train.features else None)

    def _chosen_of(self, dataset: Any) -> Any:
        """The columns that are learnt from, so that no other is decoded."""
        if dataset.column_names is None:  # as after a `map` that declares no features
            return dataset
        self.check_features(dataset.column_names)
        fields = ("inputs", self.label_field(), "weights")
        chosen = [name for field in fields for name in leaves(self.chosen(field) or {})]
        return dataset.select_columns([*dict.fromkeys(chosen)])

    def _chosen_columns(self, row: Mapping[str, Any]) -> Any:
        """The inputs, the labels and the weights of a row."""
        self.check_features(row)
        part = self.part(lambda _, name: row[name])
        return part.inputs, part.labels, part.weights

    def has_labels(self, columns: Sequence[str]) -> bool:
        """Whether the data set has the columns that are labels."""
        labels = self.chosen(self.label_field())
        return self.streaming or {*leaves(labels or {})} <= {*self._train_split().column_names}

    def unlabelled(self, columns: Sequence[str]) -> Tree[Inputs]:
        plain = {"labels": None, "targets": None, "weights": None, "streaming": False}
        whole = self.model_copy(update=plain)
        return whole._part(whole._train_split()).inputs

    def _train_split(self) -> Any:
        with nullcontext() if self.download else without_hub():
            datasets = import_extra("huggingface", "datasets", "huggingface")
            return self._split(datasets, "train", self.train)

    def _split(self, datasets: Any, field: str, split: str) -> Any:
        folder = Path(self.path).expanduser()
        try:
            if (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists():
                loaded = datasets.load_from_disk(str(folder))
                if self.streaming:
                    loaded = _as_iterables(loaded, datasets)
            else:
                local = datasets.DownloadConfig(local_files_only=not self.download)
                loaded = datasets.load_dataset(
                    self.path,
                    self.config,
                    revision=self.revision,
                    download_config=local,
                    **({"streaming": True} if self.streaming else {}),
                )
        except Exception as error:  # the package and its network raise dozens of types
            raise self.unavailable("path", self.path, error) from None
        if not isinstance(loaded, (datasets.DatasetDict, datasets.IterableDatasetDict)):
            if split != "train":
                raise refuse(field, split, "is no split of it", "it has one split only")
            return loaded
        if split not in loaded:
            raise refuse(field, split, "is no split of it", did_you_mean(split, loaded))
        return loaded[split]

    def _part(self, dataset: Any) -> RawPart:
        self.check_features(dataset.column_names)
        if not len(dataset):
            raise refuse("train", ABSENT, "has no examples")
        return self.part(lambda _, name: self._column(name, dataset))

    def _column(self, name: str, dataset: Any) -> Any:
        """A column, left on disk; or in memory where its rows may be of several lengths."""
        if self.ragged is not None:
            rows = RaggedRows.uneven(dataset.with_format("numpy", columns=[name])[:][name])
            if rows is not None:
                return rows
        return HuggingFaceColumn(name, dataset)


def _as_iterables(loaded: Any, datasets: Any) -> Any:
    """What a folder holds, row by row, by its splits where it has several."""
    if not isinstance(loaded, datasets.DatasetDict):
        return loaded.to_iterable_dataset()
    return datasets.IterableDatasetDict(
        {split: one.to_iterable_dataset() for split, one in loaded.items()}
    )


@contextmanager
def without_hub() -> Iterator[None]:
    """Within the block Hugging Face's packages ask nothing of the network.

    They read `HF_HUB_OFFLINE` while they are imported, which may be now or have been long ago, and
    look at a constant of that name afterwards. `local_files_only` alone still looks the name up.
    """
    names = ("huggingface_hub.constants", "datasets.config")
    set_by_user = os.environ.get("HF_HUB_OFFLINE")
    by_default = (set_by_user or "").upper() in ("1", "ON", "YES", "TRUE")
    before = {name: getattr(sys.modules.get(name), "HF_HUB_OFFLINE", by_default) for name in names}
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        for name in names:
            with suppress(ImportError):  # the package is missing, as `import_extra` tells
                import_module(name).HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
        yield
    finally:
        if set_by_user is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = set_by_user
        for name in names:
            if module := sys.modules.get(name):
                module.HF_HUB_OFFLINE = before[name]  # type: ignore[attr-defined]


class HuggingFaceColumn:
    """One column of a Hugging Face data set, read on demand."""

    def __init__(self, column: str, dataset: Any) -> None:
        self.column = column
        self._rows = dataset.with_format("numpy", columns=[column])
        first = np.asarray(self._rows[0][column])
        self.shape = (len(dataset), *first.shape)
        self.dtype = first.dtype

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Key) -> NDArray[Any]:
        cells = self._rows[key if isinstance(key, slice) else np.asarray(key)][self.column]
        for cell in cells:
            if np.shape(cell) != self.shape[1:]:
                shape, first = list(np.shape(cell)), list(self.shape[1:])
                rule = f"has one of shape {shape}, and the first is {first}"
                raise refuse("inputs", self.column, rule, ONE_SHAPE)
        return np.asarray(cells, self.dtype).reshape(-1, *self.shape[1:])

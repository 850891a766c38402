"""Data sets by name: those of Hugging Face and of TensorFlow Datasets."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, Flag, Refused, did_you_mean, refuse
from schedules.declaration.packages import import_extra

from ..facts import Facts
from ..files import File
from ..held_out import HeldOut
from ..inputs import Key
from ..preparation import Names
from ..ragged import FILLS_UP, ONE_SHAPE, RaggedRows
from ..raw_data import RawExamples, RawPart
from ..trees import Tree, leaves, map_tree
from .by_name import ByName, Named, Several


class _Hub(ByName):
    """What data sets by name have in common."""

    train: str = "train"
    """The split that trains."""
    test: str | None = None
    """The split to evaluate by; null to hold some examples out."""
    inputs: Named[str] = "image"
    """The feature that is the input, or several by name."""
    labels: str = "label"
    """The feature that is the label."""
    targets: Several[str] | None = None
    """Several features in the place of `labels`, each a label by its name."""
    weights: str | None = None
    """The feature that says what each example counts for."""
    download: Flag = False
    """Whether the data set may be downloaded when it is not on this machine."""

    what: ClassVar[str] = "feature"

    def has_test_part(self) -> bool:
        return self.test is not None

    def check_features(self, features: Any) -> None:
        """Refuses inputs or labels that are not among the features of the data set."""
        for field in ("inputs", self.label_field(), "weights"):
            for name in leaves(self.chosen(field) or {}):
                self.check_name(field, name, features, "it")

    def names_of(self, features: Any) -> Tree[Names]:
        """The names of the classes of each label, where the data set has them."""

        def names(feature: str) -> Names:
            found = getattr(features[feature], "names", None)
            return tuple(found) if found else None

        chosen = self.chosen(self.label_field())
        assert chosen is not None
        return map_tree(names, chosen)

    def unavailable(self, field: str, name: str, error: object) -> Refused:
        """The refusal of a data set that can't be loaded."""
        message = (str(error).splitlines() or [type(error).__name__])[0]
        hint = "" if self.download else "data.download=true fetches it"
        return refuse(field, name, f"can't be had: {message}", hint)


class HuggingFace(_Hub):
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

    def read(self) -> RawExamples:
        with nullcontext() if self.download else without_hub():
            datasets = import_extra("huggingface", "datasets", "huggingface")
            train = self._split(datasets, "train", self.train)
            part = self._part(train)
            names = self.names_of(train.features)
            if self.test is None:
                return RawExamples(part, None, names=names)
            test = self._split(datasets, "test", self.test)
            return RawExamples(part, self._part(test), names=names)

    def _split(self, datasets: Any, field: str, split: str) -> Any:
        folder = Path(self.path).expanduser()
        try:
            if (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists():
                loaded = datasets.load_from_disk(str(folder))
            else:
                local = datasets.DownloadConfig(local_files_only=not self.download)
                loaded = datasets.load_dataset(
                    self.path, self.config, revision=self.revision, download_config=local
                )
        except Exception as error:  # the package and its network raise dozens of types
            raise self.unavailable("path", self.path, error) from None
        if not isinstance(loaded, datasets.DatasetDict):
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


class Tfds(_Hub):
    """A data set of TensorFlow Datasets, by its name there; needs the extra `tfds`.

    The data set is read into memory, in the order of its files. A split may be a part of one, such
    as train[:80%].
    """

    kind: Literal["tfds"] = "tfds"
    name: str
    """The name, such as mnist or cifar10, with a configuration and a version if need be."""
    data_dir: File | None = None
    """Where data sets are kept; null for the package's own place, ~/tensorflow_datasets."""

    def facts(self) -> Facts:
        info = self._builder.info
        if self.targets is not None or self.weights is not None or not isinstance(self.inputs, str):
            return super().facts()
        feature, label = info.features[self.inputs], info.features[self.labels]
        classes = getattr(label, "num_classes", None)
        shape = self.shape or tuple(feature.shape)
        if classes is None or None in shape or self.task == "regression":
            return super().facts()
        examples = self._size(info, self.train)
        if self.test is None:
            examples -= (self.held_out or HeldOut()).count(examples)
        return Facts.of(examples, shape, self.classes or classes)

    def known_labels(self) -> None:
        """Labels are read with the inputs."""

    def read(self) -> RawExamples:
        builder = self._builder
        return RawExamples(
            self._part(builder, self.train),
            self._part(builder, self.test) if self.test else None,
            names=self.names_of(builder.info.features),
        )

    @cached_property
    def _builder(self) -> Any:
        """The builder of the data set, which is downloaded first where that is allowed."""
        tfds = import_extra("tfds", "tensorflow_datasets", "tfds")
        if ":" in self.name and not self.download:
            rule = "is of a collection that is looked up in the network"
            raise refuse("name", self.name, rule, "data.download=true")
        data_dir = str(self.data_dir) if self.data_dir else None
        try:
            builder = tfds.builder(self.name, data_dir=data_dir)
            if not builder.info.splits:
                if not self.download:
                    raise self.unavailable("name", self.name, f"it is not in {builder.data_dir}")
                builder.download_and_prepare()
        except Refused:
            raise
        except Exception as error:  # the package and its network raise dozens of types
            raise self.unavailable("name", self.name, error) from None
        self.check_features(dict(builder.info.features))
        for split in filter(None, (self.train, self.test)):
            self._size(builder.info, split)
        return builder

    def _size(self, info: Any, split: str) -> int:
        try:
            return int(info.splits[split].num_examples)
        except (KeyError, ValueError):
            field = "train" if split == self.train else "test"
            raise refuse(
                field, split, "is no split of it", did_you_mean(split, info.splits)
            ) from None

    def _part(self, builder: Any, split: str) -> RawPart:
        import tensorflow_datasets as tfds

        rows = [*tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))]

        def column(field: str, name: str) -> Any:
            arrays = [np.asarray(row[name]) for row in rows]
            if self.ragged is not None and (uneven := RaggedRows.uneven(arrays)) is not None:
                return uneven
            for array in arrays:
                if array.shape != arrays[0].shape:
                    shape, first = list(array.shape), list(arrays[0].shape)
                    rule = f"has one of shape {shape}, and the first is {first}"
                    hint = f"{FILLS_UP}; data=python with a function that resizes images"
                    raise refuse(field, name, rule, hint)
            return np.stack(arrays)

        return self.part(column)

"""Data sets by name: those of Hugging Face and of TensorFlow Datasets."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, Flag, Refused, did_you_mean, refuse
from schedules.declaration.packages import extra

from ..examples import Facts
from ..files import File
from ..held_out import HeldOut
from ..inputs import Key
from ..raw_data import RawData, RawExamples, RawPart


class _Hub(RawData):
    """What data sets by name have in common."""

    train: str = "train"
    """The split that trains."""
    test: str | None = None
    """The split to evaluate by; null to hold some examples out."""
    inputs: str = "image"
    """The feature that is the input."""
    labels: str = "label"
    """The feature that is the label."""
    download: Flag = False
    """Whether it may be fetched when it is not on this machine."""

    @property
    def labelled(self) -> tuple[str, object]:
        return "labels", self.labels

    def given(self) -> bool:
        return self.test is not None

    def has(self, field: str, known: Any) -> None:
        """Refuses a feature that is not among the known ones."""
        name = getattr(self, field)
        if name not in known:
            raise refuse(field, name, "is no feature of it", did_you_mean(name, known))

    def absent(self, field: str, name: str, error: object) -> Refused:
        """The refusal of a data set that can't be had."""
        said = (str(error).splitlines() or [type(error).__name__])[0]
        hint = "" if self.download else "data.download=true fetches it"
        return refuse(field, name, f"can't be had: {said}", hint)


class HuggingFace(_Hub):
    """A data set of the Hugging Face hub, or one that `save_to_disk` wrote into a folder.

    Needs the extra `huggingface`, which is the package datasets. The input is one column of
    numbers, of arrays of one shape, or of images. Its files are mapped into memory, so it may be
    larger than that. Loading scripts are never run.
    """

    kind: Literal["huggingface"] = "huggingface"
    path: str
    """A name on the hub, such as ylecun/mnist, or a folder."""
    config: str | None = None
    """Which of its configurations; null where there is one."""
    revision: str | None = None
    """Which commit of it; null for the newest there is."""

    def found(self) -> RawExamples:
        datasets = extra("huggingface", "datasets", "huggingface")
        train = self._split(datasets, "train", self.train)
        names = self._names(train)
        if self.test is None:
            return RawExamples(self._part(train), None, names=names)
        test = self._split(datasets, "test", self.test)
        return RawExamples(self._part(train), self._part(test), names=names)

    def _split(self, datasets: Any, field: str, split: str) -> Any:
        folder = Path(self.path).expanduser()
        try:
            if (folder / "dataset_dict.json").exists() or (folder / "dataset_info.json").exists():
                found = datasets.load_from_disk(str(folder))
            else:
                local = datasets.DownloadConfig(local_files_only=not self.download)
                found = datasets.load_dataset(
                    self.path, self.config, revision=self.revision, download_config=local
                )
        except Exception as error:  # of which the package and its network have dozens
            raise self.absent("path", self.path, error) from None
        if not isinstance(found, datasets.DatasetDict):
            if split != "train":
                raise refuse(field, split, "is no split of it", "it has one split only")
            return found
        if split not in found:
            raise refuse(field, split, "is no split of it", did_you_mean(split, found))
        return found[split]

    def _part(self, dataset: Any) -> RawPart:
        for field in ("inputs", "labels"):
            self.has(field, dataset.column_names)
        if not len(dataset):
            raise refuse("train", ABSENT, "has no examples")
        labels = dataset.with_format("numpy", columns=[self.labels])[:][self.labels]
        return RawPart(Rows(self.inputs, dataset), np.asarray(labels))

    def _names(self, dataset: Any) -> tuple[str, ...] | None:
        names = getattr(dataset.features.get(self.labels), "names", None)
        return tuple(names) if names else None


class Rows:
    """One column of a Hugging Face data set, read when it is asked for."""

    def __init__(self, column: str, dataset: Any) -> None:
        self.column = column
        self._rows = dataset.with_format("numpy", columns=[column])
        first = np.asarray(self._rows[0][column])
        self.shape = (len(dataset), *first.shape)
        self.dtype = first.dtype

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: Key) -> NDArray[Any]:
        found = self._rows[key if isinstance(key, slice) else np.asarray(key)][self.column]
        if len(found) and any(np.shape(one) != self.shape[1:] for one in found):
            odd = next(np.shape(one) for one in found if np.shape(one) != self.shape[1:])
            rule = f"has one of shape {list(odd)}, and the first is {list(self.shape[1:])}"
            raise refuse("inputs", self.column, rule, "all inputs need one shape")
        return np.asarray(found, self.dtype).reshape(-1, *self.shape[1:])


class Tfds(_Hub):
    """A data set of TensorFlow Datasets, by its name there; needs the extra `tfds`.

    It is read into memory, in the order of its files. A split may be a part, such as train[:80%].
    """

    kind: Literal["tfds"] = "tfds"
    name: str
    """Its name, such as mnist or cifar10, with a configuration and a version if need be."""
    data_dir: File | None = None
    """Where data sets are kept; null for the package's own place, ~/tensorflow_datasets."""

    def facts(self) -> Facts:
        info = self._builder.info
        feature, label = info.features[self.inputs], info.features[self.labels]
        classes = getattr(label, "num_classes", None)
        shape = self.shape or tuple(feature.shape)
        if classes is None or None in shape or self.task == "regression":
            return super().facts()
        examples = self._size(info, self.train)
        if self.test is None:
            examples -= round(examples * (self.held_out or HeldOut()).fraction)
        return Facts(examples, shape, self.classes or classes)

    def found(self) -> RawExamples:
        builder = self._builder
        names = getattr(builder.info.features[self.labels], "names", None)
        return RawExamples(
            self._part(builder, self.train),
            self._part(builder, self.test) if self.test else None,
            names=tuple(names) if names else None,
        )

    @cached_property
    def _builder(self) -> Any:
        """What reads it, once it is there."""
        tfds = extra("tfds", "tensorflow_datasets", "tfds")
        place = str(self.data_dir) if self.data_dir else None
        try:
            builder = tfds.builder(self.name, data_dir=place)
            if not builder.info.splits:
                if not self.download:
                    raise self.absent("name", self.name, f"it is not in {builder.data_dir}")
                builder.download_and_prepare()
        except Refused:
            raise
        except Exception as error:  # of which the package and its network have dozens
            raise self.absent("name", self.name, error) from None
        for field in ("inputs", "labels"):
            self.has(field, dict(builder.info.features))
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

        rows = tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))
        inputs, labels = [], []
        for row in rows:
            inputs.append(row[self.inputs])
            labels.append(row[self.labels])
        if odd := next((x.shape for x in inputs if x.shape != inputs[0].shape), None):
            rule = f"has one of shape {list(odd)}, and the first is {list(inputs[0].shape)}"
            hint = "data=python with a function that resizes them"
            raise refuse("inputs", self.inputs, rule, hint)
        return RawPart(np.stack(inputs), np.array(labels))

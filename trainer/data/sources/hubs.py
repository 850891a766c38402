"""Data sets by name, and those of TensorFlow Datasets."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from schedules.declaration import Flag, Refused, did_you_mean, refuse
from schedules.declaration.packages import import_extra

from ..facts import Facts
from ..files import File
from ..held_out import HeldOut
from ..preparation import Names
from ..ragged import FILLS_UP, RaggedRows
from ..raw_examples import RawExamples
from ..raw_part import RawPart
from ..trees import Tree, leaves, map_tree
from .by_name import ByName, Named, Several


class Hub(ByName):
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


class Tfds(Hub):
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

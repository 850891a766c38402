"""Small data sets made by the packages that only some kinds of data need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

ROWS = 100
LABELS = np.arange(ROWS) % 2
VALUES = np.random.default_rng(2).normal(LABELS[:, None], 1, (ROWS, 3)).astype(np.float32)
IMAGES = np.random.default_rng(3).integers(0, 256, (ROWS, 6, 5, 3)).astype(np.uint8)


def parquet(folder: Path, name: str = "a.parquet", **columns: Any) -> None:
    """A table of three columns of numbers and one of labels, and of more that are given."""
    import pyarrow
    from pyarrow import parquet as files

    message = {f"x{i}": VALUES[:, i] for i in range(3)} | {"label": LABELS} | columns
    files.write_table(pyarrow.table(message), folder / name)


def hub(folder: Path, name: str = "hub") -> None:
    """A folder that `save_to_disk` writes: images, rows of numbers, and classes by name."""
    import datasets

    features = datasets.Features(
        image=datasets.Image(),
        row=datasets.Sequence(datasets.Value("float32"), 3),
        ragged=datasets.Sequence(datasets.Value("float32")),
        label=datasets.ClassLabel(names=["cat", "dog", "emu"]),
    )
    columns = {
        "image": list(IMAGES),
        "row": VALUES.tolist(),
        "ragged": [[0.5] * (1 + i % 2) for i in range(ROWS)],
        "label": LABELS.tolist(),
    }
    train = datasets.Dataset.from_dict(columns, features)
    datasets.disable_progress_bars()
    splits = {"train": train, "validation": train.select(range(10))}
    datasets.DatasetDict(splits).save_to_disk(folder / name)


def tfds(folder: Path) -> None:
    """A data set that a builder of its own has prepared."""
    import tensorflow_datasets

    class Tiny(tensorflow_datasets.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc]
        VERSION = tensorflow_datasets.core.Version("1.0.0")
        name = "tiny"

        def _info(self) -> Any:
            features = tensorflow_datasets.features
            message = features.FeaturesDict(
                {
                    "x": features.Image(shape=(6, 5, 3)),
                    "row": features.Tensor(shape=(3,), dtype=np.float32),
                    "number": features.Scalar(np.float32),
                    "label": features.ClassLabel(names=["cat", "dog", "emu"]),
                }
            )
            return tensorflow_datasets.core.DatasetInfo(builder=self, features=message)

        def _split_generators(self, manager: Any) -> Any:
            return {"train": self._generate_examples(ROWS), "test": self._generate_examples(10)}

        def _generate_examples(self, count: int) -> Any:
            for i in range(count):
                row = {"x": IMAGES[i], "row": VALUES[i], "number": VALUES[i, 0]}
                yield i, row | {"label": int(LABELS[i])}

    Tiny(data_dir=str(folder / "tfds")).download_and_prepare()

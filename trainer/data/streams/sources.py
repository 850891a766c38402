"""Which objects of other libraries, and of Python, are streams."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from .source import Source


def stream_source(data: Any) -> Source | None:
    """What a stream comes from; None for an object that is no stream.

    Libraries are recognised where somebody has imported them, and not imported.

    Raises:
        ValueError: for what can be gone through once, saying so, with a hint after " / ".
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and isinstance(data, tensorflow.data.Dataset):
        from .tf_dataset import DatasetSource

        return DatasetSource(data)
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(data, keras.utils.PyDataset):
        from .indexed import PyDatasetSource

        return PyDatasetSource(data)
    grain = sys.modules.get("grain")
    if grain is not None and isinstance(data, grain.MapDataset):
        from .indexed import MapDatasetSource

        return MapDatasetSource(data)
    if grain is not None and isinstance(data, grain.IterDataset):
        from .grain import IterDatasetSource

        return IterDatasetSource(data)
    datasets = sys.modules.get("datasets")
    if datasets is not None and isinstance(data, datasets.IterableDataset):
        from .hugging_face import IterableDatasetSource

        return IterableDatasetSource(data)
    if inspect.isgenerator(data) or (isinstance(data, Iterator) and not hasattr(data, "shape")):
        rule = f"a {type(data).__name__}, which can be gone through only once"
        raise ValueError(f"{rule} / bring the function that makes it, in its place")
    if inspect.isfunction(data) or inspect.ismethod(data):
        from .functions import FunctionSource

        return FunctionSource(data)
    return None

"""What a network learns from: declared kinds of data, loaded as numpy arrays."""

from . import (  # noqa: F401  # registers their kinds
    arrays,
    embedded,
    functions,
    hubs,
    images,
    parquet,
    records,
    synthetic,
    tables,
)
from .data import Data
from .examples import Examples, Facts, Split
from .preparation import Preparation

__all__ = ["Data", "Examples", "Facts", "Preparation", "Split"]

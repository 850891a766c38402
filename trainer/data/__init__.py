"""What a network learns from: declared kinds of data, loaded as numpy arrays."""

from . import arrays, embedded, functions, images, records, synthetic, tables  # noqa: F401  # registers their kinds
from .data import Data
from .examples import Examples, Facts, Split
from .preparation import Preparation

__all__ = ["Data", "Examples", "Facts", "Preparation", "Split"]

"""What a network learns from: declared kinds of data, loaded as numpy arrays."""

from . import embedded  # noqa: F401  # registers its kinds
from .data import Data
from .examples import Examples, Facts, Split

__all__ = ["Data", "Examples", "Facts", "Split"]

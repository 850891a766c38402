"""What a network learns from: declared kinds of data, loaded as numpy arrays.

Sees `schedules`, `runs` and `scheduled`; modules import no TensorFlow, methods do.
"""

from .data import Data
from .examples import Examples, Split
from .facts import Facts
from .preparation import Preparation

Data.kinds.declared_in(
    f"{__name__}.sources",
    "arrays",
    "csv_table",
    "embedded",
    "hubs",
    "hugging_face",
    "image_pairs",
    "images",
    "in_memory",
    "parquet",
    "python",
    "synthetic",
    "tfrecord",
)

__all__ = ["Data", "Examples", "Facts", "Preparation", "Split"]

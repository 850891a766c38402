"""Which feed brings the examples of a run to its device."""

from __future__ import annotations

from .. import Data, Split
from ..on_disk import Stored
from .augmentation import Augmented
from .feed import Feed, Resident
from .order import ExampleOrder
from .streaming import Streaming, fitting


def feeding(declared: Data, data: Split, stream: ExampleOrder) -> Feed:
    """The feed that `data.keep` asks for, or that the examples were loaded for."""
    feed = Streaming(data, stream) if streams(declared, data) else Resident(data, stream)
    return Augmented(feed, declared.augment) if declared.augment else feed


def limited(declared: Data, data: Split, longest: int) -> int:
    """How many updates a call may make, of `longest` that are wanted: memory has bounds."""
    if not streams(declared, data):
        return longest
    return min(longest, fitting(data.train, declared.batch_size))


def streams(declared: Data, data: Split) -> bool:
    """Whether the examples are read as they are needed, and not all kept on the device."""
    return declared.keep == "stream" or isinstance(data.train.inputs, Stored)

"""Which feed brings the examples of a run to its device."""

from __future__ import annotations

from schedules.batch_sizes import BatchSizes

from .. import Data, Split
from ..on_disk import Stored
from ..trees import leaves
from .augmentation import Augmented
from .bucketed import Bucketed, BucketedOrder
from .feed import Feed, Resident
from .order import ExampleOrder
from .stream_reader import StreamReader
from .streamed import Streamed
from .streaming import Streaming, batches_per_call


def make_feed(
    declared: Data, data: Split, order: ExampleOrder, reader: StreamReader | None = None
) -> Feed:
    """The feed that `data.keep` declares, or that the examples were loaded for.

    A stream is read by the `reader`, or by one of the feed's own.
    """
    if data.stream is not None:
        reader = reader or StreamReader(data.stream, order)
        feed: Feed = Streamed(data, order, reader)
        return Augmented(feed, declared.augment) if declared.augment else feed
    feed = Streaming(data, order) if streams(declared, data) else Resident(data, order)
    if declared.augment:
        feed = Augmented(feed, declared.augment)
    if isinstance(order, BucketedOrder) and (buckets := declared.facts().buckets):
        return Bucketed(feed, order, buckets)
    return feed


def example_order(
    declared: Data, data: Split, seed: int, batch_sizes: BatchSizes | None = None
) -> ExampleOrder:
    """The order in which a run learns from its examples, in batches of like lengths if declared.

    `batch_sizes` are those of a run whose updates did not all have that of `declared`.
    """
    facts, size = declared.facts(), declared.batch_size
    if facts.buckets is not None and (lengths := data.train.lengths) is not None:
        return BucketedOrder(seed, facts.buckets.of(lengths), size, batch_sizes)
    examples = facts.examples if data.stream else len(data.train)
    return ExampleOrder(seed, examples, size, batch_sizes)


def max_updates_per_call(declared: Data, data: Split, longest: int) -> int:
    """How many updates a call may make: `longest`, or fewer where memory bounds a stream."""
    if not streams(declared, data):
        return longest
    return min(longest, batches_per_call(data.train, declared.batch_size))


def streams(declared: Data, data: Split) -> bool:
    """Whether loaded examples are streamed: they were left on disk, or `data.keep` declares it."""
    if data.stream is not None:
        return True
    stored = any(isinstance(array, Stored) for array in leaves(data.train.inputs))
    return stored or declared.streams()

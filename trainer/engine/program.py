"""The compiled program: as many updates as the host asks for in one call into TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from schedules.moments import Values

from ..data.feeds.feed import Feed
from ..scheduled.tensorflow_internals import number_functions_anew
from .evaluation import Evaluation
from .interfaces import Trained, Updates
from .network import Network
from .untold_state import operations, untold_state
from .update_graph import UpdateGraph

Compiled = Literal["graph", "xla"]
Frozen = tuple[str, ...]
"""The groups of weights that are frozen in a stretch of updates."""


class Program(UpdateGraph):
    """Trains and evaluates one network on the examples of one feed.

    `longest` is the most updates one call can make. It is a shape; the number actually asked for
    is not, so that one compilation serves every call. Where groups of weights are frozen for a
    while there is one for each such stretch: in it nothing is worked out for weights that rest, and
    a call that spans a thaw becomes two. An update whose loss or gradients are not
    finite ends the call, or with `skips` leaves weights, slots and averages as they were.
    """

    def __init__(
        self,
        network: Network,
        feed: Feed,
        compiled: Compiled,
        longest: int,
        micro_batches: int = 1,
        skips: bool = False,
    ) -> None:
        super().__init__(network, feed, compiled == "xla", longest, micro_batches, skips)
        self._values = len(network.dials.names)
        names = network.dials.names
        self._thawing = {
            group: names.index(f"groups.{group}.frozen")
            for group in network.groups.frozen_at_first()
        }
        self._updates: dict[Frozen, Any] = {}
        self._compiled: dict[Frozen, Any] = {}
        self.evaluation = Evaluation(network, feed)

    @property
    def trained(self) -> Trained:
        """What all updates change: this network, with its replicas where there are any."""
        return self.network

    @property
    def networks(self) -> Sequence[Network]:
        """Those that its updates change."""
        return [self.network]

    @property
    def traces(self) -> int:
        """How often the updates were traced, which is once a stretch, whatever schedules do."""
        return sum(int(each.experimental_get_tracing_count()) for each in self._updates.values())

    def update(self, table: Values, step: int, count: int | None = None) -> Updates:
        """Makes one update a row of the tape, from `step` on, up to one that is not finite.

        `table` is `[K, values]` and is rounded here, once, to float32. Of its rows the first
        `count` are used, or all; with 0 of them the program for the first row is compiled.

        Raises:
            RuntimeError: when the program did not advance by what it says it did.
        """
        rows = table if count is None else table[:count]
        if not len(rows):
            return self._made(rows, step, self._frozen(table[0]) if len(table) else ())
        made: list[Updates] = []
        for frozen, first, end in self._stretches(rows):
            made.append(self._made(rows[first:end], step + first, frozen))
            ended = len(made[-1].losses) < end - first or not made[-1].finite.all()
            if ended and not self._skips:
                break
        return made[0] if len(made) == 1 else Updates.joined(made)

    def _stretches(self, rows: Values) -> Iterator[tuple[Frozen, int, int]]:
        """Yields the groups that are frozen from one row of the tape up to another, in order."""
        is_frozen = rows[:, list(self._thawing.values())] > 0
        changes = np.flatnonzero((is_frozen[1:] != is_frozen[:-1]).any(axis=1)) + 1
        for first, end in pairwise([0, *changes.tolist(), len(rows)]):
            yield self._frozen(rows[first]), first, end

    def _frozen(self, row: Values) -> Frozen:
        """The groups that a row of the tape has frozen."""
        return tuple(group for group, place in self._thawing.items() if row[place] > 0)

    def _made(self, table: Values, step: int, frozen: Frozen) -> Updates:
        """Makes updates in all of which the same groups are frozen."""
        count = len(table)
        rows = np.zeros((self.longest, self._values), np.float32)
        rows[:count] = table
        # A shape is part of what XLA compiles.
        feed_args = self._feed.args(step, count, self.longest if self._xla else count)
        outputs = self._program(frozen)(tf.constant(rows), feed_args, tf.constant(count, tf.int32))
        (before, after, *optimizer_steps), losses, finite = map(np.asarray, outputs)
        done = int(after - before)
        losses, finite = losses[:done], finite[:done]
        whole = done == count or (0 < done < count and not finite[-1])
        in_step = all(step == after for step in optimizer_steps)
        if not whole or not (in_step or self._skips):
            raise RuntimeError(
                f"asked for updates {before} to {before + count}, but the program is at {after} "
                f"and its optimizers at {sorted(map(int, optimizer_steps))}"
            )
        return Updates.of(losses, finite, self.network.measured)

    def untold_state(self) -> list[str]:
        """What updates draw from or write to that no checkpoint has, once they are compiled."""
        held = [
            variable
            for network in self.networks
            for variable in (*network.variables().values(), network.draws.counter)
        ]
        found = [name for each in self._compiled.values() for name in untold_state(each, held)]
        return list(dict.fromkeys(found))

    def _program(self, frozen: Frozen) -> Any:
        """The compiled updates of a stretch, traced when they are first asked for."""
        if frozen not in self._compiled:
            signature = [
                tf.TensorSpec([self.longest, self._values], tf.float32),
                self._feed.signature(self.longest if self._xla else None),
                tf.TensorSpec([], tf.int32),
            ]

            def loop(*args: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                with self.training(frozen):
                    return self._loop(*args)

            self._updates[frozen] = tf.function(
                loop, signature, jit_compile=self._xla, autograph=False
            )
            if self._xla:
                number_functions_anew()
            # Called so, it costs a third of what `tf.function` does.
            self._compiled[frozen] = self._updates[frozen].get_concrete_function()
        return self._compiled[frozen]

    def training(self, frozen: Frozen) -> AbstractContextManager[None]:
        """Within it the weights that train are those that do while these groups are frozen."""
        return self.network.training(frozen)

    def operations(self) -> Counter[str]:
        """TensorFlow's operations in the stretch that was compiled first, by kind; none before."""
        first = next(iter(self._compiled.values()), None)
        return operations(first) if first else Counter()

    def evaluate(self) -> dict[str, float]:
        """The mean loss over all test examples, and every metric of them."""
        return self.evaluation.result()

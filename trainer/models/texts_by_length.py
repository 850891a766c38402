"""The texts of a batch in groups of like lengths, for what sets their tokens beside each other.

Attention takes time by the square of what a text is filled up to, which here is the longest text of
its group. Groups have nothing to do with each other, and are worked on at once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Self

from .token_rows import TokenRows

if TYPE_CHECKING:
    import tensorflow as tf

GROUPS = 4
"""How many groups there are: of 64 texts of 20 to 100 tokens a transformer of two blocks took 87 ms
of the processors with four, 86 with two, 93 with eight, and 109 without; by the clock four were
fastest."""
SMALLEST = 8
"""How many texts a group has at least, since each costs its operations."""


class TextGroup(NamedTuple):
    """Some texts, each `time` places long."""

    is_token: tf.Tensor
    """Whether there is a token at a place, `[texts, time]`."""
    rows: tf.Tensor
    """Which of the rows of tokens stands at each place, `[texts * time]`; for filling, any."""
    has_row: tf.Tensor
    """1 where a place has a row of its own and else 0, `[texts * time, 1]`."""


class TextsByLength(NamedTuple):
    """The groups, the longest texts first, and the way back from them to the rows of tokens."""

    groups: list[TextGroup]
    places: tf.Tensor
    """Where each of the rows of tokens is among all places of the groups, `[tokens]`."""

    @classmethod
    def of(cls, is_token: tf.Tensor) -> Self:
        """Those of a mask `[texts, time]`; one group where the number of texts is not known."""
        import tensorflow as tf

        time, texts = tf.shape(is_token)[1], is_token.shape[0]
        count = max(1, min(GROUPS, (texts or 0) // SMALLEST))
        texts = tf.shape(is_token)[0] if texts is None else texts
        tokens = TokenRows.of(is_token)
        ends = tf.reduce_max(tf.where(is_token, tf.range(time) + 1, 1), 1)
        order = tf.argsort(-ends, stable=True)
        by_text = [tf.reshape(x, [texts, time]) for x in (tokens.rows, tokens.has_row)]
        groups, begins, before = [], [], 0
        for first, end in pairwise(texts * i // count for i in range(count + 1)):
            numbers = order[first:end]
            longest = ends[numbers[0]]
            mask, rows, has_row = (tf.gather(x, numbers)[:, :longest] for x in (is_token, *by_text))
            groups.append(TextGroup(mask, tf.reshape(rows, [-1]), tf.reshape(has_row, [-1, 1])))
            begins.append(before + longest * tf.range(end - first))
            before += longest * (end - first)
        begin_of = tf.gather(tf.concat(begins, 0), tf.argsort(order))
        places = tf.gather(begin_of, tokens.places // time) + tokens.places % time
        return cls(groups, places)

    def spread(self, x: tf.Tensor) -> list[tf.Tensor]:
        """For each group a row a place, from the rows of tokens `[tokens, n]`.

        As with `TokenRows.spread`, nothing may go by what stands in the place of filling.
        """
        import tensorflow as tf

        @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is
        def gathered(x: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., tf.Tensor]]:
            parts = [tf.gather(x, group.rows) for group in self.groups]
            return parts, lambda *by: tf.gather(tf.concat(by, 0), self.places)

        return list(gathered(x))

    def taken(self, parts: list[tf.Tensor]) -> tf.Tensor:
        """The rows of tokens, `[tokens, n]`, from what each group has at its places."""
        import tensorflow as tf

        @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is
        def gathered(*parts: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
            def gradient(by: tf.Tensor) -> list[tf.Tensor]:
                return [tf.gather(by, group.rows) * group.has_row for group in self.groups]

            return tf.gather(tf.concat(parts, 0), self.places), gradient

        return gathered(*parts)

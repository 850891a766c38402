"""Masked sequences through a recurrent layer, without the steps that are passed over.

Keras' loop computes every step of every sequence, and then throws away what a mask says. Here the
steps that count of all sequences stand in one row of steps, those first that come first, as in
torch's `pack_padded_sequence`: the products with the inputs are one product before the loop, and
those of the weights' gradients one after it. The results are Keras' but for how sums are rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..scheduled.keras_internals import replace_call
from .recurrent_cells import CELLS, Cell
from .shortcuts import shortcuts_allowed

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


def pack(layer: keras.layers.RNN, cell: str) -> None:
    """Lets a layer of Keras that was made with this kind of cell compute as `shortcuts` says."""
    replace_call(layer, partial(_call, layer, CELLS[cell]))


class PackedSteps(NamedTuple):
    """The steps that count, in the order in which they are computed: all first ones, and so on.

    Longer sequences come before shorter ones, so that those which still go on are always the first.
    """

    rows: tf.Tensor
    """Where each is among all steps, `[steps that count]`."""
    sizes: tf.Tensor
    """How many sequences have a first step, a second, …, `[longest]`."""
    begins: tf.Tensor
    """At which place the first, second, … steps begin, `[longest]`."""
    before: tf.Tensor
    """The place of the step before in the same sequence; for first steps, any."""
    given: tf.Tensor
    """The place, from 1 on, of what is given at each step, in the order of the layer: of the last
    step that has counted; 0 is for zeros. `[batch, time]`"""

    @classmethod
    def of(cls, mask: tf.Tensor, *, backwards: bool, blank: bool = False) -> Self:
        """Those of a mask `[batch, time]`, where True is a step that counts.

        Steps that don't are given zeros if they are to be `blank`, and else what came before them.
        """
        import tensorflow as tf

        counts = tf.cast(tf.reverse(mask, [1]) if backwards else mask, tf.int32)
        batch, time = tf.unstack(tf.shape(counts))
        lengths = tf.reduce_sum(counts, 1)
        longest = tf.reduce_max(lengths)
        sorted_rows = tf.argsort(-lengths, stable=True)
        order = tf.gather(tf.argsort(1 - counts, axis=1, stable=True), sorted_rows)
        order = time - 1 - order if backwards else order
        goes_on = tf.range(longest)[:, None] < tf.gather(lengths, sorted_rows)
        steps = tf.transpose(sorted_rows[:, None] * time + order)[:longest]
        sizes = tf.reduce_sum(tf.cast(goes_on, tf.int32), 1)
        begins = tf.cumsum(sizes, exclusive=True)
        places = begins[:, None] + tf.range(batch)
        so_far = tf.cumsum(counts, axis=1)
        rank = tf.argsort(sorted_rows)[:, None]
        begun = tf.gather(tf.concat([[0], begins], 0), so_far) + rank + 1
        return cls(
            tf.boolean_mask(steps, goes_on),
            sizes,
            begins,
            tf.boolean_mask(tf.concat([places[:1], places[:-1]], 0), goes_on),
            tf.where(counts > 0 if blank else so_far > 0, begun, 0),
        )


def _call(
    layer: Any,
    cell: Cell,
    sequences: tf.Tensor,
    initial_state: Any = None,
    mask: tf.Tensor | None = None,
    training: bool = False,
) -> tf.Tensor:
    """What the layer's own `call` gives."""
    import tensorflow as tf

    plain = initial_state is None and layer.compute_dtype == "float32"
    if not (shortcuts_allowed() and training and mask is not None and plain):
        own = type(layer).call
        given = {"initial_state": initial_state, "mask": mask, "training": training}
        return own(layer, sequences, **given)
    kernel, recurrent, bias = (
        tf.convert_to_tensor(weight)
        for weight in (layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias)
    )
    bias, *recurrent_bias = tf.unstack(bias) if len(bias.shape) == 2 else [bias]
    blank = layer.zero_output_for_mask
    steps = PackedSteps.of(mask, backwards=layer.go_backwards, blank=blank)
    chosen = _rows(tf.reshape(sequences, [-1, sequences.shape[-1]]), steps.rows)
    inputs = tf.matmul(chosen, kernel) + bias
    hidden = _hidden(cell, steps, inputs, recurrent, *recurrent_bias)
    # What a sequence without a step that counts gives is the state that it begins with.
    hidden = tf.concat([tf.zeros([1, layer.units]), hidden], 0)
    return _rows(hidden, steps.given if layer.return_sequences else steps.given[:, -1])


def _rows(x: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Rows of a matrix, whose gradient is a matrix: `tf.gather`'s, of slices, is made one later."""
    import tensorflow as tf

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is
    def gathered(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        count = tf.shape(x)[0]
        return tf.gather(x, places), lambda by: tf.math.unsorted_segment_sum(by, places, count)

    return gathered(x)


def _hidden(
    cell: Cell,
    steps: PackedSteps,
    inputs: tf.Tensor,
    recurrent: tf.Tensor,
    *recurrent_bias: tf.Tensor,
) -> tf.Tensor:
    """What the cell gives at each of the packed steps, `[steps, units]`."""
    import tensorflow as tf

    units, longest = recurrent.shape[0], tf.shape(steps.sizes)[0]
    some, anything = tf.TensorShape([None, units]), tf.TensorShape(None)

    def array(width: int) -> tf.TensorArray:
        shape = [None, width]
        return tf.TensorArray(tf.float32, longest, element_shape=shape, infer_shape=False)

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is
    def computed(
        inputs: tf.Tensor, recurrent: tf.Tensor, *recurrent_bias: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], list[tf.Tensor]]]:
        def step(t: tf.Tensor, states: Any, written: Any) -> tuple[Any, ...]:
            size, begin = steps.sizes[t], steps.begins[t]
            states = [state[:size] for state in states]
            products = tf.matmul(states[0], recurrent)
            for bias in recurrent_bias:
                products += bias
            states, kept = cell.step(inputs[begin : begin + size], products, states)
            results = [*states, kept]
            written = [a.write(t, x) for a, x in zip(written, results, strict=True)]
            return t + 1, states, written

        at_first = tf.zeros([tf.reduce_max(tf.concat([steps.sizes, [0]], 0)), units])
        arrays = [*(array(units) for _ in range(cell.states)), array(cell.kept * units)]
        *_, written = tf.while_loop(
            lambda t, *_: t < longest,
            step,
            (0, [at_first] * cell.states, arrays),
            (tf.TensorShape([]), [some] * cell.states, [anything] * len(arrays)),
        )
        *states, kept = (each.concat() for each in written)

        def gradient(by_hidden: tf.Tensor) -> list[tf.Tensor]:
            first = tf.shape(at_first)[0]
            later = [tf.gather(state, steps.before[first:]) for state in states]
            befores = [tf.concat([at_first, each], 0) for each in later]
            factors = cell.factors(kept, states, befores)
            turned = tf.transpose(recurrent)

            def back(t: tf.Tensor, by_states: Any, written: tf.TensorArray) -> tuple[Any, ...]:
                size, begin = steps.sizes[t], steps.begins[t]
                # Sequences that end with this step have no gradient from later ones.
                filling = [[0, size - tf.shape(by_states[0])[0]], [0, 0]]
                by, *others = (tf.pad(each, filling) for each in by_states)
                here = factors[begin : begin + size]
                own = by + by_hidden[begin : begin + size]
                by_inputs, by_before = cell.back([own, *others], here)
                by_before[0] += tf.matmul(cell.by_products(by_inputs, here), turned)
                return t - 1, by_before, written.write(t, by_inputs)

            none = tf.zeros([0, units])
            *_, written = tf.while_loop(
                lambda t, *_: t >= 0,
                back,
                (longest - 1, [none] * cell.states, array(cell.gates * units)),
                (tf.TensorShape([]), [some] * cell.states, anything),
            )
            by_inputs = written.concat()
            by_products = cell.by_products(by_inputs, factors)
            by_recurrent = tf.matmul(later[0], by_products[first:], transpose_a=True)
            by_biases = [tf.reduce_sum(by_products, 0) for _ in recurrent_bias]
            return [by_inputs, by_recurrent, *by_biases]

        return states[0], gradient

    return computed(inputs, recurrent, *recurrent_bias)

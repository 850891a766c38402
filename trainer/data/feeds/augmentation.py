"""Training examples varied as `data.augment` declares, in the program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from math import pi, prod
from typing import Self

import tensorflow as tf

from ..augment import Augment
from ..trees import leaves, map_tree
from .batch import Batch
from .feed import Feed, FeedArgs
from .order import ExampleOrder

Draw = Callable[..., tf.Tensor]
"""`draw(name, *shape)`: random numbers `[n, *shape]` in [0, 1) for the augmentation `name`."""

AUGMENTATIONS = ("flip", "rotate", "crop", "contrast", "brightness", "noise", "cutout")
"""Each draws numbers of its own; a change of this order changes what every seed draws."""
GOLDEN = 0x9E3779B9
"""2**32 over the golden ratio, whose multiples lie far apart."""
LOW_32_BITS = 0xFFFFFFFF


class Augmented(Feed):
    """Another feed, its training examples varied by random numbers of seed, step and place."""

    def __init__(self, feed: Feed, augment: Augment) -> None:
        super().__init__(feed.order)
        self._feed = feed
        self._augment = augment

    def in_order(self, order: ExampleOrder) -> Self:
        feed = super().in_order(order)
        feed._feed = self._feed.in_order(order)
        return feed

    def signature(self, updates: int | None) -> FeedArgs:
        return self._feed.signature(updates), tf.TensorSpec((2,), tf.int64)

    def reading_ahead(self, step: int) -> AbstractContextManager[None]:
        return self._feed.reading_ahead(step)

    def args(self, step: int, count: int, longest: int) -> FeedArgs:
        seed = self.order.seed  # no constant of the program, which may serve other seeds
        return self._feed.args(step, count, longest), tf.constant([step, seed], tf.int64)

    def batch(self, feed_args: FeedArgs, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        inner_args, step_and_seed = feed_args
        batch = self._feed.batch(inner_args, i, part, parts)
        step, seed = step_and_seed[0] + tf.cast(i, tf.int64), step_and_seed[1]

        size = self.order.batch_size // parts
        places = tf.cast(part * size, tf.int64) + tf.range(size, dtype=tf.int64)
        batch_key = mix32(mix32(seed + GOLDEN) ^ step)

        def draw(name: str, *shape: int, normal: bool = False) -> tf.Tensor:
            key = mix32(batch_key + (AUGMENTATIONS.index(name) + 1) * GOLDEN)
            return random_numbers(key, places, shape, normal=normal)

        return augment_batch(batch, self._augment, draw)

    def tests(self) -> Iterator[Batch]:
        return self._feed.tests()


def random_numbers(
    key: tf.Tensor, places: tf.Tensor, shape: tuple[int, ...], *, normal: bool = False
) -> tf.Tensor:
    """Numbers in [0, 1) for each place of a batch, or normal ones by Box and Muller's method.

    Each is a hash of key, place and index, in whole numbers: XLA and a graph draw different
    `tf.random.stateless_…` numbers, and a part of a batch must draw the same as the whole.
    """
    size = prod(shape) * (2 if normal else 1)
    counters = places[:, None] * size + tf.range(size, dtype=tf.int64)
    bits = mix32(mix32(counters * GOLDEN + key) ^ key)
    numbers = tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.int64)), tf.float32) / 2**24
    if normal:
        first, second = 1 - numbers[:, ::2], numbers[:, 1::2]
        numbers = tf.sqrt(-2 * tf.math.log(first)) * tf.cos(2 * pi * second)
    return tf.reshape(numbers, [-1, *shape])


def mix32(x: tf.Tensor | int) -> tf.Tensor:
    """The 32-bit finalizer of MurmurHash3 (Appleby 2011), on int64, which every device has."""
    x = tf.convert_to_tensor(x, tf.int64) & LOW_32_BITS
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = ((x ^ tf.bitwise.right_shift(x, tf.constant(shift, tf.int64))) * factor) & LOW_32_BITS
    return x


def augment_batch(batch: Batch, augment: Augment, draw: Draw) -> Batch:
    """A batch with one input `[n, ...]`, each example varied by random numbers of its own.

    What moves pixels moves those of labels with the places of the image by the same numbers; labels
    that are the inputs are those before any other change.
    """
    [images] = leaves(batch.inputs)
    labels = map_tree(
        lambda label: _moved(label, augment, draw) if _has_places(label, images) else label,
        batch.labels,
    )
    varied = _recoloured(_moved(images, augment, draw), augment, draw)
    return batch._replace(inputs=map_tree(lambda _: varied, batch.inputs), own_labels=labels)


def _has_places(label: tf.Tensor, images: tf.Tensor) -> bool:
    """Whether a label has something at each place of an image."""
    return len(images.shape) == 4 and tuple(label.shape[1:3]) == tuple(images.shape[1:3])


def _moved(images: tf.Tensor, augment: Augment, draw: Draw) -> tf.Tensor:
    """Images `[n, height, width, ...]`, or what is at their places, with the pixels moved.

    Whole numbers name classes, and are those of the nearest pixel.
    """
    if len(images.shape) == 3 and augment.moves:
        return _moved(images[..., None], augment, draw)[..., 0]
    if augment.flip:
        images = _flip(images, augment.flip, draw("flip", 2))
    if augment.rotate is not None:
        angles = (2 * draw("rotate") - 1) * (augment.rotate * pi / 180)
        images = _rotate(images, angles)
    if augment.crop is not None:
        images = _shift(images, augment.crop, draw("crop", 2))
    return images


def _recoloured(inputs: tf.Tensor, augment: Augment, draw: Draw) -> tf.Tensor:
    """Inputs whose numbers are changed where they are."""
    if augment.contrast is not None:
        factor = 1 + augment.contrast * (2 * draw("contrast", 1, 1, 1) - 1)
        mean = tf.reduce_mean(inputs, axis=(1, 2), keepdims=True)
        inputs = mean + (inputs - mean) * factor
    if augment.brightness is not None:
        inputs += augment.brightness * (2 * draw("brightness", 1, 1, 1) - 1)
    if augment.noise is not None:
        inputs += augment.noise * draw("noise", *inputs.shape[1:], normal=True)
    if augment.cutout is not None:
        inputs = _blank(inputs, augment.cutout, draw("cutout", 2))
    return inputs


def _flip(images: tf.Tensor, direction: str, numbers: tf.Tensor) -> tf.Tensor:
    """Mirrors an image along each axis whose number is below 1/2."""
    flips = numbers < 0.5
    for axis, directions in ((2, ("horizontal", "both")), (1, ("vertical", "both"))):
        if direction in directions:
            mirrored = tf.reverse(images, [axis])
            images = tf.where(flips[:, axis - 1, None, None, None], mirrored, images)
    return images


def _shift(images: tf.Tensor, limit: int, numbers: tf.Tensor) -> tf.Tensor:
    """Moves each image by up to `limit` whole pixels each way."""
    _, height, width, _ = images.shape
    offsets = tf.cast(numbers * (2 * limit + 1), tf.int32)
    padded = tf.pad(images, [[0, 0], [limit, limit], [limit, limit], [0, 0]])
    rows = tf.gather(padded, offsets[:, :1] + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, offsets[:, 1:] + tf.range(width), axis=2, batch_dims=1)


def _rotate(images: tf.Tensor, angles: tf.Tensor) -> tf.Tensor:
    """Turns each image about its centre: a pixel is interpolated where it comes from.

    Of whole numbers, which name classes, the nearest one is taken.
    """
    _, height, width, channels = images.shape
    y = tf.range(height, dtype=tf.float32)[:, None] - (height - 1) / 2
    x = tf.range(width, dtype=tf.float32)[None, :] - (width - 1) / 2
    sine, cosine = tf.sin(angles)[:, None, None], tf.cos(angles)[:, None, None]
    from_y = cosine * y - sine * x + (height - 1) / 2
    from_x = sine * y + cosine * x + (width - 1) / 2
    # Pixels from beyond the edge come from a frame of zeros.
    framed = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    pixels = tf.reshape(framed, [-1, (height + 2) * (width + 2), channels])

    def pixel(y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        at_y = tf.clip_by_value(y + 1, 0.0, height + 1.0)
        at_x = tf.clip_by_value(x + 1, 0.0, width + 1.0)
        place = tf.cast(at_y * (width + 2) + at_x, tf.int32)
        flat = tf.reshape(place, [-1, height * width])
        return tf.reshape(tf.gather(pixels, flat, batch_dims=1), tf.shape(images))

    if images.dtype.is_integer:
        return pixel(tf.floor(from_y + 0.5), tf.floor(from_x + 0.5))
    top, left = tf.floor(from_y), tf.floor(from_x)
    rotated = tf.zeros_like(images)
    for down in (0.0, 1.0):
        for right in (0.0, 1.0):
            weight = (1 - tf.abs(from_y - (top + down))) * (1 - tf.abs(from_x - (left + right)))
            rotated += weight[..., None] * pixel(top + down, left + right)
    return rotated


def _blank(images: tf.Tensor, side: int, numbers: tf.Tensor) -> tf.Tensor:
    """Sets a square of each image to 0; its centre is anywhere in the image."""
    _, height, width, _ = images.shape
    first = tf.cast(numbers * tf.constant([height, width], tf.float32), tf.int32) - side // 2
    rows, columns = (
        (tf.range(size) >= first[:, k, None]) & (tf.range(size) < first[:, k, None] + side)
        for k, size in enumerate((height, width))
    )
    blank = rows[:, :, None] & columns[:, None, :]
    return tf.where(blank[..., None], tf.zeros_like(images), images)

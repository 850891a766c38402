"""Training examples varied as `data.augment` declares, in the program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import pi, prod
from typing import Self

import tensorflow as tf

from ..augment import Augment
from .feed import Batch, Feed, Handed
from .order import ExampleOrder

Draw = Callable[..., tf.Tensor]
"""Random numbers in [0, 1), one row an example: of a shape, by the name of what they are for."""

STREAMS = ("flip", "rotate", "crop", "contrast", "brightness", "noise", "cutout")
"""What draws numbers of its own; the order is part of every seed's meaning."""
GOLDEN = 0x9E3779B9
"""2**32 over the golden ratio, whose multiples lie far apart."""
LOW = 0xFFFFFFFF


class Augmented(Feed):
    """Another feed, its training inputs varied by numbers that hang on seed, step and place."""

    def __init__(self, feed: Feed, augment: Augment) -> None:
        super().__init__(feed.stream)
        self._feed = feed
        self._augment = augment

    def along(self, stream: ExampleOrder) -> Self:
        other = super().along(stream)
        other._feed = self._feed.along(stream)
        return other

    def signature(self, rows: int | None) -> Handed:
        return self._feed.signature(rows), tf.TensorSpec((2,), tf.int64)

    def hand(self, step: int, count: int, longest: int) -> Handed:
        seed = self.stream.seed  # no constant of the program, which may serve other streams
        return self._feed.hand(step, count, longest), tf.constant([step, seed], tf.int64)

    def batch(self, handed: Handed, i: tf.Tensor, part: tf.Tensor | int, parts: int) -> Batch:
        inner, first = handed
        inputs, labels = self._feed.batch(inner, i, part, parts)
        step, seed = first[0] + tf.cast(i, tf.int64), first[1]

        size = self.stream.batch_size // parts
        places = tf.cast(part * size, tf.int64) + tf.range(size, dtype=tf.int64)
        key = mixed(mixed(seed + GOLDEN) ^ step)

        def draw(name: str, *shape: int, normal: bool = False) -> tf.Tensor:
            stream = mixed(key + (STREAMS.index(name) + 1) * GOLDEN)
            return drawn(stream, places, shape, normal=normal)

        return varied(inputs, self._augment, draw), labels

    def tests(self) -> Iterator[Batch]:
        return self._feed.tests()


def drawn(
    key: tf.Tensor, places: tf.Tensor, shape: tuple[int, ...], *, normal: bool = False
) -> tf.Tensor:
    """Numbers in [0, 1), or normal ones by Box and Muller's method, for each of some places.

    A hash of key, place and index, in whole numbers, because XLA draws `tf.random.stateless_…`
    otherwise than a graph does, and so that a part of a batch draws what is its own.
    """
    size = prod(shape) * (2 if normal else 1)
    counters = places[:, None] * size + tf.range(size, dtype=tf.int64)
    bits = mixed(mixed(counters * GOLDEN + key) ^ key)
    numbers = tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.int64)), tf.float32) / 2**24
    if normal:
        first, second = 1 - numbers[:, ::2], numbers[:, 1::2]
        numbers = tf.sqrt(-2 * tf.math.log(first)) * tf.cos(2 * pi * second)
    return tf.reshape(numbers, [-1, *shape])


def mixed(x: tf.Tensor | int) -> tf.Tensor:
    """The 32-bit finalizer of MurmurHash3 (Appleby 2011), on int64, which every device has."""
    x = tf.convert_to_tensor(x, tf.int64) & LOW
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = ((x ^ tf.bitwise.right_shift(x, tf.constant(shift, tf.int64))) * factor) & LOW
    return x


def varied(inputs: tf.Tensor, augment: Augment, draw: Draw) -> tf.Tensor:
    """The inputs `[n, ...]` of a batch, each varied by its own numbers."""
    if augment.flip:
        inputs = _flipped(inputs, augment.flip, draw("flip", 2))
    if augment.rotate is not None:
        angles = (2 * draw("rotate") - 1) * (augment.rotate * pi / 180)
        inputs = _rotated(inputs, angles)
    if augment.crop is not None:
        inputs = _shifted(inputs, augment.crop, draw("crop", 2))
    if augment.contrast is not None:
        factor = 1 + augment.contrast * (2 * draw("contrast", 1, 1, 1) - 1)
        mean = tf.reduce_mean(inputs, axis=(1, 2), keepdims=True)
        inputs = mean + (inputs - mean) * factor
    if augment.brightness is not None:
        inputs += augment.brightness * (2 * draw("brightness", 1, 1, 1) - 1)
    if augment.noise is not None:
        inputs += augment.noise * draw("noise", *inputs.shape[1:], normal=True)
    if augment.cutout is not None:
        inputs = _blanked(inputs, augment.cutout, draw("cutout", 2))
    return inputs


def _flipped(images: tf.Tensor, way: str, drawn: tf.Tensor) -> tf.Tensor:
    turned = drawn < 0.5
    for axis, ways in ((2, ("horizontal", "both")), (1, ("vertical", "both"))):
        if way in ways:
            mirrored = tf.reverse(images, [axis])
            images = tf.where(turned[:, axis - 1, None, None, None], mirrored, images)
    return images


def _shifted(images: tf.Tensor, most: int, drawn: tf.Tensor) -> tf.Tensor:
    _, height, width, _ = images.shape
    offsets = tf.cast(drawn * (2 * most + 1), tf.int32)
    padded = tf.pad(images, [[0, 0], [most, most], [most, most], [0, 0]])
    rows = tf.gather(padded, offsets[:, :1] + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, offsets[:, 1:] + tf.range(width), axis=2, batch_dims=1)


def _rotated(images: tf.Tensor, angles: tf.Tensor) -> tf.Tensor:
    """Each image turned about its centre: every pixel is looked up where it comes from."""
    _, height, width, channels = images.shape
    y = tf.range(height, dtype=tf.float32)[:, None] - (height - 1) / 2
    x = tf.range(width, dtype=tf.float32)[None, :] - (width - 1) / 2
    sine, cosine = (turn[:, None, None] for turn in (tf.sin(angles), tf.cos(angles)))
    from_y = cosine * y - sine * x + (height - 1) / 2
    from_x = sine * y + cosine * x + (width - 1) / 2
    top, left = tf.floor(from_y), tf.floor(from_x)
    # A frame of zeros is what comes from beyond the edge.
    framed = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    pixels = tf.reshape(framed, [-1, (height + 2) * (width + 2), channels])
    turned = tf.zeros_like(images)
    for down in (0.0, 1.0):
        for right in (0.0, 1.0):
            at_y = tf.clip_by_value(top + down + 1, 0.0, height + 1.0)
            at_x = tf.clip_by_value(left + right + 1, 0.0, width + 1.0)
            weight = (1 - tf.abs(from_y - (top + down))) * (1 - tf.abs(from_x - (left + right)))
            place = tf.cast(at_y * (width + 2) + at_x, tf.int32)
            flat = tf.reshape(place, [-1, height * width])
            found = tf.reshape(tf.gather(pixels, flat, batch_dims=1), tf.shape(images))
            turned += weight[..., None] * found
    return turned


def _blanked(images: tf.Tensor, side: int, drawn: tf.Tensor) -> tf.Tensor:
    _, height, width, _ = images.shape
    first = tf.cast(drawn * tf.constant([height, width], tf.float32), tf.int32) - side // 2
    rows, columns = (
        (tf.range(size) >= first[:, k, None]) & (tf.range(size) < first[:, k, None] + side)
        for k, size in enumerate((height, width))
    )
    blank = rows[:, :, None] & columns[:, None, :]
    return tf.where(blank[..., None], tf.zeros_like(images), images)

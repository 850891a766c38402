"""Encoded images as arrays: decoded, turned and resized in one compiled graph, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schedules.declaration import ABSENT, Problem

from .image_size import MIRRORED, header

if TYPE_CHECKING:
    import tensorflow as tf

Resize = Literal["exact", "fast"]
"""How images are resized, always with antialiased bilinear interpolation.

`exact`: from all pixels. `fast`: a JPEG that is at least twice as large as it is to become is
decoded at 1/2, 1/4 or 1/8 of its size, from the low frequencies alone, and resized from there.
"""

SCALES = (8, 4, 2)
"""The fractions of its size, 1 / n, at which libjpeg decodes an image."""


class Decoding(NamedTuple):
    """What encoded images are to become."""

    shape: tuple[int, ...]
    """Height, width and channels."""
    resize: Resize | None
    """None where images have that size, and any other is refused."""


class UndecodableError(Exception):
    """An image that can't become what it is to be."""

    def __init__(self, place: int, problem: Problem) -> None:
        super().__init__(problem.rule)
        self.place = place
        """Which one of those that were given."""
        self.problem = problem


def decoded(contents: Sequence[bytes], decoding: Decoding) -> NDArray[np.uint8]:
    """Encoded images as `[n, height, width, channels]`, the way up that they are seen.

    The bits of an image don't depend on those that it is given with.

    Raises:
        UndecodableError: for the first that can't be decoded, or has another size.
    """
    import tensorflow as tf

    images = np.empty((len(contents), *decoding.shape), np.uint8)
    with tf.device("CPU"):
        size = tf.constant(decoding.shape[:2], tf.int32)
    places_by_way: dict[tuple[int, int], list[int]] = {}
    for place, content in enumerate(contents):
        places_by_way.setdefault(_way(content, decoding), []).append(place)
    for way, places in places_by_way.items():
        chosen = contents if len(places) == len(contents) else [contents[i] for i in places]
        program = _program(decoding.shape[2], decoding.resize is not None, *way)
        try:
            with tf.device("CPU"):
                made: NDArray[np.uint8] = program(tf.constant(chosen, tf.string), size).numpy()
        except tf.errors.OpError as error:
            raise _first_fault(contents, decoding) or error from None
        if made.shape[1:] != decoding.shape and (fault := _first_fault(contents, decoding)):
            raise fault
        if len(places) == len(contents):
            return made
        images[places] = made
    return images


def _way(content: bytes, decoding: Decoding) -> tuple[int, int]:
    """The orientation of an image, and by what its size may be divided while it is decoded."""
    found = header(content)
    if found is None:
        return 1, 1
    if decoding.resize != "fast" or not found.is_jpeg:
        return found.orientation, 1
    height, width = decoding.shape[:2]
    fits = (n for n in SCALES if n * height <= found.height and n * width <= found.width)
    return found.orientation, next(fits, 1)


@cache
def _program(
    channels: int, resizes: bool, orientation: int, scale: int
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The graph that decodes images of one orientation at one scale, and resizes them."""
    import tensorflow as tf

    def images(contents: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        def image(content: tf.Tensor) -> tf.Tensor:
            pixels = _upright(_pixels(content, channels, scale), orientation)
            return resized(pixels, size[0], size[1]) if resizes else pixels

        with tf.device("CPU"):
            return tf.map_fn(image, contents, fn_output_signature=tf.uint8, parallel_iterations=1)

    program: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = tf.function(
        images,
        input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([2], tf.int32)],
        autograph=False,
    )
    return program


def _pixels(content: tf.Tensor, channels: int, scale: int) -> tf.Tensor:
    import tensorflow as tf

    if scale > 1:
        return tf.io.decode_jpeg(content, channels, ratio=scale)
    return tf.io.decode_image(content, channels, expand_animations=False)


def _upright(pixels: tf.Tensor, orientation: int) -> tf.Tensor:
    import tensorflow as tf

    if orientation >= 5:
        pixels = tf.transpose(pixels, [1, 0, 2])
    return tf.reverse(pixels, MIRRORED[orientation]) if orientation in MIRRORED else pixels


def resized(pixels: tf.Tensor, height: tf.Tensor | int, width: tf.Tensor | int) -> tf.Tensor:
    """Pixels `[h, w, channels]` in another size, with antialiasing, as whole numbers.

    The bits are those of `tf.image.resize(antialias=True)`, rounded, in about half the time: its
    kernel is quick along rows and slow along columns, so columns are laid as rows.
    """
    import tensorflow as tf

    size = tf.shape(pixels)
    channels = pixels.shape[2]

    def other_size() -> tf.Tensor:
        rows = _resized_rows(tf.reshape(pixels, [size[0], size[1] * channels]), height)
        columns = tf.transpose(tf.reshape(rows, [height, size[1], channels]), [1, 0, 2])
        columns = _resized_rows(tf.reshape(columns, [size[1], height * channels]), width)
        whole = tf.cast(tf.round(columns), tf.uint8)
        return tf.transpose(tf.reshape(whole, [width, height, channels]), [1, 0, 2])

    return tf.cond(tf.reduce_all(size[:2] == tf.stack([height, width])), lambda: pixels, other_size)


def _resized_rows(rows: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    """So many rows in the place of all rows `[n, numbers]`, as float32."""
    import tensorflow as tf

    scale = tf.cast(count, tf.float32) / tf.cast(tf.shape(rows)[0], tf.float32)
    return tf.raw_ops.ScaleAndTranslate(
        images=rows[None, :, None, :], size=[count, 1], scale=tf.stack([scale, 1.0]),
        translation=[0.0, 0.0], kernel_type="triangle", antialias=True,
    )[0, :, 0, :]  # fmt: skip


def _first_fault(contents: Sequence[bytes], decoding: Decoding) -> Exception | None:
    """What is wrong with the first image that can't become what it is to be; None if with none."""
    import tensorflow as tf

    height, width, channels = decoding.shape
    for place, content in enumerate(contents):
        orientation, scale = _way(content, decoding)
        try:
            with tf.device("CPU"):
                pixels = _upright(_pixels(tf.constant(content), channels, scale), orientation)
        except tf.errors.OpError as error:
            reason = " ".join(error.message.partition("}} ")[2].partition(" [Op")[0].split())
            rule = f"can't be decoded: {reason or error.message}"
            return UndecodableError(place, Problem("", ABSENT, rule, "remove it"))
        size = tuple(pixels.shape[:2])
        if decoding.resize is None and size != (height, width):
            return UndecodableError(place, other_size(size, (height, width), "the others are"))
    return None


def other_size(size: tuple[Any, ...], expected: tuple[int, ...], others: str) -> Problem:
    """What is wrong with an image of another size; `others` names those that it differs from."""
    (h, w), (height, width) = size, expected
    rule = f"is {h}x{w}, and {others} {height}x{width} (height x width)"
    return Problem("", ABSENT, rule, f"data.size=[{height},{width}] resizes them all")

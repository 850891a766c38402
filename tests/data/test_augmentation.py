"""Augmentations: what each does to an image, and that nothing but seed, step and place says how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers.runs import experiment, result, rows, trained
from trainer.data import Data, Examples, Preparation, Split
from trainer.data.augment import Augment
from trainer.data.facts import Facts, Feature
from trainer.data.feeds.augmentation import (
    AUGMENTATIONS,
    Augmented,
    augment_batch,
    mix32,
    random_numbers,
)
from trainer.data.feeds.batch import Batch
from trainer.data.feeds.feed import Resident
from trainer.data.feeds.order import ExampleOrder

RANDOM = np.random.default_rng(9)
IMAGES = RANDOM.normal(size=(6, 8, 10, 2)).astype(np.float32)
ALL = (
    "data.augment={flip: both, rotate: 15, crop: 1, contrast: 0.2, brightness: 0.1, noise: 0.05, "
    "cutout: 3}"
)


def drawn(**numbers: Any) -> Any:
    """Draws that are what a test says they are."""

    def draw(name: str, *shape: int, normal: bool = False) -> tf.Tensor:
        return tf.constant(np.broadcast_to(numbers[name], (len(IMAGES), *shape)), tf.float32)

    return draw


def done(numbers: Any = None, **asked: Any) -> Any:
    (name,) = asked
    draw = drawn(**{name: 0.5 if numbers is None else numbers})
    return varied(IMAGES, Augment(**asked), draw)[0]


def varied(images: Any, augment: Augment, draw: Any, labels: Any = None) -> tuple[Any, Any]:
    """The images of a batch and its labels, varied; without labels, those are the images."""
    own_labels = None if labels is None else tf.constant(labels)
    batch = augment_batch(Batch(tf.constant(images), own_labels), augment, draw)
    return np.asarray(batch.inputs), np.asarray(batch.labels)


def test_flips_mirror_the_images_that_were_drawn() -> None:
    numbers = np.array([[0.4, 0.4], [0.4, 0.6], [0.6, 0.4], [0.6, 0.6], [0.0, 0.99], [0.5, 0.5]])
    down, across = numbers.T < 0.5
    for way, vertical, horizontal in (
        ("both", True, True), ("vertical", True, False), ("horizontal", False, True),
    ):  # fmt: skip
        expected = IMAGES.copy()
        if horizontal:
            expected[across] = expected[across][:, :, ::-1]
        if vertical:
            expected[down] = expected[down][:, ::-1]
        np.testing.assert_array_equal(done(numbers, flip=way), expected)


def test_crops_shift_by_whole_pixels_and_fill_with_zeros() -> None:
    numbers = np.array([[0, 0], [0.999, 0.999], [0.5, 0.5], [0.2, 0.7], [0.9, 0.1], [0.45, 0.0]])
    found = done(numbers, crop=2)
    for image, result_, (dy, dx) in zip(IMAGES, found, (numbers * 5).astype(int), strict=True):
        expected = np.pad(image, ((2, 2), (2, 2), (0, 0)))[dy : dy + 8, dx : dx + 10]
        np.testing.assert_array_equal(result_, expected)
    np.testing.assert_array_equal(found[2], IMAGES[2])


def test_quarter_turns_are_exact_and_small_ones_are_those_of_keras() -> None:
    square = IMAGES[:, :, :8]
    for number, quarters in ((1.0, -1), (0.0, 1), (0.5, 0)):
        found, _ = varied(square, Augment(rotate=90.0), drawn(rotate=number))
        expected = np.rot90(square, quarters, axes=(1, 2))
        np.testing.assert_allclose(found, expected, atol=1e-5)
    found, _ = varied(square, Augment(rotate=12.0), drawn(rotate=1.0))
    c, s, m = np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12)), 3.5
    lookup = np.float32([c, s, m * (1 - c - s), -s, c, m * (1 - c + s), 0, 0])
    theirs = keras.ops.image.affine_transform(square, np.tile(lookup, (6, 1)))
    inner = slice(2, -2)  # at the edge, Keras takes the nearest pixel in the place of a frame
    np.testing.assert_allclose(found[:, inner, inner], theirs[:, inner, inner], atol=1e-4)


def test_numbers_are_drawn_evenly_and_by_seed_step_and_place() -> None:
    key = mix32(7)
    uniform = random_numbers(key, tf.range(2000, dtype=tf.int64), (50,)).numpy()
    counts = np.histogram(uniform, bins=20, range=(0, 1))[0]
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert np.square(counts - 5000).sum() / 5000 < 60  # chi-squared of 19 degrees: p = 4e-6
    assert abs(np.corrcoef(uniform[:, 1:].ravel(), uniform[:, :-1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(uniform[1:].ravel(), uniform[:-1].ravel())[0, 1]) < 0.02
    other = random_numbers(mix32(8), tf.range(2000, dtype=tf.int64), (50,)).numpy()
    assert abs(np.corrcoef(uniform.ravel(), other.ravel())[0, 1]) < 0.02
    normal = random_numbers(key, tf.range(2000, dtype=tf.int64), (50,), normal=True).numpy()
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    assert abs((normal**4).mean() - 3) < 0.15


def test_colours_change_as_said() -> None:
    np.testing.assert_allclose(done(1.0, brightness=0.3), IMAGES + 0.3, rtol=1e-6)
    mean = IMAGES.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(
        done(0.0, contrast=0.4), mean + (IMAGES - mean) * 0.6, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(done(2.0, noise=0.1), IMAGES + 0.2, rtol=1e-5, atol=1e-6)


def test_cutout_blanks_a_square_that_the_edge_may_cut() -> None:
    numbers = np.array([[0, 0], [0.999, 0.999], [0.5, 0.5], [0.5, 0], [0.3, 0.3], [0.7, 0.2]])
    found = done(numbers, cutout=3)
    for image, result_, (y, x) in zip(IMAGES, found, numbers * [8, 10], strict=True):
        expected = image.copy()
        expected[max(0, int(y) - 1) : int(y) + 2, max(0, int(x) - 1) : int(x) + 2] = 0
        np.testing.assert_array_equal(result_, expected)


MOVES = {"flip": "both", "rotate": 20.0, "crop": 2}
COLOURS = {"contrast": 0.5, "brightness": 0.3, "noise": 0.1, "cutout": 3}
CLASSES = RANDOM.integers(1, 5, IMAGES.shape[:3]).astype(np.int32)


def numbers_of(name: str) -> Any:
    return drawn(**{name: RANDOM.random(6) if name == "rotate" else RANDOM.random((6, 2))})


@pytest.mark.parametrize("name", MOVES)
def test_what_moves_pixels_moves_those_of_labels_with_places_alike(name: str) -> None:
    """An image that is its own mask, as numbers, as a further axis, and given back."""
    augment, draw = Augment(**{name: MOVES[name]}), numbers_of(name)
    moved, given_back = varied(IMAGES, augment, draw)
    assert not np.array_equal(moved, IMAGES)
    np.testing.assert_array_equal(given_back, moved)
    for label in (IMAGES, IMAGES[..., 0]):
        np.testing.assert_array_equal(
            varied(IMAGES, augment, draw, label)[1], moved if label.ndim == 4 else moved[..., 0]
        )
    if name != "rotate":
        images = CLASSES[..., None].astype(np.float32)
        np.testing.assert_array_equal(
            *(np.squeeze(x) for x in varied(images, augment, draw, CLASSES))
        )


def test_a_single_input_with_a_name_is_varied_as_one_without() -> None:
    images = tf.random.stateless_uniform((3, 4, 4, 1), (1, 2))
    everything = Augment(flip="both", crop=1, brightness=0.2, noise=0.1, cutout=1)
    everything.check(Facts(3, {"image": Feature((4, 4, 1))}, Feature((), "int32", 2)))
    plain, named = (
        augment_batch(Batch(inputs, labels), everything, draw_of_one_seed)
        for inputs, labels in ((images, images), ({"image": images}, {"image": images}))
    )
    np.testing.assert_array_equal(plain.inputs, named.inputs["image"])
    np.testing.assert_array_equal(plain.labels, named.labels["image"])
    several = {"image": Feature((4, 4, 1)), "age": Feature((1,))}
    with pytest.raises(Refused, match="is for data with one input"):
        everything.check(Facts(3, several, Feature((), "int32", 2)))


def draw_of_one_seed(name: str, *shape: int, normal: bool = False) -> Any:
    """Numbers that depend on the change alone."""
    key = tf.constant(AUGMENTATIONS.index(name), tf.int64)
    return random_numbers(key, tf.range(3, dtype=tf.int64), shape, normal=normal)


def test_masks_turn_to_the_class_of_the_nearest_pixel() -> None:
    square = CLASSES[:, :, :8]
    images = square[..., None].astype(np.float32)
    _, found = varied(images, Augment(rotate=12.0), drawn(rotate=1.0), square)
    c, s, m = np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12)), 3.5
    lookup = np.float32([c, s, m * (1 - c - s), -s, c, m * (1 - c + s), 0, 0])
    theirs = keras.ops.image.affine_transform(
        images, np.tile(lookup, (6, 1)), interpolation="nearest"
    )
    assert found.dtype == np.int32
    assert set(np.unique(found)) <= {0, 1, 2, 3, 4}
    np.testing.assert_array_equal(found[:, 2:-2, 2:-2], np.asarray(theirs)[:, 2:-2, 2:-2, 0])
    for number, quarters in ((1.0, -1), (0.0, 1)):
        _, found = varied(images, Augment(rotate=90.0), drawn(rotate=number), square)
        np.testing.assert_array_equal(found, np.rot90(square, quarters, axes=(1, 2)))


@pytest.mark.parametrize("name", COLOURS)
def test_what_changes_numbers_is_of_inputs_alone(name: str) -> None:
    """So a network that gives its inputs back learns to take the noise off."""
    numbers = RANDOM.random((6, 2)) if name == "cutout" else 0.9
    augment = Augment(**{name: COLOURS[name]})
    for labels in (None, IMAGES, CLASSES):
        inputs, found = varied(IMAGES, augment, drawn(**{name: numbers}), labels)
        assert not np.array_equal(inputs, IMAGES)
        np.testing.assert_array_equal(found, IMAGES if labels is None else labels)


@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 4, 5), (6, 10, 8)])
def test_labels_without_the_places_of_the_image_stay(shape: tuple[int, ...]) -> None:
    labels = RANDOM.normal(size=shape).astype(np.float32)
    _, found = varied(IMAGES, Augment(flip="both"), drawn(flip=0.1), labels)
    np.testing.assert_array_equal(found, labels)


def test_parts_of_a_batch_vary_their_masks_as_the_whole_does() -> None:
    examples = Examples(IMAGES, CLASSES)
    preparation = Preparation.of(IMAGES.shape[1:])
    resident = Resident(Split(examples, examples, preparation), ExampleOrder(1, 6, 6))
    feed = Augmented(resident, Augment(**MOVES, **COLOURS))
    whole = feed.batch(feed.args(8, 1, 1), 0, 0, 1).labels
    parts = [feed.batch(feed.args(8, 1, 1), 0, part, 3).labels for part in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(whole, CLASSES[resident.order.indices(8, 1)[0]])


def test_labels_of_other_places_than_the_image_are_refused_before_it_moves() -> None:
    facts = Facts(6, Feature((8, 10, 2)), Feature((4, 5), "int32", 3))
    Augment(noise=0.1, cutout=2).check(facts)
    Augment(flip="both").check(Facts(6, Feature((8, 10, 2)), Feature((8, 10), "int32", 3)))
    with pytest.raises(Refused, match=r"crop = 1: moves the pixels of .* 8x10.*4x5 places"):
        Augment(crop=1).check(facts)


def augmented(batch_size: int = 6, seed: int = 1) -> Augmented:
    examples = Examples(IMAGES, np.zeros(6, np.int32))
    augment = Augment(flip="both", rotate=20.0, crop=2, noise=0.1, cutout=2, contrast=0.5)
    return Augmented(
        Resident(
            Split(examples, examples, Preparation.of(examples.inputs.shape[1:])),
            ExampleOrder(seed, 6, batch_size),
        ),
        augment,
    )


def test_an_example_is_varied_the_same_in_every_part_and_call() -> None:
    feed = augmented()
    whole = feed.batch(feed.args(7, 3, 5), 1, 0, 1)[0]
    again = feed.batch(feed.args(8, 1, 1), 0, 0, 1)[0]
    np.testing.assert_array_equal(whole, again)
    parts = [feed.batch(feed.args(8, 1, 1), 0, part, 3)[0] for part in range(3)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    other = feed.batch(feed.args(9, 1, 1), 0, 0, 1)[0]
    assert not np.allclose(whole, other)
    seeded = augmented(seed=2)
    assert not np.allclose(whole, seeded.batch(seeded.args(8, 1, 1), 0, 0, 1)[0])
    [(inputs, *_)] = feed.tests()
    np.testing.assert_array_equal(inputs, IMAGES)


@pytest.mark.slow
def test_xla_varies_examples_as_a_graph_does() -> None:
    feed = augmented()
    feed_args = feed.args(3, 1, 1)
    plain, fused = (
        tf.function(lambda: feed.batch(feed_args, 0, 0, 1)[0], jit_compile=jit)()
        for jit in (False, True)
    )
    np.testing.assert_allclose(plain, fused, atol=1e-5)


def test_a_run_with_all_of_it_goes_on_in_the_same_bits_from_disk_too(tmp_path: Path) -> None:
    asked = (ALL, "run.length=12", "run.steps_per_call=3", "run.micro_batches=2")
    trained(tmp_path / "whole", *asked)
    trained(tmp_path / "broken", *asked, "run.stop_after=5", "data.keep=stream")
    trained(tmp_path / "broken", *asked)
    assert (
        result(tmp_path / "broken")["weights_digest"]
        == result(tmp_path / "whole")["weights_digest"]
    )
    assert rows(tmp_path / "broken") == rows(tmp_path / "whole")


@pytest.mark.parametrize(
    ("asked", "path", "rule"),
    [
        ({"flip": "sideways"}, "data.augment.flip", "must be 'horizontal', 'vertical' or 'both'"),
        ({"crop": 8}, "data.augment.crop", "would shift images of 8x8 out of sight"),
        ({"cutout": 16}, "data.augment.cutout", "would blank all"),
        ({"contrast": 1.5}, "data.augment.contrast", "must be"),
        ({"noise": 0}, "data.augment.noise", "must be"),
        ({"flipp": "both"}, "data.augment.flipp", "is no known key"),
    ],
)
def test_what_can_not_be_done_to_the_images_is_refused(
    asked: dict[str, Any], path: str, rule: str
) -> None:
    with pytest.raises(Refused) as refused:
        experiment(*(f"data.augment.{name}={value}" for name, value in asked.items())).clock()
    [problem] = refused.value.problems
    assert problem.path == path
    assert rule in problem.rule


def test_what_is_no_image_takes_noise_only() -> None:
    vectors = ("data=synthetic", "data.shape=[8]")
    experiment(*vectors, "data.augment.noise=0.1").clock()
    with pytest.raises(Refused, match="is for images"):
        experiment(*vectors, "data.augment.flip=both").clock()
    assert not Data.declared({"kind": "digits"}).augment

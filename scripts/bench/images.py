"""How fast images are read, decoded and trained on, beside Keras and torch.

    python scripts/bench/images.py [--images 6144] [--rounds 1] [--torch PYTHON] [--files 100000]

Writes JPEGs of 256x256 into a temporary folder and trains a small convolutional network on them at
128x128, each way in a process of its own, in turns. Prints images a second from the first look at
the folder to the end of the first epoch, and in the epochs after that, and the ratios of one round.
`--torch` is a Python that has torch and torchvision; left out, this one, if it has them. Then it
looks twice at a folder of so many `--files`. Takes under five minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

STORED, SIDE, BATCH, EPOCHS = 256, 128, 64, 3
WARM = 128
"""Images of a first run, in which TensorFlow and Keras or torch set themselves up."""


class Pace(NamedTuple):
    """Images a second."""

    first: float
    """From the first look at the folder to the end of the first epoch."""
    later: float
    """In the epochs after that."""


class Ended(NamedTuple):
    """When a run began, and when each epoch ended."""

    began: float
    epochs: list[float]

    def pace(self, images: int) -> Pace:
        """The images a second of a run on so many images."""
        first, last = self.epochs[0], self.epochs[-1]
        return Pace(images / (first - self.began), images * (len(self.epochs) - 1) / (last - first))


def write(folder: Path, images: int) -> None:
    """Writes bright and dark pieces of a picture whose frequencies are as in photographs."""
    import PIL.Image

    random = np.random.default_rng(0)
    side = 4096
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    picture = np.empty((side, side, 3), np.uint8)
    for channel in range(3):
        noise = random.normal(size=frequency.shape) + 1j * random.normal(size=frequency.shape)
        plane = np.fft.irfft2(noise / frequency**1.2, (side, side))
        picture[..., channel] = (45 * plane / plane.std() + 110).clip(0, 255)
    for part, count in (("warm", WARM), ("all", images)):
        for i in range(count):
            y, x = random.integers(0, side - STORED, 2)
            piece = picture[y : y + STORED, x : x + STORED] // 2 + np.uint8(60 * (i % 2))
            file = folder / part / ("dark", "bright")[i % 2] / f"{i:06}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(piece).save(file, quality=85)


def write_records(folder: Path) -> None:
    """Writes the same images as records."""
    import tensorflow as tf

    for part in ("warm", "all"):
        with tf.io.TFRecordWriter(str(folder / f"{part}.tfrecord")) as writer:
            for file in sorted((folder / part).glob("*/*.jpg")):
                image = tf.train.BytesList(value=[file.read_bytes()])
                label = tf.train.Int64List(value=[int(file.parent.name == "bright")])
                feature = {
                    "image": tf.train.Feature(bytes_list=image),
                    "label": tf.train.Feature(int64_list=label),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())


def network() -> Any:
    """A small convolutional network for pixels from 0 to 1."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


def ours(folder: Path, part: str, *asked: str, records: bool = False) -> Ended:
    """`train` with its rows and checkpoints; evaluated at the end, on one in a hundred.

    The fingerprint of images that nobody has looked at is made for the checkpoint at the end, and
    so counts for no epoch.
    """
    from trainer import Call, Experiment, train

    kind = "tfrecord" if records else "image_folder"
    path = folder / (f"{part}.tfrecord" if records else part)
    overrides = [
        f"data={kind}", f"data.path={path}", f"data.size=[{SIDE},{SIDE}]", "data.normalise=pixels",
        f"data.batch_size={BATCH}", "data.held_out.fraction=0.01", "run.compile=graph",
        f"run.length={EPOCHS} epochs", "evaluate.every=100%", "checkpoint.every=100%",
        "schedule=constant", "optimizer=sgd", *asked,
    ]  # fmt: skip
    began = perf_counter()
    experiment = Experiment.composed(*overrides)
    ends: list[tuple[int, float]] = []

    def note(call: Call) -> None:
        ends.append((int(call.steps[-1]) + 1, perf_counter()))

    with TemporaryDirectory(dir=folder) as run:
        train(experiment, Path(run) / "run", model=network(), callback=note, quiet=True)
    steps = experiment.total_steps() / EPOCHS
    last = np.interp(steps * np.arange(1, EPOCHS + 1), *zip((0, began), *ends, strict=True))
    return Ended(began, last.tolist())


def keras_fit(folder: Path, part: str, *, records: bool = False) -> Ended:
    """`model.fit` on `image_dataset_from_directory`, or on records as TensorFlow's guides do."""
    import keras
    import tensorflow as tf

    began = perf_counter()
    if records:

        def example(record: Any) -> Any:
            features = {
                "image": tf.io.FixedLenFeature([], tf.string),
                "label": tf.io.FixedLenFeature([], tf.int64),
            }
            found = tf.io.parse_single_example(record, features)
            image = tf.image.resize(tf.io.decode_jpeg(found["image"], 3), [SIDE, SIDE])
            return image, found["label"]

        data = tf.data.TFRecordDataset(str(folder / f"{part}.tfrecord")).shuffle(1000)
        data = data.map(example, tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    else:
        data = keras.utils.image_dataset_from_directory(
            folder / part, image_size=(SIDE, SIDE), batch_size=BATCH, verbose=False
        )
    model = keras.Sequential([keras.layers.Rescaling(1 / 255), network()])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss)
    ends: list[float] = []

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            ends.append(perf_counter())

    model.fit(data, epochs=EPOCHS, verbose=0, callbacks=[Clock()])
    return Ended(began, ends)


def torch_loader(folder: Path, part: str) -> Ended:
    """The `DataLoader` of torch with two workers on torchvision's `ImageFolder`."""
    import torch
    from torch import nn
    from torchvision import datasets, transforms

    began = perf_counter()
    steps = [transforms.Resize((SIDE, SIDE)), transforms.ToTensor()]
    data = datasets.ImageFolder(folder / part, transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(
        data, BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip
    rule, loss_of = torch.optim.SGD(model.parameters(), lr=0.01), nn.CrossEntropyLoss()
    ends: list[float] = []
    for _ in range(EPOCHS):
        for images, labels in loader:
            rule.zero_grad()
            loss = loss_of(model(images), labels)
            loss.backward()
            rule.step()
        ends.append(perf_counter())
    return Ended(began, ends)


STREAM = "data.keep=stream"
WAYS: dict[str, Callable[[Path, str], Ended]] = {
    "ours, fast": lambda folder, part: ours(
        folder, part, STREAM, "data.resize=fast", f"data.cache={folder}/fast"
    ),
    "ours, fast, run again": lambda folder, part: ours(
        folder, part, STREAM, "data.resize=fast", f"data.cache={folder}/fast"
    ),
    "ours, exact": lambda folder, part: ours(folder, part, STREAM, f"data.cache={folder}/exact"),
    "ours, not kept": lambda folder, part: ours(folder, part, STREAM, "data.cache=off"),
    "ours, on the device": lambda folder, part: ours(
        folder, part, "data.keep=device", f"data.cache={folder}/exact"
    ),
    "keras": keras_fit,
    "torch": torch_loader,
    "ours, records, fast": lambda folder, part: ours(
        folder, part, STREAM, "data.resize=fast", f"data.cache={folder}/records", records=True
    ),
    "keras, records": lambda folder, part: keras_fit(folder, part, records=True),
}
MARKS = (
    ("first epoch beside Keras, fast", "ours, fast", "first", "keras", "first", 1.5),
    ("first epoch beside Keras, exact", "ours, exact", "first", "keras", "first", 1.0),
    ("first epoch beside torch, fast", "ours, fast", "first", "torch", "first", 2.0),
    ("first epoch beside torch, exact", "ours, exact", "first", "torch", "first", 2.0),
    ("later epochs beside the device", "ours, fast", "later", "ours, on the device", "later", 0.9),
    ("later runs beside the device", "ours, fast, run again", "later", "ours, on the device",
     "later", 0.9),
    ("first epoch of records beside Keras", "ours, records, fast", "first", "keras, records",
     "first", 1.5),
    ("later epochs of records beside the device", "ours, records, fast", "later",
     "ours, on the device", "later", 0.9),
)  # fmt: skip


def one(way: str, folder: Path, images: int) -> Pace:
    """One way, in this process."""
    run = WAYS[way]
    warm = TemporaryDirectory(dir=folder)
    with warm as place:
        for part in ("warm", "warm.tfrecord"):
            (Path(place) / part).symlink_to(folder / part)
        run(Path(place), "warm")
    return run(folder, "all").pace(images)


def listing(folder: Path, files: int) -> tuple[float, float]:
    """How long a first and a second look at so many files take, in seconds."""
    import PIL.Image

    from trainer import Experiment

    few = 8
    for i in range(files):
        place = folder / "many" / f"class_{i % few}"
        if i < few:
            place.mkdir(parents=True)
            PIL.Image.new("RGB", (SIDE, SIDE)).save(folder / f"{i}.jpg")
        (place / f"{i:07}.jpg").hardlink_to(folder / f"{i // 20_000}.jpg")
    took = []
    for _ in range(2):
        began = perf_counter()
        asked = ("data=image_folder", f"data.path={folder}/many", f"data.cache={folder}/listed")
        Experiment.composed(*asked).data.facts()
        took.append(perf_counter() - began)
    return took[0], took[1]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What is asked for on the command line, or by `given` words."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=int, default=6144)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--torch", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--folder", type=Path, help="where to write; else a temporary folder")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--one", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main() -> None:
    """Prints the tables."""
    asked = arguments()
    if asked.one:
        way, folder = asked.one
        print(json.dumps(one(way, Path(folder), asked.images)))
        return
    rounds, (first, second) = compared(asked)
    show(rounds)
    if asked.files:
        print(f"\n{asked.files:,} files listed and checked: {first:.2f} s, then {second:.2f} s")


def compared(asked: argparse.Namespace) -> tuple[list[dict[str, Pace]], tuple[float, float]]:
    """The paces of each round, and the seconds of two looks at many files."""
    with TemporaryDirectory(dir=asked.folder, prefix="bench-") as place:
        folder = Path(place)
        write(folder, asked.images)
        write_records(folder)
        rounds = [measured(folder, asked) for _ in range(asked.rounds)]
        return rounds, listing(folder, asked.files) if asked.files else (0.0, 0.0)


def measured(folder: Path, asked: argparse.Namespace) -> dict[str, Pace]:
    """A round: each way once, with nothing kept of the rounds before."""
    round_: dict[str, Pace] = {}
    for kept in ("fast", "exact", "records"):
        for file in (folder / kept).glob("*"):
            file.unlink()
    known = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    for way in asked.ways:
        python = asked.torch if way == "torch" else sys.executable
        arguments = ["--images", str(asked.images), "--one", way, str(folder)]
        command = [python, __file__, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=known)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it failed"])[-1]
            print(f"{way} is left out: {reason}", file=sys.stderr)
            continue
        round_[way] = Pace(*json.loads(done.stdout.splitlines()[-1]))
    return round_


def show(found: list[dict[str, Pace]]) -> None:
    """Prints images a second by the medians, and the marks by the medians of one round's ratios."""
    print("| way | first epoch | later epochs |\n| --- | ---: | ---: |")
    for way in WAYS:
        paces = [round_[way] for round_ in found if way in round_]
        if paces:
            first, later = (median(column) for column in zip(*paces, strict=True))
            print(f"| {way} | {first:,.0f} | {later:,.0f} |")
    print("\n| ratio | measured | mark |\n| --- | ---: | ---: |")
    for what, ratio, least in ratios(found):
        if ratio is not None:
            print(f"| {what} | {ratio:.2f} | {least:.1f} |")


def ratios(found: list[dict[str, Pace]]) -> Iterator[tuple[str, float | None, float]]:
    """Yields each mark's name, the median of its ratio over the rounds, if any, and the least."""
    for what, way, epoch, other, other_epoch, least in MARKS:
        rounds = [round_ for round_ in found if way in round_ and other in round_]
        each = [getattr(r[way], epoch) / getattr(r[other], other_epoch) for r in rounds]
        yield what, median(each) if each else None, least


if __name__ == "__main__":
    main()

"""Images are decoded once and kept: the same bits in whatever way, and nothing opened twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from schedules import Refused
from tests.helpers import records
from tests.helpers.runs import experiment, result, trained
from tests.helpers.splits import refused
from trainer.data import Data, row_file
from trainer.data.files import cache_folder
from trainer.data.inputs import read_ahead
from trainer.data.kept_rows import KeptRows, Place
from trainer.data.row_file import RowFile, draft_of, open_rows
from trainer.data.sources import encoded_images, masks
from trainer.data.sources.image_decoding import Decoding, decoded, resized
from trainer.data.sources.image_listing import image_files
from trainer.data.summary import summary
from trainer.runs.identity import is_free

RANDOM = np.random.default_rng(4)
SIZES = ((64, 48), (32, 40), (17, 23), (70, 50))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def smooth(height: int, width: int, seed: int) -> Any:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    return PIL.Image.fromarray(coarse).resize((width, height), PIL.Image.Resampling.BICUBIC)


def write_folder(name: str, count: int = 12) -> None:
    for i in range(count):
        file = Path(name) / f"class_{i % 2}" / f"{i:02}.{('jpg', 'png')[i % 3 == 0]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        smooth(*SIZES[i % 4], i).save(file)


def write_masks(name: str, count: int = 12) -> None:
    for i in range(count):
        file = Path(name) / f"class_{i % 2}" / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        height, width = SIZES[i % 4]
        mask = np.zeros((height, width), np.uint8)
        mask[: height // 2] = 255
        PIL.Image.fromarray(mask).save(file)


def write_records(name: str) -> None:
    files = sorted(Path("images").glob("*/*"))
    rows = [{"image": file.read_bytes(), "label": i % 2} for i, file in enumerate(files)]
    records.write(Path(name), rows)


KINDS: dict[str, dict[str, Any]] = {
    "image_folder": {"path": "images"},
    "image_pairs": {"path": "images", "targets": "masks", "values": [0, 255]},
    "image_pairs of images": {"path": "images", "targets": "images", "labels": "images"},
    "tfrecord": {"path": "a.tfrecord"},
}


@pytest.fixture
def pictures(here: Path) -> Path:
    """A folder with data of every kind."""
    write_folder("images")
    write_masks("masks")
    write_records("a.tfrecord")
    return here


def declared(kind: str, **more: Any) -> Data:
    return Data.declared({"kind": kind.split()[0], "size": [24, 20], **KINDS[kind], **more})


def on_disk() -> None:
    """Waits until the disk has what is kept."""
    for thread in threading.enumerate():
        if thread.name == row_file.FINISHING:
            thread.join()


def arrays(data: Data) -> list[Any]:
    split = data.load()
    parts = (split.train, split.test)
    return [np.asarray(array) for part in parts for array in (part.inputs, part.labels)]


@pytest.fixture
def decoded_count(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many images and masks have been decoded since it was last asked."""
    counts: list[int] = []
    decode, pixels = encoded_images.decoded, masks.mask_pixels

    def counted(contents: Any, decoding: Any) -> Any:
        counts.append(len(contents))
        return decode(contents, decoding)

    def counted_mask(*given: Any) -> Any:
        counts.append(1)
        return pixels(*given)

    def since() -> int:
        total = sum(counts)
        counts.clear()
        return total

    monkeypatch.setattr(encoded_images, "decoded", counted)
    monkeypatch.setattr(masks, "mask_pixels", counted_mask)
    return since


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_has_the_bits_of_tensorflow(channels: int) -> None:
    for height, width, to_height, to_width in [
        (16, 16, 8, 8), (37, 5, 12, 9), (5, 7, 23, 31), (9, 40, 9, 13), (50, 50, 7, 50)
    ]:  # fmt: skip
        pixels = tf.constant(RANDOM.integers(0, 256, (height, width, channels)), tf.uint8)
        expected = tf.image.resize(pixels, [to_height, to_width], antialias=True)
        found = resized(pixels, to_height, to_width)
        np.testing.assert_array_equal(found, tf.cast(tf.round(expected), tf.uint8))


def encoded(file: str, size: tuple[int, int], seed: int = 0, **more: Any) -> bytes:
    smooth(*size, seed).save(file, **more)
    return Path(file).read_bytes()


def test_an_image_has_the_same_bits_whatever_it_is_decoded_with(here: Path) -> None:
    endings = ("jpg", "png", "gif", "bmp")
    contents = [encoded(f"{i}.{endings[i % 4]}", SIZES[i % 3], i) for i in range(9)]
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    contents.append(encoded("turned.jpg", (64, 48), 9, exif=exif))
    for resize in ("exact", "fast"):
        decoding = Decoding((16, 12, 3), resize)
        together = decoded(contents, decoding)
        for content, image in zip(contents, together, strict=True):
            np.testing.assert_array_equal(decoded([content], decoding)[0], image)
    whole = tf.io.decode_image(contents[0], 3)
    expected = tf.cast(tf.round(tf.image.resize(whole, [16, 12], antialias=True)), tf.uint8)
    np.testing.assert_array_equal(decoded(contents, Decoding((16, 12, 3), "exact"))[0], expected)


@pytest.mark.parametrize(
    ("size", "target", "ratio"),
    [((64, 48), (32, 24), 2), ((64, 48), (20, 20), 2), ((65, 50), (16, 12), 4),
     ((64, 48), (8, 6), 8), ((64, 48), (33, 10), 1), ((64, 48), (5, 25), 1)],
)  # fmt: skip
def test_fast_scales_a_jpeg_while_it_is_decoded_to_no_less_than_its_size(
    size: tuple[int, int], target: tuple[int, int], ratio: int, here: Path
) -> None:
    content = encoded("a.jpg", size)
    pixels = tf.io.decode_jpeg(content, 3, ratio=ratio)
    assert (pixels.shape[0] >= target[0] and pixels.shape[1] >= target[1]) or ratio == 1
    expected = tf.cast(tf.round(tf.image.resize(pixels, target, antialias=True)), tf.uint8)
    found = decoded([content], Decoding((*target, 3), "fast"))[0]
    np.testing.assert_array_equal(found, expected)
    exact = decoded([content], Decoding((*target, 3), "exact"))[0]
    assert np.array_equal(found, exact) == (ratio == 1)
    np.testing.assert_allclose(found.astype(int), exact, atol=40)
    lossless = encoded("a.png", size)
    both = (decoded([lossless], Decoding((*target, 3), way))[0] for way in ("exact", "fast"))
    np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("keep", ["device", "stream"])
@pytest.mark.parametrize("kind", KINDS)
def test_kept_or_not_the_bits_are_the_same(
    kind: str, keep: str, pictures: Path, decoded_count: Callable[[], int]
) -> None:
    plain = arrays(declared(kind, keep=keep, cache="off"))
    assert not any("kept in" in line for line in summary(declared(kind, cache="off")))
    assert "kept in" in summary(declared(kind))[-1]
    decoded_count()
    assert not list(Path("cache/scheduled-training").rglob("*.npy"))
    counts = []
    for _ in range(2):
        for found, expected in zip(arrays(declared(kind, keep=keep)), plain, strict=True):
            np.testing.assert_array_equal(found, expected)
        counts.append(decoded_count())
    on_disk()
    kept = list(Path("cache/scheduled-training/images").glob("images-*.npy"))
    assert len(kept) == (2 if kind == "image_pairs" else 1)
    assert counts == [12 * len(kept), 0]
    assert {np.load(file).shape[:3] for file in kept} == {(12, 24, 20)}


def test_no_image_is_decoded_twice_in_a_run_of_several_epochs_and_evaluations(
    here: Path, decoded_count: Callable[[], int]
) -> None:
    asked = ("data=image_folder", "data.path=images", "data.size=[24,20]", "data.batch_size=5",
             "run.length=3 epochs", "evaluate.every=2", "model=mlp",
             "run.compile=graph")  # fmt: skip
    write_folder("images")
    for name, cache in (("off", "off"), ("kept", "auto"), ("again", "auto"), ("folder", "here")):
        assert trained(here / name, *asked, "data.keep=stream", f"data.cache={cache}") == 0
        count = decoded_count()
        assert count > 24 if name == "off" else count == (0 if name == "again" else 12)
    digests = {result(here / name)["weights_digest"] for name in ("off", "kept", "again", "folder")}
    assert len(digests) == 1
    on_disk()
    assert len(list((here / "here").glob("images-*.npy"))) == 1
    assert is_free("data.cache")
    assert not is_free("data.resize")


OPENED: list[str] = []


def note_opened(event: str, given: Any) -> None:
    if event == "open" and OPENED and isinstance(given[0], str | os.PathLike):
        OPENED.append(os.fspath(given[0]))


@pytest.mark.parametrize("kind", ["image_folder", "image_pairs"])
def test_the_second_start_opens_no_image(kind: str, here: Path) -> None:
    given = dict(KINDS[kind]) | ({"values": None} if kind == "image_pairs" else {})
    for i in range(12):
        for folder in ("images", "masks"):
            file = Path(folder) / f"class_{i % 2}" / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.new("L", (8, 8), i % 2).save(file)
    sys.addaudithook(note_opened)
    counts = []
    for _ in range(2):
        OPENED.append("")
        facts = Data.declared({"kind": kind, **given}).facts()
        counts.append(sum(path.endswith(".png") for path in OPENED))
        OPENED.clear()
        assert facts.shape == (8, 8, 3)
    assert counts[0] >= 12
    assert counts[1] == 0
    PIL.Image.new("L", (9, 9)).save("images/class_0/0.png")
    assert "is 8x8, and" in refused(Data.declared({"kind": kind, **given}).facts).rule


def test_files_are_listed_as_os_walk_has_them_and_hidden_ones_not(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.JPG", "a/1.gif", "a/z/3.bmp", "Z.jpeg", ".h.png", "a/.git/4.png",
                 "notes.txt", "c.png/5.png"):  # fmt: skip
        file = tmp_path / "all" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(len(name)))
    (tmp_path / "all" / "linked").symlink_to(tmp_path / "all" / "a")
    (tmp_path / "all" / "nowhere.png").symlink_to(tmp_path / "nothing")
    expected = []
    for place, folders, files in os.walk(tmp_path / "all"):
        folders[:] = sorted(set(folders) - {".git"})
        expected += [str(Path(place, name)) for name in sorted(files)]
    listed = list(image_files(tmp_path / "all"))
    left_out = (".txt", ".h.png")
    assert [file.path for file in listed] == [p for p in expected if not p.endswith(left_out)]
    assert [file.size for file in listed] == [6, 5, 0, 7, 7, 9, 11]
    assert [bool(file.changed) for file in listed] == [file.size > 0 for file in listed]


def test_a_changed_image_is_decoded_anew(pictures: Path, decoded_count: Callable[[], int]) -> None:
    before = arrays(declared("image_folder"))
    decoded_count()
    data = declared("image_folder")
    smooth(64, 48, 77).save("images/class_0/02.jpg")
    after = arrays(data)
    assert decoded_count() == 12
    assert any(not np.array_equal(*pair) for pair in zip(before, after, strict=True))


class Squares:
    """Rows that are made of their numbers, and which were made."""

    def __init__(self, count: int = 40) -> None:
        self.shape = (count, 2, 3)
        self.dtype = np.dtype(np.uint8)
        self.made: list[int] = []

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        row_index = np.arange(len(self))[key]
        self.made += row_index.tolist()
        return np.broadcast_to((row_index % 256)[:, None, None], (len(row_index), 2, 3)).astype(
            np.uint8
        )


WHOLE = Squares()[:]


def kept(folder: Path, name: str = "a" * 32) -> tuple[KeptRows, Squares]:
    squares = Squares()
    return KeptRows(squares, Place(folder, 1.0), name), squares


def test_rows_are_made_once_in_whatever_order_they_are_read(tmp_path: Path) -> None:
    rows, squares = kept(tmp_path)
    for key in (np.array([7, 3, 7]), slice(0, 5), np.arange(30)[::-1], slice(None)):
        np.testing.assert_array_equal(rows[key], WHOLE[key])
    assert sorted(squares.made) == list(range(40))
    on_disk()
    np.testing.assert_array_equal(np.load(tmp_path / f"images-{'a' * 32}.npy"), WHOLE)
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_read_ahead_comes_in_its_order_and_stops_where_nobody_asks(tmp_path: Path) -> None:
    rows, squares = kept(tmp_path)
    keys = [slice(start, start + 4) for start in range(0, 40, 4)]
    np.testing.assert_array_equal(np.concatenate(list(read_ahead(rows, keys))), WHOLE)
    squares.made.clear()
    reading = read_ahead(squares, keys)
    np.testing.assert_array_equal(next(reading), WHOLE[:4])
    reading.close()
    assert squares.made == list(range(8))


def test_a_killed_process_leaves_what_it_has_made_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / f"images-{'a' * 32}.npy"
    code = (
        "import os, sys, numpy as np; from pathlib import Path; from trainer.data import row_file\n"
        "file = row_file.open_rows(Path(sys.argv[1]), (40, 2, 3), np.dtype(np.uint8))\n"
        "index = np.arange(0, 40, 2)\n"
        "file.put(index, np.repeat(index.astype(np.uint8), 6).reshape(-1, 2, 3))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not path.exists()
    rows, squares = kept(tmp_path)
    np.testing.assert_array_equal(rows[:], WHOLE)
    assert squares.made == list(range(1, 40, 2))
    on_disk()
    assert path.exists()


def test_a_draft_of_before_a_crash_of_the_machine_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = kept(tmp_path)
    np.testing.assert_array_equal(rows[:20], WHOLE[:20])
    del rows
    monkeypatch.setattr(row_file, "BOOT", b"another boot".ljust(len(row_file.BOOT)))
    rows, squares = kept(tmp_path)
    np.testing.assert_array_equal(rows[:], WHOLE)
    assert squares.made == list(range(40))


def test_one_process_fills_a_file_and_others_make_what_they_read_until_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"images-{'a' * 32}.npy"
    monkeypatch.setattr(row_file, "_opened", {})  # as if the two were processes of their own
    filling = RowFile.filled(path, WHOLE.shape, WHOLE.dtype)
    assert filling is not None
    assert RowFile.filled(path, WHOLE.shape, WHOLE.dtype) is None
    rows, squares = kept(tmp_path)
    np.testing.assert_array_equal(rows[:5], WHOLE[:5])
    filling.put(np.arange(40), WHOLE)
    on_disk()
    assert not draft_of(path).exists()
    np.testing.assert_array_equal(rows[:], WHOLE)
    assert squares.made == list(range(5))


@pytest.mark.parametrize("spoilt", ["cut off", "another shape", "nothing"])
def test_a_file_that_holds_something_else_is_made_anew(spoilt: str, tmp_path: Path) -> None:
    path = tmp_path / f"images-{'a' * 32}.npy"
    np.save(path, WHOLE if spoilt == "cut off" else WHOLE[:5])
    content = path.read_bytes()
    path.write_bytes({"cut off": content[:-1], "nothing": b""}.get(spoilt, content))
    rows, _ = kept(tmp_path)
    np.testing.assert_array_equal(rows[:], WHOLE)
    on_disk()
    np.testing.assert_array_equal(np.load(path), WHOLE)


def test_a_disk_that_takes_no_more_costs_time_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, squares = kept(tmp_path)
    rows[:10]

    def full(*given: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(2):
        np.testing.assert_array_equal(rows[:], WHOLE)
    assert squares.made == list(range(10)) + 2 * list(range(10, 40))
    assert list(tmp_path.iterdir()) == []


def test_nobody_who_reads_waits_for_the_disk_and_a_disk_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"images-{'a' * 32}.npy"
    proceed = threading.Event()

    def slow(descriptor: int) -> None:
        proceed.wait(60)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", slow)
    rows, squares = kept(tmp_path)
    for _ in range(2):
        np.testing.assert_array_equal(rows[:], WHOLE)
    assert draft_of(path).exists()
    assert not path.exists()
    proceed.set()
    on_disk()
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(rows[:], WHOLE)
    assert squares.made == list(range(40))


def test_what_was_used_longest_ago_makes_room_and_nobody_elses_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.npy").write_bytes(bytes(9999))
    for i, letter in enumerate("abc"):
        rows, _ = kept(tmp_path, letter * 32)
        rows[:]
        on_disk()
        os.utime(tmp_path / f"images-{letter * 32}.npy", (i, i))
    filling = open_rows(tmp_path / f"images-{'d' * 32}.npy", WHOLE.shape, WHOLE.dtype)
    rows, _ = kept(tmp_path, "b" * 32)
    rows[:]  # now it is the newest
    monkeypatch.setattr(Place, "allowance", lambda place: 3 * 500)
    rows, _ = kept(tmp_path, "e" * 32)
    np.testing.assert_array_equal(rows[:], WHOLE)
    on_disk()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert filling is not None
    assert [name[7] for name in names if name.startswith("images-")] == ["b", "d", "e"]
    assert "mine.npy" in names


def test_images_without_room_are_not_kept_or_the_folder_is_refused(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Place, "allowance", lambda place: 1000)
    assert not isinstance(declared("image_folder").contents.raw.train.inputs, KeptRows)
    problem = refused(declared("image_folder", cache="here").facts)
    assert problem.path == "cache"
    assert problem.rule == "has room for 0.0 MB, and the images take 0.0 MB"
    assert problem.hint.startswith("data.cache=off")
    assert declared("image_folder", cache="off").facts().shape == (24, 20, 3)
    Path("file").write_text("")
    problem = refused(declared("image_folder", cache="file").facts)
    assert problem.rule.startswith("can't be used: ")


def test_a_user_without_a_cache_folder_reads_images_all_the_same(pictures: Path) -> None:
    Path("cache").write_text("no folder")
    assert cache_folder() is None
    assert arrays(declared("image_folder"))[0].shape == (10, 24, 20, 3)


def test_where_images_are_kept_is_a_word_or_a_folder(here: Path) -> None:
    def cache(value: object) -> object:
        return Data.declared({"kind": "image_folder", "path": "images", "cache": value}).cache

    assert experiment("data=image_folder", "data.path=images", "data.cache=off").data.cache == "off"
    assert [cache(value) for value in ("auto", "off", False)] == [
        "auto",
        "off",
        "off",
    ]  # YAML's off
    assert cache("here") == cache(here / "here") == str(here / "here")
    for value in (True, "", 3, None):
        with pytest.raises(Refused, match="must be auto, off or a folder"):
            cache(value)


def test_fast_resizing_is_refused_where_nothing_is_resized(here: Path) -> None:
    write_folder("images")
    asked = ("data=image_folder", "data.path=images", "data.resize=fast")
    problem = refused(lambda: experiment(*asked))
    assert "is for images that are resized" in problem.rule
    assert experiment(*asked, problem.hint.split()[0]).data.resize == "fast"

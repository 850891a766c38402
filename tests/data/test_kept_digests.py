"""Fingerprints of images in files: remembered for as long as nothing of these has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tests.helpers import records
from trainer.data import Data, examples, kept_digests
from trainer.data.sources import image_listing

KINDS: dict[str, dict[str, Any]] = {
    "image_folder": {"path": "images"},
    "image_pairs": {"path": "images", "targets": "masks", "values": [0, 255]},
    "image_pairs of images": {"path": "images", "targets": "images", "labels": "images"},
    "tfrecord": {"path": "a.tfrecord"},
}
FILE = Path("images/b/3.png")


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of two classes and a mask for each, whose times can be trusted at once."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(image_listing, "SETTLED", 0)
    for i in range(6):
        for top, value in (("images", 20 * i), ("masks", 255 * (i % 2))):
            write(Path(top, "ab"[i % 2], f"{i}.png"), value)
    write_records()


def write(file: Path, value: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((4, 4), value, np.uint8)
    pixels[0] = 0
    PIL.Image.fromarray(pixels).save(file, optimize=False, compress_level=0)  # all of one size


def write_records() -> None:
    """The same images as records."""
    files = sorted(Path("images").glob("*/*"))
    records.write(
        Path("a.tfrecord"),
        [{"image": file.read_bytes(), "label": int(file.parent.name == "b")} for file in files],
    )


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """An entry for each fingerprint that was made of what files hold."""
    made: list[object] = []
    fingerprint = examples._fingerprint

    def counted(arrays: Any) -> str:
        made.append(arrays)
        return fingerprint(arrays)

    monkeypatch.setattr(examples, "_fingerprint", counted)
    return made


def digest(kind: str = "image_folder", **more: Any) -> str:
    given = {"keep": "stream", **KINDS[kind], **more}
    return Data.declared({"kind": kind.split()[0], **given}).load().digest


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_the_same_are_not_read_again(kind: str, looks: list[object]) -> None:
    whole = digest(kind, cache="off")
    assert [digest(kind) for _ in range(3)] == [whole] * 3
    assert len(looks) == 2
    assert digest(kind, cache="off") == whole
    assert len(looks) == 3


def rewritten() -> None:
    """Other pixels in the same files, of the same size."""
    files = (FILE, Path("a.tfrecord"))
    sizes = [file.stat().st_size for file in files]
    write(FILE, 7)
    write_records()
    assert [file.stat().st_size for file in files] == sizes


def replaced() -> None:
    """Another file of the same size and time in its place."""
    times, other = FILE.stat(), Path("other.png")
    write(other, 7)
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(FILE)


@pytest.mark.parametrize(
    ("kind", "change"),
    [*(("image_folder", change) for change in (rewritten, replaced, FILE.unlink)),
     ("tfrecord", rewritten)],
)  # fmt: skip
def test_files_that_have_changed_are_read_anew(
    kind: str, change: Callable[[], None], looks: list[object]
) -> None:
    before = digest(kind)
    change()
    changed = digest(kind)
    assert changed != before
    assert len(looks) == 2
    assert digest(kind, cache="off") == changed


@pytest.mark.parametrize("cache", ["auto", "off"])
@pytest.mark.parametrize("kind", KINDS)
def test_files_that_change_before_they_are_read_have_a_fingerprint_like_no_other(
    kind: str, cache: str
) -> None:
    given = {"kind": kind.split()[0], "keep": "stream", "cache": cache, **KINDS[kind]}
    data = Data.declared(given)
    split, whole = data.load(), digest(kind, cache="off")
    assert split.digest_can_wait
    rewritten()
    assert ("a.tfrecord" if kind == "tfrecord" else str(FILE)) in split.digest
    assert digest(kind) not in (whole, split.digest)  # and it was not remembered


def test_what_is_remembered_or_in_memory_or_in_other_files_does_not_wait() -> None:
    given = {"kind": "image_folder", "path": "images"}
    assert not Data.declared({**given, "keep": "device"}).load().digest_can_wait
    split = Data.declared({**given, "keep": "stream"}).load()
    assert split.digest_can_wait
    _ = split.digest
    assert not Data.declared({**given, "keep": "stream"}).load().digest_can_wait
    np.savez("rows.npz", inputs=np.ones((9, 2)), labels=np.arange(9) % 2)
    assert not Data.declared({"kind": "npz", "path": "rows.npz"}).load().digest_can_wait


@pytest.mark.parametrize(
    "more",
    [{"normalise": "none"}, {"held_out": {"fraction": 0.5}}, {"size": [3, 3]}, {"channels": 1}],
)
def test_other_rows_of_them_prepared_in_another_way_are_other_data(more: dict[str, Any]) -> None:
    before = digest()
    assert digest(**more) == digest(**more, cache="off") != before


def test_files_that_are_too_young_for_their_times_to_be_trusted_are_read_each_time(
    looks: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_listing, "SETTLED", 10**12)
    assert digest() == digest()
    assert len(looks) == 2


def test_a_spoilt_note_costs_another_look(looks: list[object]) -> None:
    whole = digest()
    for note in Path("cache").rglob("note-*.json"):
        note.write_bytes(note.read_bytes()[:3])
    assert [digest(), digest()] == [whole] * 2
    assert len(looks) == 2


def test_what_lies_in_memory_alone_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was hashed for a name, too")

    monkeypatch.setattr(kept_digests, "sha256", never)
    arrays = [("inputs", np.ones((3, 2), np.float32)), ("labels", np.arange(3))]
    assert kept_digests.remembered(arrays, lambda: "that of the contents") == "that of the contents"

"""Checkpoints: whole or not there at all."""

import json
from pathlib import Path

import numpy as np
import pytest

from trainer import checkpoint
from trainer.checkpoint import Checkpoints

ARRAYS = {
    "model/dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "optimizer/iterations": np.array(7, np.int64),
}
ABOUT = {"optimizer": "adam", "record": 120}


def saved(folder: Path, *steps: int, keep: int = 3) -> Checkpoints:
    checkpoints = Checkpoints(folder, keep)
    for step in steps:
        checkpoints.save(step, ARRAYS, {**ABOUT, "at": step})
    return checkpoints


def test_what_was_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    found, damaged = saved(tmp_path, 7).newest()
    assert found is not None
    assert (found.step, found.about, damaged) == (7, {**ABOUT, "at": 7}, [])
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)


def test_an_empty_or_missing_folder_has_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none", 3).newest() == (None, [])


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 5, 100, 20, 1000, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000000100", "step-0000001000"]


@pytest.mark.parametrize("name", ["state.npz", "manifest.json"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_one_wrong_byte_anywhere_and_the_one_before_it_is_used(
    tmp_path: Path, name: str, share: float
) -> None:
    checkpoints = saved(tmp_path, 10, 20)
    file = tmp_path / "step-0000000020" / name
    content = bytearray(file.read_bytes())
    content[int(share * (len(content) - 1))] ^= 0x41
    file.write_bytes(content)
    found, damaged = checkpoints.newest()
    assert found is not None
    assert found.step == 10
    assert [reason.split(":")[0] for reason in damaged] == ["step-0000000020"]


@pytest.mark.parametrize("name", ["state.npz", "manifest.json"])
def test_a_missing_or_truncated_file_is_damage(tmp_path: Path, name: str) -> None:
    checkpoints = saved(tmp_path, 10, 20, 30)
    (tmp_path / "step-0000000030" / name).unlink()
    file = tmp_path / "step-0000000020" / name
    file.write_bytes(file.read_bytes()[:-1])
    found, damaged = checkpoints.newest()
    assert found is not None
    assert found.step == 10
    assert len(damaged) == 2


def test_a_damaged_one_does_not_push_out_a_whole_one(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 50, keep=1)
    (tmp_path / "step-0000000050" / "state.npz").write_bytes(b"")
    assert checkpoints.newest()[0] is None
    checkpoints.save(20, ARRAYS, ABOUT)
    found, _ = checkpoints.newest()
    assert found is not None
    assert found.step == 20


@pytest.mark.parametrize("call", ["os.fsync", "json.dump", "np.savez", "Path.rename"])
def test_a_save_that_fails_leaves_the_earlier_ones_and_no_litter(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = saved(tmp_path, 10)

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"trainer.checkpoint.{call}", refuse)
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save(20, ARRAYS, ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000000010"]


def test_another_format_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", 99)
        checkpoints = saved(tmp_path, 10)
    _, damaged = checkpoints.newest()
    assert damaged == ["step-0000000010: is of format 99, and this version reads 1"]


def test_nothing_in_a_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    with np.load(tmp_path / "step-0000000010" / "state.npz", allow_pickle=False) as arrays:
        assert set(arrays) == set(ARRAYS)
    json.loads((tmp_path / "step-0000000010" / "manifest.json").read_text())

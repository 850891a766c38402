"""Checkpoints: whole or not there at all."""

import errno
import json
import os
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from trainer.runs import checkpoints as checkpoints_module
from trainer.runs.checkpoint_files import DamagedCheckpointError, digest, read
from trainer.runs.checkpoint_writer import CheckpointWriter
from trainer.runs.checkpoints import CheckpointId, Checkpoints

ARRAYS = {
    "model/dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "optimizer/iterations": np.array(7, np.int64),
}
ABOUT = {"optimizer": "adam", "record": 120}


def saved(folder: Path, *steps: int, keep: int = 3) -> Checkpoints:
    checkpoints = Checkpoints(folder, keep)
    for step in steps:
        checkpoints.save(CheckpointId(step), ARRAYS, {**ABOUT, "at": step})
    return checkpoints


def held(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    found, damaged = saved(tmp_path, 7).newest()
    assert found is not None
    assert (found.step, found.about, damaged) == (7, {**ABOUT, "at": 7}, [])
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)


def test_a_large_state_is_not_in_memory_a_second_time(tmp_path: Path) -> None:
    table = np.arange(2**23, dtype=np.float32)  # 32 MB, twice what numpy passes on at a time
    tracemalloc.start()
    try:
        Checkpoints(tmp_path, 1).save(CheckpointId(1), {"table": table}, ABOUT)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.75 * table.nbytes
    np.testing.assert_array_equal(read(tmp_path / "step-0000000001").arrays["table"], table)


def test_an_empty_or_missing_folder_has_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "none", 3)
    assert (checkpoints.newest(), checkpoints.newest_step()) == ((None, []), 0)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    assert saved(tmp_path, 5, 100, 20, 1000, keep=2).newest_step() == 1000
    assert held(tmp_path) == ["step-0000000100", "step-0000001000"]


def test_order_is_by_number_however_many_digits(tmp_path: Path) -> None:
    assert saved(tmp_path, 99_999_999_999, 9_999_999_999).newest_step() == 99_999_999_999


def test_the_best_and_those_for_good_are_kept_besides(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 1, lambda step: step % 10 == 0)
    for step in range(1, 26):
        checkpoints.save(CheckpointId(step), ARRAYS, ABOUT, {3 if step < 17 else 17})
    assert held(tmp_path) == [CheckpointId(step).name for step in (10, 17, 20, 25)]


def test_one_made_after_a_rewind_is_newer_than_its_like(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10, 20, 23)
    checkpoints.save(CheckpointId(20, 1), ARRAYS, {**ABOUT, "at": "rewound"})
    found, _ = checkpoints.newest()
    assert found is not None
    assert (found.step, found.about["at"]) == (20, "rewound")


def test_every_wrong_byte_of_the_newest_is_noticed(tmp_path: Path) -> None:
    saved(tmp_path, 20)
    unnoticed = []
    for name in ("state.npz", "manifest.json"):
        file = tmp_path / CheckpointId(20).name / name
        content = file.read_bytes()
        for i in range(len(content)):
            file.write_bytes(content[:i] + bytes([content[i] ^ 0x41]) + content[i + 1 :])
            try:
                read(file.parent)
            except DamagedCheckpointError:
                continue
            unnoticed.append((name, i))
        file.write_bytes(content)
    assert read(tmp_path / CheckpointId(20).name).step == 20
    assert unnoticed == []


@pytest.mark.parametrize("name", ["state.npz", "manifest.json"])
def test_the_one_before_a_damaged_one_is_used(tmp_path: Path, name: str) -> None:
    checkpoints = saved(tmp_path, 10, 20)
    file = tmp_path / "step-0000000020" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x41
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
    checkpoints.save(CheckpointId(20), ARRAYS, ABOUT)
    found, _ = checkpoints.newest()
    assert found is not None
    assert found.step == 20


WRITES = ["mkdir", "savez", "fsync state", "manifest", "fsync manifest", "flush draft", "rename"]
"""What a save does to the disk, in order, up to the moment from which the new one counts."""


def broken(monkeypatch: pytest.MonkeyPatch, at: str, error: BaseException) -> None:
    """Makes one of `WRITES` raise, or the flush after the rename."""
    count = {"fsync state": 1, "fsync manifest": 2, "flush draft": 3, "flush folder": 4}
    if at in count:
        calls: Iterator[int] = iter(range(1, 99))
        fsync = os.fsync

        def counting(descriptor: int) -> None:
            if next(calls) == count[at]:
                raise error
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", counting)
        return
    places = {"mkdir": "Path.mkdir", "savez": "np.savez", "manifest": "json.dump"}

    def failing(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(f"trainer.runs.checkpoints.{places.get(at, 'Path.rename')}", failing)


@pytest.mark.parametrize("at", WRITES)
def test_a_write_that_fails_leaves_the_earlier_ones_and_no_litter(
    tmp_path: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = saved(tmp_path, 10)
    with monkeypatch.context() as patch:
        broken(patch, at, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save(CheckpointId(20), ARRAYS, ABOUT)
    assert held(tmp_path) == ["step-0000000010"]
    assert checkpoints.newest()[0] is not None


@pytest.mark.parametrize("at", [*WRITES, "flush folder"])
def test_a_process_that_dies_in_a_save_leaves_whole_ones_only(tmp_path: Path, at: str) -> None:
    checkpoints = saved(tmp_path, 10)
    child = os.fork()
    if not child:
        # What would tidy up after an error never comes to run in a process that is dead.
        patch = pytest.MonkeyPatch()
        patch.setattr(checkpoints_module.shutil, "rmtree", lambda *args, **kwargs: None)
        broken(patch, at, SystemExit())
        try:
            checkpoints.save(CheckpointId(20), ARRAYS, ABOUT)
        except SystemExit:
            os._exit(9)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    found, damaged = checkpoints.newest()
    assert found is not None
    assert (found.step, damaged) == (20 if at == "flush folder" else 10, [])
    checkpoints.clean()
    checkpoints.save(CheckpointId(20), ARRAYS, ABOUT)
    assert held(tmp_path) == ["step-0000000010", "step-0000000020"]


def test_a_short_write_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = saved(tmp_path, 10)
    savez = np.savez

    def short(file: object, **arrays: object) -> None:
        name, array = arrays.popitem()
        savez(file, **{name: array})
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("trainer.runs.checkpoints.np.savez", short)
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save(CheckpointId(20), ARRAYS, ABOUT)
    assert held(tmp_path) == ["step-0000000010"]


def test_another_format_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_module, "FORMAT", 99)
        checkpoints = saved(tmp_path, 10)
    _, damaged = checkpoints.newest()
    assert damaged == [
        f"step-0000000010: is of format 99, and this version reads {checkpoints_module.FORMAT}"
    ]


def test_a_manifest_can_not_lead_to_other_files(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path, 10)
    file = tmp_path / "step-0000000010" / "manifest.json"
    body = json.loads(file.read_text())["body"]
    body["files"]["../../secret"] = {"bytes": 0, "sha256": ""}
    file.write_text(json.dumps({"body": body, "sha256": digest(body)}))
    assert checkpoints.newest()[0] is None


def test_nothing_in_a_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    with np.load(tmp_path / "step-0000000010" / "state.npz", allow_pickle=False) as arrays:
        assert set(arrays) == set(ARRAYS)
    json.loads((tmp_path / "step-0000000010" / "manifest.json").read_text())


def test_a_disk_that_refuses_is_told_of_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saving = CheckpointWriter(Checkpoints(tmp_path, 3))

    def save(step: int) -> None:
        saving.enqueue(CheckpointId(step), ARRAYS, ABOUT, (), lambda: None)
        saving.finish()

    save(1)
    with monkeypatch.context() as patch:
        broken(patch, "savez", OSError(errno.ENOSPC, "No space left on device"))
        save(2)
        save(3)
        assert saving.disk_error is not None
    save(4)
    saving.close()
    news = [(step, error is not None) for step, error in saving.disk_changes()]
    assert news == [(2, True), (4, False)]
    assert held(tmp_path) == ["step-0000000001", "step-0000000004"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_a_disk_that_is_really_full_costs_no_checkpoint(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "small", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        (tmp_path / "checkpoints").mkdir()
        checkpoints = saved(tmp_path / "checkpoints", 10, keep=1)
        (tmp_path / "ballast").write_bytes(bytes(48 * 1024))
        large = {"model/kernel": np.zeros(10_000, np.float32)}
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save(CheckpointId(20), large, ABOUT)
        found, damaged = checkpoints.newest()
        assert found is not None
        assert (found.step, damaged) == (10, [])
        (tmp_path / "ballast").unlink()
        checkpoints.save(CheckpointId(20), large, ABOUT)
        assert held(tmp_path / "checkpoints") == ["step-0000000020"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)

"""What is saved in the background: the same as one by one, without what would be removed again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.runs import checkpoint_writer as module
from trainer.runs.checkpoint_writer import CheckpointWriter
from trainer.runs.checkpoints import CheckpointId, Checkpoints

ARRAYS = {"kernel": np.arange(10, dtype=np.float64)}
NEVER = 3600.0
"""The seconds of a rest that only `finish` ends within a test."""


class Disk(Checkpoints):
    """Makes an empty folder of each checkpoint, once it is let, and notes their order."""

    def __init__(
        self, folder: Path, keep: int = 3, forever: Callable[[int], bool] = lambda step: False
    ) -> None:
        super().__init__(folder, keep, forever)
        self.written: list[int] = []
        self.begun = threading.Event()
        self.permits = threading.Semaphore(0)
        self.free = True
        self.refuses: dict[int, BaseException] = {}
        self.watch: Callable[[], None] = lambda: None

    def _write(self, final: Path, step: int, *_: Any) -> None:
        self.begun.set()
        if not self.free:
            assert self.permits.acquire(timeout=60)
        if step in self.refuses:
            raise self.refuses[step]
        final.mkdir()
        self.written.append(step)
        self.watch()

    def hold(self) -> None:
        """Lets none through from now on."""
        self.permits, self.free = threading.Semaphore(0), False

    def let_all(self) -> None:
        self.free = True
        self.permits.release(1000)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("step-*"))


def begin(saving: CheckpointWriter, step: int, *spared: int, rewinds: int = 0) -> None:
    saving.enqueue(CheckpointId(step, rewinds), ARRAYS, {}, spared, lambda: None)


def behind(disk: Disk, saving: CheckpointWriter, steps: range, *spared: int) -> None:
    """Begins with more, while the disk is still busy with a first one."""
    disk.hold()
    begin(saving, 1)
    assert disk.begun.wait(60)
    for step in steps:
        begin(saving, step, *spared)


@pytest.fixture
def resting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the thread rest after its first write until somebody waits for it."""
    monkeypatch.setattr(module, "MAX_REST_SECONDS", NEVER)
    ticks = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(module, "perf_counter", lambda: float(next(ticks)))


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the thread never rest."""
    monkeypatch.setattr(module, "MAX_REST_SECONDS", 0.0)


def oracle(
    saves: list[tuple[CheckpointId, set[int]]], keep: int, forever: Callable[[int], bool]
) -> list[str]:
    """What stays of saves that are made one at a time, each at once."""
    held: set[CheckpointId] = set()
    for at, spared in saves:
        newest = sorted({*held, at}, key=lambda one: (-one.rewinds, -one.step))
        held = {*newest[:keep]} | {one for one in newest if one.step in spared or forever(one.step)}
    return sorted(at.name for at in held)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[CheckpointId, set[int]]]:
    """Saves as runs make them: on and on, or back after a rewind; with bests among those before."""
    saves: list[tuple[CheckpointId, set[int]]] = []
    at = CheckpointId(0)
    for _ in range(draw(st.integers(1, 15))):
        if draw(st.integers(0, 5)) == 0:
            at = CheckpointId(draw(st.integers(0, at.step)), at.rewinds + 1)
        else:
            at = CheckpointId(at.step + draw(st.integers(0, 3)), at.rewinds)
        seen = [at.step, *(old.step for old, _ in saves)]
        saves.append((at, set(draw(st.lists(st.sampled_from(seen), max_size=2)))))
    return saves


anyhow = st.lists(
    st.tuples(
        st.builds(CheckpointId, st.integers(0, 9), st.integers(0, 2)),
        st.sets(st.integers(0, 9), max_size=2),
    ),
    min_size=1,
    max_size=12,
)
"""Saves in any order at all."""


@given(
    saves=st.one_of(histories(), anyhow),
    keep=st.integers(1, 4),
    good=st.sampled_from([2, 5, 100]),
    longest=st.sampled_from([0.0, NEVER]),
    thens=st.lists(st.sampled_from(["", "1", "2", "finish"]), min_size=1, max_size=8),
)
def test_what_is_left_is_what_saving_one_by_one_leaves(
    saves: list[tuple[CheckpointId, set[int]]],
    keep: int,
    good: int,
    longest: float,
    thens: list[str],
) -> None:
    def forever(step: int) -> bool:
        return step % good == 0

    with TemporaryDirectory() as one_by_one, TemporaryDirectory() as slow:
        plain, disk = Disk(Path(one_by_one), keep, forever), Disk(Path(slow), keep, forever)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "MAX_REST_SECONDS", longest)
            patch.setattr(module, "REST_FACTOR", 10**9)
            saving = CheckpointWriter(disk)
            disk.hold()
            for (at, spared), then in zip(saves, cycle(thens), strict=False):
                plain.save(at, {}, {}, spared)
                begin(saving, at.step, *spared, rewinds=at.rewinds)
                if then == "finish":
                    disk.let_all()
                    saving.finish()
                    assert disk.names() == plain.names()
                    disk.hold()
                elif then:
                    disk.permits.release(int(then))
            disk.let_all()
            saving.close()
        assert disk.names() == plain.names() == oracle(saves, keep, forever)


@given(saves=histories(), keep=st.integers(1, 4), longest=st.sampled_from([0.0, NEVER]))
def test_a_kill_at_any_moment_costs_none_for_good_and_none_of_the_number_kept(
    saves: list[tuple[CheckpointId, set[int]]], keep: int, longest: float
) -> None:
    """Whoever goes on from the newest does not make an older one for good again."""

    def forever(step: int) -> bool:
        return step % 3 == 0

    begun: list[CheckpointId] = []
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_REST_SECONDS", longest)
        disk = Disk(Path(folder), keep, forever)
        wrong: list[Any] = []

        def watch() -> None:
            held = disk.ids()
            lacking = [
                at for at in begun[: begun.index(held[0])] if at not in held and forever(at.step)
            ]
            if lacking or len(held) < min(keep, len(disk.written)):
                wrong.append((held, lacking))

        disk.watch = watch
        saving = CheckpointWriter(disk)
        for at, spared in saves:
            begun.append(at)
            begin(saving, at.step, *spared, rewinds=at.rewinds)
        saving.close()
        assert not wrong


def test_one_that_newer_ones_supersede_is_never_written(tmp_path: Path, restless: None) -> None:
    disk = Disk(tmp_path)
    saving = CheckpointWriter(disk)
    behind(disk, saving, range(2, 11), 4)
    disk.let_all()
    saving.close()
    assert sorted(disk.written) == [1, 4, 8, 9, 10]
    assert disk.names() == [CheckpointId(step).name for step in (4, 8, 9, 10)]


def test_the_newest_comes_first_after_those_that_it_counts_on(
    tmp_path: Path, restless: None
) -> None:
    disk = Disk(tmp_path, keep=3, forever=lambda step: step == 5)
    all_six = threading.Event()
    disk.watch = lambda: all_six.set() if len(disk.written) == 6 else None
    saving = CheckpointWriter(disk)
    behind(disk, saving, range(2, 11), 4)
    disk.let_all()
    assert all_six.wait(60)
    saving.close()
    assert disk.written == [1, 4, 5, 10, 9, 8]


def test_an_older_best_stays_until_the_new_one_is_on_the_disk(tmp_path: Path) -> None:
    disk = Disk(tmp_path, keep=1)
    saving = CheckpointWriter(disk)
    begin(saving, 1, 1)
    begin(saving, 2, 1)
    saving.finish()
    held: list[list[str]] = []
    disk.watch = lambda: held.append(disk.names())
    disk.hold()
    disk.begun.clear()
    begin(saving, 3, 1)
    assert disk.begun.wait(60)
    begin(saving, 4, 4)
    begin(saving, 5, 4)
    disk.let_all()
    saving.close()
    for names in held:
        assert CheckpointId(1).name in names or CheckpointId(4).name in names
    assert disk.names() == [CheckpointId(4).name, CheckpointId(5).name]


def test_while_it_rests_nothing_is_written_and_finishing_ends_the_rest(
    tmp_path: Path, resting: None
) -> None:
    disk = Disk(tmp_path)
    first = threading.Event()
    disk.watch = first.set
    saving = CheckpointWriter(disk)
    begin(saving, 1)
    assert first.wait(60)
    for step in range(2, 10):
        begin(saving, step)
    assert disk.written == [1]
    saving.finish()
    assert disk.written == [1, 7, 8, 9]
    saving.close()


@pytest.mark.parametrize(("took", "rest"), [(0.002, 0.2), (0.5, 1.0)])
def test_a_rest_is_a_hundred_times_the_write_and_a_second_at_most(
    tmp_path: Path, took: float, rest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    class Noting(threading.Condition):
        def wait_for(self, predicate: Callable[[], Any], timeout: float | None = None) -> Any:
            if timeout is None:
                return super().wait_for(predicate)
            rests.append(timeout)
            return predicate()

    def ticks() -> Iterator[float]:
        now = 0.0
        while True:
            yield now
            now += took

    clock = ticks()
    monkeypatch.setattr(module, "Condition", Noting)
    monkeypatch.setattr(module, "perf_counter", lambda: next(clock))
    saving = CheckpointWriter(Disk(tmp_path))
    begin(saving, 1)
    saving.close()
    assert rests == [pytest.approx(rest)]


def test_large_ones_are_in_memory_one_at_a_time(
    tmp_path: Path, resting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED_BYTES", 100)  # where each has 80 bytes
    disk = Disk(tmp_path)
    saving = CheckpointWriter(disk)
    waiting: list[int] = []
    disk.watch = lambda: waiting.append(len(saving._waiting))
    for step in range(1, 6):
        begin(saving, step)
    saving.close()
    assert disk.written == [1, 2, 3, 4, 5]
    assert waiting == [0] * 5


def test_what_comes_before_each_write_does(tmp_path: Path, resting: None) -> None:
    done: list[str] = []
    disk = Disk(tmp_path)
    disk.watch = lambda: done.append(f"wrote {disk.written[-1]}")
    saving = CheckpointWriter(disk)
    for step in (1, 2, 3):
        saving.enqueue(CheckpointId(step), ARRAYS, {}, (), partial(done.append, f"before {step}"))
    saving.close()
    assert sorted(done[::2]) == [f"before {step}" for step in (1, 2, 3)]
    assert [text.replace("before", "wrote") for text in done[::2]] == done[1::2]


def test_a_refusal_is_news_once(tmp_path: Path) -> None:
    news: list[tuple[int, bool]] = []
    disk = Disk(tmp_path)
    disk.refuses = dict.fromkeys((2, 3), OSError("full"))
    saving = CheckpointWriter(disk)
    for step in (1, 2, 3, 4):
        begin(saving, step)
        saving.finish()
        assert (saving.disk_error is not None) == (step in disk.refuses)
        news += [(at, error is None) for at, error in saving.disk_changes()]
    saving.close()
    assert news == [(2, False), (4, True)]
    assert disk.names() == [CheckpointId(1).name, CheckpointId(4).name]


def test_a_refused_newest_is_the_trouble_whatever_becomes_of_older_ones(
    tmp_path: Path, restless: None
) -> None:
    disk = Disk(tmp_path)
    disk.refuses = {4: OSError("full")}
    saving = CheckpointWriter(disk)
    behind(disk, saving, range(2, 5))
    written = threading.Event()
    disk.watch = lambda: written.set() if len(disk.written) == 3 else None
    disk.let_all()
    assert written.wait(60)
    saving.close()
    assert disk.written == [1, 3, 2]
    assert [step for step, _ in saving.disk_changes()] == [4]
    assert saving.disk_error is not None


def test_what_must_come_before_may_be_refused_too(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    saving = CheckpointWriter(disk)

    def refused() -> None:
        raise OSError("the record is not on the disk")

    saving.enqueue(CheckpointId(1), ARRAYS, {}, (), refused)
    saving.close()
    assert ([step for step, _ in saving.disk_changes()], disk.names()) == ([1], [])


def test_an_error_that_is_not_the_disks_is_raised_where_saving_was_asked_for(
    tmp_path: Path,
) -> None:
    disk = Disk(tmp_path)
    disk.refuses = {1: ValueError("a bug"), 3: ValueError("another")}
    saving = CheckpointWriter(disk)
    begin(saving, 1)
    with pytest.raises(ValueError, match="a bug"):
        saving.finish()
    begin(saving, 2)
    saving.finish()
    begin(saving, 3)
    with pytest.raises(ValueError, match="another"):
        saving.close()
    assert disk.names() == [CheckpointId(2).name]


def test_a_folder_that_others_changed_meanwhile_is_looked_at_anew(tmp_path: Path) -> None:
    """One that was found to be damaged does not count as kept."""
    disk = Disk(tmp_path, keep=2)
    saving = CheckpointWriter(disk)
    for step in (1, 2):
        begin(saving, step)
        saving.finish()
    (tmp_path / CheckpointId(2).name).rename(tmp_path / "damaged")
    begin(saving, 3)
    saving.close()
    assert disk.names() == [CheckpointId(1).name, CheckpointId(3).name]


@pytest.mark.parametrize("writing", [False, True])
def test_a_kill_while_others_wait_leaves_a_whole_one(
    tmp_path: Path, writing: bool, resting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            saving = CheckpointWriter(Checkpoints(tmp_path, 3))
            begin(saving, 1)
            saving.finish()
            if writing:
                monkeypatch.setattr("trainer.runs.checkpoints.json.dump", kill)
            for step in range(2, 9):
                begin(saving, step)
            saving.finish() if writing else kill()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    checkpoints = Checkpoints(tmp_path, 3)
    found, damaged = checkpoints.newest()
    assert found is not None
    assert damaged == []
    assert found.step == 1 or not writing
    np.testing.assert_array_equal(found.arrays["kernel"], ARRAYS["kernel"])

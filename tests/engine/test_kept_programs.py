"""Machine code of XLA is kept for later processes, and only what is whole and one's own runs."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.runs import SMALL, result, trained
from trainer.engine import kept_programs
from trainer.engine.kept_programs import (
    DIRECTORY,
    FLAGS,
    PROCESSORS,
    SUM,
    announce_programs,
    keep_programs,
    seal_programs,
)


class Disk(NamedTuple):
    """What `shutil.disk_usage` gives."""

    total: int
    used: int
    free: int


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs are kept for this machine and two threads."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(FLAGS, "")  # so that it is put back afterwards
    return kept()


def announced() -> Path:
    """Where TensorFlow is told to look."""
    announce_programs()
    [directory] = [word for word in os.environ[FLAGS].split() if word.startswith(DIRECTORY)]
    return Path(directory.partition("=")[2])


def kept(threads: int = 2, *, deterministic: bool = True) -> Path:
    """The folder that a process finds there, for which it is the first time."""
    place = announced()
    place.unlink(missing_ok=True)
    keep_programs(threads, deterministic=deterministic)
    return place.resolve(strict=True)


@pytest.mark.slow
def test_a_second_process_compiles_nothing_and_gives_the_same_bits(tmp_path: Path) -> None:
    """Whether the first has compiled other ways besides or not."""
    asked = (*SMALL, "run.length=30")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop(FLAGS, None)
    written: list[dict[Path, int]] = []
    for name, way in (("first", "auto"), ("second", "xla")):
        overrides = (*asked, f"run.compile={way}", f"hydra.run.dir={tmp_path / name}")
        command = [sys.executable, "-m", "trainer", *overrides]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        files = (tmp_path / "cache").rglob("*.pb")
        written.append({file: file.stat().st_mtime_ns for file in files})
    assert len(written[0]) >= 1
    assert written[1] == written[0]
    compiled = tmp_path / "compiled"
    assert trained(compiled, *asked, "run.compile=xla", "run.compile_cache=false") == 0
    assert result(tmp_path / "second")["weights_digest"] == result(compiled)["weights_digest"]


def test_a_program_is_for_one_number_of_threads_and_one_way_to_compile(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [folder, kept(1), kept(deterministic=False)]
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    folders.append(kept())
    assert len({*folders}) == 4
    assert {each.parent for each in folders} == {folder.parent}
    monkeypatch.delenv("XLA_FLAGS")
    assert kept() == folder


@pytest.mark.parametrize("spoilt", ["cut short", "without a sum", "another's sum", "a link"])
def test_what_is_not_as_it_was_sealed_is_removed(spoilt: str, folder: Path) -> None:
    whole, other = folder / "whole.pb", folder / "other.pb"
    for file in (whole, other):
        file.write_bytes(file.name.encode() * 100)
    seal_programs()
    sums = {file: file.with_name(file.name + SUM) for file in (whole, other)}
    match spoilt:
        case "cut short":
            other.write_bytes(other.read_bytes()[:50])
        case "without a sum":
            sums[other].unlink()
        case "another's sum":
            sums[other].write_text(sums[whole].read_text())
        case _:
            elsewhere = other.rename(folder.parent / "elsewhere")
            other.symlink_to(elsewhere)
    assert kept() == folder
    assert {*folder.iterdir()} == {whole, sums[whole]}


def test_the_oldest_of_too_many_are_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age in range(4):
        file = folder / f"{age}.pb"
        file.write_bytes(b"x" * 100)
        os.utime(file, (10**9 - age, 10**9 - age))
    seal_programs()
    monkeypatch.setattr(kept_programs, "MAX_BYTES", 250)
    kept()
    assert {file.name for file in folder.glob("*.pb")} == {"0.pb", "1.pb"}


@pytest.mark.parametrize("trap", ["writable by others", "a link", "in a folder of others"])
def test_a_folder_that_others_may_write_to_is_not_used(trap: str, folder: Path) -> None:
    place = announced()
    place.unlink()
    match trap:
        case "writable by others":
            folder.chmod(0o777)
        case "a link":
            folder.rename(folder.parent / "elsewhere")
            folder.symlink_to("elsewhere")
        case _:
            folder.parent.chmod(0o777)
    keep_programs(2, deterministic=True)
    assert not place.exists()


@pytest.mark.parametrize("trouble", ["no folder", "a folder of others", "no room", "not to write"])
def test_tensorflow_is_told_of_no_folder_that_cannot_be_written(
    trouble: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end in an error, once it has compiled."""
    match trouble:
        case "no folder":
            monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
        case "a folder of others":
            folder.parent.chmod(0o777)
        case "no room":
            monkeypatch.setattr(kept_programs, "disk_usage", lambda _: Disk(100, 100, 0))
        case _:
            monkeypatch.setattr(os, "access", lambda *_: False)
    for own in ("", "--tf_xla_clustering_debug"):
        before = os.environ.get(FLAGS, "")
        monkeypatch.setenv(FLAGS, f"{own} {before if trouble != 'no folder' else ''}".strip())
        announce_programs()
        keep_programs(2, deterministic=True)
        assert os.environ.get(FLAGS, "") == own


def test_links_of_dead_processes_are_removed(folder: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    place = announced()
    left, other = (place.with_name(name) for name in (f"{platform.node()}.{dead.pid}", "far.1"))
    for link in (left, other):
        link.symlink_to(folder.name)
    kept()
    assert not left.is_symlink()
    assert other.is_symlink()
    left.mkdir()  # as TensorFlow does where nothing was linked
    (left / "some.pb").touch()
    kept()
    assert not left.exists()


def test_flags_of_the_users_own_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = f"{DIRECTORY}={announced()} {PROCESSORS}"
    assert os.environ[FLAGS] == own
    monkeypatch.setenv(FLAGS, f"{DIRECTORY}={announced().with_name('parent.1')} {PROCESSORS}")
    announce_programs()
    assert os.environ[FLAGS] == own
    monkeypatch.setenv(FLAGS, f"--tf_xla_clustering_debug {own}")
    assert kept() != folder
    assert os.environ[FLAGS] == f"--tf_xla_clustering_debug {own}"
    theirs = f"{DIRECTORY}=/elsewhere"
    monkeypatch.setenv(FLAGS, theirs)
    announce_programs()
    keep_programs(2, deterministic=True)
    assert os.environ[FLAGS] == theirs

"""What is kept of run folders between one report and the next, and when it is not believed."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from trainer.report import main
from trainer.runs import kept_readings
from trainer.runs.kept_readings import FILE, KeptReadings
from trainer.runs.results import Run, find_runs
from trainer.runs.trial import mark_as_trial
from trainer.runs.user_cache import cache_folder

LONG_AGO = time.time() - 3600
_opened: list[str] | None = None


@pytest.fixture(scope="module", autouse=True)
def _listening() -> None:
    """Python tells of each file it opens; whoever listens can't be taken away again."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and _opened is not None:
            _opened.append(os.fspath(arguments[0]) if not isinstance(arguments[0], int) else "")

    sys.addaudithook(hear)


@contextmanager
def opened() -> Iterator[list[str]]:
    """The paths of the files that are opened within the block."""
    global _opened
    _opened = paths = []
    try:
        yield paths
    finally:
        _opened = None


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder() / FILE


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three runs of a search, and one that stands alone; they ended an hour ago."""
    root = tmp_path / "runs"
    for number in range(3):
        run(root / "search" / str(number), number)
        mark_as_trial(root / "search" / str(number), number, "eval_loss", {})
    (root / "search" / "study.journal").touch()
    run(root / "alone", 3)
    for file in root.rglob("*"):
        os.utime(file, (LONG_AGO, LONG_AGO))
    return root


def run(path: Path, number: int) -> None:
    path.mkdir(parents=True)
    (path / ".lock").write_text("process 1 on nowhere\nsince 2026-01-01 00:00:00\n")
    (path / "config.yaml").write_text(f"run:\n  seed: {number}\n")
    rows: list[dict[str, Any]] = [
        {"step": step, "loss": 1 / (1 + step), "updates_per_second": 9.0 + number}
        for step in range(20)
    ]
    rows.append({"step": 20, "eval_loss": number + 0.5})
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "result.json").write_text(json.dumps({"status": "done", "steps": 20}))


def report(runs: Path) -> str:
    """The table and the page that the command writes about some runs."""
    main([str(runs)])
    return (runs / "sweep.csv").read_text() + (runs / "report.html").read_text()


def of_runs(paths: list[str], runs: Path) -> set[str]:
    """The files among `paths` that belong to runs, and not to the report or a whole sweep."""
    inside = {os.path.relpath(path, runs) for path in paths if path.startswith(f"{runs}/")}
    return {name for name in inside if not re.search(r"sweep\.(json|csv)|report\.html", name)}


def test_a_second_report_opens_no_file_of_a_run_that_is_as_it_was(runs: Path) -> None:
    with opened() as first_paths:
        first = report(runs)
    assert {"alone/config.yaml", "search/2/trial.json"} < of_runs(first_paths, runs)
    with opened() as second_paths:
        assert report(runs) == first
    assert of_runs(second_paths, runs) == set()


def test_only_the_folder_that_changed_is_read_anew(runs: Path) -> None:
    report(runs)
    with (runs / "search" / "1" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20, "eval_loss": 0.125}\n')
    with opened() as paths:
        assert "0.125" in report(runs)
    assert {Path(name).parts[:2] for name in of_runs(paths, runs)} == {("search", "1")}


def in_place(file: Path) -> None:
    """Writes another text of the same length into a file, and gives it back its time."""
    before = file.stat()
    file.write_text(file.read_text().replace("seed: 3", "seed: 7"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_rename(file: Path) -> None:
    """Puts another file of the same length and time in the place of one."""
    draft = file.with_name("draft")
    draft.write_text(file.read_text().replace("seed: 3", "seed: 7"))
    os.utime(draft, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    draft.replace(file)


@pytest.mark.parametrize("change", [in_place, by_rename])
def test_a_file_of_the_same_size_and_time_is_still_another_one(
    runs: Path, change: Callable[[Path], None]
) -> None:
    report(runs)
    change(runs / "alone" / "config.yaml")
    with kept_readings.kept_readings() as kept:
        assert find_runs([runs / "alone"], kept)[0].seed == 7


def test_what_changed_a_moment_ago_is_not_kept_since_its_next_change_may_have_its_time(
    runs: Path,
) -> None:
    (runs / "alone" / "config.yaml").touch()
    report(runs)
    with opened() as paths:
        report(runs)
    assert "alone/config.yaml" in of_runs(paths, runs)


def test_what_can_not_be_read_is_tried_again_each_time(runs: Path) -> None:
    damaged = runs / "alone" / "result.json"
    damaged.write_text("{")
    os.utime(damaged, (LONG_AGO, LONG_AGO))
    assert report(runs).count("be read as a result") == 2
    assert report(runs).count("be read as a result") == 2


def garbage(file: Path) -> None:
    file.write_bytes(b"not a database at all" * 300)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def other_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("DROP TABLE readings")
        database.execute("CREATE TABLE readings (something)")


def other_values(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        odd = json.dumps({"updates": {"loss": ["?"]}, "digest": [1]})
        database.execute("UPDATE readings SET value = ? WHERE place LIKE 'run %'", (odd,))
        database.execute("UPDATE readings SET value = '[' WHERE place NOT LIKE 'run %'")


def missing(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize(
    "spoil", [garbage, cut_off, a_folder, other_tables, other_values, missing],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_a_cache_that_is_spoilt_counts_for_nothing(
    runs: Path, cache: Path, spoil: Callable[[Path], None]
) -> None:
    first = report(runs)
    spoil(cache)
    for _ in range(3):
        assert report(runs) == first


def test_a_cache_that_another_process_holds_is_done_without(
    runs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_readings, "WAIT_SECONDS", 0.0)
    first = report(runs)
    with closing(sqlite3.connect(cache)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert report(runs) == first


def test_two_that_read_at_a_time_both_keep_what_they_have_read(runs: Path) -> None:
    with kept_readings.kept_readings() as one, kept_readings.kept_readings() as other:
        find_runs([runs / "search" / "0"], one)
        find_runs([runs / "search" / "1"], other)
        one.save()
        other.save()
    with kept_readings.kept_readings() as kept:
        names = ["config.yaml", "result.json", "metrics.jsonl"]
        assert all(kept.reading("run", runs / "search" / n, names).value for n in "01")


def test_the_newest_readings_are_kept_within_a_bound(
    runs: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(kept_readings, "MAX_BYTES", 3000)
    report(runs)
    with closing(sqlite3.connect(cache)) as database:
        rows = database.execute("SELECT place, LENGTH(value) FROM readings").fetchall()
    assert 0 < sum(length for _, length in rows) <= 3000
    assert f"run {runs / 'search' / '2'}" in [place for place, _ in rows]


def test_a_user_without_a_place_for_a_cache_gets_the_report(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert "eval_loss" in report(runs)


def test_no_other_user_may_read_what_is_kept(runs: Path, cache: Path) -> None:
    report(runs)
    assert cache.stat().st_mode & 0o077 == 0


def test_a_value_that_json_would_change_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    run(path, 1)
    (path / "config.yaml").write_text("when: 2026-01-02\nlist: [{1: one}]\n")
    for file in path.iterdir():
        os.utime(file, (LONG_AGO, LONG_AGO))
    for _ in range(2):
        with kept_readings.kept_readings() as kept:
            assert Run.read(path, kept).config == Run.read(path, KeptReadings()).config

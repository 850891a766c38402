"""The stream of events: what changes, rows as they are written, and going on after a break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.served import Served, make_run, rows, served
from trainer.service.events import tail
from trainer.service.events.tail import Tail
from trainer.service.listing.index import Index
from trainer.service.rows import parsing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs/a", rows(10), None)
    return tmp_path / "runs"


@pytest.fixture
def service(root: Path, tmp_path: Path) -> Iterator[Served]:
    with served(root, tmp_path / "state") as found:
        found.ids()
        yield found


def test_a_run_that_changes_is_told_with_its_summary(service: Served, root: Path) -> None:
    with service.events("runs") as events:
        assert next(events)[0] == "open"
        (root / "a/metrics.jsonl").write_text(rows(20))
        name, data, _ = next(events)
        assert name == "runs"
        [summary] = data["changed"]
        assert (summary["name"], summary["steps"]) == ("a", 20)


def test_rows_come_as_they_are_written_and_each_once(service: Served, root: Path) -> None:
    run = service.ids()["a"]
    cursor = service.get(f"/runs/{run}/rows")["cursor"]
    seen: list[int] = []
    with service.events(f"rows:{run}@{cursor}") as events:
        assert next(events)[0] == "open"
        for first in range(10, 50, 10):
            with (root / "a/metrics.jsonl").open("a") as opened:
                opened.write(rows(10, first))
            while len(seen) < first:
                name, data, place = next(events)
                assert name == "rows"
                seen += data["series"]["loss"]["steps"]
    assert seen == list(range(10, 50))
    with (root / "a/metrics.jsonl").open("a") as opened:
        opened.write(rows(5, 50))
    with service.events(f"rows:{run}", **{"Last-Event-ID": place}) as events:
        assert next(events)[0] == "open"
        assert next(events)[1]["series"]["loss"]["steps"] == [50, 51, 52, 53, 54]


def test_what_many_are_told_is_read_and_written_once(
    service: Served, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, made = service.ids()["a"], list[str]()
    read_rows, summaries, message = tail.rows_member, Index.summaries, Tail.message

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            made.append(name)
            return real(*arguments, **named)

        return call

    monkeypatch.setattr(tail, "rows_member", counted("rows", read_rows))
    monkeypatch.setattr(tail, "dumps", counted("JSON", tail.dumps))
    monkeypatch.setattr(Index, "summaries", counted("summaries", summaries))
    monkeypatch.setattr(Tail, "message", counted("a thread's turn", message))
    with ExitStack() as opened:
        streams = [opened.enter_context(service.events(f"runs,rows:{run}")) for _ in range(5)]
        for stream in streams:
            assert next(stream)[0] == "open"
        made.clear()
        with (root / "a/metrics.jsonl").open("a") as file:
            file.write(rows(10, 10))
        found = [{name: data for name, data, _ in (next(one), next(one))} for one in streams]
    assert {tuple(one["rows"]["series"]["loss"]["steps"]) for one in found} == {(*range(10, 20),)}
    assert {one["runs"]["changed"][0]["steps"] for one in found} == {20}
    assert sorted(made) == ["JSON", "rows", "summaries"]


def test_many_rows_at_once_come_in_buckets_with_their_extremes(service: Served, root: Path) -> None:
    run = service.ids()["a"]
    with service.events(f"rows:{run}") as events:
        next(events)
        with (root / "a/metrics.jsonl").open("a") as opened:
            opened.write(rows(5000, 10, loss=lambda step: 99.0 if step == 777 else 1.0))
        found: list[dict[str, Any]] = []
        while not found or found[-1]["until"][-1] < 5009:
            found.append(next(events)[1]["series"]["loss"])
    assert sum(len(series["steps"]) for series in found) <= 110 * len(found)
    assert max(max(series["max"]) for series in found) == 99.0
    assert sum(series["rows"] for series in found) == 5000


def test_a_file_that_is_cut_is_told_and_so_is_an_old_cursor(service: Served, root: Path) -> None:
    run = service.ids()["a"]
    cursor = service.get(f"/runs/{run}/rows")["cursor"]
    with service.events(f"rows:{run}@{cursor}") as events:
        next(events)
        (root / "a/metrics.jsonl").write_text(rows(5))
        name, data, _ = next(events)
        assert (name, data["why"]) == ("resync", "cut")
    with service.events(f"rows:{run}@{cursor}") as events:
        next(events)
        assert next(events)[0] == "resync"


def test_a_stream_of_no_run_says_so_and_of_no_topic_is_refused(service: Served) -> None:
    with service.events(f"rows:{'0' * 16}") as events:
        assert [next(events)[0], next(events)[0]] == ["open", "gone"]
    for topics in ("nothing", "rows:x", "rows:0123456789abcdef@x", "run:../.."):
        assert service.client.get("/events", params={"topics": topics}).status_code == 422


def test_nothing_is_followed_that_nobody_watches(service: Served) -> None:
    run, hub = service.ids()["a"], service.service.hub
    with service.events(f"rows:{run}") as events:
        next(events)
        service.wait(lambda: hub._tails)
    service.wait(lambda: not hub._tails and not hub._listeners)


def test_the_end_of_the_server_ends_its_streams(root: Path, tmp_path: Path) -> None:
    with served(root, tmp_path / "other") as service, service.events("runs") as events:
        next(events)
        service.end()
        assert list(events) == []


def test_arrow_is_imported_once_somebody_looks_and_before_it_is_needed(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[str] = []
    monkeypatch.setattr(parsing, "AHEAD_SECONDS", 0.0)
    monkeypatch.setattr(parsing, "import_module", imported.append)
    parsing.import_ahead.cache_clear()
    for _ in range(2):
        with service.events("runs") as events:
            assert next(events)[0] == "open"
            service.wait(lambda: imported)
    assert imported == ["pyarrow.json"]

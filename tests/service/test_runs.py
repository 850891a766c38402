"""The list of runs: states from the folders, an index that may go, filters, order and pages."""

from __future__ import annotations

import gc
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from tests.helpers.served import CONFIG, Served, make_run, rows, served, training
from trainer.runs.folder import Folder
from trainer.runs.results import find_runs
from trainer.service.listing.index import Index
from trainer.service.listing.index_file import IN_MEMORY
from trainer.service.listing.watcher import Watcher


def runs(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs/first", rows(20))
    make_run(tmp_path / "runs/second", rows(40), "failed", CONFIG.replace("seed: 1", "seed: 2"))
    make_run(tmp_path / "runs/died", rows(10), None)
    make_run(tmp_path / "runs/waits", "", None)
    sweep = tmp_path / "runs/sweep"
    for number in range(3):
        make_run(sweep / str(number), rows(30 + number, eval_x=lambda step: step),
                 config=CONFIG.replace("seed: 1", f"seed: {number}"))  # fmt: skip
    (sweep / "sweep.json").write_text(json.dumps({str(n): str(n) for n in range(3)}))
    return tmp_path / "runs"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return runs(tmp_path)


@pytest.fixture
def service(root: Path, tmp_path: Path) -> Iterator[Served]:
    with served(root, tmp_path / "state") as found:
        found.ids()
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service for the tests that change nothing."""
    folder = tmp_path_factory.mktemp("shared")
    with served(runs(folder), folder / "state") as found:
        found.ids()
        yield found


def listed(service: Served, **query: object) -> list[str]:
    return [run["name"] for run in service.get("/runs", **query)["runs"]]


def statuses(service: Served) -> dict[str, str]:
    return {run["name"]: run["status"] for run in service.get("/runs")["runs"]}


def test_states_are_those_of_the_report(service: Served, root: Path) -> None:
    found = {run.path.relative_to(root).as_posix(): run.status for run in find_runs([root])}
    assert statuses(service) == found
    assert set(found.values()) == {"done", "failed", "unfinished", "waiting"}


def test_a_run_is_running_as_long_as_its_lock_is_held(service: Served, root: Path) -> None:
    with Folder(root / "died").locked():
        service.wait(lambda: statuses(service)["died"] == "running")
    service.wait(lambda: statuses(service)["died"] == "unfinished")


def test_looking_never_keeps_a_run_from_its_folder(service: Served, root: Path) -> None:
    for _ in range(100):
        with Folder(root / "waits").locked():
            service.service.watcher.look()


def test_runs_that_come_and_go_are_noticed(service: Served, root: Path) -> None:
    make_run(root / "2026-01-01/new", rows(3))
    service.wait(lambda: "2026-01-01/new" in listed(service))
    rmtree(root / "2026-01-01")
    service.wait(lambda: "2026-01-01/new" not in listed(service))


def test_an_index_that_is_deleted_or_spoilt_is_made_anew(
    service: Served, root: Path, tmp_path: Path
) -> None:
    before = service.get("/runs")["runs"]
    [file] = (tmp_path / "state").glob("index-*.sqlite3")
    file.unlink()
    service.wait(lambda: file.exists() and service.get("/runs")["complete"])
    assert service.get("/runs")["runs"] == before
    with served(root, tmp_path / "state2") as other:
        other.ids()
    [kept] = (tmp_path / "state2").glob("index-*.sqlite3")
    kept.write_bytes(b"no database" * 1000)
    with served(root, tmp_path / "state2") as other:
        other.ids()
        assert other.get("/runs")["runs"] == before


def test_a_second_server_of_a_root_serves_without_the_file(
    service: Served, root: Path, tmp_path: Path
) -> None:
    with served(root, tmp_path / "state") as second:
        assert second.ids() == service.ids()
        assert not second.service.index.is_alone


def test_a_server_that_starts_again_reads_no_run_anew(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in root.rglob("*"):
        os.utime(path, (1e9, 1e9))
    with served(root, tmp_path / "state") as first:
        before = first.get("/runs")["runs"] if first.ids() else None
    read = []
    monkeypatch.setattr(Watcher, "_read", lambda self, changed: read.extend(changed))
    with served(root, tmp_path / "state") as again:
        again.wait(again.service.watcher.complete.is_set)
        assert again.get("/runs")["runs"] == before
    assert read == []


def test_little_is_kept_in_memory_of_a_run_that_is_as_it_was(tmp_path: Path) -> None:
    root, count = tmp_path / "runs", 100
    make_run(root / "first", rows(1))
    index = Index(IN_MEMORY)
    watcher = Watcher(root, index, lambda _: None)
    watcher._walk()
    watcher._read_changed()  # has imported whatever it needs
    for number in range(count):
        make_run(root / str(number), rows(1))
    tracemalloc.start()
    try:
        watcher._walk()
        watcher._read_changed()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        index.close()
    assert len(watcher._paths) == len(watcher._signatures) == count + 1
    assert kept / count < 500  # bytes


def test_only_columns_that_vary_are_told_unless_others_are_asked_for(shared: Served) -> None:
    page = shared.get("/runs")
    assert page["columns"] == ["run.seed"]
    assert {tuple(run["values"]) for run in page["runs"]} == {(0,), (1,), (2,)}
    page = shared.get("/runs", columns="schedule.kind,run.length,data")
    assert {tuple(run["values"]) for run in page["runs"]} == {("cosine", 100, None)}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "failed"}, ["second"]),
        ({"state": "failed,waiting", "sort": "name"}, ["second", "waits"]),
        ({"sweep": "sweep", "sort": "-steps"}, ["sweep/2", "sweep/1", "sweep/0"]),
        ({"q": "SECO"}, ["second"]),
        ({"q": "sweep/1 cosine"}, ["sweep/1"]),
        ({"sort": "metrics.eval_x", "sweep": "sweep"}, ["sweep/0", "sweep/1", "sweep/2"]),
        ({"sort": "-run.seed", "q": "sweep"}, ["sweep/2", "sweep/1", "sweep/0"]),
        ({"q": "nothing of it"}, []),
    ],
)
def test_lists_are_filtered_and_sorted(
    query: dict[str, str], expected: list[str], shared: Served
) -> None:
    assert listed(shared, **query) == expected


def test_pages_of_a_list_are_the_list(shared: Served) -> None:
    names, after = [], None
    while True:
        query = {"sort": "name", "limit": 2} | ({"after": after} if after else {})
        page = shared.get("/runs", **query)["runs"]
        if not page:
            break
        names += [run["name"] for run in page]
        after = page[-1]["id"]
    assert names == listed(shared, sort="name")
    assert len(names) == 7


@pytest.mark.parametrize("query", [{"sort": "nothing"}, {"after": "0" * 16}, {"limit": "many"}])
def test_a_query_that_means_nothing_is_refused(query: dict[str, str], shared: Served) -> None:
    answer = shared.client.get("/runs", params=query)
    assert answer.status_code == 422
    [problem] = answer.json()["problems"]
    assert problem["path"].endswith(next(iter(query)))


@pytest.mark.parametrize("word", ["'; DROP TABLE runs; --", '"', "%", "$.a", "\x00", "🙂" * 60])
def test_words_of_a_query_are_only_words(word: str, shared: Served) -> None:
    for query in ({"q": word}, {"sweep": word}, {"state": word}, {"columns": word}):
        assert shared.client.get("/runs", params=query).status_code == 200
    assert len(listed(shared)) == 7


def test_a_list_that_is_as_it_was_is_not_sent_again(shared: Served) -> None:
    first = shared.client.get("/runs")
    again = shared.client.get("/runs", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_run_tells_its_config_result_and_events(service: Served, root: Path) -> None:
    (root / "first/events.jsonl").write_text('{"step": 3, "event": "stop"}\n')
    run = service.get(f"/runs/{service.ids()['first']}")
    assert run["config"]["schedule.kind"] == "cosine"
    assert (run["steps"], run["total_steps"]) == (20, 100)
    assert run["result"]["status"] == "done"
    assert run["events"] == [{"step": 3, "event": "stop"}]
    assert run["metrics"]["loss"] == {
        "last": 1 / 20, "lowest": 1 / 20, "highest": 1.0, "best": 1 / 20
    }  # fmt: skip


def test_the_best_value_of_a_metric_is_the_one_that_it_is_tried_for(tmp_path: Path) -> None:
    config = CONFIG + "metrics: {top: {kind: top_k_accuracy, k: 3}}\n"
    lines = rows(4, eval_top=lambda step: step % 3, eval_speed=lambda step: step)
    make_run(tmp_path / "runs/one", lines, config=config)
    with served(tmp_path / "runs", tmp_path / "state") as service:
        run = service.get(f"/runs/{service.ids()['one']}")
    best = {name: found["best"] for name, found in run["metrics"].items()}
    assert best == {"loss": 1 / 4, "eval_top": 2, "eval_speed": None}


def test_differences_of_two_runs_are_told(shared: Served) -> None:
    ids = shared.ids()
    found = shared.get(f"/runs/{ids['first']}/differences", other=ids["second"])
    assert found == {"differences": [{"path": "run.seed", "here": 1, "there": 2}]}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.yaml", b"\xff\xfe"),
        ("config.yaml", b"a: [1, .nan, .inf, 2026-01-01]"),
        ("result.json", b"{"),
        ("metrics.jsonl", b"no row\n" * 3),
        ("metrics.jsonl", b'{"step": 0, "loss": null}\n{"step": 1, "loss": 1e999}\n'),
        ("metrics.jsonl", b'{"step": 99999999999999999999}\n'),
        ("events.jsonl", b"[]\n"),
    ],
)
def test_a_damaged_run_is_listed_and_no_other_suffers(
    file: str, content: bytes, service: Served, root: Path
) -> None:
    (root / "first" / file).write_bytes(content)
    service.service.watcher.look()
    assert len(listed(service)) == 7
    assert service.client.get(f"/runs/{service.ids()['first']}").status_code == 200


@pytest.mark.parametrize("run", ["0" * 16, "..%2f..%2fetc", "x" * 16, "%00", "A" * 16])
def test_an_id_is_no_path(run: str, shared: Served) -> None:
    for path in ("", "/rows", "/log", "/files", "/files/config.yaml"):
        assert shared.client.get(f"/runs/{run}{path}").status_code in (404, 422)


def test_a_folder_that_can_not_be_written_to_is_served_too(root: Path, tmp_path: Path) -> None:
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*")}
    with served(root, tmp_path / "elsewhere") as found:
        for run in found.ids().values():
            found.get(f"/runs/{run}")
            found.get(f"/runs/{run}/rows")
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*")} == before


def test_the_total_of_epochs_is_worked_out_from_the_rows(tmp_path: Path) -> None:
    config = CONFIG.replace("length: 100", "length: 3 epochs")
    make_run(tmp_path / "runs/a", rows(25), None, config)  # ten updates an epoch
    with served(tmp_path / "runs", tmp_path / "state") as found:
        assert found.get(f"/runs/{found.ids()['a']}")["total_steps"] == 30


def test_a_run_that_died_while_there_was_no_server_does_not_run(tmp_path: Path) -> None:
    make_run(tmp_path / "runs/a", rows(10), None)
    with training(tmp_path / "runs/a"), served(tmp_path / "runs", tmp_path / "state") as service:
        assert service.get(f"/runs/{service.ids()['a']}")["status"] == "running"
    with served(tmp_path / "runs", tmp_path / "state") as service:
        run = service.ids()["a"]
        service.wait(lambda: service.get(f"/runs/{run}")["status"] == "unfinished")

"""Rows of a run: buckets that do not lie, cursors that notice a cut, long files while unread."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.helpers.served import Served, make_run, rows, served
from trainer.service import answering
from trainer.service.api import row_routes
from trainer.service.rows import open_rows, parsing, run_rows, sampling
from trainer.service.rows.buckets import CoarseBuckets, bucketed
from trainer.service.rows.run_rows import RunRows
from trainer.service.rows.smoothing import smoothed

NUMBERS = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.just(np.inf), st.just(np.nan)), min_size=1, max_size=700
)


@given(NUMBERS, st.integers(1, 50), st.integers(0, 1000))
def test_buckets_have_every_extreme_and_both_ends(
    numbers: list[float], points: int, offset: int
) -> None:
    values, steps = np.array(numbers), np.arange(len(numbers)) * 10
    found = bucketed(steps, values, points, offset)
    finite = values[np.isfinite(values)]
    assert len(found.first) <= points + 4
    assert (found.first[0], found.until[-1]) == (steps[0], steps[-1])
    assert np.isinf(values).sum() == found.not_finite.sum()
    assert found.rows == (~np.isnan(values)).sum()
    if len(finite):
        assert np.nanmin(found.lowest) == finite.min()
        assert np.nanmax(found.highest) == finite.max()
    for i in range(len(found.first)):
        inside = values[(steps >= found.first[i]) & (steps <= found.until[i])]
        inside = inside[np.isfinite(inside)]
        if len(inside):
            assert found.lowest[i] == inside.min()
            assert found.highest[i] == inside.max()
            assert found.mean[i] == pytest.approx(inside.mean())
    np.testing.assert_array_equal(found.last[[0, -1]], values[[0, -1]])


@given(st.integers(0, 3000), st.integers(1, 3000), st.integers(0, 2))
def test_coarse_buckets_are_those_of_all_rows(low: int, rows: int, power: int) -> None:
    random = np.random.default_rng(low)
    values = random.normal(size=low + rows + 300)
    values[random.random(len(values)) < 0.1] = np.inf
    values[random.random(len(values)) < 0.1] = np.nan
    steps = np.arange(len(values))
    coarse = CoarseBuckets()
    coarse.extend(values[: len(values) // 2])
    coarse.extend(values)
    width = 256 << power
    found = coarse.buckets(steps, values, low, low + rows, width)
    points = -(-rows // width)
    expected = bucketed(steps[low : low + rows], values[low : low + rows], points, low)
    if expected.width == width:
        for name in ("first", "until", "lowest", "highest", "last", "not_finite", "rows"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
        np.testing.assert_allclose(found.mean, expected.mean)


@given(NUMBERS, st.floats(0, 0.999), st.integers(1, 9))
def test_smoothing_is_that_of_a_plain_loop(numbers: list[float], weight: float, every: int) -> None:
    mean, count, expected = 0.0, 0, []
    for number in numbers:
        if np.isfinite(number):
            mean, count = weight * mean + (1 - weight) * number, count + 1
        expected.append(mean / (1 - weight**count) if count else np.nan)
    at = np.arange(0, len(numbers), every)
    found = smoothed(np.array(numbers), weight, at)
    np.testing.assert_allclose(found, np.array(expected)[at], rtol=1e-9, atol=1e-6)


def test_smoothing_does_not_depend_on_how_much_is_drawn(service: Served) -> None:
    path = f"/runs/{service.ids()['a']}/rows"
    full = service.get(path, names="loss", smooth=0.9)["series"]["loss"]
    by_step = dict(zip(full["steps"], full["smooth"], strict=True))
    for query in ({"points": 7}, {"from": 30, "to": 70}, {"points": 3, "from": 20}):
        part = service.get(path, names="loss", smooth=0.9, **query)["series"]["loss"]
        assert part["smooth"] == [by_step[step] for step in part.get("until", part["steps"])]


LINES = st.lists(
    st.dictionaries(
        st.sampled_from(["loss", "learning_rate", "eval_loss", "odd", "text"]),
        st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.integers(),
                  st.booleans(), st.text(max_size=3)),
    ),
    max_size=30,
)  # fmt: skip


@example([{"loss": 0.0}, {"loss": 2**63}])
@example([{"loss": 10**40}, {"loss": -(2**63)}])
@given(LINES)
def test_rows_by_arrow_are_those_of_python(lines: list[dict[str, Any]]) -> None:
    content = "".join(json.dumps({"step": i, **line}) + "\n" for i, line in enumerate(lines))
    slow = parsing.parsed(content.encode())
    quick = parsing.parsed(content.encode(), many_bytes=0)
    for kind in parsing.KINDS:
        np.testing.assert_array_equal(slow[kind].steps, quick[kind].steps)
        assert slow[kind].columns.keys() == quick[kind].columns.keys()
        for name, column in slow[kind].columns.items():
            np.testing.assert_array_equal(column, quick[kind].columns[name])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    evaluation = '{"step": 50, "epoch": 5.0, "eval_loss": 0.25}\n'
    make_run(tmp_path / "runs/a", rows(50) + evaluation + rows(50, 50), None)
    return tmp_path / "runs"


@pytest.fixture
def service(root: Path, tmp_path: Path) -> Iterator[Served]:
    with served(root, tmp_path / "state") as found:
        yield found


def test_few_rows_are_given_as_they_are(service: Served) -> None:
    found = service.get(f"/runs/{service.ids()['a']}/rows")
    assert found["approximate"] is False
    assert found["names"] == ["loss", "updates_per_second", "eval_loss"]
    loss = found["series"]["loss"]
    assert (loss["width"], loss["rows"]) == (1, 100)
    assert loss["steps"] == list(range(100))
    assert loss["last"] == [1 / (step + 1) for step in range(100)]
    assert found["series"]["eval_loss"]["steps"] == [50]


def test_a_window_and_some_names_are_given_alone(service: Served) -> None:
    found = service.get(f"/runs/{service.ids()['a']}/rows", names="loss", **{"from": 7, "to": 9})
    assert found["series"].keys() == {"loss"}
    assert found["series"]["loss"]["steps"] == [7, 8]


def test_a_window_without_a_row_has_series_without_a_row(service: Served, root: Path) -> None:
    make_run(root / "b", rows(20) + rows(10, 10))  # as after a rewind
    runs = [service.ids()["a"], service.wait(lambda: service.ids().get("b"))]
    windows = [{"from": 0, "to": 0}, {"from": 5000}, {"to": 0}, {"from": 5, "to": 5},
               {"from": 9, "to": 3}]  # fmt: skip
    for run, window, more in product(runs, windows, [{}, {"points": 2, "smooth": 0.5}]):
        found = service.get(f"/runs/{run}/rows", names="loss", **window, **more)["series"]["loss"]
        assert (found["rows"], found["steps"], found["last"]) == (0, [], [])
        compared = service.get("/compare/rows", name="loss", runs=run, **window, **more)
        assert [line["steps"] for line in compared["lines"]] in ([], [[]])


def test_a_name_that_is_none_is_refused_with_the_nearest(service: Served) -> None:
    answer = service.client.get(f"/runs/{service.ids()['a']}/rows", params={"names": "los"})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["hint"] == "did you mean loss?"


def test_what_is_not_finite_is_null_and_listed(service: Served, root: Path) -> None:
    make_run(root / "b", rows(9, loss=lambda step: None if step in (3, 4) else 1.0))
    run = service.wait(lambda: service.ids().get("b"))
    series = service.get(f"/runs/{run}/rows")["series"]["loss"]
    assert series["last"] == [1, 1, 1, None, None, 1, 1, 1, 1]
    assert series["not_finite"] == [[3, 1], [4, 1]]
    series = service.get(f"/runs/{run}/rows", points=3)["series"]["loss"]
    assert sum(count for _, count in series["not_finite"]) == 2
    assert set(series["min"]) <= {1.0, None}


def test_new_rows_are_given_behind_a_cursor(service: Served, root: Path) -> None:
    run, file = service.ids()["a"], root / "a/metrics.jsonl"
    cursor = service.get(f"/runs/{run}/rows")["cursor"]
    nothing = service.get(f"/runs/{run}/rows", since=cursor)
    assert (nothing["series"], nothing["cursor"], nothing["more"]) == ({}, cursor, False)
    with file.open("a") as opened:
        opened.write(rows(3, 100) + '{"step": 103, "lo')
    new = service.get(f"/runs/{run}/rows", since=cursor)
    assert new["series"]["loss"]["steps"] == [100, 101, 102]
    with file.open("a") as opened:
        opened.write('ss": 2.0}\n')
    later = service.get(f"/runs/{run}/rows", since=new["cursor"])
    assert later["series"]["loss"] == {
        "rows": 1, "width": 1, "steps": [103], "last": [2.0], "not_finite": []
    }  # fmt: skip
    assert service.get(f"/runs/{run}/rows")["series"]["loss"]["rows"] == 104


@pytest.mark.parametrize("grown", [False, True])
def test_a_file_that_was_cut_is_noticed_also_where_it_has_grown_again(
    grown: bool, service: Served, root: Path
) -> None:
    run, file = service.ids()["a"], root / "a/metrics.jsonl"
    before = service.get(f"/runs/{run}/rows")
    size = file.stat().st_size
    lines = file.read_text().splitlines(keepends=True)
    again = rows(60, 40, updates_per_second=lambda step: 0.5) if grown else ""
    file.write_text("".join(lines[:40]) + again.replace(".5,", ".55555555555555,"))
    assert (file.stat().st_size >= size) == grown
    answer = service.client.get(f"/runs/{run}/rows", params={"since": before["cursor"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "cut")
    found = service.get(f"/runs/{run}/rows")["series"]["loss"]
    assert found["steps"] == list(range(100 if grown else 40))


@pytest.mark.parametrize("since", ["x", "1-2", "-1-0123456789abcdef", "9" * 30])
def test_what_is_no_cursor_is_refused(since: str, service: Served) -> None:
    answer = service.client.get(f"/runs/{service.ids()['a']}/rows", params={"since": since})
    assert answer.status_code == 422


def test_several_runs_are_compared_in_one_answer(service: Served, root: Path) -> None:
    make_run(root / "b", rows(5))
    ids = service.wait(lambda: len(found := service.ids()) == 2 and found)
    found = service.get("/rows", runs=",".join(ids.values()), names="loss,eval_loss")["runs"]
    assert found[ids["b"]]["series"].keys() == {"loss"}
    assert found[ids["a"]]["series"].keys() == {"loss", "eval_loss"}
    assert service.client.get("/rows", params={"runs": "x", "names": "loss"}).status_code == 422


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of some KiB is a long one."""
    monkeypatch.setattr(open_rows, "AT_ONCE_BYTES", 2**12)
    monkeypatch.setattr(run_rows, "KEPT_BYTES", 2**12)
    monkeypatch.setattr(run_rows, "PIECE_BYTES", 2**12)
    monkeypatch.setattr(open_rows, "PIECE_BYTES", 2**12)
    monkeypatch.setattr(run_rows, "SAVED_BYTES", 2**13)
    monkeypatch.setattr(sampling, "SHORT_BYTES", 2**12)
    monkeypatch.setattr(row_routes, "PLACES", 50)


def test_a_long_file_is_drawn_at_once_and_exactly_later(
    small_bounds: None, service: Served, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(root / "b", rows(3000))
    run = service.wait(lambda: service.ids().get("b"))
    real = RunRows.advance
    monkeypatch.setattr(RunRows, "advance", lambda self, budget: False)
    with service.events(f"rows:{run}") as events:
        assert next(events)[0] == "open"
        found = service.get(f"/runs/{run}/rows", points=50)
        assert found["approximate"] is True
        series = found["series"]["loss"]
        assert 20 <= len(series["steps"]) <= 60
        assert (series["steps"][0], series["steps"][-1]) == (0, 2999)
        assert series["last"] == [1 / (step + 1) for step in series["steps"]]
        near = service.get(f"/runs/{run}/rows", **{"from": 1500, "to": 1520})
        assert near["approximate"] is False
        assert near["series"]["loss"]["steps"] == list(range(1500, 1520))
        monkeypatch.setattr(RunRows, "advance", real)
        assert [name for name, _, _ in [next(events)]] == ["complete"]
    exact = service.get(f"/runs/{run}/rows", points=5000)
    assert exact["approximate"] is False
    assert exact["series"]["loss"]["steps"] == list(range(3000))


@pytest.mark.parametrize(
    ("path", "names"),
    [("/runs/{run}/rows", "names"), ("/rows", "names"), ("/compare/rows", "name")],
)
def test_a_chart_does_not_wait_for_what_is_read_of_its_file_in_background(
    path: str,
    names: str,
    small_bounds: None,
    service: Served,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = make_run(root / "b", rows(3000))
    run = service.wait(lambda: service.ids().get("b"))
    monkeypatch.setattr(RunRows, "advance", lambda self, budget: False)
    with service.service.rows.of(run, folder).lock:  # as while a piece is parsed, or saved
        asked = {names: "loss"} if "{run}" in path else {names: "loss", "runs": run}
        found = service.get(path.format(run=run), **asked)
    assert found.get("runs", {}).get(run, found)["approximate"] is True


def test_nothing_is_read_in_background_while_a_chart_is_made(
    small_bounds: None, service: Served, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "PATIENCE_SECONDS", 60.0)
    make_run(root / "b", rows(3000))
    make_run(root / "c", rows(3000))
    ids = service.wait(lambda: len(found := service.ids()) > 2 and found)
    pieces: list[int] = []
    meanwhile: list[int] = []
    advance, sampled_rows = RunRows.advance, row_routes.sampled

    def counted(self: RunRows, budget: int) -> bool:
        pieces.append(budget)
        return advance(self, budget)

    def slow(*arguments: Any) -> Any:
        before = len(pieces)
        time.sleep(0.05)
        meanwhile.append(len(pieces) - before)
        return sampled_rows(*arguments)

    monkeypatch.setattr(RunRows, "advance", counted)
    monkeypatch.setattr(row_routes, "sampled", slow)
    for name in ("b", "c"):
        assert service.get(f"/runs/{ids[name]}/rows")["approximate"] is True
    assert max(meanwhile) <= 1  # one that had begun
    service.wait(lambda: len(pieces) > 50)


def test_a_line_that_is_longer_than_a_piece_is_a_row(small_bounds: None, tmp_path: Path) -> None:
    late = json.dumps({"step": 500, "loss": 0.5, "note": "x" * 2**13}) + "\n"
    file = make_run(tmp_path / "run", rows(500) + late + rows(10, 501)) / "metrics.jsonl"
    found = RunRows(file, None)
    while not found.advance(2**12):
        pass
    assert found.tables["updates"].series("loss")[0].tolist() == list(range(511))


def test_kept_columns_are_gone_on_with_and_forgotten_where_the_file_is_another(
    small_bounds: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make_run(tmp_path / "run", rows(500)) / "metrics.jsonl"

    def read() -> RunRows:
        found = RunRows(file, tmp_path / "kept")
        while not found.advance(2**12):
            pass
        return found

    first = read()
    file.write_text(rows(600, extra=lambda step: None if step < 500 else float(step)))
    parsed_bytes = 0
    real = run_rows.parsed

    def counted(lines: bytes) -> Any:
        nonlocal parsed_bytes
        parsed_bytes += len(lines)
        return real(lines)

    monkeypatch.setattr(run_rows, "parsed", counted)
    file.write_text(rows(600))
    again = read()
    assert parsed_bytes == len(rows(100, 500))
    for found, count in ((first, 500), (again, 600)):
        steps, values = found.tables["updates"].series("loss")
        assert steps.tolist() == list(range(count))
        assert values.tolist() == [1 / (step + 1) for step in range(count)]
    file.write_text(rows(600, loss=lambda step: 2.0, updates_per_second=lambda step: 1.0))
    assert set(read().tables["updates"].series("loss")[1].tolist()) == {2.0}
    assert first.tables["updates"].series("loss")[1][-1] == 1 / 500


def test_steps_that_fall_back_are_drawn_in_any_window(service: Served, root: Path) -> None:
    make_run(root / "b", rows(20) + rows(10, 10))  # as after a rewind
    run = service.wait(lambda: service.ids().get("b"))
    found = service.get(f"/runs/{run}/rows", **{"from": 12, "to": 14})["series"]["loss"]
    assert found["steps"] == [12, 13, 12, 13]


def test_a_name_that_comes_late_is_absent_before_and_not_unfinite(
    service: Served, root: Path
) -> None:
    late = rows(10, 10, momentum=lambda step: 0.9)
    make_run(root / "b", rows(10) + late)
    run = service.wait(lambda: service.ids().get("b"))
    found = service.get(f"/runs/{run}/rows")["series"]["momentum"]
    assert (found["steps"], found["not_finite"]) == (list(range(10, 20)), [])
